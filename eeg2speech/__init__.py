"""Decode speech from EEG: masked autoencoding, EEG-speech alignment, diffusion."""

__version__ = "0.1.0"
