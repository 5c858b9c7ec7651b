"""Sound: waveforms, and what models see of them. Importing the package does not import torch."""

from eeg2speech.audio.waveform import RATE, Waveform, read_audio, resample, write_audio

__all__ = ["RATE", "Waveform", "read_audio", "resample", "write_audio"]
