"""The speech that subjects of the simulation listen to: the packaged passages, or a folder of the user's sounds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from eeg2speech.audio import Waveform, resample
from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.audio.files import read_mono
from eeg2speech.core.errors import DataError
from eeg2speech.core.tables import read_table
from eeg2speech.data.store.store import check_id

ASSETS = Path(__file__).parents[2] / "assets"
"""Where the packaged speech lies."""
FORMATS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""Endings of the files that are taken for sounds."""


@dataclass(frozen=True)
class Sentence:
    """One row of ``passages.tsv``, the text that was rendered.

    Attributes:
        passage: Passage it belongs to, e.g. ``p01``; also the id of the stimulus.
        sentence: Its number in the passage, from 1.
        text: What is said.
    """

    passage: str
    sentence: int
    text: str


@dataclass(frozen=True)
class TimedSentence:
    """One row of ``speech.tsv``: a sentence and where it lies in the sound of its passage.

    Attributes:
        passage: Passage it belongs to, also the stem of the sound file.
        sentence: Its number in the passage, from 1.
        onset: Start in seconds of the passage.
        duration: Length in seconds.
        text: What is said.
    """

    passage: str
    sentence: int
    onset: float
    duration: float
    text: str


class Sound(NamedTuple):
    """A sound and what is said in it.

    Attributes:
        wave: Waveform at 16 kHz in [-1, 1], (samples,).
        text: What is said, empty where unknown.
    """

    wave: Waveform
    text: str


def read_speech(root: Path | None = None, first: int = 0, channel: ChannelChoice = "mean") -> dict[str, Sound]:
    """Read sounds by stimulus id.

    Args:
        root: Folder whose sound files are read, each with the text of the same-named ``.txt`` where there is one;
            none for the passages that come with the package.
        first: How many are read, in the order of their ids; 0 for all.
        channel: Which of a sound's channels; ``mean`` averages all.

    Returns:
        Sounds by the file's stem, sorted.

    Raises:
        DataError: The folder holds no sound, two sounds of one name, an empty one, or one that cannot be read.
    """
    texts: dict[str, str] = {}
    if root is None:
        for sentence in timed_sentences():
            texts[sentence.passage] = " ".join(filter(None, [texts.get(sentence.passage), sentence.text]))
        files = {passage: packaged_file(passage) for passage in texts}
    else:
        files = sound_files(root)
    names = sorted(files)[: first or None]
    return {name: Sound(read_sound(files[name], channel), texts.get(name) or _text(files[name])) for name in names}


def timed_sentences() -> list[TimedSentence]:
    """Sentences of the packaged speech with their times, by passage and in the order they are spoken."""
    return read_table(ASSETS / "speech.tsv", TimedSentence)


def packaged_file(passage: str) -> Path:
    """Sound file of a packaged passage."""
    return ASSETS / "speech" / f"{passage}.opus"


def sound_files(root: Path) -> dict[str, Path]:
    """Sound files of a folder by stimulus id, sorted.

    Raises:
        DataError: There is no such folder, it holds no sound, or two sounds of one name.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; name one that holds {', '.join(FORMATS)} files")
    files: dict[str, Path] = {}
    for file in sorted(root.iterdir()):
        if file.suffix.lower() not in FORMATS or not file.is_file():
            continue
        name = check_id(file.stem, "sound")
        if name in files:
            raise DataError(f"{file}: {files[name].name} has the same stimulus id {name!r}; rename one of them")
        files[name] = file
    if not files:
        raise DataError(f"{root}: no sound file ({', '.join(FORMATS)}); add some or name another folder")
    return files


def read_sound(file: Path, channel: ChannelChoice = "mean") -> Waveform:
    """Read a sound file as 16 kHz mono, (samples,).

    Args:
        file: To read.
        channel: Which of its channels; ``mean`` averages all.

    Raises:
        DataError: It cannot be read, was cut short, is empty, or its channels cancel each other.
    """
    wave = resample(*read_mono(file, channel))
    if not len(wave):
        raise DataError(f"{file}: holds no samples; replace or remove it")
    return wave


def packaged_speech_hash() -> str:
    """sha256 over the packaged sounds and their text, so that a new rendering is a new dataset."""
    digest = hashlib.sha256()
    for file in [ASSETS / "speech.tsv", *sorted((ASSETS / "speech").glob("*.opus"))]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _text(sound: Path) -> str:
    file = sound.with_suffix(".txt")
    if not file.is_file():
        return ""
    try:
        return " ".join(file.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is not UTF-8 text ({error.reason}); save it as UTF-8") from error
