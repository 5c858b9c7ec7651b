"""Figures. They use `Figure` instead of pyplot, which keeps every figure in memory and needs a display."""

from matplotlib.figure import Figure

from eeg2speech.plotting.alignment import (
    Curve,
    cosine_figure,
    gallery_figure,
    lag_figure,
    plane_figure,
    similarity_figure,
)
from eeg2speech.plotting.coupling import CouplingRow, chance_figure, coupling_lag_figure, response_figure
from eeg2speech.plotting.dataset import Row, montage_figure, psd_figure, timeline_figure
from eeg2speech.plotting.reconstruction import reconstruction_figure, spectrogram_figure
from eeg2speech.plotting.runs import Mark, compared_figure, training_figure
from eeg2speech.plotting.speech import draw_fidelity, draw_identification, draw_spectrogram, draw_speech
from eeg2speech.plotting.style import PALETTE, write_png
from eeg2speech.plotting.topomap import error_topomap, importance_topomap

__all__ = [
    "PALETTE",
    "CouplingRow",
    "Curve",
    "Figure",
    "Mark",
    "Row",
    "chance_figure",
    "compared_figure",
    "cosine_figure",
    "coupling_lag_figure",
    "draw_fidelity",
    "draw_identification",
    "draw_spectrogram",
    "draw_speech",
    "error_topomap",
    "gallery_figure",
    "importance_topomap",
    "lag_figure",
    "montage_figure",
    "plane_figure",
    "psd_figure",
    "reconstruction_figure",
    "response_figure",
    "similarity_figure",
    "spectrogram_figure",
    "timeline_figure",
    "training_figure",
    "write_png",
]
