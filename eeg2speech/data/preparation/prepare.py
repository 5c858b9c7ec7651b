"""Preparation of a dataset: new and changed recordings are read, preprocessed and added to a store."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from joblib import Parallel, delayed

from eeg2speech.core.errors import ConfigError, DataError, DiskError, Eeg2SpeechError
from eeg2speech.core.files import printable
from eeg2speech.core.paths import expanded
from eeg2speech.core.progress import Countdown
from eeg2speech.core.tables import read_table
from eeg2speech.core.types import RawRecording, Recording, Source
from eeg2speech.data.files.notices import Notice, collected_notices, one_line_per_kind
from eeg2speech.data.preparation.preprocess import FILLED_IN, Prepared, Preprocessing, preprocess
from eeg2speech.data.preparation.sounds import add_sounds, sound_files
from eeg2speech.data.store.changes import plan, waiting
from eeg2speech.data.store.content import Content
from eeg2speech.data.store.inputs import check_inputs, named, record, stamp
from eeg2speech.data.store.shards import WHOLE, Shard, finishing, sole_writer
from eeg2speech.data.store.store import Description, Dropped, check_id
from eeg2speech.data.store.writer import StoreWriter

DEFAULT = Preprocessing()

logger = logging.getLogger(__name__)


@dataclass
class Summary:
    """Result of ``prepare_sources``.

    Attributes:
        again: Recordings that were prepared again, and what had changed.
        errors: One line per recording that failed.
        notices: Warnings about the recordings that were read.
        incomplete: Recordings that are in the store without a part whose file is missing.
        waiting: Number of recordings that other shards have not prepared yet; the store is finished once it is zero.
    """

    again: dict[str, list[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    waiting: int = 0


@dataclass
class Outcome:
    """Result for one recording.

    Attributes:
        recording: Its id.
        error: One line if it failed, else empty.
        notices: Warnings.
        incomplete: True if a file is missing that a part of it needs.
        rules: Number of segments by rule of the user.
    """

    recording: str
    error: str = ""
    notices: list[Notice] = field(default_factory=list)
    incomplete: bool = False
    rules: Mapping[str, int] = field(default_factory=dict)


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
    """Prepare recordings into a store; those that are finished and whose input files are unchanged are skipped.

    A recording whose files have changed is prepared again; if that fails, it is removed from the store, as it would be
    out of date. Files that are missing now change nothing. A recording that fails adds one line to the errors, and the
    others are still prepared. The next run continues a killed one. Several shards may work on one store, from several
    machines; the last of them writes its tables.

    Args:
        sources: Recordings of one dataset.
        out: The store's folder, new or prepared with the same settings.
        description: Content of ``dataset.json``; rate and preprocessing settings are filled in.
        preprocessing: Settings of the preprocessing.
        jobs: Recordings prepared at once, each in its own process; -1 for one per core.
        label: Label of the progress bar.
        root: Raw folder; input files are recorded relative to it.
        shard: Part of the recordings that this run prepares.

    Raises:
        ConfigError: The settings contradict each other or those of the store, or it was prepared from another dataset.
        DataError: No recording could be prepared.
        DiskError: The disk is full; finished recordings are kept.
    """
    preprocessing.check()
    if jobs < 1 and jobs != -1:
        raise ConfigError(f"jobs={jobs} must be 1 or more, or -1 for one per core")
    (recording, times), *_ = Counter(source.recording for source in sources).most_common(1) or [("", 0)]
    if times > 1:
        raise DataError(f"recording {recording} occurs {times} times; give each its own id")
    settings = {f"preprocessing.{key}": value for key, value in asdict(preprocessing).items()}
    description = replace(
        description,
        name=printable(description.name),
        rate=preprocessing.rate,
        settings=description.settings | settings,
        root="" if root is None else printable(os.path.realpath(expanded(root))),
    )
    fit_on = {source.recording: _fit_on(source, sources, preprocessing) for source in sources}
    sources = [_with_inputs_of(source, fit_on[source.recording]) for source in sources]

    summary = Summary()
    with sole_writer(out, shard):
        writer = StoreWriter(out, description)
        planned = plan(sources, shard, writer, root, jobs)
        for line in planned.lines:
            logger.warning(line)
        todo, summary.again = planned.todo, planned.again
        tasks = [_Task(source, preprocessing, writer, root, fit_on[source.recording], Path.cwd()) for source in todo]
        rules: Counter[str] = Counter()
        read = 0
        with Countdown(label, len(todo)) as countdown:
            try:
                parallel = Parallel(n_jobs=min(jobs, max(len(todo), 1)), return_as="generator_unordered")
                for outcome in parallel(delayed(task.run)() for task in tasks):
                    summary.errors += [outcome.error] * bool(outcome.error)
                    summary.notices += outcome.notices
                    summary.incomplete += [outcome.recording] * outcome.incomplete
                    rules.update(outcome.rules)  # adds
                    read += not outcome.error
                    countdown.step(len(summary.errors))
            except BrokenProcessPool as error:
                raise DataError(
                    "a process that prepared a recording was killed, most likely because memory ran out; lower "
                    f"jobs={jobs} and run the same command again: finished recordings are kept"
                ) from error
        summary.errors.sort()
        summary.notices.sort(key=lambda notice: notice.text)
        # rules of the user only, and only if all recordings were read: a rule may concern the others
        if "reader.sounds" in description.settings and len(todo) == len(sources):
            unused = [rule for rule, count in sorted(rules.items()) if not count]
            text = f"finds nothing in any of the {read} recordings that were read"
            summary.notices += [Notice(rule, f"{rule} {text}") for rule in unused]
        for line in one_line_per_kind(summary.notices):
            logger.warning(line)
        with finishing(out):
            summary.waiting = waiting(sources, writer, shard, root)
            if not summary.waiting and writer.root.is_dir():  # else another shard has just finished it
                _finish(writer, summary)
                # recordings of earlier runs included
                rows = read_table(writer.out / "dropped.tsv", Dropped, optional=True)
                summary.incomplete += [row.recording for row in rows if row.missing]
                if todo:
                    _report_outdated(writer, summary, root)
        asked = {source.recording for source in sources}
        summary.incomplete = sorted(asked & set(summary.incomplete))
    return summary


def _finish(writer: StoreWriter, summary: Summary) -> None:
    try:
        writer.finish()
    except DiskError:
        raise
    except DataError as error:
        raise DataError("; ".join([str(error).partition(";")[0], *summary.errors[:1]])) from error


def _report_outdated(writer: StoreWriter, summary: Summary, root: Path | None) -> None:
    """Report recordings that were removed, and files that changed while recordings were prepared from them."""
    content = Content.read(writer.out)
    if removed := sorted(summary.again.keys() - content.recordings.keys()):
        logger.warning("removed from the store, as they are out of date: %s", ", ".join(removed))
    hashes: dict[str, str] = {}
    for row in content.inputs:
        if hashes.setdefault(row.file, row.sha256) != row.sha256 and root is not None and (root / row.file).is_file():
            summary.errors.append(
                f"{row.file}: has changed since {row.recording} was prepared; run the same command again"
            )


def _fit_on(source: Source, sources: Sequence[Source], preprocessing: Preprocessing) -> list[Source] | None:
    """Recordings of the same subject that components are fitted on; None for the recording itself."""
    if preprocessing.ica_fit is None:
        return None
    return [s for s in sources if s.subject == source.subject and re.search(preprocessing.ica_fit, s.recording)]


def _with_inputs_of(source: Source, fit_on: list[Source] | None) -> Source:
    """A recording whose inputs include those of the recordings that its components are fitted on."""
    return replace(source, inputs=tuple(dict.fromkeys(f for s in (source, *(fit_on or ())) for f in s.inputs)))


@dataclass(frozen=True)
class _Task:
    """One recording to prepare, in a worker process.

    Relative paths start from ``here``: joblib reuses its workers for the next call, in the folder of the first.
    """

    source: Source
    preprocessing: Preprocessing
    writer: StoreWriter
    root: Path | None
    fit_on: list[Source] | None
    here: Path

    def run(self) -> Outcome:
        os.chdir(self.here)
        name = self.source.recording
        with collected_notices() as notices:
            try:
                raw = self._add()
                outcome = Outcome(name, incomplete=any(lost.missing for lost in raw.lost), rules=raw.rules)
            except DiskError:
                raise
            except Exception as error:  # libraries raise anything on malformed files; the others are still prepared
                text = _line(error, printable(name))
                self.writer.notes.fail(name, text)
                outcome = Outcome(name, text)
        return replace(outcome, notices=notices)

    def _add(self) -> RawRecording:
        """Read the recording, preprocess it and add it to the store with its sounds; return it as it was read."""
        source, writer, root = self.source, self.writer, self.root
        name = check_id(source.recording, "recording")
        files = named(source.inputs, root)
        check_inputs(files)
        inputs = record(name, files)
        raw = source.load()
        if self.fit_on is not None and not self.fit_on:
            raise DataError(
                f"{name}: preprocessing.ica_fit={self.preprocessing.ica_fit!r} finds no recording of subject "
                f"{source.subject}; widen it"
            )
        training = [s.load() for s in self.fit_on or ()]
        made = preprocess(raw, self.preprocessing, name, writer.scratch(name), training)
        stimuli = {segment.stimulus for segment in made.segments} - {""}
        sounds_of_rules = named(sound_files(raw, stimuli), root)
        inputs += record(name, {file: path for file, path in sounds_of_rules.items() if file not in files})
        files |= sounds_of_rules
        sounds = add_sounds(raw, stimuli, self.preprocessing.rate, writer, inputs)
        for read in inputs:
            if stamp(files[read.file]) != (read.size, read.modified):
                raise DataError(f"{files[read.file]}: has changed while it was read; run the same command again")
        C, T = made.eeg.shape
        row = Recording(name, source.subject, source.session, source.run, C, T, f"eeg/{name}.npy")
        writer.write_signal(row, made.eeg)
        dropped = _dropped(raw, made, stimuli - sounds.keys(), name)
        writer.add_row(row, made.channels, made.segments, inputs, dropped, sounds, made.blocks)
        return raw


def _line(error: Exception, name: str) -> str:
    """Error of a recording as one line that names the recording."""
    text = str(error) if isinstance(error, (Eeg2SpeechError, OSError)) else f"{type(error).__name__}: {error}"
    text = printable("not enough memory; lower jobs" if isinstance(error, MemoryError) else text)
    return text if name in text else f"{name}: {text}"


def _dropped(raw: RawRecording, made: Prepared, silent: set[str], name: str) -> list[Dropped]:
    """Parts of a recording that are not in the store.

    Args:
        raw: Recording as it was read.
        made: Recording as it is in the store.
        silent: Stimuli whose sound is missing.
        name: Id of the recording.
    """
    rows = [Dropped(name, "channel", c.name, reason=c.status_description) for c in made.channels if c.status == "bad"]
    rows += [Dropped(name, lost.what, lost.name, lost.seconds, lost.reason, lost.missing) for lost in raw.lost]
    for reason, seconds in made.lost.items():
        rows.append(Dropped(name, "filled" if reason == FILLED_IN else "time", "", seconds, reason))
    reported = any(lost.what == "sound" and not lost.name for lost in raw.lost)
    if not reported and not any(segment.stimulus for segment in made.segments):
        rows.append(Dropped(name, "sound", reason="no sound is assigned to the recording"))
    return rows + [Dropped(name, "sound", stimulus, reason="the sound is missing") for stimulus in sorted(silent)]
