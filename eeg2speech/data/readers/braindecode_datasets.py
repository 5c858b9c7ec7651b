"""Datasets of braindecode as recordings, by their attributes, so that braindecode need not be imported."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mne.io.constants import FIFF
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import RawRecording, Source
from eeg2speech.data.events.cues import silent
from eeg2speech.data.files.bids_layout import Datatype
from eeg2speech.data.files.notices import Notice
from eeg2speech.data.files.raw import UNKNOWN, BaseEpochs, BaseRaw, from_mne
from eeg2speech.data.files.recording_files import KINDS
from eeg2speech.data.preparation.prepare import Summary, prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.store.changes import SHOWN
from eeg2speech.data.store.content import Content
from eeg2speech.data.store.store import Description
from eeg2speech.data.timing import Clock

logger = logging.getLogger(__name__)


def members(dataset: Any) -> Iterator[tuple[BaseRaw | BaseEpochs, Any]]:
    """Recordings or epochs of a dataset, each with its description.

    Args:
        dataset: ``BaseConcatDataset``, ``RawDataset``, ``EEGWindowsDataset`` or ``WindowsDataset``, or an object with
            their attributes: ``datasets``, else ``raw`` or ``windows``.

    Raises:
        DataError: The object is none of these.
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


def type_of(channel: Mapping[str, Any]) -> str:
    """Type of a channel of ``info["chs"]``; empty where it is unknown or not decoded from."""
    kind, unit = channel.get("kind"), channel.get("unit")
    if kind == FIFF.FIFFV_MEG_CH:
        return "grad" if unit == FIFF.FIFF_UNIT_T_M else "mag"
    return {FIFF.FIFFV_EEG_CH: "eeg", FIFF.FIFFV_SEEG_CH: "seeg", FIFF.FIFFV_ECOG_CH: "ecog"}.get(kind, "")


def place_of(channel: Mapping[str, Any]) -> NDArray[np.float64]:
    """Position of a channel of ``info["chs"]`` in metres, (3,); NaN where unknown or not in head coordinates."""
    place = np.asarray(channel.get("loc", UNKNOWN), float)[:3]
    in_head = type_of(channel) != "eeg" or channel.get("coord_frame", FIFF.FIFFV_COORD_HEAD) == FIFF.FIFFV_COORD_HEAD
    known = place.shape == (3,) and np.isfinite(place).all() and place.any()
    return place if in_head and known else np.array(UNKNOWN)


def subject_of(description: Any, default: str = "") -> str:
    """Subject in the description of a recording; numbers get the form ``sub-01`` of prepared stores."""
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
    datatype: Datatype = "eeg",
) -> Summary:
    """Prepare the recordings of a braindecode dataset into a store, for stage 1 to train on (``data.store``).

    Each recording is one segment without a sound; the limits of windows and their targets are not kept, as stage 1
    needs neither. Give recordings as they were measured: filters and rate are those of ``preprocessing``. Recordings
    that are already in the store are kept unless their files have changed; changes of data in memory are not detected.

    Args:
        dataset: Recordings, or windows that are cut from recordings (``EEGWindowsDataset``).
        out: Folder of the store.
        name: Name of the dataset.
        license: Licence of the dataset.
        citation: What to cite.
        preprocessing: Preprocessing of every recording; None for the default.
        jobs: Recordings prepared at once.
        datatype: Kind of signal: scalp EEG, intracranial EEG or MEG.

    Returns:
        Which recordings failed, one line each.

    Raises:
        ConfigError: The datatype is unknown.
        DataError: The dataset holds no recordings.
    """
    if datatype not in KINDS:
        raise ConfigError(f"datatype={datatype!r} is none of {', '.join(KINDS)}")
    sources = list(_sources(dataset, KINDS[datatype]))
    in_memory = {source.recording for source in sources if not source.inputs}
    kept = sorted(in_memory & Content.read(expanded(out)).recordings.keys())
    settings = {"reader": "braindecode"} | ({} if datatype == "eeg" else {"reader.datatype": datatype})
    description = Description(name, "braindecode", license, citation, simulated=False, rate=100.0, settings=settings)
    summary = prepare_sources(sources, expanded(out), description, preprocessing or Preprocessing(), jobs)
    if kept:
        more = f" and {len(kept) - SHOWN} more" if len(kept) > SHOWN else ""
        notice = Notice("kept", f"{out}: kept {', '.join(kept[:SHOWN])}{more} as prepared before, since data in "
                        "memory cannot be compared with the store; choose another OUT if they differ")  # fmt: skip
        logger.warning("%s", notice.text)
        summary.notices.append(notice)
    return summary


def _sources(dataset: Any, kinds: Sequence[str]) -> Iterator[Source]:
    seen: dict[str, int] = {}
    for raw, description in members(dataset):
        if not isinstance(raw, BaseRaw):
            raise DataError("windows without their recordings cannot be trained on; give recordings (RawDataset)")
        subject = subject_of(description, "sub-unknown")
        run = seen[subject] = seen.get(subject, 0) + 1
        name = f"{subject}_run-{run:02d}"
        yield Source(name, subject, "", f"{run:02d}", _files_of(raw), partial(_read, raw, name, kinds))


def _files_of(raw: BaseRaw) -> tuple[Path, ...]:
    """Files of a recording; empty for one in memory, which may have been processed since it was read."""
    files = () if raw.preload else (Path(name) for name in raw.filenames if name is not None)
    return tuple(file for file in files if file.is_file())


def _read(raw: BaseRaw, name: str, kinds: Sequence[str]) -> RawRecording:
    recording = from_mne(raw, kinds)
    recording.segments = [silent(name, Clock.of(recording).seconds)]
    return recording
