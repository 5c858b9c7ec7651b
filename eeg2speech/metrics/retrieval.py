"""Retrieval over a whole split, in both directions.

EEG to sound: each EEG window asks for its sound in the gallery of all different sounds of the split. Sound to EEG:
each sound asks, once for each window in which a subject heard it, for that window among all windows of that
subject. Every window counts alike in both; per-subject figures stand beside.
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

from eeg2speech.metrics.comparison import Comparison, Embeddings
from eeg2speech.metrics.estimate import Estimate, mean_estimate, median_estimate
from eeg2speech.metrics.ranks import Ranks, Table, chance, position, rank_eeg, rank_sounds, reciprocal, score, top

Direction = Literal["eeg_to_sound", "sound_to_eeg"]
TOPS = (1, 5, 10)
GALLERIES = (50, 200, 1000)


@dataclass(frozen=True)
class RetrievalRow:
    """Figures of one direction and gallery.

    Attributes:
        direction: Which side asks.
        gallery: Size of the random galleries whose expectation this is; None for the whole gallery.
        size: Mean number of answers to choose from.
        subject: Whose windows; None for all.
        windows: Number of queries.
        figures: ``top1`` ..., ``mrr`` and ``median_rank``, each with chance and interval over stimuli.
    """

    direction: Direction
    gallery: int | None
    size: float
    subject: int | None
    windows: int
    figures: dict[str, Estimate]


def mean_tables(gallery: int | None = None, tops: Sequence[int] = TOPS) -> dict[str, Table]:
    """The statistics that are means over windows: top-k accuracies and the mean reciprocal rank."""
    return {f"top{k}": top(k, gallery) for k in tops} | {"mrr": reciprocal(gallery)}


def retrieval_report(
    comparison: Comparison,
    tops: Sequence[int] = TOPS,
    galleries: Sequence[int] = GALLERIES,
    samples: int = 1000,
    seed: int = 0,
) -> list[RetrievalRow]:
    """Both directions: the whole gallery, each fixed size that is not above it, and each subject in the whole gallery.

    Args:
        comparison: Of the split.
        tops: Ranks that count as found.
        galleries: Fixed sizes; the figures are exact expectations over all galleries of that size.
        samples: Bootstrap draws; 0 gives no intervals.
        seed: Of the draws.
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
            rows.append(RetrievalRow(direction, gallery, size, name, len(windows), figures))
    return rows


class Retrieval(Metric):
    """Collects the embeddings of a whole split over batches and ranks; a batch's own figures mean nothing.

    ``compute`` gives the figures of the whole gallery, EEG to sound by their name (``top1``) and sound to EEG behind
    ``sound_to_eeg_``. ``embeddings`` gives what was collected, for all other measures.

    Args:
        tops: Ranks that count as found.
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
            key: Windows that hold the same sound have the same key, (n,).
            subject: Of each window, (n,).
            stimulus: Of each window, (n,).
            start: Of each window's sound, in seconds into its stimulus, (n,); only match-mismatch needs it.
        """
        self.eeg.append(eeg.detach().float())
        self.sound.append(sound.detach().float())
        self.key.append(key)
        self.subject.append(subject)
        self.stimulus.append(stimulus)
        unknown = torch.full_like(key, torch.nan, dtype=torch.float64)
        self.start.append(unknown if start is None else start.double())

    def compute(self) -> dict[str, Tensor]:
        """Figures of the whole gallery, scalars."""
        rows = retrieval_report(self._collected().compare(), self.tops, galleries=(), samples=0)
        return {
            ("" if row.direction == "eeg_to_sound" else "sound_to_eeg_") + name: torch.tensor(figure.value)
            for row in rows
            if row.subject is None
            for name, figure in row.figures.items()
        }

    def chance(self) -> dict[str, Tensor]:
        """What a constant model scores in EEG to sound, for the means over windows, scalars; every rank has to ask."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            sounds = len(torch.unique(dim_zero_cat(self.key)))
        return {name: torch.tensor(float(table(sounds).mean())) for name, table in mean_tables(tops=self.tops).items()}

    def embeddings(self) -> Embeddings:
        """What all ranks have collected; every rank has to ask."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self._collected()

    def _collected(self) -> Embeddings:
        def array(name: str) -> NDArray[Any]:
            gathered: NDArray[Any] = dim_zero_cat(getattr(self, name)).cpu().numpy()
            return gathered

        return Embeddings(*(array(name) for name in ("eeg", "sound", "key", "subject", "stimulus", "start")))
