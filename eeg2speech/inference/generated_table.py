"""``generated.tsv``: the EEG and the settings that every generated sound file was made from."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from eeg2speech.core.errors import ConfigError, DataError, DiskError
from eeg2speech.core.files import written_beside
from eeg2speech.core.tables import append_row, read_table, write_table
from eeg2speech.data.store.store import Store, check_id
from eeg2speech.inference.clips import Clip

TABLE = "generated.tsv"


@dataclass(frozen=True)
class GenerationSettings:
    """Settings and model that speech is generated with.

    Attributes:
        seed: Given by the user; the seed of a window is derived from it, the recording and the start of the window.
        solver: Of the diffusion.
        steps: Of the solver.
        guidance: Scale of classifier-free guidance.
        start: Noise level at which sampling starts.
        overlap: Of windows, in seconds.
        method: ``diffusion`` or ``regression``.
        checkpoint: sha256 of the model's file.
        global_step: Training step of the model.
    """

    seed: int
    solver: str
    steps: int
    guidance: float
    start: float
    overlap: float
    method: str
    checkpoint: str
    global_step: int


@dataclass(frozen=True)
class Generated:
    """One row of ``generated.tsv``.

    Attributes:
        file: Sound file, beside the table.
        recording: Recording of the EEG.
        subject: Its subject.
        condition: Task of the subject.
        onset: Of the clip in the recording, in seconds.
        duration: Of the clip in seconds.
        stimulus: Stimulus of the EEG, empty for a whole recording.
        offset: Start of the clip in the stimulus, in seconds.
        reference: Sound file of the stimulus, empty if there is none.
        split: ``train`` or ``val`` if the model was trained or selected on the segment, ``unseen_stimulus``,
            ``unseen_subject`` or ``unseen_both`` if stimulus, subject or both are unseen, ``unused`` if the segment is
            in no split; several separated by commas for a whole recording; empty if the model was trained on another
            store.
        dataset: Name of the dataset.
        eeg: ``simulated`` or ``recorded``.

    The other attributes are those of ``GenerationSettings``.
    """

    file: str
    recording: str
    subject: str
    condition: str
    onset: float
    duration: float
    stimulus: str
    offset: float
    reference: str
    split: str
    dataset: str
    eeg: str
    seed: int
    solver: str
    steps: int
    guidance: float
    start: float
    overlap: float
    method: str
    checkpoint: str
    global_step: int


def row_of(clip: Clip, store: Store, settings: GenerationSettings) -> Generated:
    """The row of a clip of a store."""
    recording, segment = store.recordings[clip.recording], clip.segment
    reference = store.audio_file(segment.stimulus) if segment.stimulus else None
    return Generated(
        file=clip.file,
        recording=recording.recording,
        subject=recording.subject,
        condition=segment.condition if segment.stimulus else "",
        onset=clip.first / store.rate,
        duration=(clip.stop - clip.first) / store.rate,
        stimulus=segment.stimulus,
        offset=max(0.0, clip.first / store.rate - segment.onset + segment.offset),
        reference=str(reference) if reference is not None and reference.is_file() else "",
        split=clip.split,
        dataset=store.description.name,
        eeg="simulated" if store.description.simulated else "recorded",
        **{field.name: getattr(settings, field.name) for field in fields(settings)},
    )


class GeneratedTable:
    """The table of a folder of generated speech, written row by row, so that a killed run keeps its finished files.

    Args:
        folder: Made if it does not exist.
        checkpoint: sha256 of the model that will be used.
        overwrite: Remove files that another model generated.

    Raises:
        ConfigError: The folder holds speech of another model.
        DataError: The table is damaged.
        DiskError: The folder cannot be made.
    """

    def __init__(self, folder: Path, checkpoint: str, overwrite: bool = False) -> None:
        self.folder, self.file = folder, folder / TABLE
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(f"{folder}: cannot be made a folder ({error.strerror}); choose another --out") from error
        self.rows = {row.file: row for row in self._read()}
        others = [row for row in self.rows.values() if row.checkpoint != checkpoint]
        if others and not overwrite:
            raise ConfigError(
                f"{folder}: holds speech of another model ({others[0].file}, sha256 {others[0].checkpoint[:12]}); "
                "choose another --out, or replace it with --overwrite true"
            )
        for row in others:
            (folder / check_id(row.file, "file")).unlink(missing_ok=True)
            del self.rows[row.file]
        self._write()

    def has(self, row: Generated) -> bool:
        """Whether the file of a clip exists and was made with the same settings."""
        existing = self.rows.get(row.file)
        return existing is not None and _as_text(existing) == _as_text(row) and (self.folder / row.file).is_file()

    def drop(self, rows: list[Generated]) -> None:
        """Remove rows whose files will be made again."""
        for row in rows:
            self.rows.pop(row.file, None)
        self._write()

    def add(self, row: Generated) -> None:
        """Add the row of a finished file."""
        self.rows[row.file] = row
        try:
            append_row(self.file, row)
        except OSError as error:
            raise DiskError(f"{self.file}: cannot be written ({error.strerror}); free some space") from error

    def _write(self) -> None:
        try:
            write_table(self.file, Generated, self.rows.values())
        except OSError as error:
            raise DiskError(f"{self.file}: cannot be written ({error.strerror}); choose another --out") from error

    def _read(self) -> list[Generated]:
        if not self.file.exists():
            return []
        try:
            content = self.file.read_bytes()
            if not content.endswith(b"\n"):  # a run was killed while it wrote its last row
                with written_beside(self.file) as partial:
                    partial.write_bytes(content[: content.rfind(b"\n") + 1])
            return read_table(self.file, Generated)
        except (OSError, DataError) as error:
            reason = str(error).partition(";")[0]
            raise DataError(f"{reason}; not a table of generated speech: choose another --out") from error


def sha256_of(source: Path) -> str:
    """sha256 of a checkpoint, or of the ``config.json`` of an export, which contains the hashes of its weights."""
    file = source / "config.json" if source.is_dir() else source
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _as_text(row: Generated) -> tuple[object, ...]:
    """Values of a row with the digits that a table keeps."""
    return tuple(f"{v:.9g}" if isinstance(v, float) else " ".join(str(v).split()) for v in astuple(row))
