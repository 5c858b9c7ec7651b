"""Figures of generated speech against its reference: spectral ones, and those of optional packages."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from importlib.util import find_spec
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from eeg2speech.audio import RATE
from eeg2speech.audio.mel import HOP, PAD, PEAK, LogMel
from eeg2speech.metrics.spectral import (
    Floats,
    Scores,
    band_correlation,
    log_spectral_distance,
    mel_cepstral_distortion,
    mel_correlation,
)

Measure = Callable[[Floats, Floats], float]
"""Maps the waveforms of a reference and of a generated clip, both (S,), to a figure."""
QUIETEST = 1e-4
"""Largest sample below which a sound counts as silent: three steps of 16 bits."""
SHORTEST = 1600
"""Samples, a tenth of a second, below which nothing is measured."""
MIRRORED = -(-PAD // HOP)
"""Frames at either end that hold mirrored samples. They are left out: the kink at the mirror is a click, at the same
time in every sound, which alone gives unrelated sounds with quiet bands a correlation of 0.1 over time."""
OF_MELS = {"mel_corr": mel_correlation, "band_corr": band_correlation, "mcd_dtw": mel_cepstral_distortion}
PACKAGES = {"stoi": "pystoi", "estoi": "pystoi", "pesq": "pesq"}
"""Package that each figure needs."""


def speech_figures(
    reference: Floats,
    generated: Floats,
    names: Collection[str] | None = None,
    further: Mapping[str, Measure] = MappingProxyType({}),
) -> dict[str, Scores]:
    """Similarity of clips to their references, one value per figure and clip.

    Loudness does not count: the mean is removed, the reference is scaled to a peak of 0.5, as the models expect, and
    the generated clip to the power of its reference. A clip has the value NaN where either sound is silent, shorter
    than 0.1 s or not finite; see ``without_value``.

    Args:
        reference: Waveforms in [-1, 1] at 16 kHz, (n, S).
        generated: Waveforms of the same shape.
        names: Figures to compute; all by default.
        further: Other measures by name, as ``metrics.hearing.MEASURES``.

    Returns:
        By name, (n,) each: ``mel_corr`` and ``band_corr`` (correlations of log mel spectrograms over all cells, and
        over time in each band), ``mcd_dtw`` (mel cepstral distortion in dB after dynamic time warping), ``lsd`` (log
        spectral distance in dB), and, where their packages are installed, ``stoi``, ``estoi`` and ``pesq`` (see
        ``left_out``).
    """
    if reference.shape != generated.shape:
        raise ValueError(f"reference {reference.shape} and generated {generated.shape}: shapes have to be equal")
    measures = {**installed_measures(), **further}
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
    """Number of clips without a value by figure, for the output of ``speech_figures``; means leave them out."""
    return {name: int(np.isnan(values).sum()) for name, values in figures.items()}


def installed_measures() -> dict[str, Measure]:
    """Measures whose package is installed, by the name of their figure."""
    known: dict[str, Measure] = {"stoi": stoi, "estoi": estoi, "pesq": pesq}
    return {name: measure for name, measure in known.items() if find_spec(PACKAGES[name])}


def left_out() -> dict[str, str]:
    """Figures whose package is not installed, with the reason."""
    installed = installed_measures()
    return {
        name: f"the package {package} is not installed: pip install {package}"
        for name, package in PACKAGES.items()
        if name not in installed
    }


def stoi(reference: Floats, generated: Floats) -> float:
    """Short-time objective intelligibility, at most 1; NaN where less than 0.4 s of the reference is not silent.

    It is not zero-based: other sentences and noise score 0.1 to 0.5.

    Reference: Taal et al. 2011, An algorithm for intelligibility prediction of time-frequency weighted noisy speech.
    """
    return _stoi(reference, generated, extended=False)


def estoi(reference: Floats, generated: Floats) -> float:
    """Extended short-time objective intelligibility, at most 1 and about 0 for unrelated sounds; else as ``stoi``.

    Reference: Jensen and Taal 2016, An algorithm for predicting the intelligibility of speech masked by modulated noise
    maskers.
    """
    return _stoi(reference, generated, extended=True)


def pesq(reference: Floats, generated: Floats) -> float:
    """Wide-band perceptual evaluation of speech quality, 1 to 4.6; NaN where it detects no utterance.

    Reference: ITU-T P.862.2.
    """
    import pesq as package

    try:
        return float(package.pesq(RATE, reference, generated, "wb"))
    except (package.NoUtterancesError, package.BufferTooShortError):
        return float("nan")


def _stoi(reference: Floats, generated: Floats, extended: bool) -> float:
    from torchmetrics.functional.audio import short_time_objective_intelligibility

    predicted, target = (torch.from_numpy(sound.astype(np.float64)) for sound in (generated, reference))
    with warnings.catch_warnings():
        # it would return 1e-5, which is no measurement
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(short_time_objective_intelligibility(predicted, target, RATE, extended))
        except RuntimeWarning:
            return float("nan")


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
