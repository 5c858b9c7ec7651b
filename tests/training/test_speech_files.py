"""Stage 3 from the command line with random components: fit, then `predict` and `generate` on what it leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from eeg2speech.checkpoints.exports import Part, write_export
from eeg2speech.cli import main
from eeg2speech.core.tables import read_table
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.inference.generated_table import Generated, sha256_of
from eeg2speech.inference.generator import load_generator
from eeg2speech.models import SpectrogramViT
from tests.audioldm2_tiny import LOA, write_tiny
from tests.tiny_stores import write_store

CONFIG = """
trainer:
  max_steps: 2
  val_check_interval: 2
  log_every_n_steps: 1
  accelerator: cpu
  devices: 1
  enable_model_summary: false
  enable_progress_bar: false
  callbacks:
  - class_path: eeg2speech.training.StepSeed
  - class_path: lightning.pytorch.callbacks.ModelCheckpoint
    init_args: {monitor: val/loss, filename: best, save_last: true, auto_insert_metric_name: false}
  - class_path: eeg2speech.training.WriteSpeech
model: %s
data:
  audio: true
  window: 0.64
  hop: 0.32
  batch_size: 8
"""
OVERLAY = """
model:
  init_args:
    cache: false
    audio:
      init_args: {width: %d, depth: 1, heads: 2}
    sampler: {solver: dpm, steps: 2, guidance: 1.5}
"""
EXPORTED = """--trainer.callbacks=[
{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {filename: best, save_last: true}},
{class_path: eeg2speech.training.ExportEncoder}]"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, list[str], Path]:
    """Run folder of stage 3, the options that it was started with, and its store."""
    work = tmp_path_factory.mktemp("diffusion")
    store = write_store(work / "store")
    description = store / "dataset.json"
    settings = '"settings": {"preprocessing.band": [0.5, 40.0], "preprocessing.rate": 100.0}'
    description.write_text(description.read_text().replace('"settings": {}', settings))
    components = write_tiny(work / "components", vocoder="istft")
    torch.manual_seed(0)
    encoder = SpectrogramViT(width=LOA, depth=1, heads=2).encoder
    part = Part({"class": "ViTEncoder", "config": encoder.config}, encoder.state_dict())
    write_export(components / "audiomae", {"encoder": part}, {}, {})
    aligned = ["--config", "configs/alignment.yaml", "--config", "tests/conf/tiny_alignment.yaml"]
    common = ["--data.store", str(store), "--trainer.max_steps=2", "--trainer.val_check_interval=2", EXPORTED]
    assert main(["fit", *aligned, *common, "--run", str(work / "alignment")]) == 0
    config, overlay = work / "config.yaml", work / "overlay.yaml"
    config.write_text(CONFIG % Path("configs/parts/diffusion.yaml").absolute())
    overlay.write_text(OVERLAY % LOA)
    stage = ["--config", str(config), "--config", str(overlay), "--data.store", str(store)]
    own = ["--model.init_args.aligner", str(work / "alignment/aligner"), "--run", str(work / "run")]
    options = [*stage, *own, "--model.init_args.components", str(components)]
    assert main(["fit", *options]) == 0
    return work / "run", options, store


def test_predict_writes_a_file_and_a_row_for_every_window(run, capsys):
    folder, options, store = run
    for more in (["--trainer.limit_predict_batches=1"], []):  # a second time replaces the first
        assert main(["predict", *options, "--ckpt_path", "best", *more]) == 0
    data = EEGAudioDataModule(store, 0.64)
    data.setup()
    out = folder / "predicted"
    rows = read_table(out / "generated.tsv", Generated)
    assert {file.name for file in out.iterdir()} == {"generated.tsv", *(row.file for row in rows)}
    counts = {part: sum(row.split == part for row in rows) for part in data.test_splits}
    assert counts == {part: len(data.datasets[part]) for part in data.test_splits}
    assert {row.checkpoint for row in rows} == {sha256_of(folder / "checkpoints/best.ckpt")}
    assert {(row.duration, row.steps, row.solver, row.global_step) for row in rows} == {(0.64, 2, "dpm", 2)}
    wave, rate = soundfile.read(out / rows[0].file)
    assert (len(wave), rate) == (10_240, 16_000)
    (batch,) = data.batches("unseen_stimulus", most=1)
    name = data.store.recordings[int(batch["recording"][0])].recording
    (row,) = [r for r in rows if r.recording == name and r.onset == pytest.approx(float(batch["start"][0]))]
    expected = load_generator(folder / "checkpoints/best.ckpt").generate_windows(batch, data.subject_names, [row.seed])
    assert np.allclose(soundfile.read(out / row.file)[0], expected[0], atol=1e-3)


def test_generate_speaks_from_a_checkpoint_of_the_command_line(run, tmp_path):
    folder, _, store = run
    words = ["generate", "--ckpt", str(folder / "checkpoints/best.ckpt"), "--store", str(store), "--limit=2"]
    outs = [tmp_path / "one", tmp_path / "four"]
    for out, size in zip(outs, (1, 4), strict=True):
        assert main([*words, "--out", str(out), f"--batch_size={size}", "--overlap=0.16"]) == 0
    rows = read_table(outs[0] / "generated.tsv", Generated)
    assert len(rows) == 2
    assert {row.split for row in rows} <= {"unseen_stimulus", "unseen_subject", "unseen_both"}
    for row in rows:
        one, four = (soundfile.read(out / row.file)[0] for out in outs)
        assert len(one) == 64_000
        assert np.abs(one).max() > 0
        assert np.allclose(one, four, atol=1e-4)
    assert main(["export", str(folder / "checkpoints/best.ckpt"), str(tmp_path / "model")]) == 0
    exported = ["generate", "--ckpt", str(tmp_path / "model"), *words[3:], "--overlap=0.16"]
    assert main([*exported, "--out", str(tmp_path / "again")]) == 0
    for row in read_table(tmp_path / "again/generated.tsv", Generated):
        again, one = (soundfile.read(out / row.file)[0] for out in (tmp_path / "again", outs[0]))
        assert np.allclose(again, one, atol=1e-4)
        assert row.global_step == 2
