"""Embedding recordings and sounds with a trained model: mne.Raw, mne.Epochs, files, arrays and tensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from eeg2speech.audio import RATE, resample
from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.core.errors import DataError
from eeg2speech.core.types import RawRecording
from eeg2speech.data.files.raw import BaseEpochs, BaseRaw
from eeg2speech.inference.arguments import of_array, of_epochs, of_raw, subject_of_training, waveform_of
from eeg2speech.inference.training_data import TrainingDataInfo

BATCH = 64
"""Windows that are embedded at once."""


@dataclass(frozen=True)
class Embeddings:
    """Vectors of windows; ``numpy.asarray`` returns them alone.

    Attributes:
        vectors: One for each window, (n, K); of unit length if an aligner made them.
        starts: Start of each window's sound, in seconds of the recording, the sound or the epoch, (n,).
        epochs: Index of each window's epoch, from 0, (n,); None if no epochs were given.
    """

    vectors: NDArray[np.float32]
    starts: NDArray[np.float64]
    epochs: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.vectors, dtype) if copy else np.asarray(self.vectors, dtype)


class EEGEmbedder:
    """A trained model that embeds EEG, prepared with the filters, rate, reference and scaling of its training."""

    training_data: TrainingDataInfo
    device: str

    @property
    @abstractmethod
    def any_montage(self) -> bool:
        """Whether electrodes are identified by their positions, so that any montage can be used."""

    @abstractmethod
    def _embed_eeg(self, eeg: Tensor, positions: Tensor, channel_mask: Tensor | None, subjects: Tensor) -> Tensor:
        """Vectors, (B, K), of scaled EEG, (B, C, T); indices of subjects in the model, -1 for unseen ones, (B,)."""

    def embed_raw(self, raw: BaseRaw, subject: str | None = None, hop: float | None = None) -> Embeddings:
        """Embed the EEG, MEG or intracranial EEG of an ``mne.io.Raw``, prepared as the training recordings were.

        Bad channels, filters, rate and reference are those of training; the scale of every channel is fitted on the
        whole recording, and channels in ``raw.info["bads"]`` are interpolated. Positions come from its montage, else
        from training, else from the names. Intracranial electrodes without a position get the position of training only
        if all their names are those of one training recording.

        Args:
            raw: Unfiltered, in volts or teslas as in mne; channels of other types than in training
                (``training_data.types``) are ignored.
            subject: Label from training, whose subject layer is used; None for the mean subject layer.
            hop: From one window's start to the next, in seconds; None for windows end to end.

        Raises:
            DataError: Channels are missing, or the recording is too short, too slow or mostly bad.
            ConfigError: The hop is shorter than a sample, or the label is not in the training data.
        """
        return self._embed_recording(of_raw(raw, self.training_data), subject, hop)

    def embed_epochs(self, epochs: BaseEpochs, subject: str | None = None, hop: float | None = None) -> Embeddings:
        """Embed the EEG of ``mne.Epochs``; further arguments and errors as of ``embed_raw``.

        Each epoch is filtered by itself, with artefacts at its ends; an epoch shorter than two periods of the high-pass
        of training is only detrended. If there is a Raw, embed that. The scale is fitted on all epochs together. If the
        training had a lag between sound and EEG (``training_data.lag``), epochs should be longer than their windows by
        the lag; otherwise their last sample is repeated.

        Args:
            epochs: All of one subject, at least as long as a window of training; not standardised.
            subject: See ``embed_raw``.
            hop: See ``embed_raw``.

        Returns:
            Vectors with ``epochs``; ``starts`` are relative to the time 0 of each epoch.
        """
        return _by_epoch(self._embed_recording(of_epochs(epochs, self.training_data), subject, hop), epochs)

    def embed_eeg(
        self,
        eeg: ArrayLike | Tensor,
        rate: float,
        channels: Sequence[str],
        positions: ArrayLike | Tensor | None = None,
        subject: str | None = None,
        hop: float | None = None,
        types: str | Sequence[str] | None = None,
    ) -> Embeddings:
        """Embed an array or a tensor of EEG as ``embed_raw`` does a recording.

        Args:
            eeg: Volts (teslas, teslas per metre) in float32 or float64, (channels, samples).
            rate: Samples per second.
            channels: Names of the channels.
            positions: Metres in head coordinates, NaN where unknown, (channels, 3); None to find all by name.
            subject: See ``embed_raw``.
            hop: See ``embed_raw``.
            types: Type of all channels or of each: ``eeg``, ``seeg``, ``ecog``, ``mag`` or ``grad``; None for the types
                of training.

        Raises:
            DataError: As ``embed_raw``, or names, types and positions do not fit the array.
            ConfigError: As ``embed_raw``.
        """
        recording = of_array(eeg, rate, channels, positions, types, self.training_data)
        return self._embed_recording(recording, subject, hop)

    def _embed_recording(self, raw: RawRecording, subject: str | None, hop: float | None) -> Embeddings:
        label = subject_of_training(subject, self.training_data)
        place = -1 if label is None else self.training_data.subjects.index(label)
        data = self.training_data.windows(raw, fixed=not self.any_montage, hop=hop)
        vectors, starts = [], []
        with torch.inference_mode():
            for first in range(0, len(data), BATCH):
                batch = data.__getitems__([(i, 0) for i in range(first, min(first + BATCH, len(data)))])
                mask = None if bool(batch["channel_mask"].all()) else batch["channel_mask"].to(self.device)
                subjects = torch.full((len(batch["eeg"]),), place, device=self.device)
                eeg, positions = batch["eeg"].to(self.device), batch["positions"].to(self.device)
                vectors.append(self._embed_eeg(eeg, positions, mask, subjects).float().cpu())
                starts.append(batch["sound_start"])
        return Embeddings(torch.cat(vectors).numpy(), torch.cat(starts).numpy())


class AudioEmbedder:
    """A trained model that embeds sound, in windows of the length of its training."""

    training_data: TrainingDataInfo
    device: str

    @abstractmethod
    def _embed_sound(self, audio: Tensor) -> Tensor:
        """Vectors, (B, K), of sounds, (B, S) at 16 kHz."""

    def embed_wav(
        self,
        sound: str | Path | NDArray[Any] | Tensor,
        rate: float | None = None,
        hop: float | None = None,
        channel: ChannelChoice = "mean",
    ) -> Embeddings:
        """Embed the windows of a sound; samples after the last whole window are ignored.

        Args:
            sound: A sound file, or a waveform, (samples,) or (samples, channels), in floating point in [-1, 1] or in
                integers that use the range of their type.
            rate: Samples per second of a waveform; not needed for a file.
            hop: From one window's start to the next, in seconds; None for windows end to end.
            channel: Of a sound with several channels: ``left``, ``right``, a number from 0, or the ``mean`` of all.

        Raises:
            DataError: The file cannot be read, the sound is shorter than a window, or the array is not a waveform.
            ConfigError: A waveform comes without its rate, or the hop is shorter than a sample of EEG.
        """
        wave = resample(*waveform_of(sound, rate, channel))
        data = self.training_data
        samples = round(data.window * RATE)
        step = round(data.step(hop) / data.preprocessing.rate * RATE)  # on the grid of the EEG
        if len(wave) < samples:
            raise DataError(
                f"a sound of {len(wave) / RATE:g} s is shorter than a window of {data.window:g} s; give a longer one"
            )
        windows = np.lib.stride_tricks.sliding_window_view(wave, samples)[::step]
        with torch.inference_mode():
            vectors = [
                self._embed_sound(torch.from_numpy(windows[i : i + BATCH].copy()).to(self.device)).float().cpu()
                for i in range(0, len(windows), BATCH)
            ]
        return Embeddings(torch.cat(vectors).numpy(), np.arange(len(windows)) * step / RATE)


def _by_epoch(found: Embeddings, epochs: BaseEpochs) -> Embeddings:
    """Convert times in all epochs end to end into indices of epochs and times in them."""
    length = len(epochs.times) / float(epochs.info["sfreq"])
    number = np.floor((found.starts + 1e-6) / length).astype(np.int64)
    starts = (found.starts - number * length).round(9) + float(epochs.times[0])  # 9 digits: without rounding errors
    return Embeddings(found.vectors, starts, number)
