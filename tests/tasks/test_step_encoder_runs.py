"""Stage 2 with SimpleConv and EEGNet from the command line: fit, test, resume, load, stage 3, plan, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from audioldm2_tiny import write_tiny
from noise_worlds import MEMORISING, write_noise

import eeg2speech
from eeg2speech.checkpoints.exports import Part, write_export
from eeg2speech.checkpoints.parts import read_checkpoint, read_part
from eeg2speech.cli import main, plan
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.controls import embed_split
from eeg2speech.evaluation.probes import evaluate_probes
from eeg2speech.models import EEGNet, SimpleConv, SpectrogramViT
from eeg2speech.tasks import AlignmentTask
from tests.inference.recordings import make_raw, prepare_store

pytestmark = pytest.mark.filterwarnings(
    "ignore:Found .* in eval mode at the start of training", "ignore:The dirpath has changed"
)
ENCODER = "--model.init_args.encoder.init_args."
TINY = {
    "simpleconv": [f"{ENCODER}spatial=8", f"{ENCODER}frequencies=4", f"{ENCODER}hidden=8", f"{ENCODER}blocks=2"],
    "eegnet": [f"{ENCODER}filters=4", f"{ENCODER}separable=8"],
}
CLASSES = {"simpleconv": SimpleConv, "eegnet": EEGNet}
FEW = """
trainer:  # without pictures, which take longer than the rest
  max_steps: 6
  val_check_interval: 3
  callbacks:
    - class_path: eeg2speech.training.StepSeed
    - class_path: eeg2speech.training.AtomicCheckpoint
      init_args: {monitor: val/mrr, mode: max}
    - class_path: eeg2speech.training.ExportEncoder
    - class_path: eeg2speech.training.EvaluateAlignment
      init_args: {permutations: 50, lags: [0.0], electrodes: 8}
    - class_path: eeg2speech.training.WriteResults
    - class_path: eeg2speech.training.LogOverview
"""
each_peer = pytest.mark.parametrize("name", TINY)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the record of its preparation, which loaded models need."""
    return prepare_store(tmp_path_factory.mktemp("prepared") / "store")


def words(name: str, store: Path, run: Path) -> list[str]:
    configs = ["configs/alignment.yaml", "tests/conf/tiny_alignment.yaml", f"configs/alignment/{name}.yaml"]
    few = run.with_name(f"{run.name}_few.yaml")
    few.write_text(FEW)
    given = [f"--config={file}" for file in (*configs, few)]
    return [*given, f"--data.store={store}", f"--run={run}", *TINY[name]]


