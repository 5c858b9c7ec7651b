"""Evaluation of stage 2: alignment of EEG and sound, compared with permutations, controls and linear decoders."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from eeg2speech.baselines.linear import LinearBaselines, fit_linear
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.progress import Counted, track_with, uncounted
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.ceiling import Ceiling
from eeg2speech.evaluation.controls import (
    ReplaceEEG,
    audio_block_cka,
    embed_control,
    embed_split,
    replacements,
    shuffling_groups,
    untrained,
)
from eeg2speech.evaluation.electrodes import electrode_importance
from eeg2speech.evaluation.models import BatchEmbedder, batch_embedder, check_splits
from eeg2speech.inference.alignment import AlignmentModel
from eeg2speech.metrics import (
    PROTOCOL_2023,
    PROTOCOL_2024,
    Comparison,
    Embeddings,
    Estimate,
    judge,
    match_mismatch,
    mean_estimate,
    permutation_null,
    retrieval_report,
    retrieval_scores,
)
from eeg2speech.metrics.comparison import Numbers, rewindow
from eeg2speech.metrics.geometry import geometry
from eeg2speech.metrics.ideal_observer import share_of_ceiling
from eeg2speech.metrics.ranks import reciprocal, top
from eeg2speech.metrics.results import (
    IDEAL,
    MODEL,
    AlignmentResult,
    AlignmentSplit,
    GalleryResult,
    LagResult,
    NullSummary,
    SeenSplits,
    judged_split,
)
from eeg2speech.metrics.retrieval import gallery_curves
from eeg2speech.tasks.alignment import AlignmentTask

LAGS = (-0.5, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Seconds that the EEG is read later than in training."""
PROTOCOLS = {PROTOCOL_2023: "match_2023", PROTOCOL_2024: "match_2024"}
STEP_SECONDS = 0.16
"""Duration of a step, in which EEG and sound are compared."""
MEASURE = "retrieval and match-mismatch of held-out windows, 95 % bootstrap intervals over stimuli"


def evaluate_alignment(
    model: AlignmentTask | AlignmentModel,
    data: EEGAudioDataModule,
    permutations: int = 1000,
    lags: Sequence[float] = LAGS,
    linear: bool = True,
    electrodes: int = 200,
    seen: SeenSplits | None = None,
    counted: Counted = uncounted,
) -> AlignmentResult:
    """Evaluate a trained aligner on every test split of a data module.

    Retrieval in both directions and several galleries and match-mismatch after two published protocols, each with
    intervals over stimuli; permutations of the sounds within their stimulus; the same model with EEG that carries no
    information about the sound; the untrained model; the model with the EEG moved in time; and linear decoders fitted
    on the same training windows. On simulated EEG the ideal observer, computed from the true responses, gives the
    ceiling (``Ceiling``). The verdict on a split follows from the permutations and the controls alone.

    Args:
        model: Trained; it is put into evaluation mode.
        data: After ``setup``, with ``audio=True`` and windows as in training.
        permutations: Shuffles of the sounds; a verdict in favour needs 1000.
        lags: Seconds that the EEG is read later than in training, for the lag curve.
        linear: Also fit ridge regression and canonical correlation analysis.
        electrodes: Windows of the judged split used for electrode importance; 0 leaves it out.
        seen: What of the splits was trained on, where it was compared already.
        counted: Shows the progress.

    Raises:
        ConfigError: The data module has no test split or no sound, or a split is not unseen; see
            ``EEGAudioDataModule.allow_seen``.
    """
    if not data.audio:
        raise ConfigError("audio=False: an evaluation of the alignment needs the sound of each window (data.audio)")
    seen = check_splits(model, data) if seen is None else seen
    embedder = batch_embedder(model, data)
    decoders = fit_linear(data, track=track_with(counted, "Fitting linear decoders to subjects")) if linear else None
    judged = judged_split(data.test_splits)
    of_split = _SplitEvaluation(
        embedder, untrained(embedder), data, replacements(data), decoders, Ceiling.of(data), permutations, lags
    )
    with counted("Evaluating the alignment", of_split.steps * len(data.test_splits)) as done:
        splits: dict[str, AlignmentSplit] = {
            split: of_split.run(split, seen.text(split), done) for split in data.test_splits
        }
    if electrodes:
        track = track_with(counted, "Setting electrodes to zero")
        importance = electrode_importance(embedder, data, judged, electrodes, track)
        splits[judged] = replace(splits[judged], electrodes=importance)
    return AlignmentResult(judged, MEASURE, data.window, embedder.aligner.similarity, splits)


