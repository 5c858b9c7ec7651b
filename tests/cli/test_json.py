"""--json: one JSON value on standard output, and nothing else there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eeg2speech.cli import main
from eeg2speech.cli.output import print_json
from tests.data.readers.feis_files import write_feis
from tests.reporting.run_folders import make_run, reconstruction_test

ROOT = Path(__file__).parents[2]
Read = Callable[..., Any]


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Read:
    """Run a command in an empty folder and parse what it prints."""
    monkeypatch.chdir(tmp_path)

    def read(*argv: str, status: int = 0) -> Any:
        assert main([*argv, "--json"]) == status
        return json.loads(capfd.readouterr().out)

    return read


def test_doctor(printed: Read, tiny_store: Path):
    found = printed("doctor", str(tiny_store), "--coupling", "false")
    assert {"facts", "problems", "coupling"} <= set(found)
    assert found["facts"]["simulated"] is True
    assert found["facts"]["recordings"] == 4


def test_prepare_says_what_is_in_the_store_and_what_failed(printed: Read, tmp_path: Path):
    write_feis(tmp_path / "feis", ("01",))
    found = printed("prepare", "feis", "feis", "store")
    assert found["finished"] is True
    assert found["errors"] == []
    assert found["subjects"] == 1
    assert found["recordings"] == found["of"]
    assert found["channels"] == [14]
    assert Path(found["store"], "dataset.json").is_file()


def test_export_keeps_what_others_print_off_standard_output(printed: Read, monkeypatch: pytest.MonkeyPatch):
    def export(ckpt: Path, out: Path) -> list[str]:
        print("a remark of some library")
        return ["encoder", "aligner"]

    monkeypatch.setattr("eeg2speech.checkpoints.parts.export_parts", export)
    found = printed("export", "some.ckpt", "out")
    assert found == {"folder": "out", "files": ["encoder.safetensors", "aligner.safetensors", "config.json"]}


def test_report_says_where_the_page_is(printed: Read, tmp_path: Path):
    make_run(tmp_path / "maeeg", "MAEEGTask", reconstruction_test())
    found = printed("report", "maeeg")
    assert Path(found["file"]).stat().st_size == found["bytes"]
    assert found["left_out"] == []


def test_plan(printed: Read, tiny_store: Path):
    configs = [f"--config={ROOT / name}" for name in ("configs/maeeg.yaml", "tests/conf/tiny.yaml")]
    found = printed("plan", *configs, "--gpus", "2", f"--data.store={tiny_store}")
    assert {"stage", "run", "footprint", "assumptions", "assumed", "estimates"} == set(found)
    assert found["stage"] == "MAEEGTask"
    assert found["estimates"][0]["gpus"] == 2


def test_what_is_not_finite_is_null(capsys: pytest.CaptureFixture[str]):
    print_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": Path("x"), 3: (True, None)})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": "x", "3": [True, None]}
