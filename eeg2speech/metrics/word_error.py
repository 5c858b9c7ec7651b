"""Word error rate of generated speech, by a recogniser that the user installs; nothing is downloaded."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import Waveform
from eeg2speech.core.errors import ConfigError

Transcriber = Callable[[Waveform], str]
"""Maps a waveform in [-1, 1] at 16 kHz, (S,), to its text."""


def word_error_rates(transcribe: Transcriber, waves: Iterable[Waveform], texts: Sequence[str]) -> NDArray[np.float64]:
    """Word error rate of each clip, (n,); NaN where its text is empty.

    Args:
        transcribe: Recogniser.
        waves: Waveforms in [-1, 1] at 16 kHz, (n, S).
        texts: Reference text of each clip.
    """
    return np.array([word_error_rate(text, transcribe(wave)) for wave, text in zip(waves, texts, strict=True)])


def word_error_rate(reference: str, recognised: str) -> float:
    """Words to replace, insert and delete over words of the reference: 0 is perfect, and it may exceed 1.

    Case and punctuation do not count. NaN for an empty reference.
    """
    first, second = words(reference), words(recognised)
    return edit_distance(first, second) / len(first) if first else float("nan")


def words(text: str) -> list[str]:
    """Words of a text without case and punctuation, except for apostrophes within a word."""
    plain = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    kept = "".join(letter if letter.isalnum() or letter == "'" else " " for letter in plain)
    return [word for word in (word.strip("'") for word in kept.split()) if word]


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Smallest number of replaced, inserted and deleted items that turns one sequence into the other.

    Reference: Levenshtein 1966, Binary codes capable of correcting deletions, insertions and reversals.
    """
    row = list(range(len(second) + 1))
    for i, item in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (item != other))
    return row[-1]


def whisper(model: Path, language: str | None = None) -> Transcriber:
    """Recogniser of the package faster-whisper.

    Args:
        model: Folder of a converted model in the format of faster-whisper.
        language: Code such as ``en``; unset: detected in each sound.

    Raises:
        ConfigError: The package is not installed or the folder does not exist.
    """
    if find_spec("faster_whisper") is None:
        raise ConfigError("word error rate: faster-whisper is not installed; pip install faster-whisper")
    if not (model / "model.bin").is_file():
        raise ConfigError(f"word error rate: {model} holds no model.bin; name the folder of a faster-whisper model")
    recogniser = importlib.import_module("faster_whisper").WhisperModel(str(model), local_files_only=True)

    def transcribe(wave: Waveform) -> str:
        segments, _ = recogniser.transcribe(wave, language=language)
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe
