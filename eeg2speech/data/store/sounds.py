"""The sounds of a store, and how they are named: equal sounds share a name, different sounds do not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import Waveform, write_audio
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import disk_errors, written_beside
from eeg2speech.data.store.content import SoundKey
from eeg2speech.data.store.store import check_id, save_array

FOLDERS = {"audio": ".flac", "envelopes": ".npy"}


@dataclass
class Arrangement:
    """Names and places of the sounds of a store.

    Attributes:
        names: Name of each sound that was requested.
        made_from: Hash of each sound's source, by name.
        files: Files that belong to the store, relative to it.
        moves: New files among them, and where they belong.
        renamed: Sounds that got another name because a different sound has theirs.
    """

    names: dict[SoundKey, str] = field(default_factory=dict)
    made_from: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    moves: dict[Path, str] = field(default_factory=dict)
    renamed: list[str] = field(default_factory=list)


class StoreSounds:
    """Sounds of a store, and envelopes that replace them. New ones wait in a folder of their own.

    Args:
        root: The store.
        new: Folder of new sounds.
        made_from: Hash of the source of each sound in the store, by name.
    """

    def __init__(self, root: Path, new: Path, made_from: dict[str, str]) -> None:
        self.root, self.new, self.made_from = root, new, made_from

    def has(self, stimulus: str, source: str = "") -> bool:
        """Whether there is a sound, or an envelope in its place, of the same name and source.

        Args:
            stimulus: Its id.
            source: Hash of its source.
        """
        return self._found(stimulus, source) is not None

    def add_audio(self, stimulus: str, wave: Waveform, source: str = "", comment: str = "") -> None:
        """Add a sound. When the store is finished, sounds with the same 16-bit samples get one name.

        Args:
            stimulus: Its id.
            wave: Waveform at 16 kHz in [-1, 1], (samples,).
            source: Hash of its source.
            comment: Warnings about it, which ``doctor`` repeats.
        """
        file = self._waiting("audio", stimulus, source)
        with disk_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with written_beside(file) as partial:
                write_audio(partial, wave, comment)

    def add_envelope(self, stimulus: str, envelope: NDArray[np.float32], source: str = "") -> None:
        """Add an envelope at the store's rate, (samples,), of a sound that is not published."""
        save_array(self._waiting("envelopes", stimulus, source), envelope)

    def arrange(self, kept: Collection[str], requested: Iterable[SoundKey]) -> Arrangement:
        """Name all sounds.

        Of several envelopes of one name, the one in the store is kept, else that of the first recording.

        Args:
            kept: Names of sounds that recordings of the store belong to; they do not change.
            requested: Sounds of new recordings.
        """
        arranged = Arrangement()
        by_content: dict[tuple[str, str], str] = {}
        for name in sorted(kept):
            arranged.made_from |= {name: self.made_from[name]} if name in self.made_from else {}
            for file in self._stored(name):
                by_content.setdefault(_content(file, name), name)
                arranged.files.add(_place(file, name))
        taken = set(kept)
        # a stable sort: of one name, the sound of the first recording comes first
        ordered = sorted(dict.fromkeys(requested), key=lambda key: key[0])
        found = [(key, place) for key in ordered if (place := self._found(*key)) is not None]
        for key, file in sorted(found, key=lambda pair: self.new in pair[1].parents):  # stored sounds keep their name
            (stimulus, source), content = key, _content(file, key[0])
            if content not in by_content:
                name = stimulus if self.new in file.parents else file.stem
                if name in taken:
                    name = _other_name(stimulus, content)
                    arranged.renamed.append(name)
                by_content[content] = name
                arranged.made_from |= {name: source} if source else {}
                arranged.files.add(_place(file, name))
                arranged.moves |= {file: _place(file, name)} if self.new in file.parents else {}
                taken.add(name)
            arranged.names[key] = by_content[content]
        return arranged

    def place(self, arranged: Arrangement) -> None:
        """Move new sounds to their place, and remove those that no recording belongs to."""
        for file, place in arranged.moves.items():
            (self.root / place).parent.mkdir(exist_ok=True)
            file.replace(self.root / place)
        for kind, suffix in FOLDERS.items():
            for file in (self.root / kind).glob(f"*{suffix}"):
                if _place(file, file.stem) not in arranged.files:
                    file.unlink()

    def _waiting(self, kind: str, stimulus: str, source: str) -> Path:
        return self.new / kind / f"{check_id(stimulus, 'stimulus')}@{source[:16]}{FOLDERS[kind]}"

    def _stored(self, name: str) -> list[Path]:
        files = (self.root / kind / f"{name}{suffix}" for kind, suffix in FOLDERS.items())
        return [file for file in files if file.is_file()]

    def _found(self, stimulus: str, source: str) -> Path | None:
        """File of a sound, new or in the store."""
        waiting = next((f for kind in FOLDERS if (f := self._waiting(kind, stimulus, source)).is_file()), None)
        if waiting is not None:
            return waiting
        if self.made_from.get(stimulus, "") == source and (stored := self._stored(stimulus)):
            return stored[0]
        # one source may hold several sounds, such as the channels of a file: only the content shows which was renamed
        names = [name for name, made in self.made_from.items() if made == source and name.startswith(f"{stimulus}_")]
        stored = [file for name in names for file in self._stored(name)]
        return next((file for file in stored if file.stem == _other_name(stimulus, _content(file, stimulus))), None)


def _place(file: Path, name: str) -> str:
    return f"{_kind(file)}/{name}{file.suffix}"


def _kind(file: Path) -> str:
    return "audio" if file.suffix == FOLDERS["audio"] else "envelopes"


def _other_name(stimulus: str, content: tuple[str, str]) -> str:
    """Name of a sound whose own name belongs to a different sound."""
    return f"{stimulus}_{content[1][:6]}"


def _content(file: Path, stimulus: str) -> tuple[str, str]:
    """Key that differs between sounds. Envelopes are compared by name: their lengths vary by a few samples."""
    return ("", audio_hash(file).hex()) if _kind(file) == "audio" else (stimulus, "")


def audio_hash(file: Path) -> bytes:
    """Hash of a FLAC file's samples: the MD5 in its header, so that nothing is decoded.

    Raises:
        DataError: It is not a FLAC file.
    """
    with file.open("rb") as stream:
        header = stream.read(42)  # "fLaC", block header (4), STREAMINFO (34) ending in the MD5 (16)
    if len(header) < 42 or header[:4] != b"fLaC":
        raise DataError(f"{file}: not a FLAC file; remove it and prepare the store again")
    return header[26:42]
