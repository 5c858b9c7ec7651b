"""Measures that need models of other people, which the user brings: nothing here is ever downloaded.

A measure is a function of the reference, what was generated, and the text that was said. Those that follow are made
from a function that recognises speech, tells speakers apart or rates a sound, whatever package it comes from; a
predictor of opinion scores such as DNSMOS is used through ``rating``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import Waveform
from eeg2speech.core.errors import ConfigError

Measure = Callable[[Waveform, Waveform, str], float]
Transcriber = Callable[[Waveform], str]
"""From a waveform in [-1, 1] at 16 kHz, (S,), to what was said."""


def extra_figures(
    measures: Mapping[str, Measure],
    reference: NDArray[np.float32],
    generated: NDArray[np.float32],
    texts: Sequence[str] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """One figure a clip, by the name of the measure.

    Args:
        measures: By name.
        reference: Waveforms in [-1, 1] at 16 kHz, (n, S).
        generated: What is measured, likewise, (n, S).
        texts: What was said in each clip, empty where not known.
    """
    said = texts if texts is not None else [""] * len(reference)
    clips = list(zip(reference, generated, said, strict=True))
    return {name: np.array([measure(*clip) for clip in clips]) for name, measure in measures.items()}


def word_error(transcribe: Transcriber) -> Measure:
    """Word error rate of what is understood; NaN where the text is not known."""

    def measure(_: Waveform, generated: Waveform, text: str) -> float:
        return word_error_rate(text, transcribe(generated))

    return measure


def speaker_similarity(embed: Callable[[Waveform], NDArray[np.floating]]) -> Measure:
    """Cosine in [-1, 1] of the speaker embeddings, (K,), of both sounds; NaN where one is zero."""

    def measure(reference: Waveform, generated: Waveform, _: str) -> float:
        first, second = (np.asarray(embed(sound), np.float64).ravel() for sound in (reference, generated))
        lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
        return float(first @ second) / lengths if lengths else float("nan")

    return measure


def rating(rate: Callable[[Waveform], float]) -> Measure:
    """What a rater who hears no reference says of what was generated."""

    def measure(_: Waveform, generated: Waveform, __: str) -> float:
        return float(rate(generated))

    return measure


def word_error_rate(said: str, heard: str) -> float:
    """Words to replace, insert and delete over words said: 0 is right, and it may exceed 1.

    Case and punctuation do not count. NaN where nothing was said.
    """
    said_words, heard_words = words(said), words(heard)
    return edit_distance(said_words, heard_words) / len(said_words) if said_words else float("nan")


def words(text: str) -> list[str]:
    """Words of a text without case and punctuation, save apostrophes within a word."""
    plain = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    kept = "".join(letter if letter.isalnum() or letter == "'" else " " for letter in plain)
    return [word for word in (word.strip("'") for word in kept.split()) if word]


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Least number of replaced, inserted and deleted items that turn one sequence into the other.

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
        model: Folder of a converted model, as faster-whisper reads it.
        language: Code such as ``en``; unset: recognised from each sound.

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
