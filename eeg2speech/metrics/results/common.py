"""Parts of results that several stages share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from eeg2speech.metrics.intervals import Estimate
from eeg2speech.metrics.null import Null

JUDGED_SPLIT = "unseen_stimulus"
"""Split that the verdict of a run rests on where there is one: new stimuli, of subjects that were trained on."""
MODEL = "model"
"""Id of the trained model among decoders and reconstruction methods."""
IDEAL = "ideal_observer"
"""Id of the ideal observer among decoders."""

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class NullSummary:
    """A statistic and its distribution when sounds are shuffled within groups.

    Attributes:
        observed: Statistic with the true pairing.
        mean: Mean of the permutations.
        low: 2.5th percentile of the permutations.
        high: 97.5th percentile of the permutations.
        percentile_99: 99th percentile of the permutations, which a verdict in favour has to exceed.
        p: One-sided p-value.
        z: Distance of ``observed`` from ``mean`` in standard deviations of the permutations.
        permutations: Number of permutations.
        windows: Windows in a group with two different sounds or more; the others keep their sound.
    """

    observed: float
    mean: float
    low: float
    high: float
    percentile_99: float
    p: float
    z: float
    permutations: int
    windows: int

    @classmethod
    def of(cls, null: Null) -> NullSummary:
        """Summarise a permutation null."""
        low, high = null.band
        mean = float(null.draws.mean())
        return cls(null.observed, mean, low, high, null.threshold, null.p, null.z, len(null.draws), null.windows)


@dataclass(frozen=True)
class GalleryResult:
    """The share of windows or clips whose matching sound is identified in galleries of one size.

    Attributes:
        gallery: Number of sounds to choose from, the right one included.
        estimate: Expected share over all galleries of that size, with chance and 95 % interval over stimuli.
        null: The same with sounds shuffled within groups.
    """

    gallery: int
    estimate: Estimate
    null: NullSummary


def judged_split(splits: Iterable[Name]) -> Name:
    """The test split that the verdict of a run rests on: ``JUDGED_SPLIT``, else the first.

    Args:
        splits: Names of the splits, at least one.
    """
    names = list(splits)
    return next((name for name in names if name == JUDGED_SPLIT), names[0])


def in_words(name: str) -> str:
    """The id of a split, control, variant, decoder or method in words."""
    return name.replace("_", " ")
