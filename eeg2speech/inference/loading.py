"""Loading a trained model of any stage."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from eeg2speech.checkpoints.exports import export_names
from eeg2speech.checkpoints.parts import part_names, read_checkpoint
from eeg2speech.core.errors import DataError
from eeg2speech.inference.alignment import AlignmentModel, load_aligner
from eeg2speech.inference.arguments import path_of
from eeg2speech.inference.encoders import EEGEncoder, SoundEncoder, load_encoder
from eeg2speech.inference.generator import SpeechGenerator, load_generator

Loaded: TypeAlias = EEGEncoder | SoundEncoder | AlignmentModel | SpeechGenerator


def load(source: str | Path, device: str = "cpu") -> Loaded:
    """Load the largest model that a folder or checkpoint holds.

    Args:
        source: Folder that ``eeg2speech export``, ``save_pretrained`` or the end of ``eeg2speech fit`` wrote, or a
            checkpoint.
        device: Where it computes, e.g. ``cuda``.

    Returns:
        A ``SpeechGenerator`` of stage 3, an ``AlignmentModel`` of stage 2, an ``EEGEncoder`` of stage 1, or a
        ``SoundEncoder``. ``load_generator``, ``load_aligner`` and ``load_encoder`` return one type, for type checkers.

    Raises:
        ConfigError: ``source`` is not a path, or the device does not exist.
        DataError: There is no such model, it is damaged, or the preparation of its training data is not stored in it.
    """
    source = path_of(source)
    parts = export_names(source) if source.is_dir() else part_names(read_checkpoint(source))
    if "speech" in parts:
        return load_generator(source, device)
    if "aligner" in parts:
        return load_aligner(source, device)
    if "encoder" in parts:
        return load_encoder(source, device)
    raise DataError(f"{source}: holds no model of eeg2speech; its parts: {', '.join(parts) or 'none'}")
