"""Joining overlapping windows of sound into one continuous waveform."""

from __future__ import annotations

import numpy as np

from eeg2speech.audio.waveform import Waveform

MOST = 2.0
"""Largest factor (6 dB) by which a window is made louder or softer, so that levels do not drift."""
SILENCE = 1e-4
"""Root mean square below which a sound counts as silence, which has no level."""


class Stitcher:
    """Cross-fades windows one after the other and returns finished samples, so that a recording may be of any length.

    Windows that were generated from different noise have unrelated phases: a linear fade would lose half of the power
    in the middle. Correlated windows, as those of a vocoder, would gain as much with an equal-power fade. The gains are
    therefore normalised by the correlation r of the two windows where they overlap: a linear fade t becomes
    t / sqrt(t^2 + (1 - t)^2 + 2 r t (1 - t)), which is the linear fade at r = 1 and the equal-power fade at r = 0.

    Args:
        fade: Samples over which one window is faded into the next.
        match: Scale each window to the level of the previous one where they overlap.
    """

    def __init__(self, fade: int, match: bool = True) -> None:
        self.fade, self.match = fade, match
        self._tail: Waveform = np.zeros(0, np.float32)
        self._emitted = 0

    def add(self, wave: Waveform, start: int) -> Waveform:
        """Add the next window.

        Args:
            wave: The window, (samples,).
            start: First sample of the window in the whole, after that of the previous window.

        Returns:
            The samples that later windows do not change, (finished samples,); silence where there was no window.
        """
        end = self._emitted + len(self._tail)
        shared = end - start
        if shared <= 0:
            done = np.concatenate([self._tail, np.zeros(-shared, np.float32)])
            return self._emit(done, np.asarray(wave, np.float32))
        both = max(start, self._emitted)  # both windows exist from here on, until the end of the previous one
        if self.match:
            wave = wave * _gain(self._tail[both - self._emitted :], wave[both - start : shared])
        fade = min(self.fade, end - both)
        # in the middle of the overlap, where both windows were generated with context on either side
        first = min(max(start + (shared - fade) // 2, both), end - fade)
        one = self._tail[first - self._emitted :][:fade]
        other = wave[first - start :][:fade]
        done = np.concatenate([self._tail[: first - self._emitted], _cross(one, other)])
        return self._emit(done, np.asarray(wave[first - start + fade :], np.float32))

    def finish(self) -> Waveform:
        """Return the samples left after the last window, (samples,)."""
        return self._emit(self._tail, np.zeros(0, np.float32))

    def _emit(self, done: Waveform, tail: Waveform) -> Waveform:
        self._emitted += len(done)
        self._tail = tail
        return done


def cover(samples: int, window: int, overlap: int) -> list[int]:
    """First samples of the windows that cover a stretch: as few as possible, evenly spread.

    Args:
        samples: Length of the stretch; a stretch shorter than a window is not covered.
        window: Length of a window in samples.
        overlap: Least number of samples that neighbouring windows share, less than a window.
    """
    if samples < window:
        return []
    count = 1 + -(-(samples - window) // (window - overlap))
    return [round(i * (samples - window) / max(count - 1, 1)) for i in range(count)]


def _cross(one: Waveform, other: Waveform) -> Waveform:
    """Fade from one waveform into the other, both (samples,), without a change of level."""
    energy = float(np.sqrt((one * one).sum() * (other * other).sum()))
    alike = float(np.clip((one * other).sum() / energy, 0, 1)) if energy > 0 else 0.0
    rising = (np.arange(len(one), dtype=np.float32) + 0.5) / max(len(one), 1)
    falling = 1 - rising
    norm = np.sqrt(rising**2 + falling**2 + 2 * alike * rising * falling)
    return np.asarray((falling * one + rising * other) / norm, np.float32)


def _gain(before: Waveform, after: Waveform) -> float:
    have, wanted = (float(np.sqrt(np.mean(wave**2))) for wave in (after, before))
    if have < SILENCE or wanted < SILENCE:
        return 1.0
    return min(max(wanted / have, 1 / MOST), MOST)
