"""Which data a run was made on, and whether anybody was recorded for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.data.simulation.embedded import DEFAULT, describe
from eeg2speech.data.store.store import Description, read_description
from eeg2speech.reporting.html.run import Run, section


@dataclass(frozen=True)
class Origin:
    """The data of a run.

    Attributes:
        name: Of the dataset.
        simulated: Its EEG was simulated; None where nothing tells.
        told_by: The files and keys that say so.
        description: What its manifest says; None where the store is not here.
        store: Its folder, or what stands for it.
    """

    name: str
    simulated: bool | None
    told_by: str
    description: Description | None
    store: str


def find_origin(run: Run) -> Origin:
    """Gather what the files of a run say of its data.

    One that says "simulated" outweighs others that do not: to call a simulation a recording is the worse mistake.
    """
    said: dict[str, bool] = {}
    names: list[str] = []
    if run.test is not None and isinstance(run.test.get("simulated"), bool):
        said["test.json"] = run.test["simulated"]
        names.append(str(run.test.get("data", "")))
    root = ""
    for file, environment in run.environments.items():
        data = section(environment, "data")
        if isinstance(data.get("simulated"), bool):
            said[file] = data["simulated"]
            names.append(str(data.get("name", "")))
            root = str(data.get("root", ""))
    embedded = "store" in run.data and run.data["store"] is None
    if embedded:
        said["data.store, which is not set: the embedded simulation"] = True
        description: Description | None = describe(DEFAULT)
    else:
        description = _manifest(str(run.data.get("store") or ""), root)
    if description is not None:
        names.append(description.name)
        if not embedded:
            said["dataset.json of the store"] = description.simulated
    simulated = any(said.values()) if said else None
    told_by = ", ".join(file for file, value in said.items() if value == simulated)
    store = "embedded dataset" if embedded else str(run.data.get("store") or root or "unknown")
    return Origin(next((name for name in names if name), "unknown data"), simulated, told_by, description, store)


def facts_of(run: Run, origin: Origin) -> list[tuple[str, str]]:
    """What the data are, in words and numbers."""
    about = origin.name + (f" ({origin.store})" if origin.store != origin.name else "")
    facts = [("Data", about)]
    if origin.store == "embedded dataset":
        facts.append(("Simulation", _simulation(section(run.data, "simulation"))))
    split = section(run.test or {}, "split") or section(run.data, "split")
    if split:
        facts.append(("Split", f"held out by {split.get('by', '?')}, seed {split.get('seed', '?')}"))
    window = run.data.get("window")
    if window is not None:
        facts.append(("Window", f"{window:g} s of EEG" if isinstance(window, int | float) else str(window)))
    windows = section(run.test or {}, "windows")
    if windows:
        facts.append(("Windows", ", ".join(f"{count} {list_title(split)}" for split, count in windows.items())))
    return facts


def list_order(split: str) -> int:
    """Place of a test list among the others."""
    return TEST_SPLITS.index(split) if split in TEST_SPLITS else len(TEST_SPLITS)


def list_title(split: str, seen: bool = False) -> str:
    """A list of windows in words.

    Args:
        split: Its name.
        seen: Some of it was trained on, whatever its name says.
    """
    known = {
        "train": "for training", "val": "for validation", "unseen_stimulus": "new sounds",
        "unseen_subject": "new person", "unseen_both": "new sounds and person",
    }  # fmt: skip
    return known.get(split, split.replace("_", " ")) + (", not unseen" if seen else "")


def _simulation(settings: dict[str, Any]) -> str:
    snr = float(settings.get("snr", DEFAULT.snr))
    response = "no response to the sound at all" if snr == float("-inf") else f"response at {snr:g} dB"
    subjects, channels = settings.get("subjects", DEFAULT.subjects), settings.get("channels", DEFAULT.channels)
    return f"{subjects} people, {channels} electrodes, {response}, seed {settings.get('seed', DEFAULT.seed)}"


def _manifest(*roots: str) -> Description | None:
    for root in roots:
        if root and (Path(root) / "dataset.json").is_file():
            try:
                return read_description(Path(root))
            except DataError:  # of another version, say; the run's own files have told already what matters
                continue
    return None
