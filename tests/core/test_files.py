from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest

from eeg2speech.core.files import to_jsonable, write_json, written_beside


def files(folder):
    return [file.name for file in folder.iterdir()]


def test_nothing_stands_there_until_it_is_whole(tmp_path):
    file = tmp_path / "a.txt"
    with written_beside(file) as partial:
        partial.write_text("half")
        assert not file.exists()
        assert partial.parent == tmp_path
        assert partial.name.endswith(".partial")  # what a killed run leaves is found by this
    assert file.read_text() == "half"
    assert files(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path, error):
    file = tmp_path / "a.txt"
    file.write_text("before")

    def fail():
        with written_beside(file) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert file.read_text() == "before"
    assert files(tmp_path) == ["a.txt"]


def test_an_error_before_anything_was_written(tmp_path):
    with pytest.raises(RuntimeError), written_beside(tmp_path / "a.txt"):
        raise RuntimeError
    assert not files(tmp_path)


def test_writers_of_one_file_never_share_a_path(tmp_path):
    """Nor do they on two machines, whose processes may have the same number."""
    file = tmp_path / "a.txt"
    with written_beside(file) as first, written_beside(file) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert file.read_text() == "first"


def test_many_threads_write_one_file(tmp_path):
    file = tmp_path / "a.json"
    threads = [threading.Thread(target=write_json, args=(file, list(range(2000)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(file.read_text()) == list(range(2000))
    assert files(tmp_path) == ["a.json"]


def test_json_is_readable_and_sorted(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "Schrödinger"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "a": "Schrödinger",\n  "b": 1\n}\n'


def test_what_json_cannot_hold_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert not files(tmp_path)


def test_results_are_figures_that_any_program_reads():
    content = {"a": [math.nan, np.float32(0.5), np.int64(3)], Path("b"): (math.inf, True, None), "c": {"x": 1.5}}
    text = json.dumps(to_jsonable(content), allow_nan=False)
    assert json.loads(text) == {"a": [None, 0.5, 3], "b": [None, True, None], "c": {"x": 1.5}}