@pytest.fixture(scope="module")
def runs(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the run of a peer, which was fitted for a few steps and tested."""
    root, made = tmp_path_factory.mktemp("peers"), set()

    def run_of(name: str) -> Path:
        if name not in made:
            assert main(["fit", *words(name, store, root / name)]) == 0
            assert main(["test", *words(name, store, root / name), "--ckpt_path=best"]) == 0
            made.add(name)
        return root / name

    return run_of


@each_peer
def test_it_is_tested_as_any_alignment_and_noise_is_not_aligned(name: str, runs: Callable[[str], Path]):
    splits = json.loads((runs(name) / "test.json").read_text())["alignment"]["splits"]
    for found in splits.values():
        assert not found["verdict"]["aligned"]
        assert {"model", "ridge_pooled", "cca_pooled"} <= set(found["figures"])
        assert "untrained" in found["controls_mrr"]
    assert any(found["electrodes"] for found in splits.values())


@each_peer
def test_it_is_loaded_with_the_same_embeddings(name: str, runs: Callable[[str], Path], store: Path):
    data = EEGAudioDataModule(store=store, window=0.64, hop=0.32, batch_size=8, audio=True)
    data.setup()
    task = AlignmentTask.load_from_checkpoint(runs(name) / "checkpoints/best.ckpt", map_location="cpu")
    task.subject_index = torch.arange(len(data.subject_names))
    assert type(task.encoder) is CLASSES[name]
    exported = eeg2speech.load_aligner(runs(name) / "aligner")
    ours, theirs = (embed_split(model, data, "val") for model in (task.requires_grad_(False), exported))
    assert np.array_equal(ours.eeg, theirs.eeg)
    vectors = exported.embed_raw(make_raw(1), "sub-01").vectors
    assert np.isfinite(vectors).all()
    assert not np.allclose(vectors, exported.embed_raw(make_raw(2), "sub-01").vectors)
    assert not exported.aligner.subject_layer.known.all()
    assert np.isfinite(exported.embed_raw(make_raw(9)).vectors).all()  # of an unseen subject


@each_peer
def test_it_trains_on_several_montages(name: str, ragged_store: Path, tmp_path: Path):
    short = ["--trainer.max_steps=2", "--trainer.val_check_interval=2"]
    assert main(["fit", *words(name, ragged_store, tmp_path / "run"), *short]) == 0
    state = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["state_dict"]
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


@each_peer
def test_a_resumed_run_repeats_the_uninterrupted_one(name: str, store: Path, tmp_path: Path):
    saved = "{filename: '{step}', save_top_k: -1, save_last: true, every_n_train_steps: 3}"
    every = f"{{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {saved}}}"
    seeded = f"--trainer.callbacks=[{{class_path: eeg2speech.training.StepSeed}}, {every}]"
    whole = tmp_path / "whole"
    assert main(["fit", *words(name, store, whole), seeded]) == 0
    earlier = next(file for file in sorted((whole / "checkpoints").iterdir()) if steps_of(file) == 3)
    again = [*words(name, store, tmp_path / "again"), seeded, f"--ckpt_path={earlier}"]
    assert main(["fit", *again]) == 0
    first, second = (read_checkpoint(tmp_path / run / "checkpoints/last.ckpt") for run in ("whole", "again"))
    assert first["global_step"] == second["global_step"] == 6
    assert [key for key in first["state_dict"] if "running_mean" in key]  # of batch norms
    for key, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][key]), key


def test_a_step_that_is_not_finite_leaves_the_statistics_of_batch_norms(store: Path, tmp_path: Path):
    poison = "{class_path: tests.training.poison.Poison, init_args: {steps: [2, 4]}}"
    added = [
        "--trainer.callbacks+={class_path: eeg2speech.training.SkipNonFinite}",
        f"--trainer.callbacks+={poison}",
        "--trainer.log_every_n_steps=1",
    ]
    with pytest.warns(UserWarning, match="is skipped"):
        assert main(["fit", *words("simpleconv", store, tmp_path / "run"), *added]) == 0
    state = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["state_dict"]
    counts = {int(value) for name, value in state.items() if name.endswith("num_batches_tracked")}
    assert counts == {4}
    assert all(value.isfinite().all() for name, value in state.items() if "running" in name)


def test_an_encoder_without_a_learning_rate_keeps_its_statistics():
    task = make_task(SimpleConv(8, 2, hidden=8), encoder_lr_scale=0.0)
    assert not task.encoder.training
    assert task.aligner.eeg_head.training


def steps_of(file: Path) -> int:
    return int(read_checkpoint(file)["global_step"])


@each_peer
def test_stage_3_starts_from_it(name: str, runs: Callable[[str], Path], store: Path, tmp_path: Path):
    audio = SpectrogramViT(width=16, depth=1, heads=2).encoder
    described = {"class": "ViTEncoder", "config": audio.config}
    write_export(tmp_path / "audio", {"encoder": Part(described, dict(audio.state_dict()))}, {}, {})
    given = [
        "--config=configs/diffusion.yaml", "--config=tests/conf/tiny_diffusion.yaml", f"--data.store={store}",
        f"--run={tmp_path / 'run'}", f"--model.init_args.components={write_tiny(tmp_path / 'components')}",
        f"--model.init_args.audio_weights={tmp_path / 'audio'}", f"--model.init_args.aligner={runs(name) / 'aligner'}",
        "--model.init_args.encoder_lr_scale=0.1", "--trainer.max_steps=2", "--trainer.val_check_interval=2",
        "--trainer.limit_val_batches=1",
    ]  # fmt: skip
    assert main(["fit", *given]) == 0
    generator = eeg2speech.load_generator(tmp_path / "run/speech")
    assert type(generator.model.aligner.encoder) is CLASSES[name]


@each_peer
def test_it_is_planned(name: str, capsys: pytest.CaptureFixture[str]):
    configs = ["--config=configs/alignment.yaml", f"--config=configs/alignment/{name}.yaml"]
    assert plan.run([*configs, "--model.init_args.audio_weights=null", "--json=true"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["footprint"]["passes"]["flops"] > 10**9
    assert found["footprint"]["trained"] > 10**5


@each_peer
@pytest.mark.slow
def test_a_model_that_memorised_noise_is_not_aligned(name: str, tmp_path: Path):
    write_noise(tmp_path / "store")
    settings = json.loads(json.dumps(MEMORISING))
    del settings["model"]["init_args"]["encoder"], settings["model"]["init_args"]["optimizer"]
    (tmp_path / "memorising.json").write_text(json.dumps(settings))
    files = ["configs/alignment.yaml", f"configs/alignment/{name}.yaml", tmp_path / "memorising.json"]
    given = [*(f"--config={file}" for file in files), f"--data.store={tmp_path / 'store'}", f"--run={tmp_path / 'run'}"]
    assert main(["fit", *given]) == 0
    assert main(["test", *given, "--ckpt_path=last"]) == 0
    splits = json.loads((tmp_path / "run/test.json").read_text())["alignment"]["splits"]
    assert not [split for split, found in splits.items() if found["verdict"]["aligned"]]


def make_task(encoder: torch.nn.Module, **settings: object) -> AlignmentTask:
    audio = SpectrogramViT(width=16, depth=1, heads=2)
    return AlignmentTask(64, ["a", "b"], 8, encoder, audio, features=8, **settings)


def test_learning_rates_of_blocks_need_a_vit_encoder():
    with pytest.raises(ConfigError, match=r"layer_decay=0.9 needs the blocks of a ViTEncoder; .* SimpleConv"):
        make_task(SimpleConv(8, 2, hidden=8), layer_decay=0.9)
    task = make_task(SimpleConv(8, 2, hidden=8), encoder_lr_scale=0.5)
    rates = {task.lr_scale(name) for name, _ in task.named_parameters() if name.startswith("aligner.encoder.")}
    assert rates == {0.5}


def test_weights_of_another_encoder_are_refused(runs: Callable[[str], Path], tmp_path: Path):
    task = make_task(SimpleConv(8, 2, hidden=8), encoder_weights=runs("eegnet") / "encoder")
    with pytest.raises(ConfigError, match=r"a EEGNet, where the encoder is a SimpleConv; .*model.encoder_weights"):
        task.setup("fit")
    task = make_task(SimpleConv(8, 2, hidden=8), encoder_weights=tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"gone: no such .*; stage 1 trains no SimpleConv; name a run of stage 2"):
        task.setup("fit")


def test_weights_of_the_same_encoder_are_loaded(runs: Callable[[str], Path]):
    described, weights, _ = read_part(runs("simpleconv") / "encoder", "encoder")
    task = make_task(SimpleConv(**described["config"]), encoder_weights=runs("simpleconv") / "encoder")
    task.setup("fit")
    assert torch.equal(task.encoder.state_dict()["last.weight"], weights["last.weight"])


def test_what_needs_maeeg_names_the_encoder(
    runs: Callable[[str], Path], store: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(DataError, match=r"a SimpleConv, not an encoder of stage 1; .* load_aligner"):
        eeg2speech.load_encoder(runs("simpleconv") / "encoder")
    data = EEGAudioDataModule(store=store, window=0.64, hop=0.32, audio=True)
    with pytest.raises(ConfigError, match="this encoder is a SimpleConv"):
        evaluate_probes(make_task(SimpleConv(8, 2, hidden=8)), data)
    with pytest.raises(SystemExit):
        main(["fit", "--config=configs/maeeg.yaml", "--config=configs/alignment/simpleconv.yaml"])
    assert "SimpleConv does not correspond to a subclass of ViTEncoder" in capsys.readouterr().err
