"""Sound: waveforms, files, and the spectrograms that models take. Importing the package does not import torch."""

from eeg2speech.audio.files import read_audio, write_audio
from eeg2speech.audio.resampling import resample
from eeg2speech.audio.waveform import RATE, Waveform

__all__ = ["RATE", "Waveform", "read_audio", "resample", "write_audio"]
