"""The ceiling of retrieval on simulated EEG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eeg2speech.cli import main
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.simulation.simulator import Simulation
from eeg2speech.evaluation.alignment import summarise
from eeg2speech.evaluation.ceiling import Ceiling
from eeg2speech.evaluation.controls import window_labels
from eeg2speech.metrics import Embeddings, Estimate
from eeg2speech.metrics.results import IDEAL, MODEL, read_results

CALLBACKS = """
trainer:
  callbacks:
  - class_path: lightning.pytorch.callbacks.ModelCheckpoint
    init_args: {save_last: true}
  - class_path: eeg2speech.training.EvaluateAlignment
    init_args: {permutations: 20, lags: [0.0], linear: false, electrodes: 0}
  - class_path: eeg2speech.training.WriteResults
"""
SPLIT = Split(by="both", test=0.2, val=0.1, test_subjects=1)


def prepared(window: float, **simulation: float) -> EEGAudioDataModule:
    data = EEGAudioDataModule(window=window, split=SPLIT, audio=True, simulation=Simulation(**simulation))
    data.prepare_data()
    data.setup("test")
    return data


def figures(data: EEGAudioDataModule) -> dict[str, dict[str, Estimate]]:
    """Figures of the ideal observer by split."""
    ceiling, found = Ceiling.of(data), {}
    assert ceiling is not None
    for split in data.test_splits:
        batches = [window_labels(batch) for batch in data.batches(split, audio=False)]
        columns = {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}
        nothing = np.zeros((len(columns["key"]), 1), np.float32)
        compared = ceiling.compare(split, Embeddings(nothing, nothing, **columns))
        assert compared is not None
        found[split] = summarise(compared, data.window)
    return found


def test_loud_responses_are_always_found_and_faint_ones_never():
    settings = {"subjects": 3, "channels": 8, "passages": 10}
    loud = figures(prepared(1.28, snr=20.0, **settings))
    assert set(loud) == {"unseen_stimulus", "unseen_subject", "unseen_both"}
    assert all(row["mrr"].value > 0.99 for row in loud.values())
    for row in figures(prepared(1.28, snr=-60.0, **settings)).values():
        assert row["mrr"].value < 2 * row["mrr"].chance


def test_the_noise_of_a_window_is_not_part_of_its_own_estimate(monkeypatch: pytest.MonkeyPatch):
    data = prepared(1.28, subjects=3, channels=8, passages=10, snr=20.0)
    before = Ceiling.of(data)
    read = Ceiling._eeg

    def silent(self, batch, recording, rows):  # where the number of the stimulus is even
        odd = batch["stimulus"].numpy()[rows] % 2 == 1
        return read(self, batch, recording, rows) * odd[:, None, None]

    monkeypatch.setattr(Ceiling, "_eeg", silent)
    after = Ceiling.of(data)
    assert before is not None
    assert after is not None
    for (recording, half), observer in before._observers.items():
        same = np.array_equal(observer.precision, after._observers[recording, half].precision)
        assert same == (half == 0)


def test_there_is_none_without_a_response():
    assert Ceiling.of(prepared(1.28, subjects=3, channels=8, passages=10, snr=-np.inf)) is None


def test_a_test_of_stage_2_names_it_and_the_share_that_is_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    callbacks = tmp_path / "callbacks.yaml"
    callbacks.write_text(CALLBACKS)
    given = [
        *(f"--config={name}" for name in ("configs/alignment.yaml", "tests/conf/tiny_alignment.yaml", callbacks)),
        *(f"--data.simulation.{one}" for one in ("subjects=3", "channels=8", "passages=10", "snr=-10")),
        "--data.window=1.28", f"--run={tmp_path / 'run'}", "--trainer.max_steps=1", "--trainer.val_check_interval=1",
    ]  # fmt: skip
    assert main(["fit", *given]) == 0
    assert main(["test", *given, "--ckpt_path=last"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "ceiling: ideal observer" in printed
    assert "of the way from chance to the ideal observer" in printed
    for split in read_results(tmp_path / "run/test.json").alignment.splits.values():
        own, ideal, share = split.figures[MODEL]["mrr"], split.figures[IDEAL]["mrr"], split.share_of_ceiling["mrr"]
        assert ideal.value > own.value
        assert share.value == pytest.approx((own.value - own.chance) / (ideal.value - own.chance))


@pytest.mark.slow  # it simulates and reads the whole embedded dataset
@pytest.mark.parametrize(("snr", "known"), [(-20.0, (0.903, 0.951, 0.904)), (-25.0, (0.492, 0.559, 0.575))])
def test_the_embedded_data_have_the_ceiling_that_was_computed_independently(snr: float, known: tuple[float, ...]):
    found = [row["mrr"] for row in figures(prepared(3.2, snr=snr)).values()]
    for row, value in zip(found[:2], known[:2], strict=True):
        assert row.low <= value <= row.high
    assert found[2].high > known[2]  # which was computed with noise from 17 windows of that split alone
