"""Making the speech that `eeg2speech generate` was asked for."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from eeg2speech.audio.files import wav_writer
from eeg2speech.cli.device import choose_device
from eeg2speech.cli.machine import json_stdout, print_json
from eeg2speech.core.errors import DataError
from eeg2speech.core.folder_locks import guest, sole_writer
from eeg2speech.core.progress import Countdown
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.inference.clips import Clip, choose_clips, cut_clips
from eeg2speech.inference.generated_table import Generated, GeneratedTable, GenerationSettings, row_of, sha256_of
from eeg2speech.inference.generator import SpeechGenerator, load_generator
from eeg2speech.inference.source_store import SourceStore, open_source_store


@dataclass(frozen=True)
class Choice:
    """Which EEG; None for all that there is.

    Attributes:
        what: A file for each of these.
        subjects: Only these people.
        recordings: Only these recordings.
        conditions: Only segments of these.
        splits: Only these splits; None for the test splits, where they are known.
        limit: At most so many files; 0 for all.
    """

    what: Literal["segments", "recordings", "windows"]
    subjects: list[str] | None
    recordings: list[str] | None
    conditions: list[str] | None
    splits: list[str] | None
    limit: int


@dataclass(frozen=True)
class Manner:
    """How speech is made; None as the checkpoint has it.

    Attributes:
        seed: Of the noise that speech is made from.
        solver: Name of the solver.
        steps: Of the solver.
        guidance: Scale of classifier-free guidance.
        overlap: Of windows, in seconds.
        batch_size: Windows at once.
        device: Name of the device, or auto.
        components: Where AudioLDM 2's parts have moved to.
    """

    seed: int
    solver: Literal["dpm", "ddim"] | None
    steps: int | None
    guidance: float | None
    overlap: float
    batch_size: int
    device: str
    components: str | None


def generate(
    ckpt: Path, store: Path | None, out: Path, choice: Choice, manner: Manner, overwrite: bool, json: bool
) -> None:
    """Write what is missing of the files that were asked for, and say what there is.

    Args:
        ckpt: Checkpoint of stage 3 or exported folder.
        store: None for the embedded dataset.
        out: Folder to write into.
        choice: Which EEG.
        manner: How.
        overwrite: Replace what another model has generated into ``out``.
        json: Say it as JSON.
    """
    with json_stdout(json):
        speaker = load_generator(ckpt, choose_device(manner.device), manner.components)
        speaker.batch_size = manner.batch_size
        sampler = speaker.sample_with(manner.solver, manner.steps, manner.guidance)
        origin = open_source_store(speaker.training_data, fixed=not speaker.any_montage, root=store)
        for note in origin.notes:
            print(f"note: {note}", file=sys.stderr)
        chosen = _chosen(speaker, origin, choice, speaker.overlap_samples(manner.overlap))
        making = GenerationSettings(
            manner.seed, sampler.solver, sampler.steps, float(sampler.guidance), manner.overlap, sha256_of(ckpt),
            speaker.global_step,
        )  # fmt: skip
        rows = [row_of(clip, origin.store, making) for clip in chosen]
        with _sole_writer(out):
            table = GeneratedTable(out, making.checkpoint, overwrite)
            todo = [i for i, row in enumerate(rows) if not table.has(row)]
            table.drop([rows[i] for i in todo])
            if todo:
                _write(speaker, origin, [chosen[i] for i in todo], [rows[i] for i in todo], table, manner)
    if json:
        print_json(_counted(out, rows, len(todo)))
    else:
        _report(out, rows, len(todo))


def _chosen(speaker: SpeechGenerator, origin: SourceStore, choice: Choice, common: int) -> list[Clip]:
    window, splits = speaker.training_data.window, choice.splits
    clips, short = cut_clips(origin.store, choice.what, speaker.training_data.samples, common, origin.splits)
    if not clips:
        raise DataError(
            f"{origin.store.root}: all {short} {choice.what} are shorter than a window of {window:g} s; "
            "prepare a store with longer ones"
        )
    if short:
        print(f"note: {short} shorter than a window of {window:g} s are left out", file=sys.stderr)
    if splits is None and origin.splits is not None and choice.what != "recordings":
        there = {clip.split for clip in clips}
        splits = [split for split in TEST_SPLITS if split in there]
    return choose_clips(
        clips, origin.store, choice.subjects, choice.recordings, choice.conditions, splits, choice.limit
    )


def _write(
    speaker: SpeechGenerator,
    origin: SourceStore,
    clips: Sequence[Clip],
    rows: Sequence[Generated],
    table: GeneratedTable,
    manner: Manner,
) -> None:
    """Write clip after clip, each sample as soon as no later window can change it."""
    windows = sum(len(clip.starts) for clip in clips)
    pieces = speaker.generate_clips(origin.store, origin.scalings, clips, origin.subjects, manner.seed, manner.overlap)
    with Countdown("Generating windows", windows) as bar:
        for index, of_clip in groupby(pieces, key=lambda piece: piece[0]):
            with wav_writer(table.folder / rows[index].file) as write:
                for _, wave, new in of_clip:
                    write(wave)
                    bar.step(count=int(new))
            table.add(rows[index])


def _report(out: Path, rows: Sequence[Generated], made: int) -> None:
    seconds = sum(row.duration for row in rows)
    people = len({row.subject for row in rows})
    kind = "simulated EEG" if rows[0].eeg == "simulated" else "EEG"
    splits = Counter(row.split or "not known whether trained on" for row in rows)
    counts = ", ".join(f"{count} {split}" for split, count in sorted(splits.items()))
    print(
        f"{out}: {len(rows)} wav files, {seconds / 60:.1f} min of speech from {kind} of {people} subjects ({counts}); "
        f"{made} made now, {len(rows) - made} were there; generated.tsv says what came from where"
    )


def _counted(out: Path, rows: Sequence[Generated], made: int) -> dict[str, object]:
    return {
        "folder": out,
        "table": out / "generated.tsv",
        "files": [row.file for row in rows],
        "made": made,
        "seconds": sum(row.duration for row in rows),
        "subjects": sorted({row.subject for row in rows}),
        "eeg": rows[0].eeg,
    }


@contextmanager
def _sole_writer(out: Path) -> Iterator[None]:
    """Keep a second run off the same folder: both would write the same table. A run that it is in stays there."""
    runs = [folder for folder in out.absolute().parents if (folder / "checkpoints").is_dir()]
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(guest(run, "generate", "--out"))
        stack.enter_context(sole_writer(out, "generate", "--out", patience=0.0))
        yield
