from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray
from rich.table import Table
from threadpoolctl import threadpool_limits

from eeg2speech.baselines.covariance import HiddenPatches
from eeg2speech.baselines.reconstruction import VARIANCE, ReconstructionBaselines
from eeg2speech.checkpoints.training_record import list_words, seen_text
from eeg2speech.core.console import table_console
from eeg2speech.core.seeding import mix
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.metrics import bootstrap_interval
from eeg2speech.tasks import MAEEGTask
from eeg2speech.tasks.masked import MASKS
from eeg2speech.training.progress import counted

MODEL = "MAEEG"


@dataclass
class _Scores:
    """Squared errors of the model and the baselines per window, and what to divide by; arrays are (n,)."""

    stimulus: list[NDArray[Any]] = field(default_factory=list)
    error: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def add(self, name: str, values: NDArray[np.float64]) -> None:
        self.error.setdefault(name, []).append(values)

    def table(self) -> dict[str, dict[str, float]]:
        """NMSE of each method with its bootstrap interval over stimuli."""
        groups = np.concatenate(self.stimulus)
        variance = np.concatenate(self.error[VARIANCE])
        rows = {}
        for name in self.error:
            if name == VARIANCE:
                continue
            interval = bootstrap_interval(
                np.concatenate(self.error[name]), variance, statistic=np.divide, groups=groups
            )
            rows[name] = {"nmse": interval.value, "low": interval.low, "high": interval.high}
        return rows


class CompareBaselines(Callback):
    """Sets the model's error on hidden patches beside what a user would try instead, on the same masks.

    The normalised mean squared error (NMSE) is 1 for predicting the training mean. Baselines are fitted on training
    windows. Each validation prints the comparison; a test prints it for every test list, with 95 % bootstrap
    intervals over stimuli.

    Args:
        windows: Validation windows compared, evenly spread. Tests compare all windows of their lists: errors differ
            so much from window to window that a part of them misleads.
        training_windows: Training windows that baselines are fitted on.
        kriging: In tests, also compare with space-time kriging, the strongest and slowest baseline.
    """

    def __init__(self, windows: int = 96, training_windows: int = 1500, kriging: bool = True) -> None:
        self.windows, self.training_windows, self.kriging = windows, training_windows, kriging
        self._fitted: dict[bool, ReconstructionBaselines] = {}
        self._known: dict[SplitName, dict[str, NDArray[np.float64]]] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print and log the comparison on validation windows."""
        data = self._data(trainer, pl_module)
        if data is None or trainer.sanity_checking:
            return
        assert isinstance(pl_module, MAEEGTask)
        rows = self._compare(pl_module, data, "val", kriging=False)
        others = ", ".join(f"{name} {row['nmse']:.3f}" for name, row in rows.items() if name != MODEL)
        rank_zero_info(f"step {trainer.global_step}: NMSE on hidden patches {rows[MODEL]['nmse']:.3f} ({others})")
        if trainer.logger is not None:
            scalars = {f"val/baselines/{name}": row["nmse"] for name, row in rows.items() if name != MODEL}
            trainer.logger.log_metrics(scalars, trainer.global_step)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the table of every test list and keep it for ``test.json``."""
        data = self._data(trainer, pl_module)
        if data is None:
            return
        assert isinstance(pl_module, MAEEGTask)
        windows = sum(len(data.datasets[split]) for split in data.test_splits)
        with counted(trainer, "Baselines on windows", windows) as done:
            results = {split: self._compare(pl_module, data, split, self.kriging, done) for split in data.test_splits}
        pl_module.results["reconstruction"] = {
            "measure": "NMSE on hidden patches; 1 is predicting the training mean; 95 % bootstrap over stimuli",
            "masking": vars(pl_module.masking),
            "windows": {split: len(data.datasets[split]) for split in data.test_splits},
            "lists": results,
        }
        _print({list_words(split, seen_text(pl_module.results, split)): rows for split, rows in results.items()},
               data.description.simulated)  # fmt: skip

    def _data(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> EEGAudioDataModule | None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, MAEEGTask) or not isinstance(data, EEGAudioDataModule):
            return None
        # errors of normalised patches have another unit
        return data if trainer.is_global_zero and not pl_module.autoencoder.normalize_target else None

    def _compare(
        self,
        task: MAEEGTask,
        data: EEGAudioDataModule,
        split: SplitName,
        kriging: bool,
        done: Callable[[int], object] = lambda count: None,
    ) -> dict[str, dict[str, float]]:
        scores = _Scores()
        known = self._known.get(split)
        measured: dict[str, list[NDArray[np.float64]]] = {}
        for eeg, positions, mask, stimulus, painted, hidden in self._reconstruct(task, data, split):
            if known is None:
                baselines = self._baselines(task, data, kriging)
                with threadpool_limits(limits=1):  # their products are too small to share between cores
                    found = baselines.score(eeg, positions, mask, hidden)
                for name, (sums, _) in found.items():
                    measured.setdefault(name, []).append(sums)
            scores.add(MODEL, ((painted - eeg) ** 2 * hidden).sum((1, 2), dtype=np.float64))
            scores.stimulus.append(stimulus)
            done(len(eeg))
        if known is None:
            known = self._known[split] = {name: np.concatenate(sums) for name, sums in measured.items()}
        for name, sums in known.items():
            scores.add(name, sums)
        return scores.table()

    @torch.no_grad()
    def _reconstruct(self, task: MAEEGTask, data: EEGAudioDataModule, split: SplitName) -> Iterable[tuple[Any, ...]]:
        training = task.training
        task.eval()
        for batch in data.batches(split, self.windows if split == "val" else None):
            seeds = [mix(MASKS, index) for index in batch["index"].tolist()]
            eeg, positions, mask = (batch[key].to(task.device) for key in ("eeg", "positions", "channel_mask"))
            exists = None if bool(mask.all()) else mask
            masking = task.masking
            result = task.autoencoder(eeg, positions, exists, masking.ratio, masking.kind, seeds)
            painted, hidden = task.autoencoder.paint(eeg, result)
            yield tuple(x.cpu().numpy() for x in (eeg, positions, mask, batch["stimulus"], painted, hidden))
        task.train(training)

    def _baselines(self, task: MAEEGTask, data: EEGAudioDataModule, kriging: bool) -> ReconstructionBaselines:
        if kriging not in self._fitted:
            patches = HiddenPatches(*task.encoder.patch, task.masking.ratio)
            baselines = ReconstructionBaselines(patches, kriging, self.training_windows)
            batches = data.batches("train", 4 * self.training_windows)
            arrays = ((b["eeg"].numpy(), b["positions"].numpy(), b["channel_mask"].numpy()) for b in batches)
            self._fitted[kriging] = baselines.fit(arrays)
        return self._fitted[kriging]


def _print(results: dict[str, dict[str, dict[str, float]]], simulated: bool) -> None:
    title = "NMSE on hidden patches (1 = predicting the mean)"
    table = Table(title=title + (", SIMULATED EEG" if simulated else ""))
    table.add_column("", overflow="fold")
    for split in results:
        table.add_column(split, justify="right", overflow="fold")
    for name in next(iter(results.values())):
        cells = [f"{r[name]['nmse']:.3f} [{r[name]['low']:.3f}, {r[name]['high']:.3f}]" for r in results.values()]
        table.add_row(name, *cells, style="bold" if name == MODEL else None)
    table_console().print(table)
