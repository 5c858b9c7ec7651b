"""Checks of a store's sounds: missing, damaged, clipped, silent or duplicate sounds, and the clock of the EEG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, resample_poly, sosfiltfilt

from eeg2speech.audio import RATE
from eeg2speech.audio.channels import CLIPPED
from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Segment
from eeg2speech.data.simulation.features import FRAME_RATE
from eeg2speech.data.store.store import Store
from eeg2speech.data.store.writer import audio_hash
from eeg2speech.quality.envelope import envelope
from eeg2speech.quality.store_checks import TOLERANCE, Problem

COMMENT = 500
"""Largest number of characters of a comment by `prepare` that are shown."""
SILENT = 1e-4
"""Largest absolute sample, of 1, below which a sound counts as silent."""
DRIFT = 0.001
"""Smallest relative difference of the clocks of EEG and sound that is reported: 1000 ppm."""
WHOLE = 0.02
"""Largest relative difference of durations at which a segment counts as containing its whole sound."""
LONG = 20.0
"""Duration of the shortest sound for the comparison of clocks, in seconds: two EEG samples are 0.1 % of it."""
ALIKE = 0.98
"""Correlation of envelopes above which two sounds count as the same."""
COMPARED = 30.0
"""Seconds of each sound that are compared."""
TRIMMED = 5.0
"""Largest number of seconds that may have been cut off the start of a sound."""
OVERLAP = 10.0
"""Seconds that two sounds must have in common: words and phonemes may be similar by chance."""
MOST = 600
"""Largest number of sounds whose pairs are compared."""
_SLOW = 25  # prints per second


def check_audio(store: Store) -> tuple[dict[str, int], list[Problem]]:
    """Read the sound of every stimulus.

    Returns:
        Samples of each sound at 16 kHz by stimulus, without missing and damaged sounds; and problems, among them the
        comments that `prepare` wrote into the sounds.
    """
    lengths: dict[str, int] = {}
    problems: list[Problem] = []
    names: dict[bytes, list[str]] = defaultdict(list)
    for stimulus in store.stimuli:
        if not stimulus:
            continue
        try:
            file = store.audio_file(stimulus)
            if not file.is_file():
                continue
            with soundfile.SoundFile(file) as sound:
                if sound.samplerate != RATE or sound.channels != 1:
                    text = f"{file}: {sound.samplerate} Hz, {sound.channels} channels, not {RATE} Hz mono"
                    problems.append(Problem("error", f"{text}; prepare the store again"))
                    continue
                comment = "".join(letter for letter in sound.comment if letter.isprintable())[:COMMENT]
                read = clipped = 0
                peak = 0.0
                while len(block := sound.read(RATE * 60, dtype="float32")):
                    read += len(block)
                    clipped += int((np.abs(block) > 0.999).sum())
                    peak = max(peak, float(np.abs(block).max()))
                if read < sound.frames or read == 0:
                    text = f"{file}: {read} of {sound.frames} samples can be read"
                    problems.append(Problem("error", f"{text}; prepare the store again"))
                    continue
            names[audio_hash(file)].append(stimulus)
        except (DataError, soundfile.LibsndfileError, OSError) as error:
            text = str(error) if isinstance(error, DataError) else f"{stimulus}: sound cannot be read ({error})"
            problems.append(Problem("error", text))
            continue
        lengths[stimulus] = read
        if comment:
            problems.append(Problem("warning", f"{stimulus}: {comment}"))
        if clipped > CLIPPED * read and "clipped" not in comment:
            problems.append(Problem("warning", f"{stimulus}: {clipped / read:.1%} of the sound is clipped"))
        if peak < SILENT:
            problems.append(Problem("warning", f"{stimulus}: the sound is silent; nothing can be learned from it"))
    for same in names.values():
        if len(same) > 1:
            text = f"{', '.join(same)} are the same sound: as separate stimuli they leak between splits"
            problems.append(Problem("error", f"{text}; prepare the store again"))
    return lengths, problems


def check_presence(store: Store, segments: Mapping[str, list[Segment]], lengths: dict[str, int]) -> list[Problem]:
    """Segments without a sound or longer than it, counted per recording.

    Args:
        store: Prepared store.
        segments: Segments by recording.
        lengths: Samples of each sound at 16 kHz.
    """
    problems = []
    published: set[str] = set()  # envelopes instead of sounds
    for stimulus in sorted({s.stimulus for own in segments.values() for s in own} - {""} - lengths.keys()):
        try:
            if store.envelope(stimulus) is not None:
                published.add(stimulus)
        except DataError as error:
            problems.append(Problem("error", str(error)))
    for recording, own in sorted(segments.items()):
        silent = sorted({s.stimulus for s in own if s.stimulus and s.stimulus not in lengths})
        if silent:
            # unpublished sounds of a participant are missing altogether; a lost file is one among others
            whole = all(s.stimulus in silent for s in own if s.stimulus) or published.issuperset(silent)
            named = ", ".join(silent[:3]) + ", ..." * (len(silent) > 3)
            text = f"{recording}: no sound for {len(silent)} stimuli ({named})"
            text += ", only envelopes" * published.issuperset(silent)
            remedy = "it serves stage 1 only" if whole else "prepare the store again"
            problems.append(Problem("warning" if whole else "error", f"{text}; {remedy}"))
        short = [s for s in own if s.offset + s.duration > lengths.get(s.stimulus, RATE * 10**6) / RATE + TOLERANCE]
        if short:
            first = short[0]
            text = (
                f"{recording}: {len(short)} segments are longer than their sound; the first, at {first.onset:g} s, "
                f"by {first.offset + first.duration - lengths[first.stimulus] / RATE:.2f} s"
            )
            problems.append(Problem("warning", text))
    return problems


def check_clocks(segments: Mapping[str, Iterable[Segment]], lengths: Mapping[str, float]) -> list[str]:
    """Recordings in which segments with whole sounds are longer or shorter than their sounds, one line each.

    Args:
        segments: Segments by recording.
        lengths: Seconds of each sound.
    """
    found = []
    for recording, own in sorted(segments.items()):
        ratios = [
            segment.duration / lengths[segment.stimulus] - 1
            for segment in own
            if lengths.get(segment.stimulus, 0.0) >= LONG and segment.offset == 0.0
        ]
        whole = [ratio for ratio in ratios if abs(ratio) <= WHOLE]
        if whole and abs(drift := float(np.median(whole))) > DRIFT:
            longer = "longer" if drift > 0 else "shorter"
            found.append(
                f"{recording}: segments are {abs(drift) * 1e6:.0f} ppm {longer} than their whole sounds (median of "
                f"{len(whole)}); the clocks of EEG and sound differ, or the ends were cut: check late onsets in a sound"
            )
    return found


def check_resemblance(store: Store, lengths: Mapping[str, float]) -> list[str]:
    """Sounds that are the same except for loudness or a trimmed start, one line each.

    Args:
        store: Prepared store.
        lengths: Seconds of each sound.
    """
    long = sorted(stimulus for stimulus, seconds in lengths.items() if seconds >= OVERLAP)
    if len(long) < 2:
        return []
    if len(long) > MOST:
        return [f"{len(long)} sounds: too many to compare all pairs for similar sounds; {MOST} are compared at most"]
    prints = [_fingerprint(store, stimulus) for stimulus in long]
    found = []
    for (one, other), (r, later) in _alike(prints).items():
        text = f"{long[one]} and {long[other]} sound alike (r {r:.3f} of their envelopes"
        text += f", one starts {abs(later) / _SLOW:.1f} s later)" if later else ")"
        found.append(f"{text}: as separate stimuli they leak between splits; give them one id")
    return found


def _fingerprint(store: Store, stimulus: str) -> NDArray[np.float32]:
    """Slow part of the envelope of a sound's start, (frames,), which gain and lossy codecs hardly change."""
    loud = envelope(store.audio(stimulus, 0, int(COMPARED * RATE)))
    slow = sosfiltfilt(butter(2, (0.5, 8.0), "bandpass", fs=FRAME_RATE, output="sos"), loud)
    prints: NDArray[np.float32] = resample_poly(slow, _SLOW, FRAME_RATE).astype(np.float32)
    return prints


