"""The baselines of masked reconstruction on the windows of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eeg2speech.baselines.baseline import Baseline, Floats, Mask
from eeg2speech.baselines.covariance import HiddenPatches, Kriging, Ridge
from eeg2speech.baselines.neighbours import Interpolation, Mean, Nearest, Spline, SplineMatrix
from eeg2speech.core.errors import DataError

BASELINES = ("mean", "nearest", "interpolation", "spline", "ridge", "kriging")
VARIANCE = "variance"
"""Key of the denominators in the scores."""
_TRAINED = ("ridge", "kriging")  # these need training windows of the montage

Batch = tuple[Floats, Floats, Mask]
Scores = dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]


class ReconstructionBaselines:
    """Baselines for the task of the masked autoencoder, fitted for each montage by itself.

    A montage is identified by the positions of its electrodes. For one without training windows the channel means are
    zero, and ridge and kriging, which need its covariance, score NaN.

    Args:
        patches: Rule by which patches are hidden, for choosing the regularisers on training windows.
        kriging: Whether to include kriging, the slowest.
        limit: Number of training windows per montage, drawn at random from all.
        seed: Seed of the draw, the held-out windows and their masks.
        spline: See ``Spline``.
    """

    def __init__(
        self,
        patches: HiddenPatches | None = None,
        kriging: bool = True,
        limit: int = 1500,
        seed: int = 0,
        spline: SplineMatrix | None = None,
    ) -> None:
        self.patches = patches or HiddenPatches()
        self.limit = limit
        self.seed = seed
        self.spline = spline
        self.names = BASELINES if kriging else BASELINES[:-1]
        self.montages: dict[bytes, dict[str, Baseline]] = {}
        self.untrained: dict[tuple[bytes, int], dict[str, Baseline]] = {}

    def fit(self, batches: Iterable[Batch]) -> Self:
        """Fit to the training windows of every montage.

        Args:
            batches: EEG (B, C, T), positions in metres (B, C, 3) and channel mask (B, C).

        Raises:
            DataError: There is no training window.
        """
        self.montages, self.untrained = {}, {}
        for key, (windows, positions) in self._sample(batches).items():
            fitted = {}
            for name in self.names:
                fitted[name] = self._make(name).fit(np.stack(windows), positions)
            self.montages[key] = fitted
        if not self.montages:
            raise DataError("no training windows for the baselines; the training split is empty (data.split)")
        return self

    def score(self, eeg: Floats, positions: Floats, channel_mask: Mask, hidden: Mask) -> Scores:
        """Squared errors on the hidden samples of existing channels.

        The NMSE of a set of windows is the sum of a baseline's errors over the sum of ``variance``, the squared
        deviations from the training mean of each channel; the NMSE of ``mean`` is 1.

        Args:
            eeg: (B, C, T).
            positions: In metres, (B, C, 3).
            channel_mask: True where a channel exists, (B, C).
            hidden: True where a sample is hidden, (B, C, T).

        Returns:
            For each baseline and for ``variance``: the sum over each window, (B,), and its number of samples, (B,).
        """
        kept, hidden = channel_mask.astype(np.bool_), hidden.astype(np.bool_)
        errors = {name: np.full(len(eeg), np.nan) for name in (*self.names, VARIANCE)}
        counts = (hidden & kept[:, :, None]).sum(axis=(1, 2))
        for row, (window, place) in enumerate(_windows((eeg, positions, channel_mask))):
            mask = hidden[row, kept[row]]
            fitted = self._fitted(place, window.shape[1])
            for name, baseline in fitted.items():
                errors[name][row] = np.square(baseline.predict(window, mask) - window)[mask].sum()
            errors[VARIANCE][row] = np.square(fitted["mean"].mean[:, None] - window)[mask].sum()
        return {name: (error, counts) for name, error in errors.items()}

    def _sample(self, batches: Iterable[Batch]) -> dict[bytes, tuple[list[Floats], Floats]]:
        """Windows and positions by montage, by reservoir sampling: every window has the same probability."""
        rng = np.random.default_rng(self.seed)
        kept: dict[bytes, tuple[list[Floats], Floats]] = {}
        offered: dict[bytes, int] = {}
        for batch in batches:
            for window, positions in _windows(batch):
                key = _key(positions)
                windows, _ = kept.setdefault(key, ([], positions))
                offered[key] = offered.get(key, 0) + 1
                place = len(windows) if len(windows) < self.limit else int(rng.integers(offered[key]))
                if place < self.limit:
                    windows[place : place + 1] = [window]
        return kept

    def _fitted(self, positions: Floats, samples: int) -> dict[str, Baseline]:
        key = _key(positions)
        if key in self.montages:
            return self.montages[key]
        if (key, samples) not in self.untrained:
            names = [name for name in self.names if name not in _TRAINED]
            self.untrained[key, samples] = {name: self._make(name).fit_untrained(positions, samples) for name in names}
        return self.untrained[key, samples]

    def _make(self, name: str) -> Baseline:
        match name:
            case "mean":
                return Mean()
            case "nearest":
                return Nearest()
            case "interpolation":
                return Interpolation()
            case "spline":
                return Spline(self.spline)
            case "ridge":
                return Ridge(self.patches, seed=self.seed)
            case _:
                return Kriging(self.patches, seed=self.seed)


def _windows(batch: Batch) -> Iterator[tuple[Floats, Floats]]:
    """Each window and its positions without the masked channels, as copies, so that batches are freed."""
    for window, positions, mask in zip(*batch, strict=True):
        kept = mask.astype(np.bool_)
        yield window[kept], positions[kept]


def _key(positions: Floats) -> bytes:
    return positions.astype(np.float32).tobytes()
