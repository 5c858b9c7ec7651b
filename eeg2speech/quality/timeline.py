"""One subject's EEG beside the envelopes of what was heard, cut into folds for cross-validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.signal import butter, resample_poly, sosfiltfilt

from eeg2speech.core.types import Recording, Segment
from eeg2speech.data.loading.scaling import FLAT
from eeg2speech.data.preparation.resampling import simple_ratio
from eeg2speech.data.store.store import Store

BAND = (0.5, 8.0)
"""Hertz in which EEG follows the envelope of speech: delta and theta."""
RATE = 50.0
"""Samples per second of a timeline."""
FOLDS = 5
TAIL = 0.5
"""Seconds of EEG after a piece, in which the response to its end still runs; no sound there."""
GAP = 1.0
"""Seconds left out between neighbouring folds of the same presentation."""
LEAD_IN = 1.0
"""Seconds left out at the start of a long segment, where the brain responds to the onset and to any cue."""
LONG = 10.0
"""Seconds from which a segment is long."""
SHORTEST = 30.0
"""Seconds from each of many long segments that are worth more than fewer segments."""
CLAMP = 5.0
"""Robust standard deviations to which artefacts are cut down."""
_MARGIN = 6.0  # seconds around a piece in which the filter settles

Envelopes = Callable[[str], NDArray[np.float32] | None]
"""Gives the envelope of a stimulus at the store's rate, or None."""


@dataclass
class Timeline:
    """Pieces of EEG and envelope one after another, each followed by EEG without sound.

    Attributes:
        eeg: Band-passed and in robust standard deviations of each channel, (C, n); zero where there is no piece.
        envelope: Band-passed, (n,); zero where there is no piece and after each piece.
        fold: Which fold a sample belongs to, (n,); -1 where there is no piece.
        names: Of the channels.
        seconds: Of sound.
        pieces: How many there are.
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
        recording: Where it lies.
        onset: Start in seconds of EEG.
        duration: Length in seconds.
        stimulus: What was heard.
        offset: Where in the sound it starts, in seconds.
        fold: Number of its fold.
    """

    recording: str
    onset: float
    duration: float
    stimulus: str
    offset: float
    fold: int


def choose(segments: Sequence[Segment], seconds: float) -> list[Segment]:
    """Cut segments so that they last no longer than ``seconds`` altogether, evenly over all of them.

    The first second of long segments is left out.
    """
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
    for index in sorted(range(len(cut)), key=lambda i: cut[i].duration):  # what short ones leave goes to longer ones
        kept[index] = min(cut[index].duration, budget / left)
        budget, left = budget - kept[index], left - 1
    return [_moved(segment, 0.0, kept[index]) for index, segment in enumerate(cut)]


def fold_pieces(segments: Sequence[Segment]) -> list[Piece]:
    """Share segments out to folds: by stimulus, or by place in the sound where there are fewer than three stimuli."""
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
    """Read, filter and scale the pieces of one subject.

    Args:
        store: Prepared store.
        pieces: Of one subject.
        envelopes: Gives the envelope of a stimulus.

    Returns:
        None where the subject's recordings have no channel in common, or no envelope is left.

    Raises:
        DataError: A signal or sound is damaged.
    """
    rows = {recording.recording: recording for recording in store.recordings}
    used = sorted({piece.recording for piece in pieces})
    names = _common([[channel.name for channel in store.channels(recording)] for recording in used])
    if not names:
        return None
    parts: list[tuple[NDArray[np.float32], NDArray[np.float32], int]] = []
    seconds = 0.0
    for recording in used:
        order = [channel.name for channel in store.channels(recording)]
        picks = [order.index(name) for name in names]
        cut = [
            (both, piece.fold)
            for piece in pieces
            if piece.recording == recording and (both := _cut(store, rows[recording], picks, piece, envelopes))
        ]
        if cut:
            spread = _spread(np.concatenate([eeg for (eeg, _), _ in cut], axis=1))
            for (eeg, loud), fold in cut:
                scaled = np.clip(np.divide(eeg, spread, out=np.zeros_like(eeg), where=spread > 0), -CLAMP, CLAMP)
                parts.append((scaled, loud, fold))
                seconds += len(loud) / RATE
    if not parts:
        return None
    tail = round(TAIL * RATE)
    n = next_fast_len(sum(len(loud) + tail for _, loud, _ in parts), real=True)
    line = Timeline(
        np.zeros((len(names), n), np.float32), np.zeros(n, np.float32), np.full(n, -1, np.int8), names, seconds,
        len(parts),
    )  # fmt: skip
    at = 0
    for eeg, loud, fold in parts:
        line.eeg[:, at : at + eeg.shape[1]] = eeg
        line.envelope[at : at + len(loud)] = loud
        line.fold[at : at + len(loud) + tail] = fold
        at += len(loud) + tail
    return line


def _moved(segment: Segment, later: float, duration: float) -> Segment:
    onset, offset = segment.onset + later, segment.offset + later
    return Segment(segment.recording, onset, duration, segment.stimulus, offset, segment.condition)


def _common(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    shared = set(lists[0]).intersection(*lists[1:]) if lists else set()
    return tuple(name for name in lists[0] if name in shared) if lists else ()


def _cut(
    store: Store, recording: Recording, picks: Sequence[int], piece: Piece, envelopes: Envelopes
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """EEG with its tail, (C, m + tail) or shorter at the end of a piece of the recording, and envelope, (m,)."""
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
    heard = _filtered(loud[None], start, length, store.rate, m)[0]
    after = length + round(TAIL * store.rate)
    rows = _filtered(eeg[:, begin:end], first - begin, after, store.rate, m + round(TAIL * RATE))[list(picks)]
    return rows, heard


def _filtered(signal: NDArray[np.float32], first: int, length: int, rate: float, out: int) -> NDArray[np.float32]:
    """Band-passed stretch at the timeline's rate, at most ``out`` samples, with what lies around it for the filter."""
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
