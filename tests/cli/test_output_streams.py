"""Standard output that is not UTF-8, and a locale that is not: readable text, valid JSON, files in UTF-8."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eeg2speech.cli import STAGES, TOOLS, clean_words, run
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import Segment
from eeg2speech.data.store.store import Description
from eeg2speech.data.store.writer import StoreWriter
from tests.tiny_stores import head_channels

ENCODINGS = ("ascii", "latin-1", "cp1252")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a subject and a label that ASCII lacks."""
    root = tmp_path_factory.mktemp("store") / "store"
    writer = StoreWriter(root, Description("Größe", "tests", "CC0", "none", simulated=False, rate=100))
    eeg = 5 * np.random.default_rng(0).standard_normal((4, 1000)).astype(np.float32)
    segment = Segment("sub-ž", 0.0, 9.0, "", 0.0, "rest", "ä")
    writer.add("sub-ž", "ž", "", "", eeg, head_channels(4), [segment], {})
    return writer.finish()


def printed(words: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> tuple[str, str]:
    """What the command prints on streams of an encoding."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "argv", ["eeg2speech", *words])
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as left:
        run()
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)  # type: ignore[attr-defined]
    assert int(left.value.code or 0) == status, err
    return out, err


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_doctor_prints_what_the_encoding_has_and_escapes_the_rest(
    encoding: str, store: Path, monkeypatch: pytest.MonkeyPatch
):
    out, _ = printed(["doctor", str(store), "--coupling", "false"], encoding, monkeypatch)
    name, letter = ("Gr\\xf6\\xdfe", "\\xe4") if encoding == "ascii" else ("Größe", "ä")
    assert f"{name}  (CC0)" in out
    assert f"\n{letter}  " in out
    subject = "ž" if encoding == "cp1252" else "\\u017e"
    (row,) = (line for line in out.splitlines() if line.startswith(f"{subject} ") and "Hz" in line)
    bars = row.split()[1]
    assert len(bars) == 40
    assert {"1", "8"} <= set(bars) <= set("12345678")  # lowest and highest
    assert ("uV median" if encoding == "ascii" else "µV median") in out


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-8"])
def test_json_is_the_same_for_a_program_whatever_the_encoding(
    encoding: str, store: Path, monkeypatch: pytest.MonkeyPatch
):
    out, _ = printed(["doctor", str(store), "--coupling", "false", "--json"], encoding, monkeypatch)
    facts = json.loads(out.encode(encoding).decode("utf-8"))["facts"]
    assert (facts["name"], facts["subjects"], list(facts["labels"])) == ("Größe", ["ž"], ["ä"])


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in (*STAGES, *TOOLS)), ["--version"]])
def test_helps_are_printed_in_ascii(words: list[str], monkeypatch: pytest.MonkeyPatch):
    out, _ = printed(words, "ascii", monkeypatch)
    assert out


def test_an_error_names_a_file_that_the_encoding_lacks(monkeypatch: pytest.MonkeyPatch):
    _, err = printed(["doctor", "störe"], "ascii", monkeypatch, status=1)
    assert err.startswith("error: st\\xf6re: no such folder")


def test_bytes_that_are_not_utf8_are_escaped_on_utf8(monkeypatch: pytest.MonkeyPatch):
    _, err = printed(["doctor", "st\udcf6re"], "utf-8", monkeypatch, status=1)
    assert err == "error: 'st\\udcf6re': not UTF-8; rename it, or give a link that has another name\n"


def test_libraries_read_files_as_utf8_in_a_locale_that_is_not(tmp_path: Path):
    (tmp_path / "file").write_text("é", encoding="utf-8")
    code = (
        "from eeg2speech.cli.output import utf8_files\n"
        "utf8_files()\n"
        "text = open('file').read(); open('copy', 'w').write(text); print(ascii(text))"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | plain, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("'\\xe9'\n", 0), done.stderr
    assert (tmp_path / "copy").read_bytes() == "é".encode()


def test_a_tilde_is_the_home_folder_wherever_a_word_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert clean_words(["fit", "--run=~/runs", "~", "--run", "~/x", "a~b", "--a=b~"]) == [
        "fit", f"--run={tmp_path}/runs", str(tmp_path), "--run", f"{tmp_path}/x", "a~b", "--a=b~",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="~nobody-here/x: the home folder is not known"):
        clean_words(["doctor", "~nobody-here/x"])
