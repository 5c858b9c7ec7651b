from __future__ import annotations

import pytest
import torch

from eeg2speech.cli import main
from eeg2speech.models import SpectrogramViT, ViTEncoder
from eeg2speech.tasks import AlignmentTask
from eeg2speech.tasks.alignment import sound_keys

CONFIG = ["fit", "--config", "configs/alignment.yaml", "--config", "tests/conf/tiny_alignment.yaml"]


@pytest.mark.parametrize("key", ["encoder_weights", "audio_weights"])
def test_missing_weights_are_named_with_the_key_and_what_to_run(tiny_store, tmp_path, capsys, key):
    run = ["--data.store", str(tiny_store), "--run", str(tmp_path / "run")]
    assert main([*CONFIG, *run, f"--model.init_args.{key}", str(tmp_path / "gone")]) == 1
    message = capsys.readouterr().err
    assert "gone" in message
    assert f"model.{key}" in message
    assert "configs/" in message


def make_task(**settings):
    torch.manual_seed(0)
    encoder = ViTEncoder(width=16, depth=3, heads=2)
    audio = SpectrogramViT(trainable=True, width=16, depth=1, heads=2)
    return AlignmentTask(64, ["a", "b"], 8, encoder, audio, features=8, width=16, **settings)


def test_learning_rates_fall_towards_the_eeg():
    task = make_task(encoder_lr_scale=0.5, layer_decay=0.8)
    rates = {name: task.lr_scale(name) for name, _ in task.named_parameters()}
    assert {rate for name, rate in rates.items() if not name.startswith("aligner.encoder.")} == {1.0}
    for block in range(3):
        here = {rate for name, rate in rates.items() if name.startswith(f"aligner.encoder.blocks.blocks.{block}.")}
        assert list(here) == pytest.approx([0.5 * 0.8 ** (2 - block)])
    assert rates["aligner.encoder.embedding.weight"] == pytest.approx(0.5 * 0.8**3)


def test_a_rate_of_zero_freezes_the_encoder():
    assert not any(parameter.requires_grad for parameter in make_task(encoder_lr_scale=0).encoder.parameters())


def test_sounds_are_the_same_where_stimulus_and_start_agree():
    batch = {
        "stimulus": torch.tensor([0, 0, 0, 1]),
        "sound_start": torch.tensor([3.2, 3.204, 6.4, 3.2], dtype=torch.float64),
    }
    keys = sound_keys(batch).tolist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_strangers_are_chosen_by_the_windows_seed_in_training_only(monkeypatch):
    task = make_task(subject_dropout=0.3)
    task.subject_index = torch.tensor([0, 1])
    seen = []
    monkeypatch.setattr(task.aligner, "embed_eeg", lambda eeg, positions, mask, subject: seen.append(subject))
    batch = {
        "eeg": torch.zeros(1000, 8, 64), "positions": torch.zeros(1000, 8, 3),
        "channel_mask": torch.ones(1000, 8, dtype=torch.bool), "subject": torch.arange(1000) % 2,
        "seed": torch.arange(1000),
    }  # fmt: skip
    task.embed_eeg(batch)
    task.embed_eeg({name: values[500:] for name, values in batch.items()})
    task.eval()
    task.embed_eeg(batch)
    whole, half, tested = seen
    assert torch.equal(whole[500:], half)
    assert 0.25 < (whole == -1).float().mean() < 0.35
    assert torch.equal(tested, batch["subject"])
