"""EEG of one subject with the envelopes of its sounds, cut into folds for cross-validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.signal import butter, resample_poly, sosfiltfilt

from eeg2speech.core.types import Recording, Segment
from eeg2speech.data.loading.scaling import FLAT
from eeg2speech.data.preparation.resampling import simple_ratio
from eeg2speech.data.store.store import Store
from eeg2speech.quality.envelope import Envelopes

CONDITIONS = ("listening", "overt")
"""Conditions in which the sound is present during the EEG."""
BAND = (0.5, 8.0)
"""Hertz in which EEG follows the envelope of speech: delta and theta."""
RATE = 50.0
"""Samples per second of a timeline."""
FOLDS = 5
TAIL = 0.5
"""Seconds of EEG after a piece, in which the response to its end continues; the envelope is zero there."""
GAP = 1.0
"""Seconds left out between neighbouring folds of the same presentation."""
LEAD_IN = 1.0
"""Seconds left out at the start of a long segment, where the brain responds to the onset and to any cue."""
LONG = 10.0
"""Seconds from which a segment is long."""
SHORTEST = 30.0
"""Seconds per long segment that are preferred over more from fewer segments."""
CLAMP = 5.0
"""Robust standard deviations at which artefacts are clipped."""
_MARGIN = 6.0  # seconds around a piece in which the filter settles


@dataclass
class Timeline:
    """Pieces of EEG and envelope one after another, each followed by EEG without sound.

    Attributes:
        eeg: Band-passed and in robust standard deviations of each channel, (C, n); zero outside of pieces.
        envelope: Band-passed, (n,); zero outside of pieces and after each piece.
        fold: Fold of each sample, (n,); -1 outside of pieces.
        names: Names of the channels.
        seconds: Seconds of sound.
        pieces: Number of pieces.
    """

    eeg: NDArray[np.float32]
    envelope: NDArray[np.float32]
    fold: NDArray[np.int8]
    names: tuple[str, ...]
    seconds: float
    pieces: int


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording with sound, in one fold.

    Attributes:
        recording: Id of the recording.
        onset: Start in the recording, in seconds.
        duration: Duration in seconds.
        stimulus: Id of the stimulus.
        offset: Start in the stimulus, in seconds.
        fold: Number of its fold.
    """

    recording: str
    onset: float
    duration: float
    stimulus: str
    offset: float
    fold: int


def segments_with_stimulus(store: Store) -> dict[tuple[str, str], list[Segment]]:
    """Segments with a stimulus by subject and condition, of the conditions in which the sound is present."""
    subject_of = {recording.recording: recording.subject for recording in store.recordings}
    segments: dict[tuple[str, str], list[Segment]] = defaultdict(list)
    for segment in store.segments:
        if segment.condition in CONDITIONS and segment.stimulus:
            segments[subject_of[segment.recording], segment.condition].append(segment)
    return segments


def subject_timeline(
    store: Store, segments: Sequence[Segment], minutes: float, envelopes: Envelopes
) -> Timeline | None:
    """Timeline of segments of one subject, or None where no sound or no common channel is left.

    Args:
        store: Prepared store.
        segments: Segments of one subject.
        minutes: Largest number of minutes of sound.
        envelopes: Envelope by stimulus.

    Raises:
        DataError: A signal or sound is damaged.
    """
    audible = [segment for segment in segments if envelopes(segment.stimulus) is not None]
    return lay_out(store, fold_pieces(choose(audible, 60 * minutes)), envelopes) if audible else None


def choose(segments: Sequence[Segment], seconds: float) -> list[Segment]:
    """Shorten segments evenly to at most ``seconds`` in total; the first second of long segments is left out."""
    cut = []
    for segment in segments:
        skipped = LEAD_IN if segment.duration >= LONG else 0.0
        cut.append(_moved(segment, skipped, segment.duration - skipped))
    if sum(segment.duration for segment in cut) <= seconds:
        return cut
    most = max(round(seconds / min(SHORTEST, float(np.median([s.duration for s in cut])))), 1)
    if len(cut) > most:
        cut = [cut[index] for index in np.linspace(0, len(cut) - 1, most).round().astype(int)]
    budget, left, kept = seconds, len(cut), {}
    for index in sorted(range(len(cut)), key=lambda i: cut[i].duration):  # long segments get the rest of short ones
        kept[index] = min(cut[index].duration, budget / left)
        budget, left = budget - kept[index], left - 1
    return [_moved(segment, 0.0, kept[index]) for index, segment in enumerate(cut)]


