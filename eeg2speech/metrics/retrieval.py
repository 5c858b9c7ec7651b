"""Retrieval over a whole split, in both directions, and its dependence on the size of the gallery.

EEG to sound: each EEG window is a query in the gallery of all different sounds of the split. Sound to EEG: the sound of
each window is a query in the gallery of all windows of the same subject. All windows have equal weight; scores per
subject are reported as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from eeg2speech.metrics.comparison import Comparison, Embeddings, Numbers
from eeg2speech.metrics.intervals import Estimate, mean_estimate, median_estimate
from eeg2speech.metrics.null import Null, permutation_null, retrieval_scores
from eeg2speech.metrics.ranks import Ranks, Table, chance, position, rank_eeg, rank_sounds, reciprocal, score, top

Direction = Literal["eeg_to_sound", "sound_to_eeg"]
TOPS = (1, 5, 10)
"""Ranks of top-k accuracies."""
GALLERIES = (50, 200, 1000)
"""Sizes of the random galleries of a report."""
SIZES = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Sizes of the random galleries of a curve."""


@dataclass(frozen=True)
class RetrievalResult:
    """Retrieval in one direction and gallery.

    Attributes:
        direction: ``eeg_to_sound``: each EEG window queries the sounds; ``sound_to_eeg``: the reverse.
        gallery: Size of the random galleries whose expectation this is; None for the whole gallery.
        size: Mean number of answers to choose from.
        subject: Label of the subject whose windows these are; None for all.
        windows: Number of queries.
        figures: ``top1``, ``top5``, ``top10``, ``mrr`` and ``median_rank`` with chance and interval over stimuli.
    """

    direction: Direction
    gallery: int | None
    size: float
    subject: str | None
    windows: int
    figures: dict[str, Estimate]


@dataclass(frozen=True)
class GalleryPoint:
    """Accuracy in galleries of one size.

    Attributes:
        gallery: Number of sounds to choose from, including the correct one.
        figure: Expectation over all galleries of that size, with chance and interval over stimuli.
        null: The same with sounds permuted within their group.
    """

    gallery: int
    figure: Estimate
    null: Null


def mean_tables(gallery: int | None = None, tops: Sequence[int] = TOPS) -> dict[str, Table]:
    """Statistics that are averaged over windows: top-k accuracies and the reciprocal rank."""
    return {f"top{k}": top(k, gallery) for k in tops} | {"mrr": reciprocal(gallery)}


def retrieval_report(
    comparison: Comparison,
    tops: Sequence[int] = TOPS,
    galleries: Sequence[int] = GALLERIES,
    samples: int = 1000,
    seed: int = 0,
    subjects: Sequence[str] | None = None,
) -> list[RetrievalResult]:
    """Both directions: the whole gallery, random galleries of each size below it, and each subject by itself.

    Args:
        comparison: Comparison of the split.
        tops: Ranks of the top-k accuracies.
        galleries: Sizes of random galleries; the scores are exact expectations over all galleries of that size.
        samples: Number of bootstrap draws; 0 gives no intervals.
        seed: Seed of the draws.
        subjects: Labels that ``comparison.subject`` indexes; None for the indices themselves.
    """
    similarity, target, subject = comparison.similarity, comparison.target, comparison.subject
    everyone = np.arange(len(target))
    found: dict[Direction, Ranks] = {
        "eeg_to_sound": rank_sounds(similarity, target),
        "sound_to_eeg": rank_eeg(similarity, target, subject),
    }
    rows = []
    for direction, ranks in found.items():
        smallest = int(ranks.size.min(initial=np.iinfo(np.int64).max))
        parts: list[tuple[int | None, int | None, NDArray[np.intp]]] = [(None, None, everyone)]
        parts += [(size, None, everyone) for size in galleries if size <= smallest]
        parts += [(None, int(name), np.flatnonzero(subject == name)) for name in np.unique(subject)]
        for gallery, name, windows in parts:
            part, stimulus = ranks[windows], comparison.stimulus[windows]
            figures = {
                key: mean_estimate(score(part, table), chance(part, table), stimulus, samples, seed)
                for key, table in mean_tables(gallery, tops).items()
            }
            place = position(gallery)
            figures["median_rank"] = median_estimate(score(part, place), chance(part, place), stimulus, samples, seed)
            size = float(gallery or part.size.mean())
            label = None if name is None else str(name) if subjects is None else subjects[name]
            rows.append(RetrievalResult(direction, gallery, size, label, len(windows), figures))
    return rows


