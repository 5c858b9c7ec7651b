"""Datasets of braindecode as recordings: what stands in them is asked for by name, so that nothing is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eeg2speech.data.clock import Clock
from eeg2speech.data.prepare import Summary, prepare_sources
from eeg2speech.data.preprocess import Preprocessing
from eeg2speech.data.raw import BaseEpochs, BaseRaw, from_mne
from eeg2speech.data.readers.base import describe
from eeg2speech.errors import DataError
from eeg2speech.types import RawRecording, Segment, Source


def members(dataset: Any) -> Iterator[tuple[BaseRaw | BaseEpochs, Any]]:
    """What a dataset holds: recordings or epochs, each with its description.

    Args:
        dataset: ``BaseConcatDataset``, ``RawDataset``, ``EEGWindowsDataset`` or ``WindowsDataset``, or what has their
            attributes: ``datasets``, else ``raw`` or ``windows``.

    Raises:
        DataError: It is none of these.
    """
    inner: Iterable[Any] = getattr(dataset, "datasets", [dataset])
    for one in inner:
        held = getattr(one, "raw", None)
        held = getattr(one, "windows", None) if held is None else held
        if not isinstance(held, BaseRaw | BaseEpochs):
            raise DataError(
                f"a {type(one).__name__} holds neither an mne Raw nor Epochs; give a BaseConcatDataset of recordings "
                "(RawDataset) or windows (EEGWindowsDataset, WindowsDataset) of braindecode"
            )
        yield held, getattr(one, "description", None)


def subject_of(description: Any, default: str = "") -> str:
    """Label of the subject in a member's description; numbers get the form ``sub-01`` of prepared stores."""
    found = None if description is None else dict(description).get("subject")
    if found is None:
        return default
    text = str(found)
    return f"sub-{int(text):02d}" if text.isdigit() else text


def prepare_braindecode(
    dataset: Any,
    out: str | Path,
    name: str,
    license: str,
    citation: str,
    preprocessing: Preprocessing | None = None,
    jobs: int = 1,
) -> Summary:
    """Prepare the recordings of a braindecode dataset into a store, for stage 1 to train on (``data.store``).

    Each recording is one stretch without a sound; the limits of windows and their targets are not kept, as stage 1
    needs neither. Give recordings as they were measured: filters and rate are those of ``preprocessing``.

    Args:
        dataset: Of recordings or of windows that are cut from recordings (``EEGWindowsDataset``).
        out: Folder of the store.
        name: Of the dataset.
        license: Under which it may be used.
        citation: What to cite.
        preprocessing: What is done to every recording; None for the default.
        jobs: Recordings prepared at once.

    Returns:
        Which recordings failed, one line each.

    Raises:
        DataError: The dataset holds no recordings.
    """
    sources = list(_sources(dataset))
    description = describe(name, "braindecode", license, citation, "braindecode")
    return prepare_sources(sources, Path(out), description, preprocessing or Preprocessing(), jobs)


def _sources(dataset: Any) -> Iterator[Source]:
    seen: dict[str, int] = {}
    for raw, description in members(dataset):
        if not isinstance(raw, BaseRaw):
            raise DataError("windows without their recordings cannot be trained on; give recordings (RawDataset)")
        subject = subject_of(description, "sub-unknown")
        run = seen[subject] = seen.get(subject, 0) + 1
        name = f"{subject}_run-{run:02d}"
        yield Source(name, subject, "", f"{run:02d}", (), _Reading(raw, name))


class _Reading:
    """Reads a recording when it is prepared; a class and no closure, so that it goes to other processes."""

    def __init__(self, raw: BaseRaw, name: str) -> None:
        self.raw, self.name = raw, name

    def __call__(self) -> RawRecording:
        recording = from_mne(self.raw)
        recording.segments = [Segment(self.name, 0.0, Clock.of(recording).seconds, "", 0.0, "rest")]
        return recording
