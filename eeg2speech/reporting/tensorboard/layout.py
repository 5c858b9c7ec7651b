"""The layout of the TensorBoard tab CUSTOM SCALARS: the main figures of each stage first.

TensorBoard merges the layouts of all runs by category. The charts that all stages share are identical, so they appear
once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import lightning.pytorch as pl

Charts = Mapping[str, tuple[str, ...]]
"""Tags of the curves in each chart, by title."""

RECONSTRUCTION = "Stage 1: reconstruction of hidden patches"
ALIGNMENT = "Stage 2: retrieval of the heard sound from EEG"
SPEECH = "Stage 3: speech from EEG"
COMMON = "All stages: training"

TRAINING: Charts = {
    "Loss": ("train/loss", "val/loss"),
    "Learning rate": ("lr/pg1", "lr/pg2", "lr/pg3"),
    "Gradient norm, before clipping": ("train/grad_norm",),
    "Skipped steps: loss or gradient not finite": ("train/skipped",),
    "Windows per second": ("train/samples_per_s",),
}
# without splines, whose error is so large that other curves could not be distinguished
BASELINES = tuple(f"val/baselines/{name}" for name in ("mean", "nearest", "interpolation", "ridge"))
TOPS = ("top1", "top5", "top10")
FIRST: dict[str, dict[str, Charts]] = {
    "MAEEGTask": {RECONSTRUCTION: {"NMSE of EEG and of baselines: 1 is predicting the mean": ("val/nmse", *BASELINES)}},
    "AudioMAETask": {RECONSTRUCTION: {"NMSE of spectrograms: 1 is predicting the mean": ("val/nmse",)}},
    "AlignmentTask": {
        ALIGNMENT: {
            "Mean reciprocal rank, and chance": ("val/mrr", "val/sound_to_eeg_mrr", "val/mrr/chance"),
            "Top-1, top-5 and top-10, EEG to sound, and chance": (
                *(f"val/{top}" for top in TOPS), *(f"val/{top}/chance" for top in TOPS),
            ),
            "Scale of the similarity, 1 / temperature": ("train/logit_scale",),
            "Modality gap: distance between the means of EEG and sound": ("val/modality_gap",),
        },
    },
    "DiffusionTask": {
        SPEECH: {
            "Mel correlation: only EEG above noise is evidence": ("val/mel_corr/eeg", "val/mel_corr/noise"),
            "Error of LOA predicted from EEG: 1 is predicting the mean": ("train/loa_error", "val/loa_error"),
            "Diffusion loss": ("train/diffusion_loss", "val/diffusion_loss"),
        },
    },
}  # fmt: skip
"""By class name of the task."""


def kind_of(task: pl.LightningModule) -> str | None:
    """Class name of the stage that a task belongs to; None for a class of the user."""
    return next((kind.__name__ for kind in type(task).__mro__ if kind.__name__ in FIRST), None)


def layout_of(kind: str | None) -> dict[str, dict[str, list[object]]]:
    """The layout of a stage, for ``SummaryWriter.add_custom_scalars``.

    Args:
        kind: From ``kind_of``; None gives only the charts that all stages share.
    """
    categories = {**FIRST.get(kind or "", {}), COMMON: TRAINING}
    return {
        title: {chart: ["Multiline", [f"{re.escape(tag)}$" for tag in tags]] for chart, tags in charts.items()}
        for title, charts in categories.items()
    }
