"""A model that memorised pairs of noise is tested in ways that hide it, and is never called aligned."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from noise_worlds import MEMORISING, write_noise

from eeg2speech.cli import main
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.metrics import Retrieval
from eeg2speech.tasks import AlignmentTask
from eeg2speech.tasks.alignment import sound_keys

pytestmark = pytest.mark.filterwarnings("ignore:The dirpath has changed", "ignore:.* trained on .*whose weights")
SPLIT = "--data.split."
STEPS = MEMORISING["trainer"]["max_steps"]
COMBINATIONS = {
    "seed 1": [f"{SPLIT}seed=1"],
    "seed 2": [f"{SPLIT}seed=2"],
    "seed 3": [f"{SPLIT}seed=3"],
    "seed 4": [f"{SPLIT}seed=4"],
    "seed 5": [f"{SPLIT}seed=5"],
    "by stimulus": [f"{SPLIT}by=stimulus", f"{SPLIT}seed=3"],
    "by subject": [f"{SPLIT}by=subject", f"{SPLIT}seed=5"],
    "more sounds held out": [f"{SPLIT}test=0.5"],
    "more validation": [f"{SPLIT}val=0.3", f"{SPLIT}test=0.3"],
    "more subjects held out": [f"{SPLIT}test_subjects=2"],
    "named subjects": [f"{SPLIT}test_subjects=['0','1','3']"],
    "validation subjects": [f"{SPLIT}val_subjects=1", f"{SPLIT}seed=3"],
    "one condition": ["--data.conditions=[listening]"],
    "other condition": ["--data.conditions=[overt]", f"{SPLIT}seed=3"],
    "store under other names": ["{renamed}", f"{SPLIT}seed=3"],
    "store prepared otherwise": ["{louder}", f"{SPLIT}seed=5"],
    "resumed on another split": ["{resumed}", f"{SPLIT}seed=3"],
    "weights of the encoder": ["{tuned}", f"{SPLIT}seed=5"],
    "another lag": ["--data.lag=0.01", f"{SPLIT}seed=5"],
    "fewer training sounds": ["--data.train_fraction=0.5", f"{SPLIT}seed=3"],
}
QUICK = ("seed 3", "by subject", "resumed on another split")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folder with a store of noise, and a run that memorised its pairs."""
    root = tmp_path_factory.mktemp("noise")
    write_noise(root / "store")
    (root / "memorising.json").write_text(json.dumps(MEMORISING))
    assert main(["fit", *words(root, root / "run")]) == 0
    return root


def words(root, run, store="store"):
    configs = ["configs/alignment.yaml", str(root / "memorising.json")]
    return [*(f"--config={file}" for file in configs), f"--data.store={root / store}", f"--run={run}"]


def options(root, run, combination):
    """Words of a test, after what the combination needs has been made."""
    given = COMBINATIONS[combination]
    store, seed = "store", given[-1]
    if "{renamed}" in given:
        store = "renamed"
        write_noise(root / store, "renamed", prefix="x") if not (root / store).is_dir() else None
    if "{louder}" in given:
        store = "louder"
        write_noise(root / store, gain=20.0) if not (root / store).is_dir() else None
    if "{resumed}" in given:
        more = ["--ckpt_path=last", f"--trainer.max_steps={STEPS + 1}", "--trainer.val_check_interval=1", seed]
        assert main(["fit", *words(root, run), *more]) == 0
    if "{tuned}" in given:
        weights = f"--model.init_args.encoder_weights={root / 'run/checkpoints/last.ckpt'}"
        shutil.rmtree(run)
        more = [weights, "--trainer.max_steps=1", "--trainer.val_check_interval=1", seed]
        assert main(["fit", *words(root, run), *more]) == 0
    return [*words(root, run, store), *(option for option in given if not option.startswith("{"))]


def test_the_pairs_were_memorised(world):
    data = EEGAudioDataModule(world / "store", 1.28, 1.28, 64, audio=True)
    data.setup()
    task = AlignmentTask.load_from_checkpoint(world / "run/checkpoints/last.ckpt", map_location="cpu").eval()
    task.subject_index, metric = torch.arange(4), Retrieval()
    with torch.no_grad():
        for batch in data.batches("train"):
            sound = task.aligner.embed(task.aligner.sound_steps(batch["audio"]))
            metric.update(task.embed_eeg(batch), sound, sound_keys(batch), *(batch[k] for k in PLACES))
    assert metric.compute()["mrr"] > 0.5


PLACES = ("subject", "stimulus", "sound_start")


@pytest.mark.parametrize(
    "combination",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in COMBINATIONS],
)
def test_noise_is_never_called_aligned(world, combination, tmp_path):
    run = shutil.copytree(world / "run", tmp_path / "run")
    words = [*options(world, run, combination), "--ckpt_path=last"]
    if main(["test", *words]) != 0:
        return  # refused; tests/tasks/test_training_provenance.py checks the reasons
    splits = json.loads((run / "test.json").read_text())["alignment"]["splits"]
    assert not [split for split, found in splits.items() if found["verdict"]["aligned"]]
