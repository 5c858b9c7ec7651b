"""Stage 2 with matched filters from the command line: fitted, resumed, exported; without an association not aligned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from noise_worlds import MEMORISING, write_noise

from eeg2speech import load_aligner
from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import main
from eeg2speech.core.types import Batch
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.models import SpectrogramViT, ViTEncoder
from eeg2speech.tasks import AlignmentTask
from eeg2speech.tasks.null_training import apply_train_on
from eeg2speech.tasks.training_data import DataInfo
from tests.inference.recordings import prepare_store

pytestmark = pytest.mark.filterwarnings("ignore:The dirpath has changed")
CALLBACKS = """
trainer:
  callbacks:
  - class_path: eeg2speech.training.StepSeed
  - class_path: lightning.pytorch.callbacks.ModelCheckpoint
    init_args: {save_last: true}
  - class_path: eeg2speech.training.ExportEncoder
"""
MATCHED = ["--model.init_args.matched_filters=3", "--model.init_args.spectral_flattening=true"]
FITTED = ("filters", "mixing", "sound", "fitted", "offset", "spread")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the record of its preparation, which loaded models need."""
    return prepare_store(tmp_path_factory.mktemp("prepared") / "store")


@pytest.fixture
def fit(store: Path, tmp_path: Path) -> Callable[..., int]:
    """Fit stage 2 with matched filters."""
    callbacks = tmp_path / "callbacks.yaml"
    callbacks.write_text(CALLBACKS)
    configs = ("configs/alignment.yaml", "tests/conf/tiny_alignment.yaml", callbacks)
    given = [*(f"--config={config}" for config in configs), f"--data.store={store}", *MATCHED]
    return lambda *words: main(["fit", *given, *words])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(run / "checkpoints/last.ckpt")["state_dict"]


def test_filters_are_fitted_once_and_exported(fit: Callable[..., int], tmp_path: Path):
    run = tmp_path / "run"
    assert fit(f"--run={run}") == 0
    first = weights(run)
    assert first["aligner.flattening.kernel"].count_nonzero() > 100
    assert first["aligner.matched.fitted"].tolist() == [False] * 4 + [True]  # too short for filters of each subject
    assert first["aligner.matched.filters"].any()
    exported = load_aligner(run / "aligner").aligner.matched
    assert all(torch.equal(getattr(exported, name), first[f"aligner.matched.{name}"]) for name in FITTED)
    # a resumed run keeps them, though it would fit others to other windows
    assert fit(f"--run={run}", "--trainer.max_steps=9", "--data.window=0.96", "--ckpt_path=last") == 0
    again = weights(run)
    assert all(torch.equal(again[f"aligner.matched.{name}"], first[f"aligner.matched.{name}"]) for name in FITTED)
    assert torch.equal(again["aligner.flattening.kernel"], first["aligner.flattening.kernel"])


