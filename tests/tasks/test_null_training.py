from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import torch

from eeg2speech.cli import main
from eeg2speech.tasks.alignment import sound_keys
from eeg2speech.tasks.null_training import apply_train_on

ROOT = Path(__file__).parents[2]
LEAN = (
    "--trainer.callbacks=[{class_path: eeg2speech.training.StepSeed}, "
    "{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {save_last: true}}]"
)


def batch(seed=0, size=6):
    generator = torch.Generator().manual_seed(0)
    return {
        "eeg": torch.randn(size, 4, 64, generator=generator),
        "channel_mask": torch.ones(size, 4, dtype=torch.bool),
        "audio": torch.arange(size)[:, None].expand(-1, 10).float(),
        "subject": torch.arange(size) % 2,
        "stimulus": torch.arange(size),
        "sound_start": 0.5 * torch.arange(size, dtype=torch.float64),
        "seed": torch.arange(size) + 100 * seed,
    }


def test_real_batches_stay_as_they_are():
    real = batch()
    assert apply_train_on(real, "real") is real


@pytest.mark.parametrize("kind", ["noise", "phase-randomised"])
def test_surrogates_replace_the_eeg_alone_by_a_function_of_the_seeds(kind):
    real = batch()
    made = apply_train_on(real, kind)
    assert not torch.allclose(made["eeg"], real["eeg"], atol=0.1)
    assert all(torch.equal(made[name], real[name]) for name in real if name != "eeg")
    assert torch.equal(made["eeg"], apply_train_on(batch(), kind)["eeg"])
    assert not torch.equal(made["eeg"], apply_train_on(batch(seed=1), kind)["eeg"])


def test_shuffled_sounds_take_their_keys_along():
    real = batch()
    made = apply_train_on(real, "shuffled")
    order = made["stimulus"]
    assert not torch.equal(order, real["stimulus"])
    assert torch.equal(order.sort().values, real["stimulus"])
    assert torch.equal(made["audio"][:, 0], order.float())
    assert torch.equal(sound_keys(made), sound_keys(real)[order])
    assert all(torch.equal(made[name], real[name]) for name in ("eeg", "subject", "seed"))
    assert torch.equal(order, apply_train_on(batch(), "shuffled")["stimulus"])


def test_no_sound_is_likelier_to_be_dealt_to_its_own_window():
    """Were none ever right, a model would learn which one it is."""
    size, draws = 4, 2000
    times = torch.zeros(size, size)
    for seed in range(draws):
        times[torch.arange(size), apply_train_on(batch(seed, size), "shuffled")["stimulus"]] += 1
    assert (times / draws - 1 / size).abs().max() < 5 * (0.25 * 0.75 / draws) ** 0.5


def test_each_kind_trains_a_model_of_its_own(tiny_store, tmp_path):
    configs = ("configs/alignment.yaml", "tests/conf/tiny_alignment.yaml")
    found = []
    for kind in ("real", "noise", "phase-randomised", "shuffled"):
        given = [f"--config={ROOT / name}" for name in configs] + [f"--data.store={tiny_store}"]
        short = ["--trainer.max_steps=2", "--trainer.limit_val_batches=0", LEAN, f"--run={tmp_path / kind}"]
        assert main(["fit", *given, *short, f"--model.init_args.train_on={kind}"]) == 0
        saved = torch.load(tmp_path / kind / "checkpoints/last.ckpt", weights_only=True)
        found.append(torch.cat([value.flatten().double() for value in saved["state_dict"].values()]))
    assert all(not torch.equal(a, b) for a, b in combinations(found, 2))
