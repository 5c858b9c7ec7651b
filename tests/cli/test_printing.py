"""Tables and progress, on terminals and in logs."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.table import Table

from eeg2speech.cli import main
from eeg2speech.cli.sweep_tables import print_report
from eeg2speech.core import progress
from eeg2speech.core.console import table_console
from eeg2speech.core.progress import Countdown, in_words, waiting
from eeg2speech.training import ModelParts
from eeg2speech.training.progress import tracked

ROOT = Path(__file__).parents[2]
FIGURE = {"mean": 0.123456, "low": 0.1111, "high": 0.2222}
MEASURES = ("top1", "top10", "mrr", "match_2023", "match_2024")
ROW = dict.fromkeys(MEASURES, FIGURE)
PART = {
    "figures": {"model": ROW, "ridge, fitted to each person": ROW},
    "chance": dict.fromkeys(MEASURES, 0.01), "aligned": 3, "runs": 3,
}  # fmt: skip
FOUND = {
    "intervals_over": "seeds",
    "conditions": [{"levels": {"encoder": "pretrained on everything"}, "splits": {"unseen_stimulus": PART}}],
    "differences": [],
}


def test_a_table_in_a_pipe_is_neither_cut_nor_coloured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = io.StringIO()
    table = Table(*(f"column {i}" for i in range(12)))
    table.add_row(*(f"{i}.123 [0.111, 0.222]" for i in range(9)), "a", "b", "c")
    table_console(stream).print(table)
    text = stream.getvalue()
    assert all(f"{i}.123 [0.111, 0.222]" in text for i in range(9))
    assert "…" not in text
    assert "\x1b" not in text


def test_a_narrow_terminal_wraps_figures_and_loses_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("eeg2speech.core.console.WIDE", 80)
    monkeypatch.setenv("COLUMNS", "80")
    print_report(FOUND)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count("0.123") == 10
    assert text.count("[0.11,") == 10


def test_a_log_has_lines_now_and_then_with_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with Countdown("Preparing", 3) as bar:
        bar.step()
        bar.step(failed=1)
        bar.step(failed=1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # none once all is done
    assert re.fullmatch(r"Preparing: 1 of 3, about \d+ s left", lines[0])
    assert lines[1].startswith("Preparing (1 failed): 2 of 3")
    with Countdown("Preparing", 3, hidden=True) as bar:
        bar.step()
    assert capsys.readouterr().err == ""


def test_what_a_callback_goes_through_is_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    for first, lines in ((True, 2), (False, 0)):
        trainer = SimpleNamespace(progress_bar_callback=None, is_global_zero=first)
        assert list(tracked(trainer, "Drawing")("abc")) == ["a", "b", "c"]
        assert capsys.readouterr().err.count("Drawing: ") == lines


def test_a_wait_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with waiting("Counting"):
        pass
    assert "Counting" in capsys.readouterr().err
    monkeypatch.delenv("FORCE_COLOR")
    with waiting("Counting"):
        pass
    assert capsys.readouterr() == ("", "")


def test_times_are_printed_in_usual_units():
    assert [in_words(seconds) for seconds in (40.2, 750, 12600)] == ["40 s", "12 min", "3.5 h"]


def test_a_run_without_a_terminal_writes_lines_and_no_bar(
    tmp_path: Path, tiny_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    configs = [f"--config={ROOT / name}" for name in ("configs/maeeg.yaml", "tests/conf/tiny.yaml")]
    given = [
        *configs,
        f"--data.store={tiny_store}",
        "--trainer.enable_progress_bar=true",
        "--trainer.enable_model_summary=true",
    ]
    assert main(["fit", *given]) == 0
    printed = capsys.readouterr()
    assert re.search(r"^Step \d+ of \d+, .*loss [\d.]+.*, about \d+ s left$", printed.err, re.MULTILINE)
    assert re.search(r"^Validation batch 1 of \d+", printed.err, re.MULTILINE)
    assert not set("╸╺\x1b") & set(printed.out + printed.err)
    assert re.search(r"^[\d,]+ weights, [\d,]+ of them trained", printed.out, re.MULTILINE)
    assert re.search(r"encoder +│ ViTEncoder +│ +[\d,]+ │ +all │", printed.out)
    assert "FLOPs" not in printed.out  # Lightning's 0, before there was a step
    chosen = (
        "--trainer.callbacks+={class_path: lightning.pytorch.callbacks.RichModelSummary, init_args: {max_depth: 1}}"
    )
    assert main(["fit", *given, "--run=runs/chosen", "--trainer.max_steps=1", chosen]) == 0
    assert "FLOPs" in capsys.readouterr().out  # who asks for Lightning's gets it
    assert main(["test", *given, "--ckpt_path", "last"]) == 0
    printed = capsys.readouterr()
    assert re.search(r"^Test batch \d+ of \d+", printed.err, re.MULTILINE)
    assert re.search(r"^Baselines on windows: \d+ of \d+, about .* left$", printed.err, re.MULTILINE)
    assert json.loads((tmp_path / "runs/maeeg/test.json").read_text())["data"]["simulated"] is True


def test_frozen_parts_are_printed_before_training(capsys: pytest.CaptureFixture[str]):
    module = torch.nn.ModuleDict(
        {"trained": torch.nn.Linear(3, 4), "stays": torch.nn.Linear(4, 4), "empty": torch.nn.ReLU()}
    )
    module["stays"].requires_grad_(False)
    module["both"] = torch.nn.Sequential(module["trained"], module["stays"])
    ModelParts().on_fit_start(SimpleNamespace(is_global_zero=True), module)
    printed = capsys.readouterr().out
    assert "36 weights, 16 of them trained" in printed  # what is shared counts once
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "Linear" in line]
    assert rows == [["trained", "Linear", "16", "all"], ["stays", "Linear", "20", "none"]]
    assert re.search(r"both +│ Sequential +│ +36 │ +16 │", printed)
    assert "empty" not in printed
    ModelParts().on_fit_start(SimpleNamespace(is_global_zero=False), module)
    assert not capsys.readouterr().out
