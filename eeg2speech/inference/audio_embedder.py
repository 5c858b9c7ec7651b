"""Sounds on their way into a trained model: files, arrays and tensors."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.audio import RATE, resample
from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.core.errors import DataError
from eeg2speech.inference.arguments import waveform_of
from eeg2speech.inference.eeg_embedder import BATCH, Embeddings
from eeg2speech.inference.training_data import TrainingDataInfo


class AudioEmbedder:
    """A trained model that hears sound window by window, as long as those of its training."""

    trained_on: TrainingDataInfo
    device: str

    @abstractmethod
    def _sound_vectors(self, audio: Tensor) -> Tensor:
        """Vectors, (B, K), of sounds, (B, S) at 16 kHz."""

    def embed_wav(
        self,
        sound: str | Path | NDArray[Any] | Tensor,
        rate: float | None = None,
        hop: float | None = None,
        channel: ChannelChoice = "mean",
    ) -> Embeddings:
        """Embed sound, window by window; what is left over at the end is not heard.

        Args:
            sound: A sound file, or a waveform, (samples,) or (samples, channels), in floating point in [-1, 1] or in
                integers that use the range of their type.
            rate: Samples per second of a waveform; a file knows its own.
            hop: From one window's start to the next, in seconds; None for windows end to end.
            channel: Of a sound with several: ``left``, ``right``, a number from 0, or the ``mean`` of all.

        Raises:
            DataError: The file cannot be read, the sound is shorter than a window, or its samples are no sound's.
            ConfigError: A waveform comes without its rate, or the hop is no step forward.
        """
        wave = resample(*waveform_of(sound, rate, channel))
        samples = round(self.trained_on.window * RATE)
        step = round(self.trained_on.step(hop) / self.trained_on.preprocessing.rate * RATE)  # on the grid of the EEG
        if len(wave) < samples:
            raise DataError(
                f"a sound of {len(wave) / RATE:g} s is shorter than the {self.trained_on.window:g} s of a window; "
                "give a longer one"
            )
        windows = np.lib.stride_tricks.sliding_window_view(wave, samples)[::step]
        with torch.inference_mode():
            vectors = [
                self._sound_vectors(torch.from_numpy(windows[i : i + BATCH].copy()).to(self.device)).float().cpu()
                for i in range(0, len(windows), BATCH)
            ]
        return Embeddings(torch.cat(vectors).numpy(), np.arange(len(windows)) * step / RATE)
