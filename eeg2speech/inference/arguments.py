"""Checks of the arguments of trained models: recordings, arrays, sounds, paths and labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from eeg2speech.audio import Waveform
from eeg2speech.audio.channels import ChannelChoice, mixed
from eeg2speech.audio.waveform import check_rate, scaled
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import RawRecording
from eeg2speech.data.files.raw import BaseEpochs, BaseRaw, from_array, from_epochs, from_mne
from eeg2speech.data.files.sounds import read_sound
from eeg2speech.inference.channels import with_types
from eeg2speech.inference.training_data import TrainingDataInfo

FASTEST = 1_000_000.0
"""Samples per second above which a rate of EEG is a mistake."""
Module = TypeVar("Module", bound=nn.Module)


def path_of(path: object) -> Path:
    """A path, with ``~`` for the home.

    Raises:
        ConfigError: ``path`` is not a path, or the home folder is not known.
    """
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"{path!r}, where the path of a file or folder is needed")
    return expanded(Path(path))


def moved_to(device: str, module: Module) -> Module:
    """Move a network to a device.

    Raises:
        ConfigError: The device does not exist.
    """
    try:
        return module.to(device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"device={device!r} cannot be used ({reason}); choose cpu, or cuda where there is a GPU"
        ) from error


def as_array(values: ArrayLike | Tensor) -> NDArray[Any]:
    """Convert an array or a tensor, on any device, with or without gradients, to an array.

    Raises:
        DataError: ``values`` is not an array.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.is_floating_point() and values.itemsize < 4 else values).numpy()
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"{type(values).__name__}, which is no array ({error}); give one array of numbers") from error


def subject_of_training(subject: str | None, training_data: TrainingDataInfo) -> str | None:
    """Check the label of a subject; None stands for an unseen subject.

    Raises:
        ConfigError: The label is not in the training data.
    """
    if subject is None or subject in training_data.subjects:
        return subject
    known = ", ".join(training_data.subjects[:5]) + (" ..." if len(training_data.subjects) > 5 else "")
    raise ConfigError(
        f"subject={subject!r} is not in the training data ({known or 'which have no labels'}); leave it out for an "
        "unseen subject, which gets the mean subject layer"
    )


def of_raw(raw: BaseRaw, training_data: TrainingDataInfo) -> RawRecording:
    """The channels of a recording whose types a model was trained on, and the EOG channels.

    Raises:
        DataError: ``raw`` is not an ``mne.io.Raw``, or has no such channel.
    """
    _expect(raw, BaseRaw, "an mne.io.Raw", "read a file with mne.io.read_raw; embed_epochs and embed_eeg take others")
    return from_mne(raw, training_data.types, beside=("eog",))


def of_epochs(epochs: BaseEpochs, training_data: TrainingDataInfo) -> RawRecording:
    """The channels of epochs whose types a model was trained on.

    Raises:
        DataError: ``epochs`` are not ``mne.Epochs``, all are dropped, or they have no such channel.
    """
    _expect(epochs, BaseEpochs, "mne.Epochs", "embed_raw takes a Raw, embed_eeg an array")
    return from_epochs(epochs, training_data.types)


def of_array(
    eeg: ArrayLike | Tensor,
    rate: float,
    channels: Sequence[str],
    positions: ArrayLike | Tensor | None,
    types: str | Sequence[str] | None,
    training_data: TrainingDataInfo,
) -> RawRecording:
    """An array as a recording; see ``EEGEmbedder.embed_eeg``.

    Raises:
        DataError: The arrays are not volts, or do not fit names, types and rate.
    """
    if isinstance(eeg, Tensor) and eeg.is_floating_point() and eeg.itemsize < 4:
        raise DataError(f"EEG of type {eeg.dtype}, which is too coarse for volts; give float32 or float64")
    values = as_array(eeg)
    if values.dtype.kind != "f" or values.dtype.itemsize < 4 or not values.size:
        raise DataError(f"EEG of type {values.dtype} and shape {values.shape}; give volts in float32 or float64")
    number = rate if isinstance(rate, int | float | np.integer | np.floating) else np.nan
    if isinstance(rate, bool) or not 0 < number <= FASTEST:
        raise DataError(f"EEG at rate={rate!r}; give its samples per second")
    names = [] if channels is None or isinstance(channels, str) else list(channels)
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"channels={channels!r}; give a list of names, one for each row of the array")
    places = None if positions is None else as_array(positions)
    if places is not None and places.dtype.kind not in "fiu":
        raise DataError(f"positions of type {places.dtype}; give metres, NaN where unknown")
    recording = from_array(values, float(rate), names, places)
    recording.channels = with_types(recording.channels, types, training_data.montages)
    return recording


def waveform_of(
    sound: str | Path | NDArray[Any] | Tensor, rate: float | None, channel: ChannelChoice = "mean"
) -> tuple[Waveform, float]:
    """Convert a sound file, an array or a tensor to a waveform in [-1, 1], (samples,), and its rate in hertz.

    Raises:
        DataError: The file cannot be read, or the array is not a waveform.
        ConfigError: The array comes without its rate.
    """
    if isinstance(sound, str | os.PathLike):
        return read_sound(path_of(sound), channel)
    values = as_array(sound)
    if rate is None:
        raise ConfigError(f"a waveform of shape {values.shape} at rate=None; give (samples,) and its rate in hertz")
    checked = check_rate(rate, "a waveform")
    return mixed(scaled(values, "a waveform"), checked, channel, "a waveform"), checked


def _expect(given: object, kind: type, name: str, advice: str) -> None:
    if not isinstance(given, kind):
        raise DataError(f"{type(given).__name__}, where {name} is needed; {advice}")
