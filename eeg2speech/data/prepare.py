"""From sources to a prepared store: what is missing is read, preprocessed and added."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from eeg2speech.audio import read_audio, resample
from eeg2speech.data.preprocess import Preprocessing, preprocess
from eeg2speech.data.store import Description
from eeg2speech.data.writer import StoreWriter
from eeg2speech.errors import ConfigError, DataError, DiskError, Eeg2SpeechError
from eeg2speech.types import Channel, RawRecording, Recording, Segment, Source

DEFAULT = Preprocessing()

Sound = Path | Callable[[], tuple[NDArray[np.float32], float]]


@dataclass
class Outcome:
    """What a worker process reports of one recording.

    Attributes:
        row: Its row in the table; None if it failed.
        channels: One per electrode.
        segments: In seconds of the prepared signal.
        stimuli: Where the sound of each stimulus that the store lacked is read from.
        inputs: sha256 by path.
        error: One line if it failed, else empty.
    """

    row: Recording | None
    channels: list[Channel] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    stimuli: Mapping[str, Sound] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    error: str = ""


def prepare_sources(
    sources: Sequence[Source],
    out: Path,
    description: Description,
    preprocessing: Preprocessing = DEFAULT,
    jobs: int = 1,
    label: str = "Preparing",
    root: Path | None = None,
) -> list[str]:
    """Prepare recordings into a store; those that are finished are passed over.

    A recording that fails costs one line and the others go on. A killed run is taken up by the next one.

    Args:
        sources: Recordings of one dataset.
        out: The store's folder, new or prepared with the same settings.
        description: What goes into ``dataset.json``; rate and preprocessing settings are filled in.
        preprocessing: What is done to every recording.
        jobs: Recordings prepared at once, each in its own process; -1 for one per core.
        label: Stands before the progress bar.
        root: Raw folder; input files are recorded relative to it.

    Returns:
        One line per recording that failed.

    Raises:
        ConfigError: The settings contradict each other or those of the store.
        DataError: No recording could be prepared.
        DiskError: The disk is full; what is finished is kept.
    """
    preprocessing.check()
    if jobs < 1 and jobs != -1:
        raise ConfigError(f"jobs={jobs} must be 1 or more, or -1 for one per core")
    (recording, times), *_ = Counter(source.recording for source in sources).most_common(1) or [("", 0)]
    if times > 1:
        raise DataError(f"recording {recording} occurs {times} times; give each its own id")
    settings = {f"preprocessing.{key}": value for key, value in asdict(preprocessing).items()}
    description = replace(description, rate=preprocessing.rate, settings=description.settings | settings)

    errors = []
    with _sole_writer(out):
        writer = StoreWriter(out, description)
        finished = writer.recordings
        todo = [source for source in sources if source.recording not in finished]
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(label, total=len(todo))
            try:
                # in the order of the sources: the same sound keeps the same name whatever the number of jobs
                parallel = Parallel(n_jobs=min(jobs, max(len(todo), 1)), return_as="generator")
                tasks = (delayed(_prepare)(source, preprocessing, writer, root) for source in todo)
                for outcome in parallel(tasks):
                    if not outcome.error:
                        outcome.error = _add(outcome, writer)
                    if outcome.error:
                        errors.append(outcome.error)
                    progress.advance(task)
            except BrokenProcessPool as error:
                raise DataError(
                    "a process that prepared a recording was killed, most likely for want of memory; lower "
                    f"jobs={jobs} and run the same command again: finished recordings are kept"
                ) from error
        try:
            writer.finish()
        except DiskError:
            raise
        except DataError as error:
            raise DataError("; ".join([str(error).partition(";")[0], *errors[:1]])) from error
    return errors


def _prepare(source: Source, preprocessing: Preprocessing, writer: StoreWriter, root: Path | None) -> Outcome:
    """Read and preprocess one recording and write its signal; runs in a worker process."""
    try:
        inputs = {_relative(file, root): _sha256(file, file.stat().st_mtime_ns) for file in source.inputs}
        raw: RawRecording = source.load()
        eeg, channels, segments = preprocess(raw, preprocessing, source.recording)
    except DiskError:
        raise
    except (Eeg2SpeechError, OSError, MemoryError) as error:
        text = str(error) or "not enough memory; lower jobs"
        return Outcome(None, error=text if source.recording in text else f"{source.recording}: {text}")
    file = writer.write_signal(source.recording, eeg)
    C, T = eeg.shape
    row = Recording(source.recording, source.subject, source.session, source.run, C, T, file)
    used = {segment.stimulus for segment in segments}
    stimuli = {
        stimulus: sound
        for stimulus, sound in raw.stimuli.items()
        if stimulus in used and not writer.has_audio(stimulus)
    }
    return Outcome(row, channels, segments, stimuli, inputs)


def _add(outcome: Outcome, writer: StoreWriter) -> str:
    """Add a recording's sounds and its row to the store.

    Returns:
        One line if a sound cannot be used, else nothing.
    """
    assert outcome.row is not None
    names = {}
    try:
        for stimulus, sound in sorted(outcome.stimuli.items()):
            if not writer.has_audio(stimulus):
                names[stimulus] = writer.add_audio(stimulus, _waveform(stimulus, sound))
    except DiskError:
        raise
    except (Eeg2SpeechError, OSError) as error:
        return f"{outcome.row.recording}: {error}"
    segments = [replace(s, stimulus=names.get(s.stimulus, s.stimulus)) for s in outcome.segments]
    writer.add_row(outcome.row, outcome.channels, segments, outcome.inputs)
    return ""


def _waveform(stimulus: str, sound: Sound) -> NDArray[np.float32]:
    wave, rate = read_audio(sound) if isinstance(sound, Path) else sound()
    if wave.size == 0 or not np.isfinite(wave).all():
        what = "is empty" if wave.size == 0 else "holds NaN"
        raise DataError(f"stimulus {stimulus}: {sound if isinstance(sound, Path) else 'its sound'} {what}; replace it")
    return resample(wave, rate)


def _relative(file: Path, root: Path | None) -> str:
    if root is not None:
        file, root = file.expanduser().resolve(), root.expanduser().resolve()
        if file.is_relative_to(root):
            return file.relative_to(root).as_posix()
    return file.name


@lru_cache(maxsize=4096)
def _sha256(file: Path, _modified: int) -> str:
    """Hash of a file: once while it is unchanged, as the same sound belongs to many recordings."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _sole_writer(out: Path) -> Iterator[None]:
    """Keep a second run off the same store: both would write the same partial files."""
    out = out.expanduser().absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out.parent / f".{out.name}.preparing", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise ConfigError(f"{out}: another run is preparing this store; wait for it or choose another OUT") from error
    except OSError as error:
        raise DiskError(f"{out}: cannot be written ({error.strerror}); choose another OUT") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
