from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.baselines.linear import fit_linear
from eeg2speech.checkpoints.training_record import list_words, seen_text, verdict_words
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.alignment_controls import (
    block_cka,
    controls,
    embed_split,
    replaced,
    shuffled_within,
    untrained,
)
from eeg2speech.metrics import (
    PROTOCOL_2023,
    PROTOCOL_2024,
    Comparison,
    Embeddings,
    Estimate,
    Null,
    RetrievalRow,
    judge,
    match_mismatch,
    mean_estimate,
    permutation_null,
    retrieval_report,
    retrieval_scores,
)
from eeg2speech.metrics.comparison import rewindow
from eeg2speech.metrics.geometry import geometry
from eeg2speech.metrics.ranks import reciprocal, top
from eeg2speech.metrics.retrieval import GalleryPoint, gallery_curves
from eeg2speech.reporting.console.alignment_tables import print_figures, print_verdict
from eeg2speech.tasks.alignment import AlignmentTask
from eeg2speech.training.progress import counted, tracked

STEP = 0.16
"""Seconds of a step."""
LAGS = (-0.5, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
HELD_OUT: SplitName = "unseen_stimulus"
"""The list that the verdict rests on where there is one: new sounds, to people whose EEG was trained on."""
PROTOCOLS = {PROTOCOL_2023: "match_2023", PROTOCOL_2024: "match_2024"}
Summary = dict[str, Estimate]


class EvaluateAlignment(Callback):
    """Asks after a test whether EEG and sound are aligned, and how sure that is.

    For every test list: retrieval in both directions and several galleries, match-mismatch after two published
    protocols, each with intervals over stimuli; permutations of the sounds within their story; the same model with EEG
    that cannot know the sound; the untrained model; the model with the sound moved in time; and linear decoders fitted
    on the same training windows. A verdict on each list follows from the permutations and the controls alone.

    Args:
        permutations: Shuffles of the sounds; a verdict in favour needs 1000.
        lags: Seconds that the EEG is read later than in training, for the lag curve.
        linear: Also fit ridge regression and canonical correlation analysis.
    """

    __test__ = False  # not a test of ours, whatever its name

    def __init__(self, permutations: int = 1000, lags: Sequence[float] = LAGS, linear: bool = True) -> None:
        self.permutations, self.lags, self.linear = permutations, list(lags), linear

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare, print and keep the results for ``test.json``."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, AlignmentTask) or not isinstance(data, EEGAudioDataModule):
            return
        if not trainer.is_global_zero:
            return
        task = pl_module
        task.eval()
        linear = (
            fit_linear(data, track=tracked(trainer, "Fitting linear decoders to subjects")) if self.linear else None
        )
        fresh = untrained(task)
        surrogates = controls(data)
        results: dict[str, Any] = {}
        each = 6 + len(surrogates) + len(self.lags)  # as `done` is called below
        with counted(trainer, "Testing the alignment", each * len(data.test_splits)) as done:
            for split in data.test_splits:
                rank_zero_info(f"Testing the alignment on {split.replace('_', ' ')}")
                model = embed_split(task, data, split)
                seen = seen_text(task.results, split)
                compared = model.compare()
                summaries = {"model": summarise(compared, data.window)}
                done(1)
                checks: dict[str, Estimate] = {}
                for name, change in surrogates.items():
                    checks[name] = self._mrr(replaced(task, data, split, model, change), done)
                checks["untrained"] = self._mrr(embed_split(fresh, data, split), done)
                if linear is not None:
                    for name, embedded in linear.embed(data, split).items():
                        other = Embeddings(
                            embedded.eeg, embedded.sound, model.key, model.subject, model.stimulus, model.start
                        )
                        summaries[name] = summarise(other.compare(), data.window)
                done(1)
                protocols = _protocols(model, data.window) if task.aligner.similarity == "steps" else {}
                group = shuffled_within(model)
                nulls = {
                    name: permutation_null(retrieval_scores(compared, table, group), self.permutations)
                    for name, table in (("mrr", reciprocal()), ("top10", top(10)))
                }
                done(2)
                verdict = judge(nulls["mrr"], checks, seen=seen)
                curve: dict[str, Estimate] = {}
                for lag in self.lags:
                    curve[f"{lag:+.2f}"] = self._mrr(self._lagged(task, data, split, model, lag), done)
                print_figures(
                    list_words(split, seen), {**summaries, "model, protocols' windows": protocols}, checks,
                    data.description.simulated,
                )  # fmt: skip
                print_verdict(list_words(split, seen), verdict, nulls["mrr"])
                results[split] = {
                    "windows": len(model.key),
                    "gallery": compared.similarity.shape[1],
                    "verdict": asdict(verdict),
                    "figures": {name: _plain(summary) for name, summary in summaries.items()},
                    "protocols' windows": _plain(protocols),
                    "controls, mrr": _plain(checks),
                    "permutations": {name: _describe(null) for name, null in nulls.items()},
                    "retrieval": [_row(row, data) for row in retrieval_report(compared)],
                    "galleries": _galleries(gallery_curves(compared, self.permutations, group=group)),
                    "lag curve, mrr": _plain(curve),
                    "geometry": {**geometry(model), "cka_audio_blocks": block_cka(task, data, split)},
                }
                done(1)
        judged = next(split for split in (HELD_OUT, *results) if split in results)
        word = verdict_words(results[judged]["verdict"], "aligned", "not aligned")
        rank_zero_info(f"Verdict on {judged.replace('_', ' ')}: {word}")
        task.results["alignment"] = {
            "verdict": {"list": judged, **results[judged]["verdict"]},
            "measure": "retrieval and match-mismatch of held-out windows, 95 % bootstrap intervals over stimuli",
            "window": data.window,
            "similarity": task.aligner.similarity,
            "lists": results,
        }

    def _lagged(
        self, task: AlignmentTask, data: EEGAudioDataModule, split: SplitName, model: Embeddings, lag: float
    ) -> Embeddings:
        return embed_split(task, data, split, sound=model.sound, lag=data.lag + lag)

    def _mrr(self, embeddings: Embeddings, done: Callable[[int], object]) -> Estimate:
        done(1)
        if not len(embeddings.key):  # of another trial, where nobody heard two sounds
            return Estimate(math.nan, math.nan, math.nan, math.nan)
        return retrieval_report(embeddings.compare(), galleries=())[0].figures["mrr"]


def summarise(compared: Comparison, window: float) -> Summary:
    """The figures of a table's row, all on the windows as they are.

    Args:
        compared: EEG windows with all sounds of a list.
        window: Their length in seconds.
    """
    row = retrieval_report(compared, galleries=())[0].figures
    summary = {name: row[name] for name in ("top1", "top5", "top10", "mrr", "median_rank")}
    for protocol, name in PROTOCOLS.items():
        found = match_mismatch(compared, window, protocol)
        summary[name] = mean_estimate(found.accuracy, found.chance, compared.stimulus)
    return summary


def _protocols(model: Embeddings, window: float) -> Summary:
    """Match-mismatch in windows as long as a protocol's, made of the same steps laid end to end and cut anew."""
    summary = {}
    for protocol, name in PROTOCOLS.items():
        length = round(protocol.duration / STEP)
        try:
            again = rewindow(model, round(window / STEP), STEP, length, 1 if protocol.gap is not None else length)
        except ValueError:  # no two windows adjoin, so there is nothing as long
            continue
        compared = again.compare()
        found = match_mismatch(compared, length * STEP, protocol)
        summary[name] = mean_estimate(found.accuracy, found.chance, compared.stimulus)
    return summary


def _plain(figures: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    return {name: {key: float(value) for key, value in asdict(figure).items()} for name, figure in figures.items()}


def _describe(null: Null) -> dict[str, float]:
    low, high = null.band
    return {
        "observed": null.observed, "mean": float(null.draws.mean()), "low": low, "high": high,
        "percentile_99": null.threshold, "p": null.p, "z": null.z, "permutations": len(null.draws),
        "windows": null.windows,
    }  # fmt: skip


def _galleries(curves: dict[str, list[GalleryPoint]]) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {}
    for name, points in curves.items():
        for point in points:
            low, high = point.null.band
            described = {"gallery": point.gallery, "null_low": low, "null_high": high}
            found.setdefault(name, []).append(described | _plain({name: point.figure})[name])
    return found


def _row(row: RetrievalRow, data: EEGAudioDataModule) -> dict[str, Any]:
    described = {key: value for key, value in asdict(row).items() if key != "figures"}
    described["subject"] = None if row.subject is None else data.store.subjects[row.subject]
    return described | _plain(row.figures)