def _alike(prints: Sequence[NDArray[np.float32]]) -> dict[tuple[int, int], tuple[float, int]]:
    """Pairs with correlated common stretches: their correlation, and by how many frames the second is later."""
    reach, least = round(TRIMMED * _SLOW), round(OVERLAP * _SLOW)
    longest = max(len(one) for one in prints)
    n = next_fast_len(2 * longest, real=True)
    padded = np.zeros((len(prints), n), np.float32)
    for row, one in zip(padded, prints, strict=True):
        row[: len(one)] = one
    spectra = rfft(padded, axis=1)
    power = np.concatenate([np.zeros((len(prints), 1)), np.cumsum(padded.astype(np.float64) ** 2, axis=1)], axis=1)
    lengths = np.array([len(one) for one in prints])
    found: dict[tuple[int, int], tuple[float, int]] = {}
    for first in range(len(prints) - 1):
        rest = np.arange(first + 1, len(prints))
        crossed = irfft(np.conj(spectra[first]) * spectra[rest], n, axis=1)  # [d]: sum over t of first[t] rest[t + d]
        for later in range(-reach, reach + 1):
            start, end = max(0, -later), np.minimum(lengths[first], lengths[rest] - later)
            use = end - start >= least
            stop = np.where(use, end, start)
            energy = power[first, stop] - power[first, start]
            energy *= power[rest, stop + later] - power[rest, start + later]
            r = np.divide(
                crossed[:, later % n], np.sqrt(np.maximum(energy, 0)), out=np.zeros(len(rest)), where=use & (energy > 0)
            )
            for index in np.flatnonzero(r > ALIKE):
                pair = (first, int(rest[index]))
                found[pair] = max(found.get(pair, (0.0, 0)), (float(r[index]), later))
    return found