def fold_pieces(segments: Sequence[Segment]) -> list[Piece]:
    """Assign segments to folds: by stimulus, or by time in the stimulus where there are fewer than three stimuli."""
    lengths: dict[str, float] = defaultdict(float)
    for segment in segments:
        lengths[segment.stimulus] += segment.duration
    if len(lengths) >= 3:
        filled, fold_of = [0.0] * min(FOLDS, len(lengths)), {}
        for stimulus in sorted(lengths, key=lambda s: (-lengths[s], s)):
            fold_of[stimulus] = filled.index(min(filled))
            filled[fold_of[stimulus]] += lengths[stimulus]
        return [Piece(s.recording, s.onset, s.duration, s.stimulus, s.offset, fold_of[s.stimulus]) for s in segments]
    pieces = []
    for stimulus in lengths:
        own = [segment for segment in segments if segment.stimulus == stimulus]
        first = min(segment.offset for segment in own)
        edges = np.linspace(first, max(segment.offset + segment.duration for segment in own), FOLDS + 1)
        for segment in own:
            for fold in range(FOLDS):
                low, high = edges[fold], edges[fold + 1] - GAP * (fold < FOLDS - 1)
                start, stop = max(low, segment.offset), min(high, segment.offset + segment.duration)
                if stop - start > GAP:
                    onset = segment.onset + start - segment.offset
                    pieces.append(Piece(segment.recording, onset, stop - start, stimulus, start, fold))
    return pieces


def lay_out(store: Store, pieces: Sequence[Piece], envelopes: Envelopes) -> Timeline | None:
    """Read, filter and scale the pieces of one subject; see ``subject_timeline``."""
    rows = {recording.recording: recording for recording in store.recordings}
    used = sorted({piece.recording for piece in pieces})
    order = {recording: [channel.name for channel in store.channels(recording)] for recording in used}
    names = tuple(name for name in order[used[0]] if all(name in own for own in order.values())) if used else ()
    if not names:
        return None
    scaled: list[tuple[NDArray[np.float32], NDArray[np.float32], int]] = []
    seconds = 0.0
    for recording in used:
        picks = [order[recording].index(name) for name in names]
        cut = [
            (both, piece.fold)
            for piece in pieces
            if piece.recording == recording and (both := _cut(store, rows[recording], picks, piece, envelopes))
        ]
        if cut:
            spread = _spread(np.concatenate([eeg for (eeg, _), _ in cut], axis=1))
            for (eeg, loud), fold in cut:
                eeg = np.clip(np.divide(eeg, spread, out=np.zeros_like(eeg), where=spread > 0), -CLAMP, CLAMP)
                scaled.append((eeg, loud, fold))
                seconds += len(loud) / RATE
    if not scaled:
        return None
    tail = round(TAIL * RATE)
    n = next_fast_len(sum(len(loud) + tail for _, loud, _ in scaled), real=True)
    line = Timeline(
        np.zeros((len(names), n), np.float32), np.zeros(n, np.float32), np.full(n, -1, np.int8), names, seconds,
        len(scaled),
    )  # fmt: skip
    at = 0
    for eeg, loud, fold in scaled:
        line.eeg[:, at : at + eeg.shape[1]] = eeg
        line.envelope[at : at + len(loud)] = loud
        line.fold[at : at + len(loud) + tail] = fold
        at += len(loud) + tail
    return line


def _moved(segment: Segment, later: float, duration: float) -> Segment:
    onset, offset = segment.onset + later, segment.offset + later
    return Segment(segment.recording, onset, duration, segment.stimulus, offset, segment.condition)


def _cut(
    store: Store, recording: Recording, picks: Sequence[int], piece: Piece, envelopes: Envelopes
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """EEG with its tail, (C, m + tail) or shorter at an interruption of the recording, and envelope, (m,)."""
    loud = envelopes(piece.stimulus)
    if loud is None:
        return None
    first, start = round(piece.onset * store.rate), round(piece.offset * store.rate)
    begin, end = store.block_at(recording, first)
    length = min(round(piece.duration * store.rate), len(loud) - start, end - first)
    if first < begin or start < 0 or length < store.rate / 5:
        return None
    m = int(length / store.rate * RATE)
    eeg = store.eeg(recording)
    envelope = _filtered(loud[None], start, length, store.rate, m)[0]
    after = length + round(TAIL * store.rate)
    rows = _filtered(eeg[:, begin:end], first - begin, after, store.rate, m + round(TAIL * RATE))[list(picks)]
    return rows, envelope


def _filtered(signal: NDArray[np.float32], first: int, length: int, rate: float, out: int) -> NDArray[np.float32]:
    """Band-passed stretch at the timeline's rate, at most ``out`` samples; the filter uses the samples around it."""
    margin = round(_MARGIN * rate)
    before = min(first, margin)
    stretch = np.nan_to_num(np.asarray(signal[:, first - before : first + length + margin], np.float64))
    stretch -= stretch.mean(axis=1, keepdims=True)
    sos = butter(2, BAND, "bandpass", fs=rate, output="sos")
    passed = sosfiltfilt(sos, stretch, axis=1, padlen=min(margin, stretch.shape[1] - 1))[:, before : before + length]
    ratio = simple_ratio(rate, RATE, passed.shape[1])
    slower = resample_poly(passed, ratio.numerator, ratio.denominator, axis=1, padtype="line")
    return np.asarray(slower[:, :out], np.float32)


def _spread(eeg: NDArray[np.float32]) -> NDArray[np.float32]:
    """Robust standard deviation of each channel, (C, 1); zero for a flat one."""
    spread = 1.4826 * np.median(np.abs(eeg), axis=1, keepdims=True)
    return np.asarray(np.where(spread > FLAT, spread, 0), np.float32)
