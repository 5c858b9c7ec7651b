"""The encoder as a model for braindecode, and embeddings of braindecode's datasets; braindecode is not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eeg2speech.checkpoints.parts import load_into, read_data, read_part
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import DECODABLE
from eeg2speech.data.electrodes.montage import (
    electrode_positions,
    fault_of_positions,
    order_by_position,
    warn_of_mixture,
)
from eeg2speech.data.files.raw import BaseEpochs
from eeg2speech.data.readers.braindecode_datasets import members, place_of, prepare_braindecode, subject_of, type_of
from eeg2speech.inference.alignment import AlignmentModel
from eeg2speech.inference.arguments import path_of
from eeg2speech.inference.embedders import Embeddings
from eeg2speech.inference.encoders import EEGEncoder, is_audio_encoder
from eeg2speech.inference.training_data import trained_types
from eeg2speech.models.eeg.encoder import ViTEncoder
from eeg2speech.models.registry import build_encoder

__all__ = ["PretrainedEncoder", "embed_dataset", "prepare_braindecode"]

RATE = 100.0
"""Samples per second of training recordings, unless an export states another rate."""
CLAMP = 20.0
QUIET = 1e-12
MAD = 1.4826
"""Standard deviation of a Gaussian over its median absolute deviation."""


class PretrainedEncoder(nn.Module):
    """The encoder of EEG with a linear layer on the mean of its tokens; argument names are those of braindecode.

    Every channel of every window is centred and scaled (median, and median absolute deviation), as training scaled
    whole recordings; the unit of the EEG does not matter. Filters and reference are not applied: give windows with the
    band, rate and reference of the encoder's training.

    Args:
        n_chans: Channels of a window.
        n_outputs: Classes or values; 0 for the features themselves.
        n_times: Samples of a window.
        chs_info: ``info["chs"]`` of mne, for positions; channels without one are looked up by name on a standard head.
        input_window_seconds: Length of a window; with ``sfreq`` instead of ``n_times``.
        sfreq: Samples per second.
        weights: Export or checkpoint of the encoder, with its settings; None for a new encoder.
        settings: Arguments of ``ViTEncoder`` for a new encoder.
        scale: Centre and scale windows; off if they are scaled already.

    Raises:
        ConfigError: Sizes are missing or contradict each other, the rate is not that of the weights, or a channel has
            no known position.
        DataError: The folder has no encoder, or it is damaged.
    """

    positions: Tensor
    order: Tensor

    def __init__(
        self,
        n_chans: int | None = None,
        n_outputs: int | None = None,
        n_times: int | None = None,
        chs_info: Sequence[Mapping[str, Any]] | None = None,
        input_window_seconds: float | None = None,
        sfreq: float | None = None,
        weights: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
        scale: bool = True,
    ) -> None:
        super().__init__()
        if not chs_info or not all(isinstance(channel, Mapping) for channel in chs_info):
            raise ConfigError("the encoder needs the positions of its channels; give chs_info (raw.info['chs'])")
        if n_chans is not None and n_chans != len(chs_info):
            raise ConfigError(f"n_chans={n_chans}, but chs_info has {len(chs_info)} channels; give one of the two")
        if not isinstance(n_outputs, int | np.integer) or isinstance(n_outputs, bool) or n_outputs < 0:
            raise ConfigError(f"n_outputs={n_outputs!r} must be 0 (features) or more")
        self.encoder, rate, types = _new(settings) if weights is None else _trained(path_of(weights), settings)
        _check_types(chs_info, types)
        if sfreq is not None and not (isinstance(sfreq, int | float | np.number) and np.isclose(sfreq, rate)):
            raise ConfigError(
                f"sfreq={sfreq!r} Hz, but the encoder reads {rate:g} Hz; resample (raw.resample({rate:g}))"
            )
        self.n_chans, self.n_outputs, self.sfreq, self.scale = len(chs_info), n_outputs, rate, scale
        self.n_times = _samples(n_times, input_window_seconds, rate)
        step = self.encoder.patch[1]
        if self.n_times < step:
            raise ConfigError(f"n_times={self.n_times} is less than the {step} samples of a step; use longer windows")
        places = _places(chs_info)
        order = order_by_position(places)
        self.register_buffer("order", torch.from_numpy(np.asarray(order, np.int64)), persistent=False)
        ordered = torch.from_numpy(np.nan_to_num(places[order].astype(np.float32)))
        self.register_buffer("positions", ordered, persistent=False)
        self.final_layer = self._head(n_outputs)

    @property
    def input_window_seconds(self) -> float:
        """Length of a window."""
        return self.n_times / self.sfreq

    def forward(self, x: Tensor) -> Tensor:
        """Classes, values or features of windows.

        Args:
            x: EEG, (B, n_chans, n_times); samples after the last whole step are ignored.

        Returns:
            (B, n_outputs), or (B, width) for ``n_outputs=0``.

        Raises:
            ValueError: The windows are of another size.
        """
        if x.ndim != 3 or x.shape[1:] != (self.n_chans, self.n_times):
            raise ValueError(f"windows of shape {tuple(x.shape)}, where (B, {self.n_chans}, {self.n_times}) is needed")
        out: Tensor = self.final_layer(self.features(x))
        return out

    def features(self, x: Tensor) -> Tensor:
        """Mean of the tokens of windows, (B, n_chans, n_times) to (B, width)."""
        x = x[:, self.order, : x.shape[2] // self.encoder.patch[1] * self.encoder.patch[1]]
        if self.scale:
            x = x - x.median(dim=-1, keepdim=True).values
            spread = MAD * x.abs().median(dim=-1, keepdim=True).values
            x = torch.where(spread > QUIET, x / spread.clamp(min=QUIET), 0).clamp(-CLAMP, CLAMP)
        places = self.positions.expand(len(x), -1, -1)
        return self.encoder.pool(self.encoder(x.to(self.positions.dtype), places))

    def reset_head(self, n_outputs: int) -> None:
        """Replace ``final_layer`` by a new one."""
        self.n_outputs, self.final_layer = n_outputs, self._head(n_outputs).to(self.positions.device)

    def get_output_shape(self) -> tuple[int, ...]:
        """Shape of the output for one window."""
        return (1, self.n_outputs or self.encoder.width)

    def _head(self, n_outputs: int) -> nn.Module:
        return nn.Linear(self.encoder.width, n_outputs) if n_outputs else nn.Identity()


def embed_dataset(model: AlignmentModel | EEGEncoder, dataset: Any, hop: float | None = None) -> list[Embeddings]:
    """Embed every recording of a braindecode dataset as ``embed_raw`` does, or its epochs as ``embed_epochs``.

    Args:
        model: Trained model.
        dataset: ``BaseConcatDataset`` of ``RawDataset``, ``EEGWindowsDataset`` or ``WindowsDataset``. For the second,
            the whole recordings are embedded, in windows of the model's length.
        hop: See ``embed_raw``.

    Returns:
        One for each member of the dataset. If ``subject`` of its description is a label of training, its subject layer
        is used.

    Raises:
        DataError: As ``embed_raw``, or the dataset holds no recordings.
    """
    found = []
    for signal, description in members(dataset):
        subject = _training_label(subject_of(description), model.training_data.subjects)
        embed = model.embed_epochs if isinstance(signal, BaseEpochs) else model.embed_raw
        found.append(embed(signal, subject, hop))
    return found


def _training_label(label: str, trained: Sequence[str]) -> str | None:
    """The same label among those of training, where ``sub-01`` equals ``01``; None if there is none."""
    if label in trained:
        return label
    bare = label.removeprefix("sub-")
    same = [other for other in trained if other.removeprefix("sub-") == bare]
    return same[0] if len(same) == 1 and bare else None


def _new(settings: Mapping[str, Any] | None) -> tuple[ViTEncoder, float, tuple[str, ...]]:
    try:
        return ViTEncoder(**dict(settings or {})), RATE, DECODABLE
    except TypeError as error:
        raise ConfigError(f"settings={settings!r}: not those of ViTEncoder ({error})") from error


def _trained(source: Path, settings: Mapping[str, Any] | None) -> tuple[ViTEncoder, float, tuple[str, ...]]:
    if settings:
        raise ConfigError(
            f"settings={dict(settings)}: the weights of {source} contain their own settings; leave these out"
        )
    described, weights, _ = read_part(source, "encoder")
    encoder = build_encoder(described, str(source))
    if not isinstance(encoder, ViTEncoder) or is_audio_encoder(encoder):
        raise DataError(f"{source}: no encoder of EEG; name an export of stage 1 or 2")
    load_into(encoder, weights, str(source))
    data = read_data(source)
    return encoder, float(data.get("preprocessing", {}).get("rate", RATE)), trained_types(data)


def _check_types(chs_info: Sequence[Mapping[str, Any]], types: Sequence[str]) -> None:
    """Refuse channels of types that the encoder was not trained on, if their type is given."""
    for channel in chs_info:
        if "kind" in channel and type_of(channel) not in types:
            raise ConfigError(
                f"channel {channel.get('ch_name', '?')} is of type {type_of(channel) or 'other'}, the encoder takes "
                f"{' and '.join(types)}; leave it out (raw.pick)"
            )


def _samples(n_times: int | None, seconds: float | None, rate: float) -> int:
    for name, value in (("n_times", n_times), ("input_window_seconds", seconds)):
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < np.inf):
            raise ConfigError(f"{name}={value!r} must be a number above 0")
    from_seconds = None if seconds is None else round(seconds * rate)
    if n_times is None and from_seconds is None:
        raise ConfigError("the length of a window is missing; give n_times, or input_window_seconds")
    if n_times is not None and from_seconds is not None and n_times != from_seconds:
        raise ConfigError(f"n_times={n_times}, but {seconds:g} s at {rate:g} Hz are {from_seconds} samples; give one")
    return int(n_times if n_times is not None else from_seconds or 0)


def _places(chs_info: Sequence[Mapping[str, Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Positions in metres, from the channels, else by name, (channels, 3); NaN for channels not on a standard head."""
    places = np.full((len(chs_info), 3), np.nan)
    names, given = [str(channel["ch_name"]) for channel in chs_info], 0
    for row, channel in enumerate(chs_info):
        places[row] = place_of(channel)
        if np.isfinite(places[row]).all():
            given += 1
            continue
        if type_of(channel) not in ("eeg", ""):  # not on a standard head
            continue
        try:
            places[row] = electrode_positions([names[row]], source="chs_info", among=names)[0]
        except DataError as error:
            raise ConfigError(str(error)) from error
    warn_of_mixture("chs_info", given, 0, len(names) - given)
    fault = fault_of_positions(names, places)
    if fault:
        raise ConfigError(f"chs_info: positions of its channels {fault}; give metres in head coordinates, or none")
    return places
