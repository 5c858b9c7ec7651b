"""Encoder classes by name: how checkpoints and exports describe an encoder, and how it is built from a description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import nn

from eeg2speech.core.errors import ConfigError, DataError

Encoder = TypeVar("Encoder", bound=type[nn.Module])

_CLASSES: dict[str, type[nn.Module]] = {}


def register(cls: Encoder) -> Encoder:
    """Add an encoder of EEG or sound, so that models that contain it can be loaded; use it as a decorator.

    Checkpoints and exports name the class, and no module is imported because a file names it: the module that defines
    the class has to be imported before such a model is loaded. Instances need an attribute ``config``, the arguments
    that build them in plain values, without weights.

    Raises:
        ConfigError: Another class of this name is registered.
    """
    known = _CLASSES.setdefault(cls.__name__, cls)
    if known.__qualname__ != cls.__qualname__ or known.__module__ != cls.__module__:
        raise ConfigError(f"{cls.__name__} is registered by {known.__module__}; give the encoder another name")
    _CLASSES[cls.__name__] = cls  # the same class from a module that was imported again
    return cls


def encoder_class(described: Mapping[str, Any], source: str) -> type[nn.Module]:
    """Class of a described encoder; arguments and errors as of ``build_encoder``."""
    name = described.get("class", "")
    if name not in _CLASSES:
        raise DataError(
            f"{source}: an encoder of class {name!r}; this eeg2speech builds {', '.join(_CLASSES)}; import the module "
            "that registers yours (eeg2speech.models.register)"
        )
    return _CLASSES[name]


def build_encoder(described: Mapping[str, Any], source: str) -> nn.Module:
    """Build an encoder of EEG or sound with random weights.

    Args:
        described: ``class`` and ``config``, as of ``describe``.
        source: Where the description comes from, for error messages.

    Raises:
        DataError: The class is not registered, or has other arguments.
    """
    cls = encoder_class(described, source)
    try:
        return cls(**described.get("config", {}))
    except TypeError as error:
        raise other_version(source, cls.__name__, error) from error


def describe(encoder: nn.Module) -> dict[str, Any]:
    """``class`` and ``config`` of an encoder, in plain values."""
    return {"class": type(encoder).__name__, "config": encoder.config}


def other_version(source: str, name: str, error: TypeError) -> DataError:
    """The error for a description whose settings are not arguments of its class."""
    return DataError(f"{source}: not settings of {name} ({error}); use the eeg2speech that wrote it")
