from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from eeg2speech.audio.mel import HOP, PAD, PEAK, LogMel
from eeg2speech.metrics.intelligibility import installed_measures
from eeg2speech.metrics.spectral import (
    band_correlation,
    log_spectral_distance,
    mel_cepstral_distortion,
    mel_correlation,
)

Floats = NDArray[np.float32]
Scores = NDArray[np.float64]

QUIETEST = 1e-4
"""Largest sample below which a sound is silence: three steps of 16 bits."""
SHORTEST = 1600
"""Samples, a tenth of a second, below which nothing is measured."""
MIRRORED = -(-PAD // HOP)
"""Frames at either end that hold mirrored samples. They are left out: the kink at the mirror is a click, in every sound
at the same time, that alone gives unrelated sounds with quiet bands a correlation of 0.1 over time."""
OF_MELS = {"mel_corr": mel_correlation, "band_corr": band_correlation, "mcd_dtw": mel_cepstral_distortion}


def speech_figures(reference: Floats, generated: Floats, names: Collection[str] | None = None) -> dict[str, Scores]:
    """How close clips are to their references, one figure a clip.

    Loudness does not count: the mean is taken off, the reference is brought to a peak of 0.5 as models hear it, and
    what was generated to the power of its reference. A clip has no figure, NaN, where either sound is silent, shorter
    than 0.1 s or not a number; see ``without_value``.

    Args:
        reference: Waveforms in [-1, 1] at 16 kHz, (n, S).
        generated: What is measured, likewise, (n, S).
        names: Figures that are wanted; all by default.

    Returns:
        By name, (n,) each: ``mel_corr`` and ``band_corr`` (correlations of log mel spectrograms over all cells, and
        over time in each band), ``mcd_dtw`` (mel cepstral distortion in dB after dynamic time warping), ``lsd`` (log
        spectral distance in dB), and, where their packages are installed, ``stoi``, ``estoi`` and ``pesq``; of these
        ``left_out`` tells which are missing, and why.
    """
    if reference.shape != generated.shape:
        raise ValueError(f"reference {reference.shape} and generated {generated.shape}: shapes have to be equal")
    measures = installed_measures()
    usable = _audible(reference) & _audible(generated)
    first, second = _at_one_level(reference[usable], generated[usable])
    mels = _log_mel(first), _log_mel(second)
    figures = {}
    for name in (*OF_MELS, "lsd", *measures):
        if names is None or name in names:
            figures[name] = np.full(len(reference), np.nan)
            if not usable.any():
                continue
            if name in OF_MELS:
                figures[name][usable] = OF_MELS[name](*mels)
            elif name in measures:
                figures[name][usable] = [measures[name](*pair) for pair in zip(first, second, strict=True)]
            else:
                figures[name][usable] = log_spectral_distance(first, second)
    return figures


def without_value(figures: Mapping[str, Scores]) -> dict[str, int]:
    """How many clips have no value, by the name of the figure; means leave them out and should say so.

    Args:
        figures: From ``speech_figures``.
    """
    return {name: int(np.isnan(values).sum()) for name, values in figures.items()}


def _audible(waves: Floats) -> NDArray[np.bool_]:
    """Which waveforms, (n, S), can be measured, (n,)."""
    if waves.shape[1] < SHORTEST:
        return np.zeros(len(waves), np.bool_)
    finite = np.all(np.isfinite(waves), axis=1)
    centred = np.where(finite[:, None], waves, 0)
    loud: NDArray[np.bool_] = np.abs(centred - centred.mean(axis=1, keepdims=True)).max(axis=1) >= QUIETEST
    return loud


def _at_one_level(reference: Floats, generated: Floats) -> tuple[Floats, Floats]:
    if not len(reference):
        return reference, generated
    first, second = (waves - waves.mean(axis=1, keepdims=True, dtype=np.float64) for waves in (reference, generated))
    first *= PEAK / np.abs(first).max(axis=1, keepdims=True)
    second *= np.sqrt(np.square(first).mean(axis=1, keepdims=True) / np.square(second).mean(axis=1, keepdims=True))
    return first.astype(np.float32), second.astype(np.float32)


@torch.no_grad()
def _log_mel(waves: Floats) -> Floats:
    if not len(waves):
        return np.zeros((0, 0, 0), np.float32)
    mel: Floats = LogMel()(torch.from_numpy(waves)).numpy()[:, MIRRORED:-MIRRORED]
    return mel
