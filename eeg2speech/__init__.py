"""Decode speech from EEG: masked autoencoding, EEG-speech alignment, diffusion.

The functions and classes for trained models can be imported from here. ``import eeg2speech`` alone loads none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eeg2speech.core.errors import ConfigError, DataError, Eeg2SpeechError
    from eeg2speech.inference.alignment import AlignmentModel, Match, load_aligner
    from eeg2speech.inference.embedders import Embeddings
    from eeg2speech.inference.encoders import EEGEncoder, SoundEncoder, load_encoder
    from eeg2speech.inference.generator import SpeechGenerator, load_generator
    from eeg2speech.inference.loading import load

__version__ = "0.2.0"
__all__ = [
    "AlignmentModel", "ConfigError", "DataError", "EEGEncoder", "Eeg2SpeechError", "Embeddings", "Match",
    "SoundEncoder", "SpeechGenerator", "__version__", "load", "load_aligner", "load_encoder", "load_generator",
]  # fmt: skip

_WHERE = {
    "AlignmentModel": "inference.alignment", "Match": "inference.alignment", "load_aligner": "inference.alignment",
    "EEGEncoder": "inference.encoders", "SoundEncoder": "inference.encoders", "load_encoder": "inference.encoders",
    "ConfigError": "core.errors", "DataError": "core.errors", "Eeg2SpeechError": "core.errors",
    "SpeechGenerator": "inference.generator", "load_generator": "inference.generator",
    "Embeddings": "inference.embedders",
    "load": "inference.loading",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
