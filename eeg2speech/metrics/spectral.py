"""Spectral distances and correlations of generated clips and their references, one value per clip."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct

from eeg2speech.audio.mel import FFT, HOP

Floats = NDArray[np.float32]
Scores = NDArray[np.float64]

CEPSTRA = 13
"""Number of mel cepstra that enter the distortion, from c1 on; c0 is loudness."""
RANGE = 80.0
"""Decibels below the loudest cell of the reference at which spectra are clipped, as quieter cells are inaudible."""
_CELLS = 2**22  # distances in memory at a time


def mel_correlation(reference: Floats, generated: Floats) -> Scores:
    """Pearson correlation over all cells of two log mel spectrograms, both (n, T, F): (n,).

    It is not zero-based: all speech has loud low bands and pauses, so that unrelated sentences score above 0.
    """
    flat = (spectrogram.reshape(len(spectrogram), 1, -1) for spectrogram in (reference, generated))
    return _correlate(*flat)[:, 0]


def band_correlation(reference: Floats, generated: Floats) -> Scores:
    """Pearson correlation over time, averaged over the bands that vary in the reference; both (n, T, F): (n,).

    A band that varies in the reference but not in the generated clip counts as 0.
    """
    bands = (spectrogram.transpose(0, 2, 1) for spectrogram in (reference, generated))
    each = _correlate(*bands)
    varying = np.isfinite(each)
    with np.errstate(invalid="ignore"):
        mean: Scores = np.where(varying, each, 0).sum(axis=1) / varying.sum(axis=1)
    return mean


def mel_cepstral_distortion(reference: Floats, generated: Floats) -> Scores:
    """Mel cepstral distortion after dynamic time warping in decibels, both log mel spectrograms (n, T, F): (n,).

    It is computed on cepstra c1 to c13 of the log mel spectrogram and is the root mean square difference of two smooth
    spectra in decibels. Frames are matched by the monotonic path of least total distance, with steps of one frame in
    either sound or both and no limit to the warp; the mean is over that path, pauses included.

    Reference: Kubichek 1993, Mel-cepstral distance measure for objective speech quality assessment (PACRIM).
    """
    first, second = mel_cepstra(reference), mel_cepstra(generated)
    count = max(1, _CELLS // max(1, first.shape[1] * second.shape[1]))
    found = [warped_distance(first[i : i + count], second[i : i + count]) for i in range(0, len(first), count)]
    distortion: Scores = 10 / np.log(10) * np.sqrt(2) * np.concatenate([np.zeros(0), *found])
    return distortion


def mel_cepstra(log_mel: Floats) -> Scores:
    """Cepstra c1 to c13 of log mel spectra, (n, T, F), as amplitudes of cosines over the bands: (n, T, 13)."""
    bands = log_mel.shape[-1]
    amplitudes: Scores = dct(log_mel.astype(np.float64), norm="ortho")[..., 1 : CEPSTRA + 1] * np.sqrt(2 / bands)
    return amplitudes


def warped_distance(first: Scores, second: Scores) -> Scores:
    """Mean Euclidean distance of frames along the monotonic path of least total, (n, T, K) and (n, U, K): (n,)."""
    square = np.square(first).sum(-1)[:, :, None] + np.square(second).sum(-1)[:, None]
    cost = np.sqrt((square - 2 * first @ second.transpose(0, 2, 1)).clip(min=0))
    count, rows, columns = cost.shape
    # by antidiagonals: each depends only on the previous two; index i + 1 holds row i
    total = [np.full((count, rows + 1), np.inf) for _ in range(2)]
    length = [np.zeros((count, rows + 1)) for _ in range(2)]
    total[0][:, 0] = 0
    for diagonal in range(rows + columns - 1):
        row = np.arange(max(0, diagonal - columns + 1), min(diagonal, rows - 1) + 1)
        # from the previous frame of both sounds, of the first alone, of the second alone
        before = np.stack([total[0][:, row], total[1][:, row], total[1][:, row + 1]])
        steps = np.stack([length[0][:, row], length[1][:, row], length[1][:, row + 1]])
        best = before.argmin(axis=0)[None]
        here, long = np.full((count, rows + 1), np.inf), np.zeros((count, rows + 1))
        here[:, row + 1] = np.take_along_axis(before, best, 0)[0] + cost[:, row, diagonal - row]
        long[:, row + 1] = np.take_along_axis(steps, best, 0)[0] + 1
        total, length = [total[1], here], [length[1], long]
    mean: Scores = total[1][:, rows] / length[1][:, rows]
    return mean


def log_spectral_distance(reference: Floats, generated: Floats) -> Scores:
    """Root mean square difference of two log spectra in decibels, averaged over frames; waveforms, both (n, S): (n,).

    Frames of 64 ms every 10 ms. Values more than 80 dB below the loudest cell of the reference are clipped to that
    level. The distance depends on loudness.

    Reference: Gray and Markel 1976, Distance measures for speech processing (IEEE TASSP 24).
    """
    first, second = _decibels(reference), _decibels(generated)
    floor = first.max(axis=(1, 2), keepdims=True) - RANGE
    apart = np.square(np.maximum(first, floor) - np.maximum(second, floor)).mean(axis=1)
    distance: Scores = np.sqrt(apart).mean(axis=1)
    return distance


def _decibels(waves: Floats) -> Scores:
    """Log power of waveforms, (n, S), in decibels, (n, 513, frames)."""
    spectrum = torch.stft(
        torch.from_numpy(waves), FFT, HOP, window=torch.hann_window(FFT), center=False, return_complex=True
    )
    power: Scores = spectrum.abs().double().square().clamp(min=1e-30).numpy()
    return 10 * np.log10(power)


def _correlate(first: Floats, second: Floats) -> Scores:
    """Pearson correlation over the last axis: NaN where the first is constant, 0 where only the second is."""
    sides = [side.astype(np.float64) for side in (first, second)]
    sides = [side - side.mean(axis=-1, keepdims=True) for side in sides]
    norms = [np.linalg.norm(side, axis=-1) for side in sides]
    constant = [norm < 1e-6 * side.shape[-1] ** 0.5 for norm, side in zip(norms, sides, strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (sides[0] * sides[1]).sum(axis=-1) / (norms[0] * norms[1])
    return np.where(constant[0], np.nan, np.where(constant[1], 0.0, found))
