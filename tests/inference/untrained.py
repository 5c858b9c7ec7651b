"""Checkpoints of models that were not trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.metrics import Estimate
from eeg2speech.metrics.results import Results, write_results
from eeg2speech.models import Aligner, SpectrogramViT, ViTEncoder
from eeg2speech.tasks.training_data import training_data_info
from tests.inference.recordings import NAMES
from tests.reporting.run_folders import alignment_test

SMALL: dict[str, Any] = {"width": 16, "depth": 1, "heads": 2}


def alignment_results() -> Results:
    """Results of an alignment with an MRR of 0.5."""
    results = alignment_test(simulated=False)
    assert results.alignment is not None
    split = results.alignment.splits["unseen_stimulus"]
    split = replace(
        split,
        figures={"model": {"mrr": Estimate(0.5, 0.4, 0.6, 0.1)}},
        verdict=replace(split.verdict, aligned=False, reasons=["MRR 0.5 does not exceed every control"]),
    )
    return replace(results, alignment=replace(results.alignment, judged="unseen_both", splits={"unseen_both": split}))


def write_runs(folder: Path, data: EEGAudioDataModule) -> Path:
    """Write checkpoints as runs of stages 1 and 2 and of the encoder of sound leave them."""
    torch.manual_seed(0)
    sound = SpectrogramViT(**SMALL)
    aligner = Aligner(ViTEncoder(**SMALL), sound, len(data.subject_names), len(NAMES), 8, 16).eval()
    parts = {"encoder": ("aligner.encoder.", aligner.encoder), "aligner": ("aligner.", aligner)}
    _checkpoint(folder / "alignment", data, aligner, "aligner.", parts)
    _checkpoint(folder / "maeeg", data, aligner.encoder, "m.", {"encoder": ("m.", aligner.encoder)})
    _checkpoint(folder / "audiomae", data, sound.encoder, "m.", {"encoder": ("m.", sound.encoder)})
    write_results(folder / "alignment/test.json", alignment_results())
    return folder


def _checkpoint(folder: Path, data, model, prefix: str, parts) -> None:
    described = {}
    for name, (place, module) in parts.items():
        own = {"class": type(module).__name__, "config": module.config}
        described[name] = {"prefix": place, **getattr(module, "description", own)}
    state = {prefix + name: value for name, value in model.state_dict().items()}
    content = {"state_dict": state, "parts": described, "data": training_data_info(data), "global_step": 7, "epoch": 0}
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(content, folder / "checkpoints/best.ckpt")
