"""Evaluation of stage 1: reconstruction of hidden patches, compared with baselines on the same masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from eeg2speech.baselines.covariance import HiddenPatches
from eeg2speech.baselines.reconstruction import VARIANCE, ReconstructionBaselines
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.progress import Counted, uncounted
from eeg2speech.core.seeding import mix
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.models import check_splits
from eeg2speech.metrics import Estimate, bootstrap_interval
from eeg2speech.metrics.results import (
    MODEL,
    ReconstructionResult,
    ReconstructionSplit,
    SeenSplits,
    judge_reconstruction,
    judged_split,
)
from eeg2speech.tasks.maeeg import MAEEGTask
from eeg2speech.tasks.masked import MASKS

MEASURE = "NMSE on hidden patches; 1 is predicting the training mean; 95 % bootstrap intervals over stimuli"
Floats = NDArray[np.floating]


class ReconstructionComparison:
    """Compares a masked autoencoder with baselines on the same masks; baselines are fitted and scored once.

    Args:
        training_windows: Training windows that baselines are fitted on.
    """

    def __init__(self, training_windows: int = 1500) -> None:
        self.training_windows = training_windows
        self._fitted: dict[bool, ReconstructionBaselines] = {}
        self._errors: dict[SplitName, dict[str, NDArray[np.float64]]] = {}

    def compare(
        self,
        task: MAEEGTask,
        data: EEGAudioDataModule,
        split: SplitName,
        windows: int | None = None,
        kriging: bool = False,
        done: Callable[[int], object] = lambda count: None,
    ) -> dict[str, Estimate]:
        """Normalised mean squared error of the model and of each baseline, with intervals over stimuli.

        Args:
            task: Whose model.
            data: Whose windows; the same ones in every call for a split.
            split: Which.
            windows: All, or this many evenly spread.
            kriging: Also compare with space-time kriging, the strongest and slowest baseline.
            done: Called with how many more windows are done.
        """
        own: list[NDArray[np.float64]] = []
        stimulus: list[NDArray[np.int64]] = []
        measured: dict[str, list[NDArray[np.float64]]] = {}
        baseline_errors = self._errors.get(split)
        for batch in _reconstruct(task, data, split, windows):
            own.append(((batch.predicted - batch.eeg) ** 2 * batch.hidden).sum((1, 2), dtype=np.float64))
            stimulus.append(batch.stimulus)
            if baseline_errors is None:
                baselines = self._baselines(task, data, kriging)
                with threadpool_limits(limits=1):  # their products are too small to share between cores
                    found = baselines.score(batch.eeg, batch.positions, batch.mask, batch.hidden)
                for name, (sums, _) in found.items():
                    measured.setdefault(name, []).append(sums)
            done(len(batch.eeg))
        if baseline_errors is None:
            baseline_errors = {name: np.concatenate(sums) for name, sums in measured.items()}
            self._errors[split] = baseline_errors
        errors = {MODEL: np.concatenate(own), **baseline_errors}
        variance, groups = errors.pop(VARIANCE), np.concatenate(stimulus)
        intervals = {
            name: bootstrap_interval(error, variance, statistic=np.divide, groups=groups)
            for name, error in errors.items()
        }
        return {name: Estimate(one.value, one.low, one.high, chance=1.0) for name, one in intervals.items()}

    def _baselines(self, task: MAEEGTask, data: EEGAudioDataModule, kriging: bool) -> ReconstructionBaselines:
        if kriging not in self._fitted:
            patches = HiddenPatches(*task.encoder.patch, task.masking.ratio)
            baselines = ReconstructionBaselines(patches, kriging, self.training_windows)
            batches = data.batches("train", 4 * self.training_windows)
            arrays = ((b["eeg"].numpy(), b["positions"].numpy(), b["channel_mask"].numpy()) for b in batches)
            self._fitted[kriging] = baselines.fit(arrays)
        return self._fitted[kriging]


def evaluate_reconstruction(
    task: MAEEGTask,
    data: EEGAudioDataModule,
    kriging: bool = True,
    training_windows: int = 1500,
    seen: SeenSplits | None = None,
    counted: Counted = uncounted,
) -> ReconstructionResult:
    """Compare a trained masked autoencoder with baselines on all windows of every test split of a data module.

    Args:
        task: Trained, from ``MAEEGTask.load_from_checkpoint``: an exported encoder has no decoder.
        data: After ``setup``, with windows as in training.
        kriging: Also compare with space-time kriging, the strongest and slowest baseline.
        training_windows: Training windows that baselines are fitted on.
        seen: What of the splits was trained on, where it was compared already.
        counted: Shows the progress.

    Raises:
        ConfigError: The model predicts normalised patches, whose errors have another unit; or the data module has no
            test split, or one that is not unseen; see ``EEGAudioDataModule.allow_seen``.
    """
    if task.autoencoder.normalize_target:
        raise ConfigError(
            "normalize_target=True: errors of normalised patches cannot be compared with those of baselines "
            "(model.normalize_target)"
        )
    seen = check_splits(task, data) if seen is None else seen
    comparison = ReconstructionComparison(training_windows)
    sizes: dict[SplitName, int] = {split: len(data.datasets[split]) for split in data.test_splits}
    splits: dict[str, ReconstructionSplit] = {}
    with counted("Baselines on windows", sum(sizes.values())) as done:
        for split, size in sizes.items():
            nmse = comparison.compare(task, data, split, None, kriging, done)
            splits[split] = ReconstructionSplit(size, nmse, judge_reconstruction(nmse, seen.text(split)))
    return ReconstructionResult(judged_split(splits), MEASURE, dict(vars(task.masking)), splits)


class _Reconstructed(NamedTuple):
    """A batch of windows: EEG, its reconstruction, and where samples were hidden, (B, C, T)."""

    eeg: Floats
    positions: Floats
    mask: NDArray[np.bool_]
    stimulus: NDArray[np.int64]
    predicted: Floats
    hidden: NDArray[np.bool_]


@torch.no_grad()
def _reconstruct(
    task: MAEEGTask, data: EEGAudioDataModule, split: SplitName, windows: int | None
) -> Iterator[_Reconstructed]:
    training, masking = task.training, task.masking
    task.eval()
    for batch in data.batches(split, windows):
        seeds = [mix(MASKS, index) for index in batch["index"].tolist()]
        eeg, positions, mask = (batch[key].to(task.device) for key in ("eeg", "positions", "channel_mask"))
        exists = None if bool(mask.all()) else mask
        result = task.autoencoder(eeg, positions, exists, masking.ratio, masking.kind, seeds)
        predicted, hidden = task.autoencoder.paint(eeg, result)
        columns = (eeg, positions, mask, batch["stimulus"], predicted, hidden)
        yield _Reconstructed(*(column.cpu().numpy() for column in columns))
    task.train(training)
