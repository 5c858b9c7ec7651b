from __future__ import annotations

from functools import partial

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.probes import evaluate_probes
from eeg2speech.reporting.console.reconstruction import print_probes
from eeg2speech.tasks import Task
from eeg2speech.training.progress import counted


class ProbeEncoder(Callback):
    """Probes the frozen encoder after a test: how well subjects and labels are classified from its features.

    See ``evaluation.probes.evaluate_probes``.

    Args:
        windows: Windows used, evenly spread.
    """

    def __init__(self, windows: int = 1000) -> None:
        self.windows = windows

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Probe, print a table and keep it for ``test.json``."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero or not isinstance(pl_module, Task) or not isinstance(data, EEGAudioDataModule):
            return
        probes = evaluate_probes(
            pl_module, data, self.windows, pl_module.results.get("seen"), partial(counted, trainer)
        )
        if probes:
            pl_module.results["probes"] = probes
            print_probes(probes, data.description.simulated)
