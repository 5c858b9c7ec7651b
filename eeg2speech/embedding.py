"""A trained aligner in Python: recordings and sounds in, vectors and similarities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from eeg2speech.audio import RATE, read_audio, resample
from eeg2speech.checkpoint import read_data, read_part
from eeg2speech.data.raw import BaseRaw, from_array, from_mne
from eeg2speech.data.trained import TrainedOn
from eeg2speech.errors import ConfigError, DataError
from eeg2speech.models.aligner import Aligner
from eeg2speech.models.rebuild import rebuild_aligner
from eeg2speech.types import RawRecording

BATCH = 64
"""Windows that are embedded at once."""


@dataclass(frozen=True)
class Embeddings:
    """Vectors of windows; ``numpy.asarray`` gives them alone.

    Attributes:
        vectors: Of unit length, (n, K).
        starts: When the sound of each window starts, in seconds of the recording or the sound, (n,).
    """

    vectors: NDArray[np.float32]
    starts: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.vectors)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.vectors, dtype) if copy else np.asarray(self.vectors, dtype)


class Aligned:
    """A trained aligner that meets recordings and sounds as it met those it was trained on.

    Args:
        aligner: Trained.
        trained_on: What it was trained on.
        device: Where it computes, e.g. ``cuda``.
    """

    def __init__(self, aligner: Aligner, trained_on: TrainedOn, device: str = "cpu") -> None:
        self.aligner, self.trained_on, self.device = aligner.to(device), trained_on, device

    @property
    def any_montage(self) -> bool:
        """Whether electrodes are known by their positions alone."""
        return self.aligner.any_montage

    def embed_raw(self, raw: BaseRaw, subject: str | None = None, hop: float | None = None) -> Embeddings:
        """Embed the EEG of an ``mne.io.Raw``, prepared as the training recordings were.

        Bad channels, filters, rate and reference are those of training; the scale of every channel is fitted on the
        whole recording, and channels in ``raw.info["bads"]`` are interpolated. Positions come from its montage, else
        from training, else from the names.

        Args:
            raw: Unfiltered, in volts as mne has it; other channels than EEG are passed over.
            subject: Label from training, whose subject layer is used; None or anyone else gets the mean layer.
            hop: From one window's start to the next, in seconds; None for windows end to end.

        Raises:
            DataError: Electrodes are missing, or the recording is too short, too slow or mostly bad.
            ConfigError: The hop is no step forward.
        """
        return self._embed_recording(from_mne(raw), subject, hop)

    def embed_eeg(
        self,
        eeg: NDArray[np.floating],
        rate: float,
        channels: Sequence[str],
        positions: ArrayLike | None = None,
        subject: str | None = None,
        hop: float | None = None,
    ) -> Embeddings:
        """Embed an array of EEG as ``embed_raw`` does a recording.

        Args:
            eeg: Volts, (channels, samples).
            rate: Samples per second.
            channels: Names of the electrodes.
            positions: Metres in head coordinates, NaN where unknown, (channels, 3); None to find all by name.
            subject: See ``embed_raw``.
            hop: See ``embed_raw``.

        Raises:
            DataError: As ``embed_raw``, or names and positions do not go with the array.
            ConfigError: The hop is no step forward.
        """
        return self._embed_recording(from_array(eeg, rate, channels, positions), subject, hop)

    def embed_wav(
        self, sound: str | Path | NDArray[np.floating], rate: float | None = None, hop: float | None = None
    ) -> Embeddings:
        """Embed sound, window by window; what is left over at the end is not heard.

        Args:
            sound: A sound file, or a waveform in [-1, 1], (samples,).
            rate: Samples per second of a waveform; a file knows its own.
            hop: From one window's start to the next, in seconds; None for windows end to end.

        Raises:
            DataError: The file cannot be read, or the sound is shorter than a window.
            ConfigError: A waveform comes without its rate, or the hop is no step forward.
        """
        if isinstance(sound, str | Path):
            wave, rate = read_audio(Path(sound))
        else:
            wave = np.asarray(sound, np.float32)
        if rate is None or not rate > 0 or wave.ndim != 1:
            raise ConfigError(f"a waveform of shape {wave.shape} at rate={rate}; give (samples,) and its rate in hertz")
        if not np.isfinite(wave).all():
            raise DataError("the sound holds NaN or infinity; replace those samples")
        wave = resample(wave, rate)
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
                self.aligner.embed_sound(torch.from_numpy(windows[i : i + BATCH].copy()).to(self.device)).cpu()
                for i in range(0, len(windows), BATCH)
            ]
        return Embeddings(torch.cat(vectors).float().numpy(), np.arange(len(windows)) * step / RATE)

    def score(self, eeg: Embeddings | NDArray[np.floating], sound: Embeddings | NDArray[np.floating]) -> NDArray[Any]:
        """Similarity of n windows of EEG with m windows of sound, from -1 to 1, (n, m)."""
        similarity: NDArray[Any] = np.asarray(eeg) @ np.asarray(sound).T
        return similarity

    def _embed_recording(self, raw: RawRecording, subject: str | None, hop: float | None) -> Embeddings:
        data = self.trained_on.windows(raw, fixed=not self.any_montage, hop=hop)
        known = self.trained_on.subjects
        place = known.index(subject) if subject in known else -1
        vectors, starts = [], []
        with torch.inference_mode():
            for first in range(0, len(data), BATCH):
                batch = data.__getitems__([(i, 0) for i in range(first, min(first + BATCH, len(data)))])
                to = partial(torch.Tensor.to, device=self.device)
                mask = None if bool(batch["channel_mask"].all()) else to(batch["channel_mask"])
                subjects = torch.full((len(batch["eeg"]),), place, device=self.device)
                vectors.append(self.aligner.embed_eeg(to(batch["eeg"]), to(batch["positions"]), mask, subjects).cpu())
                starts.append(batch["sound_start"])
        return Embeddings(torch.cat(vectors).float().numpy(), torch.cat(starts).numpy())


def load_aligner(source: str | Path, device: str = "cpu") -> Aligned:
    """Load a trained aligner.

    Args:
        source: Folder that ``eeg2speech export`` or the end of ``eeg2speech fit`` wrote, or a checkpoint.
        device: Where it computes, e.g. ``cuda``.

    Raises:
        DataError: There is no aligner, it is damaged, or it does not say how its data were prepared.
    """
    described, weights, _ = read_part(Path(source), "aligner")
    trained_on = TrainedOn.of(read_data(Path(source)), str(source))
    return Aligned(rebuild_aligner(described, weights, str(source)), trained_on, device)
