"""Stage 2 with the tokens of the audio encoder as its target: the loss, and a run from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from eeg2speech.checkpoints.parts import read_part
from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.controls import embed_split, untrained
from eeg2speech.evaluation.models import batch_embedder
from eeg2speech.models import SpectrogramViT, ViTEncoder
from eeg2speech.models.rebuild import rebuild_aligner
from eeg2speech.tasks import AlignmentTask
from eeg2speech.tasks.alignment import SCALED

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
CONFIGS = ["configs/alignment.yaml", "configs/alignment/loa.yaml", "tests/conf/tiny_alignment.yaml"]
FEW = """
trainer:  # without pictures, which take longer than the rest
  max_steps: 4
  callbacks:
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args: {monitor: val/mrr, mode: max, filename: best, save_last: true}
    - class_path: eeg2speech.training.ExportEncoder
    - class_path: eeg2speech.training.EvaluateAlignment
      init_args: {permutations: 50, lags: [0.0]}
    - class_path: eeg2speech.training.WriteResults
"""


def loa_of(aligner, *eeg):
    return aligner.loa_of_steps(aligner.eeg_steps(*eeg))


def make_task(**settings):
    torch.manual_seed(0)
    encoder = ViTEncoder(width=16, depth=1, heads=2)
    audio = SpectrogramViT(width=16, depth=1, heads=2)
    task = AlignmentTask(64, ["a", "b"], 8, encoder, audio, width=16, **settings)
    task.subject_index = torch.tensor([0, 1])
    task.aligner.subject_layer.mark_trained([0, 1])
    return task


def make_windows(count=6):
    generator = torch.Generator().manual_seed(0)
    return {
        "eeg": torch.randn(count, 8, 64, generator=generator),
        "positions": 0.09 * torch.randn(count, 8, 3, generator=generator),
        "channel_mask": torch.ones(count, 8, dtype=torch.bool),
        "audio": 0.1 * torch.randn(count, 10_240, generator=generator),
        "subject": torch.arange(count) % 2,
        "stimulus": torch.arange(count),
        "sound_start": torch.zeros(count, dtype=torch.float64),
        "seed": torch.arange(count),
    }


@pytest.mark.parametrize("mse_weight", [0.0, 0.3])
def test_the_loss_is_contrastive_and_the_squared_error_of_standardised_tokens(mse_weight):
    task, batch = make_task(target="loa", mse_weight=mse_weight), make_windows()
    task.aligner.sound_head.fit([task.aligner.audio(batch["audio"])])
    outputs = task.step(batch, "train", "train")
    predicted = task.aligner.eeg_steps(batch["eeg"], batch["positions"], None, batch["subject"])
    target = task.aligner.sound_steps(batch["audio"])
    error = sum((a - b).square().mean() for a, b in zip(predicted, target, strict=True)) / len(predicted)
    expected = task.loss(outputs["eeg"], outputs["sound"], batch["stimulus"]) + mse_weight * error
    torch.testing.assert_close(outputs["loss"], expected)
    torch.testing.assert_close(outputs["loa_error"], error)
    outputs["loss"].backward()
    assert task.aligner.eeg_head.weight.grad.abs().sum() > 0


def test_a_joint_space_has_the_contrastive_loss_alone():
    task, batch = make_task(mse_weight=7.0), make_windows()
    outputs = task.step(batch, "train", "train")
    assert torch.equal(outputs["loss"], task.loss(outputs["eeg"], outputs["sound"], batch["stimulus"]))
    assert outputs.keys() == {"loss", "eeg", "sound"}


@pytest.mark.parametrize("mse_weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_below_zero_is_refused(mse_weight):
    with pytest.raises(ConfigError, match=r"mse_weight=.* \(model.mse_weight\)"):
        make_task(target="loa", mse_weight=mse_weight)


@pytest.fixture(scope="module")
def run(tiny_store, tmp_path_factory):
    """A run that was fitted for a few steps and tested."""
    folder = tmp_path_factory.mktemp("loa")
    (folder / "few.yaml").write_text(FEW)
    configs = [word for name in (*CONFIGS, str(folder / "few.yaml")) for word in ("--config", name)]
    common = [*configs, "--data.store", str(tiny_store), "--run", str(folder / "run")]
    assert main(["fit", *common]) == 0
    assert main(["test", *common, "--ckpt_path", "best"]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def loaded(run: Path, tiny_store):
    data = EEGAudioDataModule(store=tiny_store, window=0.64, hop=0.32, batch_size=8, audio=True)
    data.setup()
    task = AlignmentTask.load_from_checkpoint(run / "checkpoints/best.ckpt", map_location="cpu").eval()
    task.subject_index = torch.arange(len(data.subject_names))
    return task, data


@torch.no_grad()
def test_the_scale_is_that_of_the_training_sounds_and_is_kept(loaded):
    task, data = loaded
    tokens = torch.cat([task.aligner.audio(batch["audio"]) for batch in data.batches("train", SCALED)]).flatten(0, 1)
    torch.testing.assert_close(task.aligner.sound_head.mean, tokens.mean(0), atol=1e-5, rtol=1e-5)
    moving = task.aligner.sound_head.spread > 2e-3 * task.aligner.sound_head.spread.mean()
    spread = tokens.std(0, unbiased=False)
    torch.testing.assert_close(task.aligner.sound_head.spread[moving], spread[moving], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_what_is_explained_is_counted_over_the_whole_list(run, loaded):
    task, data = loaded
    (batch,) = list(data.batches("unseen_subject", 8))
    assert batch["eeg"].shape[0] == 8
    predicted, target = [], []
    for batch in data.batches("unseen_subject"):
        predicted.append(task.aligner.eeg_steps(*task._eeg_of(batch)))
        target.append(task.aligner.sound_steps(batch["audio"]))
    predicted, target = torch.cat(predicted), torch.cat(target)
    expected = (predicted - target).square().mean() / target.var(unbiased=False)
    metrics = json.loads((run / "test.json").read_text())["metrics"]
    assert metrics["test/unseen_subject/loa_error"] == pytest.approx(expected.item(), abs=1e-4)


def test_the_verdict_controls_and_baselines_are_those_of_any_alignment(run):
    splits = json.loads((run / "test.json").read_text())["alignment"]["splits"]
    for found in splits.values():
        assert not found["verdict"]["aligned"]
        assert {"model", "ridge_pooled", "cca_pooled"} <= set(found["figures"])
        assert "untrained" in found["controls_mrr"]
        assert found["geometry"]["effective_rank_sound"] > 0


def test_the_untrained_model_hears_as_the_trained_one_does(loaded):
    task, data = loaded
    fresh = untrained(batch_embedder(task, data))
    model, other = (embed_split(one, data, "unseen_stimulus") for one in (task, fresh))
    assert (model.sound == other.sound).all()
    assert abs(model.eeg - other.eeg).max() > 0.01


@torch.no_grad()
def test_the_exported_aligner_predicts_what_the_checkpoints_does(run, loaded):
    task, data = loaded
    described, weights, _ = read_part(run / "aligner", "aligner")
    assert described["config"]["target"] == "loa"
    assert described["config"]["features"] == 8 * 16
    assert {"sound_head.mean", "sound_head.spread"} <= weights.keys()
    aligner = rebuild_aligner(described, weights, "here")
    (batch, *_) = data.batches("unseen_stimulus")
    inputs = task._eeg_of(batch)
    predicted = loa_of(aligner, *inputs)
    torch.testing.assert_close(predicted, loa_of(task.aligner, *inputs))
    assert predicted.shape == task.aligner.audio(batch["audio"]).shape == (len(batch["eeg"]), 4, 8, 16)
