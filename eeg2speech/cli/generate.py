"""`eeg2speech generate`: speech out of a trained model, as sound files and a table of what came from where."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filelock import FileLock, Timeout

from eeg2speech.cli.progress import progress_bar
from eeg2speech.errors import ConfigError, DataError

if TYPE_CHECKING:  # torch takes seconds to import
    from eeg2speech.data.clips import Clip
    from eeg2speech.data.generated import Generated, GeneratedTable
    from eeg2speech.data.origin import Origin
    from eeg2speech.generation import Speaker

CHECKPOINT = Path("runs/diffusion/checkpoints/best.ckpt")
OUT = Path("runs/diffusion/generated")


def generate(
    ckpt: Path = CHECKPOINT,
    store: Path | None = None,
    out: Path = OUT,
    what: Literal["segments", "recordings", "windows"] = "segments",
    subjects: list[str | int] | None = None,
    recordings: list[str | int] | None = None,
    conditions: list[str] | None = None,
    parts: list[str] | None = None,
    limit: int = 0,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    solver: Literal["dpm", "ddim"] | None = None,
    overlap: float = 0.32,
    batch_size: int = 8,
    device: str = "auto",
    components: str | None = None,
    overwrite: bool = False,
) -> int:
    """Write speech generated from EEG as 16-bit wav files at 16 kHz, with generated.tsv beside them.

    The table says of each file which EEG it came from, which sound was heard, and whether the model was trained on it.
    A clip depends on the seed and on where its EEG lies, not on its batch. A second run adds what is missing or was
    made with other settings.

    Args:
        ckpt: Checkpoint of stage 3, or a folder that `eeg2speech export` wrote.
        store: Prepared store; not given: the embedded dataset as it was in training.
        out: Folder to write into.
        what: A file for each of `segments`, `recordings` (all of each, with the pauses) or `windows` (of segments).
        subjects: Only these people, e.g. [sub-01].
        recordings: Only these recordings.
        conditions: Only segments of these, of listening, overt, imagined and rest.
        parts: Only these lists of the split, of train, val, unseen_stimulus, unseen_subject, unseen_both and unused.
            Not given: the test lists, or everything where the split does not hold (another store, `recordings`).
        limit: At most so many files, drawn from all over the store; 0 for all. A larger one adds to a smaller one's.
        seed: Of the noise that speech is made from.
        steps: Of the solver; as the checkpoint has it if not given.
        guidance: Scale of classifier-free guidance, 1 for none; as the checkpoint has it if not given.
        solver: `dpm` (DPM-Solver++) or `ddim`; as the checkpoint has it if not given.
        overlap: Seconds that a window has in common with the next, over which they are cross-faded.
        batch_size: Windows that are generated at once.
        device: E.g. cpu or cuda; auto takes a GPU where there is one.
        components: Folder or hub id of AudioLDM 2's parts, where they have moved since training.
        overwrite: Replace what another model has generated into OUT.
    """
    for name, value in (("limit", limit), ("batch_size", batch_size - 1)):
        if value < 0:
            raise ConfigError(f"--{name} is below {'0' if name == 'limit' else '1'}")
    ckpt, out = ckpt.expanduser(), out.expanduser()
    if not ckpt.exists():
        raise DataError(
            f"{ckpt}: no such checkpoint (--ckpt); train stage 3 first, "
            "`eeg2speech fit --config configs/diffusion.yaml`, or name another"
        )
    from eeg2speech.cli.device import choose_device
    from eeg2speech.data.clips import choose_clips, cut_clips
    from eeg2speech.data.generated import GeneratedTable, Making, row_of, sha256_of
    from eeg2speech.data.origin import open_origin
    from eeg2speech.generation import load_speech
    from eeg2speech.types import TEST_PARTS

    speaker = load_speech(ckpt, choose_device(device), components)
    speaker.batch_size = batch_size
    sampler = speaker.sample_with(solver, steps, guidance)
    common = speaker.overlap_samples(overlap)
    origin = open_origin(speaker.remembered, speaker.trained_on, fixed=not speaker.any_montage, root=store)
    for note in origin.notes:
        print(f"note: {note}", file=sys.stderr)
    clips, short = cut_clips(origin.store, what, speaker.trained_on.samples, common, origin.parts)
    if not clips:
        raise DataError(
            f"{origin.store.root}: all {short} {what} are shorter than a window of {speaker.trained_on.window:g} s; "
            "prepare a store with longer ones"
        )
    if short:
        print(f"note: {short} shorter than a window of {speaker.trained_on.window:g} s are left out", file=sys.stderr)
    if parts is None and origin.parts is not None and what != "recordings":
        there = {clip.part for clip in clips}
        parts = [part for part in TEST_PARTS if part in there]
    chosen = choose_clips(clips, origin.store, _text(subjects), _text(recordings), conditions, parts, limit)
    making = Making(
        seed, sampler.solver, sampler.steps, float(sampler.guidance), overlap, sha256_of(ckpt), speaker.global_step
    )
    rows = [row_of(clip, origin.store, making) for clip in chosen]
    with _sole_writer(out):
        table = GeneratedTable(out, making.checkpoint, overwrite)
        todo = [i for i, row in enumerate(rows) if not table.has(row)]
        table.drop([rows[i] for i in todo])
        if todo:
            _write(speaker, origin, [chosen[i] for i in todo], [rows[i] for i in todo], table, seed, overlap)
    _report(out, rows, len(todo))
    return 0


def _text(names: list[str | int] | None) -> list[str] | None:
    return None if names is None else [str(name) for name in names]  # YAML reads 10 as a number


def _write(
    speaker: Speaker,
    origin: Origin,
    clips: Sequence[Clip],
    rows: Sequence[Generated],
    table: GeneratedTable,
    seed: int,
    overlap: float,
) -> None:
    """Write clip after clip, each sample as soon as no later window can change it."""
    from eeg2speech.audio.wav import wav_writer

    windows = sum(len(clip.starts) for clip in clips)
    pieces = speaker.speak_clips(origin.store, origin.scalings, clips, origin.subjects, seed, overlap)
    with progress_bar() as progress:
        task = progress.add_task("Generating", total=windows)
        for index, of_clip in groupby(pieces, key=lambda piece: piece[0]):
            with wav_writer(table.folder / rows[index].file) as write:
                for _, wave, new in of_clip:
                    write(wave)
                    progress.advance(task, int(new))
            table.add(rows[index])


def _report(out: Path, rows: Sequence[Generated], made: int) -> None:
    seconds = sum(row.duration for row in rows)
    people = len({row.subject for row in rows})
    kind = "simulated EEG" if rows[0].eeg == "simulated" else "EEG"
    parts = Counter(row.part or "not known whether trained on" for row in rows)
    counts = ", ".join(f"{count} {part}" for part, count in sorted(parts.items()))
    print(
        f"{out}: {len(rows)} wav files, {seconds / 60:.1f} min of speech from {kind} of {people} subjects ({counts}); "
        f"{made} made now, {len(rows) - made} were there; generated.tsv says what came from where"
    )


@contextmanager
def _sole_writer(out: Path) -> Iterator[None]:
    """Keep a second run off the same folder: both would write the same table."""
    lock = FileLock(out.parent / f".{out.name}.generating", timeout=0)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ConfigError(f"{out}: another run is generating into it; wait for it or choose another --out") from error
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


COMMAND = generate
