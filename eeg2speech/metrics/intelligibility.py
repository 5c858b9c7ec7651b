"""Measures of speech that other packages hold: used where they are installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray

from eeg2speech.audio import RATE

Floats = NDArray[np.float32]
Measure = Callable[[Floats, Floats], float]
"""From the waveforms of a reference and of what was generated, both (S,), to a figure."""

PACKAGES = {"stoi": "pystoi", "estoi": "pystoi", "pesq": "pesq"}
"""Which package each figure needs."""


def installed_measures() -> dict[str, Measure]:
    """Measures whose package is installed, by the name of their figure."""
    known: dict[str, Measure] = {"stoi": stoi, "estoi": estoi, "pesq": pesq}
    return {name: measure for name, measure in known.items() if find_spec(PACKAGES[name])}


def left_out() -> dict[str, str]:
    """Figures that are not given here, and why."""
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
    """Wide-band perceptual evaluation of speech quality, 1 to 4.6; NaN where it finds no utterance.

    Reference: ITU-T P.862.2.
    """
    import pesq as package

    try:
        return float(package.pesq(RATE, reference, generated, "wb"))
    except (package.NoUtterancesError, package.BufferTooShortError):
        return float("nan")


def _stoi(reference: Floats, generated: Floats, extended: bool) -> float:
    from torchmetrics.functional.audio import short_time_objective_intelligibility

    heard, said = (torch.from_numpy(sound.astype(np.float64)) for sound in (generated, reference))
    with warnings.catch_warnings():
        # it would return 1e-5, which is no measurement
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(short_time_objective_intelligibility(heard, said, RATE, extended))
        except RuntimeWarning:
            return float("nan")
