"""Probes: how well labels can be predicted from frozen features, those of an encoder or the power in EEG bands."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import rfft, rfftfreq

from eeg2speech.baselines.baseline import Floats, Mask
from eeg2speech.core.errors import DataError
from eeg2speech.metrics import bootstrap_interval

BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
"""Classical frequency bands of EEG, in hertz."""
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse L2 penalties to choose from, on standardised features."""
_SHORTEST = 2.0  # seconds; shorter windows are padded so that every band holds a frequency
_FLOOR = 1e-12  # keeps the logarithm of a flat channel finite
_NEIGHBOURS = 10
_INNER_FOLDS = 3
_ITERATIONS = 2000

Labels = NDArray[Any]


@dataclass(frozen=True)
class ProbeResult:
    """Accuracy of a probe.

    Attributes:
        accuracy: Balanced accuracy (mean recall over classes) on rows whose group is not in the training rows.
        chance: One over the number of classes.
        low: Lower bound of the 95 % bootstrap interval over test groups. It is somewhat too narrow, because the fitted
            probes are not resampled.
        high: Upper bound.
        n: Number of test rows.
    """

    accuracy: float
    chance: float
    low: float
    high: float
    n: int


def probe(
    features: Floats,
    labels: ArrayLike,
    groups: ArrayLike,
    kind: Literal["linear", "knn"] = "linear",
    folds: int = 5,
    test: Mask | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> ProbeResult:
    """Predict labels from frozen features with a linear or a nearest-neighbour classifier.

    No group is both in training and in test rows. To probe subject identity the groups are stimuli or blocks of
    time; to probe phoneme classes on unseen subjects the groups are subjects.

    Args:
        features: One row per window, (n, D).
        labels: Class of each row, (n,).
        groups: Group of each row, (n,).
        kind: ``linear``: logistic regression, its penalty chosen by cross-validation over training groups;
            ``knn``: the ten nearest rows by cosine.
        folds: Number of folds; at most the number of groups.
        test: Rows to test on instead of folds, (n,).
        samples: Number of bootstrap draws.
        seed: Seed of the folds and the draws.

    Raises:
        DataError: Features are not finite, there are fewer than two classes or groups, a group is in training and
            test rows, there are no training or test rows, or all training rows have one class.
    """
    features, labels, groups = np.asarray(features), np.asarray(labels), np.asarray(groups)
    classes, target = np.unique(labels, return_inverse=True)
    _check(features, len(classes), groups)
    rng = np.random.default_rng(seed)
    fold = group_folds(groups, folds, rng) if test is None else _given(test, groups)
    predicted = np.full(len(target), -1)
    for number in range(int(fold.max()) + 1):
        tested, train = fold == number, fold != number
        if len(np.unique(target[train])) < 2:
            raise DataError("probe: the training rows have a single class; use other groups or more windows")
        model = _nearest(int(train.sum())) if kind == "knn" else _logistic(target[train], groups[train], rng)
        with warnings.catch_warnings():
            # a few steps short of convergence the class is the same; an inner fold may miss a class
            missing = "y_pred contains classes not in y_true|A single label was found"
            warnings.filterwarnings("ignore", f"lbfgs failed to converge|{missing}")
            predicted[tested] = model.fit(features[train], target[train]).predict(features[tested])
    tested = fold >= 0
    present = np.eye(len(classes))[target[tested]]
    correct = present * (predicted == target)[tested, None]
    interval = bootstrap_interval(
        correct, present, statistic=_mean_recall, groups=groups[tested], samples=samples, seed=seed
    )
    return ProbeResult(interval.value, 1 / len(classes), interval.low, interval.high, int(tested.sum()))


def group_folds(groups: NDArray[Any], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Fold of each row, (n,): groups in random order, one fold after the other, so that each group is in one fold."""
    names, group = np.unique(groups, return_inverse=True)
    fold_of_group = np.empty(len(names), np.int64)
    fold_of_group[rng.permutation(len(names))] = np.arange(len(names)) % min(folds, len(names))
    return fold_of_group[group.reshape(-1)]


def band_power(windows: Floats, rate: float) -> NDArray[np.float64]:
    """Log power of each channel in the classical bands, the features that an encoder is compared with.

    Args:
        windows: EEG, (n, C, T).
        rate: Samples per second; bands above half of it are cut or left out.

    Returns:
        Features, (n, C * bands): the bands of the first channel, then of the second.
    """
    samples = windows.shape[2]
    length = max(samples, round(_SHORTEST * rate))
    frequency = rfftfreq(length, 1 / rate)
    taper = np.hanning(samples + 2)[1:-1]  # without the zeros at the ends
    centred = windows - windows.mean(axis=2, keepdims=True, dtype=np.float64)
    power = np.square(np.abs(rfft(centred * taper, length))) / (rate * np.square(taper).sum())
    inside = [(frequency >= low) & (frequency < high) for low, high in BANDS.values()]
    bands = [np.log10(power[:, :, band].mean(axis=2) + _FLOOR) for band in inside if band.any()]
    return np.stack(bands, axis=2).reshape(len(windows), -1)


def _given(test: Mask, groups: NDArray[Any]) -> NDArray[np.int64]:
    """Fold of each row: 0 for test rows, -1 for rows that are always in training."""
    test = np.asarray(test, dtype=np.bool_)
    if test.all() or not test.any():
        raise DataError(f"probe: {test.sum()} of {len(test)} rows are test rows; select some, but not all (test)")
    shared = np.intersect1d(groups[test], groups[~test])
    if len(shared):
        raise DataError(f"probe: group {shared[0]} is in training and test rows; assign it to one of them")
    return np.where(test, 0, -1)


def _check(features: Floats, classes: int, groups: NDArray[Any]) -> None:
    if not np.isfinite(features).all():
        raise DataError("probe: the features hold NaN or infinity; check the encoder's weights and its input")
    if classes < 2:
        raise DataError(f"probe: {classes} class in the labels; at least 2 are needed")
    if len(np.unique(groups)) < 2:
        raise DataError("probe: a single group cannot be split into training and test; use more stimuli or subjects")


def _nearest(rows: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier  # slow imports
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    nearest = KNeighborsClassifier(min(_NEIGHBOURS, rows), metric="cosine", algorithm="brute")
    return make_pipeline(StandardScaler(), nearest)


def _logistic(target: Labels, groups: NDArray[Any], rng: np.random.Generator) -> Any:
    """Logistic regression with the penalty of best balanced accuracy over folds of groups, on a tie the strongest."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    logistic = LogisticRegression(C=STRENGTHS[0], max_iter=_ITERATIONS, tol=1e-3, class_weight="balanced")
    model = make_pipeline(StandardScaler(), logistic)
    if len(np.unique(groups)) < 2:
        return model
    fold = group_folds(groups, _INNER_FOLDS, rng)
    splits = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(int(fold.max()) + 1)]
    splits = [split for split in splits if len(np.unique(target[split[0]])) > 1]
    if not splits:
        return model
    return GridSearchCV(model, {"logisticregression__C": STRENGTHS}, scoring="balanced_accuracy", cv=splits)


def _mean_recall(correct: NDArray[np.float64], present: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean recall over the classes of each draw, from numbers of rows by class, both (samples, classes)."""
    drawn = present > 0  # a draw may miss a class
    recall = np.where(drawn, correct / np.where(drawn, present, 1), 0)
    balanced: NDArray[np.float64] = recall.sum(axis=1) / drawn.sum(axis=1)
    return balanced
