"""Mistakes on the command line: one line each, with what was probably meant, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eeg2speech.cli import main

ROOT = Path(__file__).parents[2]
MAEEG = str(ROOT / "configs/maeeg.yaml")
NULL = str(ROOT / "configs/sweeps/null.yaml")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with files that are no configs."""
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text("data: [1,\n")
    Path("list.yaml").write_text("- 1\n")
    Path("typo.yaml").write_text("data:\n  windw: 3\n")
    Path("deep.yaml").write_text("model:\n  init_args:\n    maskng: {ratio: 0.5}\n")
    Path("empty").mkdir()
    return tmp_path


def said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and the line of the error."""
    try:
        status = main(argv)
    except SystemExit as left:
        status = int(left.code or 0)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    (error,) = (line for line in lines if line.startswith("error: "))
    assert lines[-1] == error
    return status, error


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["fti"], ["'fti'", "did you mean fit?"]),
        (["reprot", "x"], ["did you mean report?"]),
        (["zzz"], ["choose from fit, ", "completion"]),
        (["--hlep"], ["unknown option", "did you mean --help?"]),
        (["doctor"], ["required", "store"]),
        (["doctor", "empty", "--minuts", "3"], ["--minuts", "did you mean --minutes?"]),
        (["doctor", "empty", "--minutes", "x"], ["--minutes: expected a number, not x"]),
        (["doctor", "empty", "--json=3"], ["--json: expected true or false, not 3"]),
        (["export", "a", "b", "c"], ["unrecognized arguments: c"]),
        (["generate", "--unit", "segment"], ["--unit", "'segments', 'recordings', 'windows'"]),
        (["resynthesise", "x", "--stpes", "3"], ["did you mean --steps?"]),
        (["sweep", NULL, "out", "--sed", "1"], ["did you mean --seed"]),
        (["report"], ["required", "runs"]),
        (["report", "empty", "--clips", "many"], ["--clips: expected a whole number, not many"]),
        (["plan"], ["--config maeeg"]),
        (["plan", "--gpsu", "2"], ["did you mean --gpu"]),
        (["plan", "--config", MAEEG, "--gpu", "h200"], ["not h200", "'a100'"]),
        (["plan", "--config", MAEEG, "--data.windw", "3"], ["did you mean --data.window?"]),
        (["prepare"], ["no dataset", "bids"]),
        (["prepare", "bidz", "a", "b"], ["did you mean bids?"]),
        (["prepare", "feis", "a", "b", "--preprocessing.rat", "3"], ["did you mean --preprocessing.rate?"]),
        (["prepare", "demo", "embedded", "o", "--simulation.seed", "x"], ["--simulation.seed: expected a whole"]),
        (["completion", "fish"], ["SHELL: choose from 'bash', 'zsh', 'tcsh', not fish"]),
        (["fit"], ["--config maeeg"]),
        (["fit", MAEEG], [f"did you mean --config {MAEEG}?"]),
        (["fit", "--config", "gone.yaml"], ["--config", "gone.yaml", "alignment, audiomae, diffusion, maeeg"]),
        (["plan", "--config", "gone"], ["--config", "gone", "alignment, audiomae, diffusion, maeeg"]),
        (["fit", "--config", MAEEG, "--config", "typo.yaml"], ["'data.windw'", "did you mean --data.window?"]),
        (["fit", "--config", MAEEG, "--config", "deep.yaml"], ["MAEEGTask", "did you mean masking?"]),
        (["fit", "--config", MAEEG, "--data.window", "abc"], ["--data.window: expected a number, not abc"]),
        (["fit", "--config", MAEEG, "--model", "eeg2speech.tasks.MAEGTask"], ["--model: eeg2speech.tasks.MAEGTask"]),
    ],
)  # fmt: skip
def test_a_mistake_in_a_command_costs_a_line_and_status_2(
    argv: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
):
    status, error = said(argv, capsys)
    assert status == 2
    assert all(word in error for word in words), error


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["fit", "--config", "bad.yaml"], ["bad.yaml: not YAML, line 2"]),
        (["plan", "--config", "bad.yaml"], ["bad.yaml: not YAML, line 2"]),
        (["doctor", "empty", "--config", "bad.yaml"], ["bad.yaml: not YAML, line 2"]),
        (["fit", "--config", "list.yaml"], ["list.yaml: holds no settings"]),
        (["fit", "--config", MAEEG, "--trainer", "gone.yaml"], ["gone.yaml: no such config file (--trainer)"]),
        (
            ["fit", "--config", MAEEG, "--model.init_args.encoder=gone.yaml"],
            ["gone.yaml: no such config file (--model.init_args.encoder)"],
        ),
        (["fit", "--config", NULL], ["a sweep, not the config of a stage", "eeg2speech sweep"]),
        (["fit", "--config", MAEEG, "--trainer.accelerator", "cudda"], ["cudda", "(trainer"]),
        pytest.param(
            ["fit", "--config", MAEEG, "--trainer.accelerator", "gpu"],
            ["--trainer.accelerator cpu"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        (["test", "--config", MAEEG, "--ckpt_path", "best"], ["best.ckpt", "eeg2speech fit"]),
        (["doctor", "gone"], ["gone: no such folder", "eeg2speech prepare"]),
        (["doctor", "empty"], ["empty: not a prepared store", "eeg2speech prepare"]),
        (["export", "gone.ckpt", "out"], ["gone.ckpt: no such checkpoint"]),
        (["generate"], ["best.ckpt: no such checkpoint", "eeg2speech fit"]),
        (["generate", "--limit", "-1"], ["--limit"]),
        (["report", "empty"], ["empty"]),
        (["report", "empty", "--out", "x.pdf"], ["x.pdf", ".html"]),
        (["resynthesise", "typo.yaml"], ["typo.yaml: cannot be read as sound"]),
        (["sweep", "typo.yaml", "out"], ["typo.yaml", "config"]),
        (["prepare", "feis", "gone", "out"], ["gone: no such folder"]),
        (["prepare", "bids", "empty", "out"], ["empty", "sub-"]),
    ],
)
def test_a_problem_with_an_input_costs_a_line_and_status_1(
    argv: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
):
    status, error = said(argv, capsys)
    assert status == 1
    assert all(word in error for word in words), error


def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch):
    def pressed(argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("eeg2speech.cli.report.run", pressed)
    assert main(["report", "empty"]) == 130
