"""The files of a store: sounds that are damaged, clipped or doubled, and files that belong to nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import soundfile

from eeg2speech.audio import RATE
from eeg2speech.audio.channels import CLIPPED
from eeg2speech.core.errors import DataError
from eeg2speech.data.files.notices import kind_of
from eeg2speech.data.store.store import Store
from eeg2speech.data.store.writer import audio_hash

COMMENT = 500
"""Characters of what `prepare` found odd about a sound that are shown."""
SILENT = 1e-4
"""Largest absolute sample, of 1, below which a sound counts as silent."""
TABLES = (
    "dataset.json", "recordings.tsv", "segments.tsv", "channels.tsv", "dropped.tsv", "inputs.tsv", "pieces.tsv",
)  # fmt: skip


class Problem(NamedTuple):
    """Something wrong with a store, in one line.

    Attributes:
        severity: ``error`` where training would fail or learn something false, else ``warning``.
        text: What and where.
    """

    severity: Literal["error", "warning"]
    text: str


def one_problem_per_kind(problems: Iterable[Problem]) -> list[Problem]:
    """The first problem of each kind, with the number of others of that kind."""
    kinds: dict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.severity, kind_of(problem.text)].append(problem)
    return [
        first._replace(text=f"{first.text} (and {len(more)} more of this kind)") if more else first
        for first, *more in kinds.values()
    ]


def check_audio(store: Store) -> tuple[dict[str, int], list[Problem]]:
    """Read the sound of every stimulus, and what `prepare` has found odd about it.

    Returns:
        Samples of each sound at 16 kHz by stimulus, without those that are missing or damaged; and problems.
    """
    lengths: dict[str, int] = {}
    problems: list[Problem] = []
    names: dict[bytes, list[str]] = defaultdict(list)
    for stimulus in store.stimuli:
        if not stimulus:
            continue
        try:
            file = store.audio_file(stimulus)
            if not file.is_file():
                continue
            with soundfile.SoundFile(file) as sound:
                if sound.samplerate != RATE or sound.channels != 1:
                    text = f"{file}: {sound.samplerate} Hz, {sound.channels} channels, not {RATE} Hz mono"
                    problems.append(Problem("error", f"{text}; prepare the store again"))
                    continue
                comment = "".join(letter for letter in sound.comment if letter.isprintable())[:COMMENT]
                read = clipped = 0
                peak = 0.0
                while len(block := sound.read(RATE * 60, dtype="float32")):
                    read += len(block)
                    clipped += int((np.abs(block) > 0.999).sum())
                    peak = max(peak, float(np.abs(block).max()))
                if read < sound.frames or read == 0:
                    text = f"{file}: {read} of {sound.frames} samples can be read"
                    problems.append(Problem("error", f"{text}; prepare the store again"))
                    continue
            names[audio_hash(file)].append(stimulus)
        except (DataError, soundfile.LibsndfileError, OSError) as error:
            text = str(error) if isinstance(error, DataError) else f"{stimulus}: sound cannot be read ({error})"
            problems.append(Problem("error", text))
            continue
        lengths[stimulus] = read
        if comment:
            problems.append(Problem("warning", f"{stimulus}: {comment}"))
        if clipped > CLIPPED * read and "clipped" not in comment:
            problems.append(Problem("warning", f"{stimulus}: {clipped / read:.1%} of the sound is clipped"))
        if peak < SILENT:
            problems.append(Problem("warning", f"{stimulus}: the sound is silent; nothing can be learned from it"))
    for same in names.values():
        if len(same) > 1:
            text = f"{', '.join(same)} are the same sound: as separate stimuli they leak between splits"
            problems.append(Problem("error", f"{text}; prepare the store again"))
    return lengths, problems


def stray_files(store: Store) -> list[str]:
    """Files that no table names, one line each."""
    known = {*TABLES, *(r.file for r in store.recordings), *(f"audio/{s}.flac" for s in store.stimuli)}
    known |= {f"envelopes/{stimulus}.npy" for stimulus in store.stimuli}
    found = (file.relative_to(store.root).as_posix() for file in sorted(store.root.rglob("*")) if file.is_file())
    return [
        f"{file}: belongs to no recording or stimulus; remove it"
        for file in found
        if file not in known and not file.startswith(".")  # what `prepare` will put in its place
    ]
