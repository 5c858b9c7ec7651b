"""From sources to a prepared store: what is missing is read, preprocessed and added."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from eeg2speech.audio import read_audio, resample
from eeg2speech.data.notices import Notice, collected_notices, one_line_per_kind
from eeg2speech.data.prepared import FILLED_IN
from eeg2speech.data.preprocess import Preprocessing, preprocess
from eeg2speech.data.progress import Countdown
from eeg2speech.data.shards import WHOLE, Shard, finishing, sole_writer
from eeg2speech.data.store import Description, Dropped, check_id
from eeg2speech.data.writer import StoreWriter
from eeg2speech.errors import ConfigError, DataError, DiskError, Eeg2SpeechError
from eeg2speech.types import RawRecording, Recording, Sound, Source

DEFAULT = Preprocessing()

logger = logging.getLogger(__name__)


@dataclass
class Summary:
    """How a run of ``prepare_sources`` ended.

    Attributes:
        errors: One line per recording that failed.
        notices: Warnings about the recordings that were read.
        waiting: Recordings that other shards have not done yet; the store is there once none is left.
    """

    errors: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    waiting: int = 0


def prepare_sources(
    sources: Sequence[Source],
    out: Path,
    description: Description,
    preprocessing: Preprocessing = DEFAULT,
    jobs: int = 1,
    label: str = "Preparing",
    root: Path | None = None,
    shard: Shard = WHOLE,
) -> Summary:
    """Prepare recordings into a store; those that are finished are passed over.

    A recording that fails costs one line and the others go on. A killed run is taken up by the next one. Several
    shards may work on one store, from several machines; the last of them writes its tables.

    Args:
        sources: Recordings of one dataset.
        out: The store's folder, new or prepared with the same settings.
        description: What goes into ``dataset.json``; rate and preprocessing settings are filled in.
        preprocessing: What is done to every recording.
        jobs: Recordings prepared at once, each in its own process; -1 for one per core.
        label: Stands before the progress bar.
        root: Raw folder; input files are recorded relative to it.
        shard: Which of the recordings this run does.

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

    summary = Summary()
    with sole_writer(out, shard):
        writer = StoreWriter(out, description)
        finished = writer.recordings
        todo = [source for source in shard.of(sources) if source.recording not in finished]
        here = Path.cwd()
        tasks = (
            delayed(_prepare)(s, preprocessing, writer, root, _fit_on(s, sources, preprocessing), here) for s in todo
        )
        with Countdown(label, len(todo)) as countdown:
            try:
                parallel = Parallel(n_jobs=min(jobs, max(len(todo), 1)), return_as="generator_unordered")
                for error, notices in parallel(tasks):
                    summary.errors += [error] * bool(error)
                    summary.notices += notices
                    countdown.step(len(summary.errors))
            except BrokenProcessPool as error:
                raise DataError(
                    "a process that prepared a recording was killed, most likely for want of memory; lower "
                    f"jobs={jobs} and run the same command again: finished recordings are kept"
                ) from error
        summary.errors.sort()
        summary.notices.sort(key=lambda notice: notice.text)
        for line in one_line_per_kind(summary.notices):
            logger.warning(line)
        lock = finishing(out)
        with lock:
            summary.waiting = _waiting(sources, writer, shard)
            if not summary.waiting and writer.root.is_dir():  # else another shard has just done it
                _finish(writer, summary)
                Path(lock.lock_file).unlink()
    return summary


def _finish(writer: StoreWriter, summary: Summary) -> None:
    try:
        writer.finish()
    except DiskError:
        raise
    except DataError as error:
        raise DataError("; ".join([str(error).partition(";")[0], *summary.errors[:1]])) from error


def _waiting(sources: Sequence[Source], writer: StoreWriter, shard: Shard) -> int:
    """How many recordings other shards have still to do."""
    if shard == WHOLE:
        return 0
    done = (writer.recordings | writer.failed.keys()) if writer.root.is_dir() else {s.recording for s in sources}
    return sum(source.recording not in done for source in sources)


def _fit_on(source: Source, sources: Sequence[Source], preprocessing: Preprocessing) -> list[Source] | None:
    """Recordings of the same subject that components are fitted on; None for the recording itself."""
    if preprocessing.ica_fit is None:
        return None
    return [s for s in sources if s.subject == source.subject and re.search(preprocessing.ica_fit, s.recording)]


def _prepare(
    source: Source,
    preprocessing: Preprocessing,
    writer: StoreWriter,
    root: Path | None,
    fit_on: list[Source] | None,
    here: Path,
) -> tuple[str, list[Notice]]:
    """Prepare one recording into the store; runs in a worker process.

    Relative paths start from ``here``: joblib keeps its workers for the next call, in the folder of the first.

    Returns:
        One line if it failed, else nothing; and what was warned of.
    """
    os.chdir(here)
    with collected_notices() as notices:
        return _prepare_one(source, preprocessing, writer, root, fit_on), notices


def _prepare_one(
    source: Source,
    preprocessing: Preprocessing,
    writer: StoreWriter,
    root: Path | None,
    fit_on: list[Source] | None,
) -> str:
    try:
        inputs = {_relative(file, root): _sha256(file, file.stat().st_mtime_ns) for file in source.inputs}
        raw: RawRecording = source.load()
        if fit_on is not None and not fit_on:
            raise DataError(
                f"{source.recording}: preprocessing.ica_fit={preprocessing.ica_fit!r} finds no recording of subject "
                f"{source.subject}; widen it"
            )
        training = [s.load() for s in fit_on or ()]
        scratch = writer.scratch(source.recording)
        made = preprocess(raw, preprocessing, source.recording, scratch, training)
        _add_sounds(raw, {segment.stimulus for segment in made.segments}, preprocessing.rate, writer)
    except DiskError:
        raise
    except (Eeg2SpeechError, OSError, MemoryError) as error:
        text = str(error) or "not enough memory; lower jobs"
        text = text if source.recording in text else f"{source.recording}: {text}"
        writer.fail(source.recording, text)
        return text
    C, T = made.eeg.shape
    file = f"eeg/{check_id(source.recording, 'recording')}.npy"
    row = Recording(source.recording, source.subject, source.session, source.run, C, T, file)
    writer.write_signal(row, made.eeg)
    dropped = [
        Dropped(row.recording, "channel", c.name, reason=c.status_description)
        for c in made.channels
        if c.status == "bad"
    ]
    for reason, seconds in made.lost.items():
        dropped.append(Dropped(row.recording, "filled" if reason == FILLED_IN else "time", "", seconds, reason))
    writer.add_row(row, made.channels, made.segments, inputs, dropped, made.pieces)
    return ""


def _add_sounds(raw: RawRecording, used: set[str], rate: float, writer: StoreWriter) -> None:
    """Add what a recording was heard with, unless it is in the store."""
    for stimulus in sorted(used & raw.stimuli.keys()):
        if not writer.has_sound(stimulus):
            writer.add_audio(stimulus, _waveform(stimulus, raw.stimuli[stimulus]))
    for stimulus in sorted(used & raw.envelopes.keys() - raw.stimuli.keys()):
        if not writer.has_sound(stimulus):
            envelope, old_rate = raw.envelopes[stimulus]()
            writer.add_envelope(stimulus, resample(np.asarray(envelope, np.float32), old_rate, rate))


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