def gallery_curves(
    comparison: Comparison,
    permutations: int = 1000,
    tops: Sequence[int] = TOPS,
    sizes: Sequence[int] = SIZES,
    group: Numbers | None = None,
) -> dict[str, list[GalleryPoint]]:
    """Top-k accuracy, EEG to sound, in galleries of increasing size, by name of the accuracy (``top1``).

    Args:
        comparison: Comparison of the split.
        permutations: Number of permutations of the sounds.
        tops: Ranks of the top-k accuracies; each curve starts at the first size above k, below which it is 1.
        sizes: Sizes of the galleries; those above the split's number of sounds are left out.
        group: Group of each window, (n,), within which sounds are permuted. The stimulus by default.
    """
    whole = comparison.similarity.shape[1]
    ranks = rank_sounds(comparison.similarity, comparison.target)
    curves = {}
    for k in tops:
        points = []
        for size in (*(size for size in sizes if k < size < whole), whole):
            table = top(k, size)
            figure = mean_estimate(score(ranks, table), chance(ranks, table), comparison.stimulus)
            null = permutation_null(retrieval_scores(comparison, table, group), permutations)
            points.append(GalleryPoint(size, figure, null))
        curves[f"top{k}"] = points
    return curves


class Retrieval(Metric):
    """Retrieval on the embeddings of a whole split; the value of a single batch is not meaningful.

    ``compute`` returns the scores in the whole gallery, EEG to sound by their name (``top1``) and sound to EEG with the
    prefix ``sound_to_eeg_``. ``embeddings`` returns the collected embeddings for other measures.

    Args:
        tops: Ranks of the top-k accuracies.
        kwargs: See ``torchmetrics.Metric``; ``compute_on_cpu=True`` keeps the embeddings off the GPU.
    """

    full_state_update = False
    eeg: list[Tensor]
    sound: list[Tensor]
    key: list[Tensor]
    subject: list[Tensor]
    stimulus: list[Tensor]
    start: list[Tensor]

    def __init__(self, tops: Sequence[int] = TOPS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tops = tuple(tops)
        for name in ("eeg", "sound", "key", "subject", "stimulus", "start"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self,
        eeg: Tensor,
        sound: Tensor,
        key: Tensor,
        subject: Tensor,
        stimulus: Tensor,
        start: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Args:
            eeg: Unit vectors, (n, K).
            sound: Unit vectors, (n, K).
            key: Identifies the sound of each window: windows with the same sound have the same key, (n,).
            subject: Subject of each window, (n,).
            stimulus: Stimulus of each window, (n,).
            start: Start of each window's sound within its stimulus, in seconds, (n,); only match-mismatch needs it.
        """
        self.eeg.append(eeg.detach().float())
        self.sound.append(sound.detach().float())
        self.key.append(key)
        self.subject.append(subject)
        self.stimulus.append(stimulus)
        unknown = torch.full_like(key, torch.nan, dtype=torch.float64)
        self.start.append(unknown if start is None else start.double())

    def compute(self) -> dict[str, Tensor]:
        """Scores in the whole gallery, scalars."""
        rows = retrieval_report(self._collected().compare(), self.tops, galleries=(), samples=0)
        return {
            ("" if row.direction == "eeg_to_sound" else "sound_to_eeg_") + name: torch.tensor(figure.value)
            for row in rows
            if row.subject is None
            for name, figure in row.figures.items()
        }

    def chance(self) -> dict[str, Tensor]:
        """Expected mean scores of a constant model in EEG to sound, scalars; to be called on every rank."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            sounds = len(torch.unique(dim_zero_cat(self.key)))
        return {name: torch.tensor(float(table(sounds).mean())) for name, table in mean_tables(tops=self.tops).items()}

    def embeddings(self) -> Embeddings:
        """Embeddings of all ranks; to be called on every rank."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self._collected()

    def _collected(self) -> Embeddings:
        def array(name: str) -> NDArray[Any]:
            gathered: NDArray[Any] = dim_zero_cat(getattr(self, name)).cpu().numpy()
            return gathered

        return Embeddings(*(array(name) for name in ("eeg", "sound", "key", "subject", "stimulus", "start")))
