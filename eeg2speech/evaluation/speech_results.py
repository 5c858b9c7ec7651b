"""What a list's clips say: who is told apart, how good they sound, whether they are remembered, and the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.evaluation.alignment_controls import shuffled_within
from eeg2speech.evaluation.audio_gallery import AudioGallery
from eeg2speech.evaluation.generated_clips import GeneratedSplit
from eeg2speech.metrics import Comparison, Embeddings, Estimate, Null, mean_estimate
from eeg2speech.metrics.frechet import Frechet, clip_embeddings, frechet_report
from eeg2speech.metrics.identification import (
    WAYS,
    Memorisation,
    identification_nulls,
    identification_report,
    identify,
    memorisation,
)
from eeg2speech.metrics.speech import without_value
from eeg2speech.metrics.verdict import SpeechVerdict, judge_speech, judged_way

CONTROLS = ("noise", "another trial", "unconditional")
"""Arms that cannot know the sound: EEG has to do better."""


@dataclass(frozen=True)
class VariantResults:
    """What one arm's clips amount to.

    Attributes:
        clips: How many took split.
        identification: By the number of sounds to choose from.
        nulls: The same with sounds shuffled.
        quality: Means of the figures against the recording, with intervals over stimuli.
        missing: Clips without a value, by figure, where there are any.
        frechet: Distance from all real sounds of the list.
        memorised: How near clips are to training sounds.
    """

    clips: int
    identification: dict[int, Estimate]
    nulls: dict[int, Null]
    quality: dict[str, Estimate]
    missing: dict[str, int]
    frechet: Frechet
    memorised: Memorisation


@dataclass(frozen=True)
class PartResults:
    """Results of a list, by arm, and the verdict on it.

    Attributes:
        windows: Clips of an arm.
        gallery: Different real sounds that each was compared with.
        arms: By name.
        verdict: Whether EEG carries speech information.
    """

    windows: int
    gallery: int
    arms: dict[str, VariantResults]
    verdict: SpeechVerdict


def compare_variants(spoken: GeneratedSplit, permutations: int, seen: str = "") -> PartResults:
    """Turn what each arm made of a list's windows into figures.

    Args:
        spoken: Of the list.
        permutations: Shuffles of the sounds.
        seen: What of the list was trained on, in words; empty where nothing was.
    """
    heard, rows, moved = spoken.heard, spoken.rows, spoken.moved
    group = shuffled_within(_without_vectors(heard))[rows]
    target = np.searchsorted(heard.sounds, heard.key[rows])
    subject, stimulus = heard.subject[rows], heard.stimulus[rows]
    real = clip_embeddings(heard.tokens)
    arms, compared = {}, {}
    for arm, made in spoken.arms.items():
        kept = np.flatnonzero(moved) if arm == "another trial" else np.arange(len(rows))
        compared[arm] = Comparison(made.similarity[kept], target[kept], subject[kept], stimulus[kept], heard.start)
        figures = {name: values[kept] for name, values in made.figures.items()}
        arms[arm] = VariantResults(
            len(kept),
            identification_report(compared[arm], WAYS),
            identification_nulls(compared[arm], WAYS, group[kept], permutations),
            {name: mean_estimate(values, np.nan, stimulus[kept]) for name, values in figures.items()},
            {name: count for name, count in without_value(figures).items() if count},
            frechet_report(real, made.voice[kept]),
            memorisation(made.nearest[kept], spoken.nearest),
        )
    way = judged_way(len(heard.sounds))
    scores = {arm: identify(compared[arm], way) for arm in CONTROLS}
    scores["another trial"] = _spread(scores["another trial"], moved)
    verdict = judge_speech(compared["eeg"], scores, way, group, permutations, seen=seen)
    return PartResults(len(rows), len(heard.sounds), arms, verdict)


def plain(results: PartResults) -> dict[str, Any]:
    """Plain values for ``test.json``."""
    return {
        "windows": results.windows,
        "gallery": results.gallery,
        "verdict": asdict(results.verdict),
        "identification": {
            name: {str(way): asdict(figure) | _describe(arm.nulls[way]) for way, figure in arm.identification.items()}
            for name, arm in results.arms.items()
        },
        "quality": {
            name: {
                key: {k: v for k, v in asdict(figure).items() if k != "chance"} for key, figure in arm.quality.items()
            }
            for name, arm in results.arms.items()
        },
        "clips": {name: arm.clips for name, arm in results.arms.items()},
        "clips without a value": {name: arm.missing for name, arm in results.arms.items() if arm.missing},
        "frechet": {name: asdict(arm.frechet) for name, arm in results.arms.items()},
        "memorised": {name: asdict(arm.memorised) for name, arm in results.arms.items()},
    }


def _describe(null: Null) -> dict[str, float]:
    low, high = null.band
    return {
        "null_low": low, "null_high": high, "percentile_99": null.threshold, "p": null.p, "z": null.z,
        "permutations": len(null.draws),
    }  # fmt: skip


def _without_vectors(heard: AudioGallery) -> Embeddings:
    """The windows of a list, of which only whose they are is asked."""
    nothing = np.zeros((len(heard.key), 0), np.float32)
    return Embeddings(nothing, nothing, heard.key, heard.subject, heard.stimulus, np.zeros(len(heard.key)))


def _spread(scores: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores of some windows in the place of all, NaN for the others."""
    whole = np.full(len(where), np.nan)
    whole[where] = scores
    return whole
