"""Figures. Drawn on `Figure` itself, as pyplot keeps every figure and needs a display."""

from matplotlib.figure import Figure

from eeg2speech.plotting.alignment import Curve, gallery_figure, lag_figure, similarity_figure
from eeg2speech.plotting.coupling import Estimate, chance_figure, coupling_lag_figure, response_figure
from eeg2speech.plotting.dataset import Row, montage_figure, spectra_figure, timeline_figure
from eeg2speech.plotting.reconstruction import reconstruction_figure
from eeg2speech.plotting.runs import Mark, compared_figure, draw_spectrogram, training_figure
from eeg2speech.plotting.signals import ALPHA_BAND, psd_figure
from eeg2speech.plotting.sound import spectrogram_figure
from eeg2speech.plotting.space import cosine_figure, plane_figure
from eeg2speech.plotting.speech import draw_identification, draw_speech
from eeg2speech.plotting.style import PALETTE
from eeg2speech.plotting.topomap import error_topomap, importance_topomap

__all__ = [
    "ALPHA_BAND",
    "PALETTE",
    "Curve",
    "Estimate",
    "Figure",
    "Mark",
    "Row",
    "chance_figure",
    "compared_figure",
    "cosine_figure",
    "coupling_lag_figure",
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
    "spectra_figure",
    "spectrogram_figure",
    "timeline_figure",
    "training_figure",
]