def test_runs_of_one_seed_are_equal(fit: Callable[..., int], tmp_path: Path):
    runs = tmp_path / "one", tmp_path / "other"
    for run in runs:
        assert fit(f"--run={run}", "--trainer.max_steps=1", "--trainer.val_check_interval=1") == 0
    one, other = (weights(run) for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_several_montages_are_refused(
    fit: Callable[..., int], ragged_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert fit(f"--run={tmp_path / 'run'}", f"--data.store={ragged_store}") == 1
    assert "matched_filters=3: channel i has to be the same electrode everywhere" in capsys.readouterr().err


def test_a_delay_of_the_eeg_is_refused(fit: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert fit(f"--run={tmp_path / 'run'}", "--data.lag=0.2") == 1
    message = "lag=0.2 they begin before it; set data.lag to 0.05 or less, or model.matched_filters to 0"
    assert message in capsys.readouterr().err


def test_each_window_of_a_null_has_a_seed_of_its_own(store: Path, monkeypatch: pytest.MonkeyPatch):
    data = EEGAudioDataModule(store, 0.64, 0.32, 8, audio=True)
    data.setup()
    encoder = ViTEncoder(patch=(4, 16), width=16, depth=1, heads=2)
    task = AlignmentTask(
        64, data.subject_names, data.channels, encoder, SpectrogramViT(width=16, depth=1, heads=2), train_on="noise",
        matched_filters=2,
    )  # fmt: skip
    monkeypatch.setattr(AlignmentTask, "data_info", DataInfo(data))
    task.subject_index = torch.arange(len(data.subject_names))
    seeds: list[int] = []

    def keep(batch: Batch, train_on: str) -> Batch:
        seeds.extend(batch["seed"].tolist())
        return apply_train_on(batch, train_on)

    monkeypatch.setattr("eeg2speech.tasks.alignment.apply_train_on", keep)
    windows = sum(len(eeg) for split in ("train", "val") for eeg, _, _ in task._matched_windows(split))
    assert len(set(seeds)) == windows > 8


def verdicts(run: Path) -> dict[str, bool]:
    splits = json.loads((run / "test.json").read_text())["alignment"]["splits"]
    return {split: found["verdict"]["aligned"] for split, found in splits.items()}


@pytest.mark.parametrize("seed", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_noise_is_not_aligned(seed: int, tmp_path: Path):
    write_noise(tmp_path / "store")
    (tmp_path / "settings.json").write_text(json.dumps(MEMORISING))
    configs = ["configs/alignment.yaml", str(tmp_path / "settings.json")]
    words = [*(f"--config={file}" for file in configs), f"--data.store={tmp_path / 'store'}", *MATCHED]
    words += [f"--run={tmp_path / 'run'}", f"--data.split.seed={seed}"]
    assert main(["fit", *words, "--trainer.max_steps=5", "--trainer.val_check_interval=5"]) == 0
    assert main(["test", *words, "--ckpt_path=last"]) == 0
    found = verdicts(tmp_path / "run")
    assert found
    assert not any(found.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train_on", "snr", "aligned"),
    [
        ("real", "-20", True),
        ("shuffled", "-20", False),
        ("phase-randomised", "-20", False),
        ("noise", "-20", False),
        ("real", "-.inf", False),
    ],
)
def test_a_response_is_found_and_nothing_without_its_pairs(train_on: str, snr: str, aligned: bool, tmp_path: Path):
    """One gradient step at a rate of almost 0: what is found is found by the matched filters.

    At a much higher SNR than that of recordings any filter of the envelope would find the sounds, if its sign is right.
    """
    settings = json.loads(json.dumps(MEMORISING))
    settings["trainer"] |= {"max_steps": 1, "val_check_interval": 1}
    settings["data"] |= {"window": 3.2, "hop": 1.6}
    settings["data"]["simulation"] = {"subjects": 3, "channels": 16, "passages": 20}
    settings["model"]["init_args"]["optimizer"]["init_args"]["lr"] = 1e-12
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    words = ["--config=configs/alignment.yaml", f"--config={tmp_path / 'settings.json'}", f"--run={tmp_path / 'run'}"]
    words += [*MATCHED, f"--data.simulation.snr={snr}", f"--model.init_args.train_on={train_on}"]
    assert main(["fit", *words]) == 0
    assert main(["test", *words, "--ckpt_path=last"]) == 0
    assert bool(weights(tmp_path / "run")["aligner.matched.mixing"].any()) == aligned
    found = verdicts(tmp_path / "run")
    assert found["unseen_stimulus"] == aligned
    assert aligned or not any(found.values())
    figures = json.loads((tmp_path / "run/test.json").read_text())["alignment"]["splits"]["unseen_stimulus"]["figures"]
    assert ({"network", "matched_filters"} <= figures.keys()) == aligned
    if aligned:
        assert figures["matched_filters"]["mrr"]["low"] > figures["network"]["mrr"]["chance"]
