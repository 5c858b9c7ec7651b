"""Whether EEG and sound belong together: how well the envelope can be read from the EEG, against false alignments.

The first second of segments of 10 s and more is left out. In shorter ones a response to whatever marks their start, a
picture say, counts as coupling, too. In noise whose spectrum falls as that of EEG does, p was below 0.05 in 5 % of 600
subjects and below 0.01 in 1.3 %, so a verdict is about as sure as it claims to be.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Segment
from eeg2speech.data.store.store import Store
from eeg2speech.quality.decoding import reconstruct, response
from eeg2speech.quality.envelope import stimulus_envelope
from eeg2speech.quality.timeline import RATE, Timeline, choose, fold_pieces, lay_out

Verdict = Literal["coupling found", "no coupling found", "not enough sound to tell"]
CONDITIONS = ("listening", "overt")
"""Conditions in which the sound is there at the same time; each is judged by itself."""
ALPHA = 0.01
"""Largest p that counts as coupling."""
SHIFTS = 1000
"""False alignments that the true one is compared with."""
LEAST = 30.0
"""Seconds of sound below which no verdict is given."""
FARTHEST = 0.5
"""Seconds before and after the sound in which the lag of the coupling is looked for."""
RESPONSE = (-0.2, 0.6)
"""Seconds after the sound over which the response is drawn."""
_AWAY = 5.0  # seconds from the true alignment at which false ones start
_LAGS = range(0, round(0.4 * RATE) + 1, 2)  # 40 ms apart: enough for a signal below 8 Hz
_NEAR = np.arange(-round(FARTHEST * RATE), round(FARTHEST * RATE) + 1)
_WINDOWS = 200  # false alignments whose neighbourhood is searched for a peak in the same way


@dataclass
class Coupling:
    """What was found in one subject and condition.

    Attributes:
        subject: Label.
        condition: ``listening`` or ``overt``.
        minutes: Minutes of sound that were used.
        pieces: Number of stretches they come from.
        r: Correlation of the envelope with its reconstruction in folds that the decoder has not seen.
        p: Share of false alignments with at least this r, the true one counted as one of them.
        null_mean: Mean r of false alignments.
        null_95: The r that 5 % of them exceed.
        null_99: The r that 1 % of them exceed.
        null: r of each false alignment.
        lag: Seconds after the sound at which a decoder with one lag reads most; None where no lag stands out.
        by_lag: r of a decoder with one lag, from 0.5 s before to 0.5 s after the sound in steps of 20 ms.
        null_peaks: Largest value of ``by_lag`` around each of 200 false alignments.
        channels: Names of the electrodes.
        response: Forward model in standard deviations of EEG per standard deviation of the envelope, by electrode,
            from 0.2 s before to 0.6 s after the sound in steps of 20 ms.
        verdict: In words.
        problem: Why there is no verdict, else empty.
    """

    subject: str
    condition: str
    minutes: float = 0.0
    pieces: int = 0
    r: float | None = None
    p: float | None = None
    null_mean: float | None = None
    null_95: float | None = None
    null_99: float | None = None
    null: list[float] = field(default_factory=list)
    lag: float | None = None
    by_lag: list[float] = field(default_factory=list)
    null_peaks: list[float] = field(default_factory=list)
    channels: tuple[str, ...] = ()
    response: list[list[float]] = field(default_factory=list)
    verdict: Verdict = "not enough sound to tell"
    problem: str = ""


@dataclass
class Couplings:
    """What was found in a store.

    Attributes:
        minutes: Most minutes used of a subject and condition.
        subjects: One per subject and condition, those without any sound left out.
        overall: One per condition, with the means over its subjects; ``subject`` is empty.
    """

    minutes: float
    subjects: list[Coupling]
    overall: list[Coupling]


def couple(store: Store, minutes: float = 15.0, step: Callable[[], None] = lambda: None) -> Couplings:
    """Measure the coupling of every subject and condition.

    Args:
        store: Prepared store.
        minutes: Most minutes of sound to use of a subject and condition.
        step: Called after every subject.
    """
    envelopes = cache(lambda stimulus: stimulus_envelope(store, stimulus))
    subject_of = {recording.recording: recording.subject for recording in store.recordings}
    segments: dict[tuple[str, str], list[Segment]] = defaultdict(list)
    for segment in store.segments:
        if segment.condition in CONDITIONS and segment.stimulus:
            segments[subject_of[segment.recording], segment.condition].append(segment)
    subjects = []
    for subject in store.subjects:
        for condition in CONDITIONS:
            if own := segments.get((subject, condition)):
                subjects.append(_couple_one(store, subject, condition, own, minutes, envelopes))
        step()
    told = [[c for c in subjects if c.condition == condition and c.r is not None] for condition in CONDITIONS]
    overall = [_overall(condition, own) for condition, own in zip(CONDITIONS, told, strict=True) if own]
    return Couplings(minutes, subjects, overall)


def measure(line: Timeline, found: Coupling) -> None:
    """Fill in what is found on a timeline.

    Args:
        line: Of one subject and condition.
        found: Filled in; its labels seed the choice of false alignments.
    """
    found.minutes, found.pieces, found.channels = line.seconds / 60, line.pieces, line.names
    folds = np.unique(line.fold[line.fold >= 0]).size
    if line.seconds < LEAST or folds < 3:
        return
    rng = np.random.default_rng([zlib.crc32(f"{found.subject}/{found.condition}".encode()), line.pieces])
    n, away = len(line.envelope), round(_AWAY * RATE)
    shifts = np.concatenate([[0], rng.integers(away, n - away, SHIFTS)])
    r = reconstruct(line, _LAGS, shifts)
    centres = rng.integers(away + _NEAR[-1], n - away - _NEAR[-1], _WINDOWS)
    around = np.concatenate([[0], centres])[:, None] + _NEAR
    curves = reconstruct(line, [0], around.ravel()).reshape(around.shape)
    lags = range(round(RESPONSE[0] * RATE), round(RESPONSE[1] * RATE) + 1)
    found.response = response(line, lags).round(5).tolist()
    _judge(found, r, curves[0], curves[1:].max(axis=1))


def problems(couplings: Couplings, simulated: bool) -> list[str]:
    """What a user should know of the coupling, one line each.

    Args:
        couplings: Of a store.
        simulated: Whether its EEG was simulated, so that no muscle and no leak is to be feared.
    """
    found = [f"{c.subject or 'all subjects'}: {c.problem}" for c in couplings.subjects if c.problem]
    for one in couplings.overall:
        if one.verdict == "no coupling found":
            found.append(
                f"{one.condition}: no coupling of EEG and sound (mean r {one.r:.3f}, p {one.p:.3f}, {one.minutes:.0f} "
                "min); onsets and stimuli in segments.tsv may be wrong, or there is too little of it to see"
            )
        elif one.condition == "overt" and not simulated:
            found.append(
                "overt: muscles, and sound that leaks into the EEG, couple to one's own speech too; this is no proof "
                "of activity of the brain"
            )
    for one in [*couplings.overall, *couplings.subjects]:
        # among many subjects a few have a peak by chance: it counts where there is coupling besides
        if one.lag is None or (one.subject and (one.verdict != "coupling found" or len(couplings.subjects) == 1)):
            continue
        if not (0.0 if one.condition == "listening" else -0.3) <= one.lag <= 0.3:
            who = f"subject {one.subject}" if one.subject else "all subjects"
            side = "before" if one.lag < 0 else "after"
            found.append(
                f"{who}, {one.condition}: coupling peaks {abs(one.lag) * 1000:.0f} ms {side} the sound, where 0 to "
                f"300 ms after it is usual; the sound's onset may be wrong by some {_miss(one.lag) * 1000:.0f} ms"
            )
    return found


def _miss(lag: float) -> float:
    """How far a lag is from where responses to speech usually peak, 0.15 s, in seconds."""
    return abs(lag - 0.15)


def _couple_one(
    store: Store,
    subject: str,
    condition: str,
    segments: list[Segment],
    minutes: float,
    envelopes: Callable[[str], NDArray[np.float32] | None],
) -> Coupling:
    found = Coupling(subject, condition)
    try:
        audible = [segment for segment in segments if envelopes(segment.stimulus) is not None]
        line = lay_out(store, fold_pieces(choose(audible, minutes * 60)), envelopes) if audible else None
    except DataError as error:
        found.problem = f"coupling could not be measured: {error}"
        return found
    if line is not None:
        measure(line, found)
    return found


def _overall(condition: str, subjects: list[Coupling]) -> Coupling:
    """Means over subjects, judged like one: false alignments are drawn for each subject by itself."""
    mean = Coupling("", condition, sum(c.minutes for c in subjects), sum(c.pieces for c in subjects))
    r = np.mean([[c.r or 0.0, *c.null] for c in subjects], axis=0)
    by_lag = np.mean([c.by_lag for c in subjects], axis=0)
    _judge(mean, r, by_lag, np.mean([c.null_peaks for c in subjects], axis=0))
    return mean


def _judge(
    found: Coupling, r: NDArray[np.float64], by_lag: NDArray[np.float64], null_peaks: NDArray[np.float64]
) -> None:
    found.r, found.null = round(float(r[0]), 5), r[1:].round(5).tolist()
    found.null_mean = round(float(r[1:].mean()), 5)
    found.null_95, found.null_99 = np.quantile(r[1:], (0.95, 0.99)).round(5).tolist()
    found.p = float((1 + (r[1:] >= r[0]).sum()) / len(r))
    found.verdict = "coupling found" if found.p <= ALPHA else "no coupling found"
    found.by_lag, found.null_peaks = by_lag.round(5).tolist(), null_peaks.round(5).tolist()
    if by_lag.max() > null_peaks.max():
        found.lag = float(_NEAR[by_lag.argmax()] / RATE)