@dataclass(frozen=True)
class _SplitEvaluation:
    """What the evaluation of every split has in common."""

    model: BatchEmbedder
    untrained: BatchEmbedder
    data: EEGAudioDataModule
    replacements: Mapping[str, ReplaceEEG | None]
    decoders: LinearBaselines | None
    ceiling: Ceiling | None
    permutations: int
    lags: Sequence[float]

    @property
    def steps(self) -> int:
        """How often ``run`` calls ``done`` with 1, in sum."""
        return 7 + len(self.replacements) + len(self.lags)

    def run(self, split: SplitName, seen: str, done: Callable[[int], object]) -> AlignmentSplit:
        """Evaluate a split; ``seen`` describes which part of the split is training data."""
        data = self.data
        model = embed_split(self.model, data, split)
        compared = model.compare()
        figures = {MODEL: summarise(compared, data.window)}
        done(1)
        controls: dict[str, Estimate] = {}
        for name, replacement in self.replacements.items():
            controls[name] = _mrr(embed_control(self.model, data, split, model, replacement))
            done(1)
        controls["untrained"] = _mrr(embed_split(self.untrained, data, split))
        done(1)
        sides = [self.model.aligner.split_vectors(torch.from_numpy(side)) for side in (model.eeg, model.sound)]
        for name in sides[0]:
            of_part = replace(model, eeg=sides[0][name].numpy(), sound=sides[1][name].numpy())
            figures[name] = summarise(of_part.compare(), data.window)
        for name, embedded in self.decoders.embed(data, split).items() if self.decoders is not None else ():
            other = replace(model, eeg=embedded.eeg, sound=embedded.sound)
            figures[name.replace(" ", "_")] = summarise(other.compare(), data.window)
        ideal = None if self.ceiling is None else self.ceiling.compare(split, model)
        if ideal is not None:
            figures[IDEAL] = summarise(ideal, data.window)
        done(2)
        by_step = self.model.aligner.similarity == "steps"
        protocol_windows = _summarise_protocols(model, data.window) if by_step else {}
        group = shuffling_groups(model.key, model.subject, model.stimulus)
        nulls = {
            name: permutation_null(retrieval_scores(compared, table, group), self.permutations)
            for name, table in (("mrr", reciprocal()), ("top10", top(10)))
        }
        done(2)
        lag_curve = []
        for lag in self.lags:
            moved = embed_split(self.model, data, split, sound=model.sound, lag=data.lag + lag)
            lag_curve.append(LagResult(lag, _mrr(moved)))
            done(1)
        result = AlignmentSplit(
            windows=len(model.key),
            gallery=compared.similarity.shape[1],
            verdict=judge(nulls["mrr"], controls, seen=seen),
            figures=figures,
            protocol_windows=protocol_windows,
            controls_mrr=controls,
            permutations={name: NullSummary.of(null) for name, null in nulls.items()},
            retrieval=retrieval_report(compared, subjects=data.store.subjects),
            galleries=_galleries(compared, self.permutations, group),
            lag_curve=lag_curve,
            geometry=geometry(model),
            audio_block_cka=audio_block_cka(self.model, data, split),
            share_of_ceiling={} if ideal is None else share_of_ceiling(compared, ideal),
        )
        done(1)
        return result


def summarise(compared: Comparison, window: float) -> dict[str, Estimate]:
    """Figures of a decoder by measure, all on the windows as they are.

    Args:
        compared: EEG windows with all sounds of a split.
        window: Their duration in seconds.
    """
    row = retrieval_report(compared, galleries=())[0].figures
    summary = {name: row[name] for name in ("top1", "top5", "top10", "mrr", "median_rank")}
    for protocol, name in PROTOCOLS.items():
        found = match_mismatch(compared, window, protocol)
        summary[name] = mean_estimate(found.accuracy, found.chance, compared.stimulus)
    return summary


def _summarise_protocols(model: Embeddings, window: float) -> dict[str, Estimate]:
    """Match-mismatch in windows as long as those of the protocols, cut from adjoining windows step by step."""
    summary = {}
    for protocol, name in PROTOCOLS.items():
        length = round(protocol.duration / STEP_SECONDS)
        hop = 1 if protocol.gap is not None else length
        try:
            again = rewindow(model, round(window / STEP_SECONDS), STEP_SECONDS, length, hop)
        except ValueError:  # no two windows adjoin, so there is nothing as long
            continue
        compared = again.compare()
        found = match_mismatch(compared, length * STEP_SECONDS, protocol)
        summary[name] = mean_estimate(found.accuracy, found.chance, compared.stimulus)
    return summary


def _mrr(embeddings: Embeddings) -> Estimate:
    if not len(embeddings.key):  # of another trial, where no subject was presented two stimuli
        return Estimate(math.nan, math.nan, math.nan, math.nan)
    return retrieval_report(embeddings.compare(), galleries=())[0].figures["mrr"]


def _galleries(compared: Comparison, permutations: int, group: Numbers) -> dict[str, list[GalleryResult]]:
    return {
        name: [GalleryResult(point.gallery, point.figure, NullSummary.of(point.null)) for point in points]
        for name, points in gallery_curves(compared, permutations, group=group).items()
    }
