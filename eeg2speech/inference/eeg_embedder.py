"""Recordings on their way into a trained model: mne.Raw, mne.Epochs, braindecode's datasets, arrays and tensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from eeg2speech.core.types import RawRecording
from eeg2speech.data.files.raw import BaseEpochs, BaseRaw
from eeg2speech.inference.arguments import of_array, of_epochs, of_raw, subject_of_training
from eeg2speech.inference.training_data import TrainingDataInfo

BATCH = 64
"""Windows that are embedded at once."""


@dataclass(frozen=True)
class Embeddings:
    """Vectors of windows; ``numpy.asarray`` gives them alone.

    Attributes:
        vectors: One for each window, (n, K); of unit length if they are an aligner's.
        starts: When the sound of each window starts, in seconds of the recording, the sound or the epoch, (n,).
        epochs: Which epoch each window is of, from 0, (n,); None where no epochs were given.
    """

    vectors: NDArray[np.float32]
    starts: NDArray[np.float64]
    epochs: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.vectors, dtype) if copy else np.asarray(self.vectors, dtype)


class EEGEmbedder:
    """A trained model that meets EEG as it met that of its training: with its filters, rate, reference and scaling."""

    trained_on: TrainingDataInfo
    device: str

    @property
    @abstractmethod
    def any_montage(self) -> bool:
        """Whether electrodes are known by their positions alone."""

    @abstractmethod
    def _vectors(self, eeg: Tensor, positions: Tensor, channel_mask: Tensor | None, subjects: Tensor) -> Tensor:
        """Vectors, (B, K), of scaled EEG, (B, C, T); places of subjects in the model, -1 for unknown ones, (B,)."""

    def embed_raw(self, raw: BaseRaw, subject: str | None = None, hop: float | None = None) -> Embeddings:
        """Embed the EEG, MEG or intracranial EEG of an ``mne.io.Raw``, prepared as the training recordings were.

        Bad channels, filters, rate and reference are those of training; the scale of every channel is fitted on the
        whole recording, and channels in ``raw.info["bads"]`` are interpolated. Positions come from its montage, else
        from training, else from the names. Intracranial electrodes without a position get that of training only where
        all their names are those of a training recording.

        Args:
            raw: Unfiltered, in volts or teslas as mne has it; channels of other types than those of training
                (``trained_on.types``) are passed over.
            subject: Label from training, whose subject layer is used; None for the mean layer.
            hop: From one window's start to the next, in seconds; None for windows end to end.

        Raises:
            DataError: Channels are missing, or the recording is too short, too slow or mostly bad.
            ConfigError: The hop is no step forward, or nobody of that label was in the training data.
        """
        return self._embed_recording(of_raw(raw, self.trained_on), subject, hop)

    def embed_epochs(self, epochs: BaseEpochs, subject: str | None = None, hop: float | None = None) -> Embeddings:
        """Embed the EEG of ``mne.Epochs`` as ``embed_raw`` does a recording.

        Each epoch is filtered by itself, so its ends are less well known than in the middle of a recording, and one
        shorter than two periods of the training's high-pass is only detrended: where there is a Raw, embed that. The
        scale is fitted on all epochs together. Where the training read EEG some time (``trained_on.lag``) after its
        sound, an epoch should last that much longer than its windows; else its last sample is repeated.

        Args:
            epochs: All of one subject, at least as long as a window of training; not standardised.
            subject: See ``embed_raw``.
            hop: See ``embed_raw``.

        Returns:
            Vectors with ``epochs``; ``starts`` count from the time 0 of each epoch.

        Raises:
            DataError: As ``embed_raw``.
            ConfigError: As ``embed_raw``.
        """
        return _by_epoch(self._embed_recording(of_epochs(epochs, self.trained_on), subject, hop), epochs)

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
            types: Type of all channels or of each: ``eeg``, ``seeg``, ``ecog``, ``mag`` or ``grad``; None for those of
                training.

        Raises:
            DataError: As ``embed_raw``, or names, types and positions do not go with the array.
            ConfigError: As ``embed_raw``.
        """
        recording = of_array(eeg, rate, channels, positions, types, self.trained_on)
        return self._embed_recording(recording, subject, hop)

    def _embed_recording(self, raw: RawRecording, subject: str | None, hop: float | None) -> Embeddings:
        label = subject_of_training(subject, self.trained_on)
        place = -1 if label is None else self.trained_on.subjects.index(label)
        data = self.trained_on.windows(raw, fixed=not self.any_montage, hop=hop)
        vectors, starts = [], []
        with torch.inference_mode():
            for first in range(0, len(data), BATCH):
                batch = data.__getitems__([(i, 0) for i in range(first, min(first + BATCH, len(data)))])
                mask = None if bool(batch["channel_mask"].all()) else batch["channel_mask"].to(self.device)
                subjects = torch.full((len(batch["eeg"]),), place, device=self.device)
                eeg, positions = batch["eeg"].to(self.device), batch["positions"].to(self.device)
                vectors.append(self._vectors(eeg, positions, mask, subjects).float().cpu())
                starts.append(batch["sound_start"])
        return Embeddings(torch.cat(vectors).numpy(), torch.cat(starts).numpy())


def _by_epoch(found: Embeddings, epochs: BaseEpochs) -> Embeddings:
    """Tell epochs and times in them from times in all epochs end to end."""
    length = len(epochs.times) / float(epochs.info["sfreq"])
    number = np.floor((found.starts + 1e-6) / length).astype(np.int64)
    starts = (found.starts - number * length).round(9) + float(epochs.times[0])  # 9: without what counting left
    return Embeddings(found.vectors, starts, number)
