"""Joining overlapping windows of sound into one that goes on."""

from __future__ import annotations

import numpy as np

from eeg2speech.audio.waveform import Waveform

MOST = 2.0
"""A window is made louder or softer by at most this factor (6 dB), so that levels cannot drift away."""
SILENCE = 1e-4
"""A root mean square below this is silence, whose level tells nothing."""


class Stitcher:
    """Cross-fades windows as they come and hands out what is finished, so that a recording may be of any length.

    Windows that were generated from different noise have unrelated phases: fading them linearly would lose half of the
    power in the middle. Windows that resemble one another, as those of a vocoder do, would gain as much from fading
    them with equal power. So the gains are normalised by how alike the two are where they overlap: for the correlation
    r, a linear fade t becomes t / sqrt(t^2 + (1 - t)^2 + 2 r t (1 - t)), which is the linear fade at r = 1 and one of
    equal power at r = 0.

    Args:
        fade: Samples over which one window becomes the next.
        match: Bring each window to the level of the one before it where they overlap.
    """

    def __init__(self, fade: int, match: bool = True) -> None:
        self.fade, self.match = fade, match
        self._tail: Waveform = np.zeros(0, np.float32)
        self._given = 0

    def add(self, wave: Waveform, start: int) -> Waveform:
        """Take the next window.

        Args:
            wave: The window, (samples,).
            start: Where it begins in the whole, in samples, after the start of the window before it.

        Returns:
            What is finished by it, (finished samples,); silence where no window was.
        """
        end = self._given + len(self._tail)
        shared = end - start
        if shared <= 0:
            done = np.concatenate([self._tail, np.zeros(-shared, np.float32)])
            return self._hand_out(done, np.asarray(wave, np.float32))
        both = max(start, self._given)  # from here on to the end of the one before
        if self.match:
            wave = wave * _gain(self._tail[both - self._given :], wave[both - start : shared])
        fade = min(self.fade, end - both)
        # in the middle of the overlap, where both windows have seen something on either side
        first = min(max(start + (shared - fade) // 2, both), end - fade)
        one = self._tail[first - self._given :][:fade]
        other = wave[first - start :][:fade]
        done = np.concatenate([self._tail[: first - self._given], _cross(one, other)])
        return self._hand_out(done, np.asarray(wave[first - start + fade :], np.float32))

    def finish(self) -> Waveform:
        """What is left after the last window, (samples,)."""
        return self._hand_out(self._tail, np.zeros(0, np.float32))

    def _hand_out(self, done: Waveform, tail: Waveform) -> Waveform:
        self._given += len(done)
        self._tail = tail
        return done


def cover(samples: int, window: int, overlap: int) -> list[int]:
    """Where windows start that cover a stretch, each with at least this much in common with the next.

    They are as few as will do, and evenly spread: none has more to hide than another.

    Args:
        samples: Length of the stretch; one shorter than a window is not covered.
        window: Length of a window in samples.
        overlap: In samples, less than a window.
    """
    if samples < window:
        return []
    count = 1 + -(-(samples - window) // (window - overlap))
    return [round(i * (samples - window) / max(count - 1, 1)) for i in range(count)]


def _cross(one: Waveform, other: Waveform) -> Waveform:
    """Fade from one into the other, both (samples,), without a change of level."""
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
