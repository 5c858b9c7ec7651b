"""Which figures TensorBoard shows first, by stage: the layout of its tab CUSTOM SCALARS.

TensorBoard joins the layouts of all runs that it shows, category by category. Charts of what every stage logs are the
same everywhere, so that they stand there once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import lightning.pytorch as pl

Charts = Mapping[str, tuple[str, ...]]
"""Tags of the curves in each chart, by its title."""

HIDDEN = "Stage 1: what is hidden, filled in"
ALIGNED = "Stage 2: EEG finds the sound that was heard"
SPOKEN = "Stage 3: speech from EEG"
EVERY = "Every stage: how training goes"

TRAINING: Charts = {
    "Loss": ("train/loss", "val/loss"),
    "Learning rate": ("lr/pg1", "lr/pg2", "lr/pg3"),
    "Gradient norm, before clipping": ("train/grad_norm",),
    "Steps skipped: loss or gradient not finite": ("train/skipped",),
    "Windows per second": ("train/samples_per_s",),
}
# splines are so far off that nothing else could be told apart
BASELINES = tuple(f"val/baselines/{name}" for name in ("mean", "nearest", "interpolation", "ridge"))
TOPS = ("top1", "top5", "top10")
FIRST: dict[str, dict[str, Charts]] = {
    "MAEEGTask": {HIDDEN: {"NMSE of EEG beside baselines: 1 is predicting the mean": ("val/nmse", *BASELINES)}},
    "AudioMAETask": {HIDDEN: {"NMSE of spectrograms: 1 is predicting the mean": ("val/nmse",)}},
    "AlignmentTask": {
        ALIGNED: {
            "Mean reciprocal rank, and chance": ("val/mrr", "val/sound_to_eeg_mrr", "val/mrr/chance"),
            "Top-1, top-5 and top-10, EEG to sound, and chance": (
                *(f"val/{top}" for top in TOPS), *(f"val/{top}/chance" for top in TOPS),
            ),
            "Scale of similarities, 1 / temperature": ("train/logit_scale",),
            "Gap between both sides: distance of their means": ("val/modality_gap",),
        },
    },
    "DiffusionTask": {
        SPOKEN: {
            "Mel correlation: only EEG above noise tells of the EEG": ("val/mel_corr/eeg", "val/mel_corr/noise"),
            "Error of LOA predicted from EEG: 1 is the mean": ("train/loa_error", "val/loa_error"),
            "Diffusion loss": ("train/diffusion_loss", "val/diffusion_loss"),
        },
    },
}  # fmt: skip
"""By the class of the task."""


def kind_of(task: pl.LightningModule) -> str | None:
    """Name of the stage's class that a task is of, None for another's."""
    return next((kind.__name__ for kind in type(task).__mro__ if kind.__name__ in FIRST), None)


def layout_of(kind: str | None) -> dict[str, dict[str, list[object]]]:
    """The layout for a stage, as ``SummaryWriter.add_custom_scalars`` takes it.

    Args:
        kind: See ``kind_of``; of an own stage only what every stage logs is laid out.
    """
    categories = {**FIRST.get(kind or "", {}), EVERY: TRAINING}
    return {
        title: {chart: ["Multiline", [f"{re.escape(tag)}$" for tag in tags]] for chart, tags in charts.items()}
        for title, charts in categories.items()
    }
