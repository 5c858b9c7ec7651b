from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eeg2speech.baselines.baseline import Floats, Mask
from eeg2speech.core.errors import DataError
from eeg2speech.metrics import bootstrap_interval

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # inverse L2 penalties, on standardised features
_NEIGHBOURS = 10
_INNER_FOLDS = 3
_ITERATIONS = 2000

Labels = NDArray[Any]


@dataclass(frozen=True)
class ProbeResult:
    """How well labels can be read from frozen features.

    Attributes:
        accuracy: Balanced accuracy (mean recall over classes) on rows whose group was not trained on.
        chance: One over the number of classes.
        low: Lower bound of the 95 % bootstrap interval over test groups. The fitted probes are held fixed, so
            that it is somewhat too narrow.
        high: Upper bound.
        n: Rows tested.
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
    strengths: Sequence[float] = STRENGTHS,
    samples: int = 1000,
    seed: int = 0,
) -> ProbeResult:
    """Read labels from frozen features with a linear or a nearest-neighbour classifier.

    No group is ever on both sides of a split. To probe subject identity the groups are stimuli or blocks of
    time; to probe phoneme classes on unseen subjects the groups are subjects.

    Args:
        features: One row per window, (n, D).
        labels: Class of each row, (n,).
        groups: What must not be shared between training and test, (n,).
        kind: ``linear``: logistic regression, its penalty chosen by cross-validation over training groups;
            ``knn``: the ten nearest rows by cosine.
        folds: Parts that the groups are dealt into, each tested once; at most the number of groups.
        test: Rows to test on instead of folds, (n,).
        strengths: Inverse L2 penalties to choose from.
        samples: Bootstrap draws.
        seed: Of the folds and the draws.

    Raises:
        DataError: Features are not finite, there are fewer than two classes or groups, a group is
            on both sides of ``test``, a part is empty, or a training part
            has a single class.
    """
    features, labels, groups = np.asarray(features), np.asarray(labels), np.asarray(groups)
    classes, target = np.unique(labels, return_inverse=True)
    _check(features, len(classes), groups)
    rng = np.random.default_rng(seed)
    predicted = np.full(len(target), -1)
    for part in [_given(test, groups)] if test is not None else group_folds(groups, folds, rng):
        train = ~part
        if len(np.unique(target[train])) < 2:
            raise DataError("probe: a training part has a single class; use other groups or more windows")
        inside, outside = _standardised(features[train], features[part])
        if kind == "knn":
            predicted[part] = _nearest(inside, target[train], outside)
        else:
            strength = _best_strength(features[train], target[train], groups[train], strengths, rng)
            predicted[part] = _logistic(inside, target[train], [strength], outside)[0]
    tested = predicted >= 0
    present = np.eye(len(classes))[target[tested]]
    correct = present * (predicted == target)[tested, None]
    interval = bootstrap_interval(
        correct, present, statistic=_mean_recall, groups=groups[tested], samples=samples, seed=seed
    )
    return ProbeResult(interval.value, 1 / len(classes), interval.low, interval.high, int(tested.sum()))


def group_folds(groups: NDArray[Any], folds: int, rng: np.random.Generator) -> Iterator[Mask]:
    """Test rows of each fold, (n,): groups are shuffled and dealt out, so that none is in two folds."""
    names = rng.permutation(np.unique(groups))
    for fold in range(min(folds, len(names))):
        yield np.isin(groups, names[fold::folds])


def _given(test: Mask, groups: NDArray[Any]) -> Mask:
    test = np.asarray(test, dtype=np.bool_)
    if test.all() or not test.any():
        raise DataError(f"probe: {test.sum()} of {len(test)} rows are for testing; both parts need some")
    shared = np.intersect1d(groups[test], groups[~test])
    if len(shared):
        raise DataError(f"probe: group {shared[0]} is in training and test; a group belongs to one of them")
    return test


def _check(features: Floats, classes: int, groups: NDArray[Any]) -> None:
    if not np.isfinite(features).all():
        raise DataError("probe: the features hold NaN or infinity; look at the encoder's weights and its input")
    if classes < 2:
        raise DataError(f"probe: {classes} class in the labels; at least 2 are needed")
    if len(np.unique(groups)) < 2:
        raise DataError("probe: a single group cannot be split into training and test; use more stimuli or subjects")


def _mean_recall(correct: NDArray[np.float64], present: NDArray[np.float64]) -> NDArray[np.float64]:
    seen = present > 0  # a draw may miss a class
    recall = np.where(seen, correct / np.where(seen, present, 1), 0)
    balanced: NDArray[np.float64] = recall.sum(axis=1) / seen.sum(axis=1)
    return balanced


def _standardised(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    return (train - mean) / spread, (test - mean) / spread


def _best_strength(
    features: Floats,
    target: Labels,
    groups: NDArray[Any],
    strengths: Sequence[float],
    rng: np.random.Generator,
) -> float:
    """Strength with the best balanced accuracy on held-out training groups, the smallest on a tie."""
    ordered = sorted(strengths)
    if len(ordered) == 1 or len(np.unique(groups)) < 2:
        return ordered[0]
    score = np.zeros(len(ordered))
    for part in group_folds(groups, _INNER_FOLDS, rng):
        if len(np.unique(target[~part])) < 2:
            continue
        inside, outside = _standardised(features[~part], features[part])
        guesses = _logistic(inside, target[~part], ordered, outside)
        present = np.eye(target.max() + 1)[target[part]]
        for entry, guess in enumerate(guesses):
            correct = present * (guess == target[part])[:, None]
            score[entry] += _mean_recall(correct.sum(0)[None], present.sum(0)[None])[0]
    return ordered[int(score.argmax())]


def _logistic(train: Floats, target: Labels, strengths: Sequence[float], test: Floats) -> list[Labels]:
    """Predictions of logistic regressions, each started from the one before: strengths in rising order."""
    from sklearn.exceptions import ConvergenceWarning  # heavy imports, which only probes need
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=_ITERATIONS, tol=1e-3, class_weight="balanced", warm_start=True)
    guesses = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few steps short makes no difference to the class
        for strength in strengths:
            guesses.append(model.set_params(C=strength).fit(train, target).predict(test))
    return guesses


def _nearest(train: Floats, target: Labels, test: Floats) -> Labels:
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(min(_NEIGHBOURS, len(train)), metric="cosine", algorithm="brute")
    predicted: Labels = model.fit(train, target).predict(test)
    return predicted
