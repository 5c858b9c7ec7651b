"""The facts at the head of a run: its stage, its data, its training, and what is missing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from eeg2speech.core.errors import DataError
from eeg2speech.core.files import sha256_of
from eeg2speech.data.simulation.embedded import DEFAULT, describe
from eeg2speech.data.store.store import Description, read_description
from eeg2speech.metrics.summary import split_title
from eeg2speech.reporting.html.run import RunFiles, section
from eeg2speech.reporting.tensorboard.events import Events


class Stage(NamedTuple):
    """A stage.

    Attributes:
        title: Its name.
        lead: What it does, and the question of its test.
    """

    title: str
    lead: str
    uses_eeg: bool = True


STAGES = {
    "MAEEGTask": Stage(
        "Stage 1: masked autoencoding of EEG (MAEEG)",
        "An EEG encoder is trained to reconstruct hidden patches. The test measures the reconstruction error on "
        "held-out windows and compares it with interpolation on the same masks.",
    ),
    "AudioMAETask": Stage(
        "Masked autoencoding of sound",
        "A small audio encoder is trained to reconstruct hidden patches of spectrograms. Stage 2 uses it.",
        uses_eeg=False,
    ),
    "AlignmentTask": Stage(
        "Stage 2: alignment of EEG and speech",
        "EEG and speech are embedded in one space. The test measures how well a held-out EEG window retrieves the "
        "sound that the subject heard, compared with permutations, with controls that carry no information about the "
        "sound, and with linear decoders.",
    ),
    "DiffusionTask": Stage(
        "Stage 3: speech from EEG",
        "A diffusion model generates speech from EEG. The test measures how well a generated clip identifies its own "
        "sound among other held-out sounds, compared with permutations and with clips of the same model that are "
        "generated without that EEG. Sound quality alone does not show that the speech depends on the EEG.",
    ),
}


@dataclass(frozen=True)
class DataOrigin:
    """The data of a run.

    Attributes:
        name: Of the dataset.
        simulated: Its EEG is simulated; None if no file states whether it is.
        evidence: The files and keys that state it.
        description: The manifest of the store; None if the store was not found.
        store: Folder of the store, or a description of it.
        embedded: The store is the dataset that comes with the package.
    """

    name: str
    simulated: bool | None
    evidence: str
    description: Description | None
    store: str
    embedded: bool = False


def stage_of(run: RunFiles) -> tuple[str, Stage]:
    """Class name of the task and its stage, from the config or else from the results of the test."""
    task = run.task or ("" if run.test is None else run.test.stage)
    if task in STAGES:
        return task, STAGES[task]
    return task, Stage(task or "Run of an unknown stage", "This report has no description of this stage.")


def find_origin(run: RunFiles) -> DataOrigin:
    """Collect what the files of a run state about its data.

    If one file states "simulated", the data are treated as simulated: presenting a simulation as a recording is the
    worse mistake.
    """
    stated: dict[str, bool] = {}
    names: list[str] = []
    root = ""
    if run.test is not None and run.test.data is not None:
        stated["test.json"] = run.test.data.simulated
        names.append(run.test.data.name)
    for file, environment in run.environments.items():
        data = section(environment, "data")
        if isinstance(data.get("simulated"), bool):
            stated[file] = data["simulated"]
            names.append(str(data.get("name", "")))
            root = str(data.get("root", ""))
    embedded = "store" in run.data and run.data["store"] is None
    description = describe(DEFAULT) if embedded else _manifest(str(run.data.get("store") or ""), root)
    if description is not None:
        key = "data.store, which is not set: the embedded simulation" if embedded else "dataset.json of the store"
        stated[key] = description.simulated
        names.append(description.name)
    simulated = any(stated.values()) if stated else None
    evidence = ", ".join(file for file, value in stated.items() if value == simulated)
    store = "embedded dataset" if embedded else str(run.data.get("store") or root or "unknown")
    name = next((name for name in names if name), "unknown data")
    return DataOrigin(name, simulated, evidence, description, store, embedded)


def run_facts(run: RunFiles, origin: DataOrigin, events: Events) -> list[tuple[str, str]]:
    """Terms and descriptions of a run."""
    return [("Folder", str(run.folder)), *_data_facts(run, origin), *_training_facts(run), *_time_facts(run, events)]


def run_notes(run: RunFiles, origin: DataOrigin) -> list[str]:
    """What is missing in a run folder and how to get it, and what limits the results of the test."""
    notes = []
    if run.test is None:
        config = run.folder / next(iter(run.configs), "config.yaml")
        notes.append(
            f"No test.json: the run was not tested, so there is no verdict. To test it: eeg2speech test --config "
            f"{config} --ckpt_path {run.folder / 'checkpoints' / 'best.ckpt'}"
        )
    if not run.configs:
        notes.append("No config.yaml: the settings of the run are unknown.")
    if not run.events:
        notes.append("No TensorBoard events: there are no learning curves.")
    if origin.simulated is None:
        notes.append("No file in the folder states whether the EEG was recorded or simulated.")
    return notes + _test_notes(run)


def _test_notes(run: RunFiles) -> list[str]:
    if run.test is None:
        return []
    tested = run.test.checkpoint
    here = run.folder / "checkpoints" / Path(tested.path or "none").name
    seen = [] if run.test.seen is None else run.test.seen.notes
    notes = [f"{note[:1].upper()}{note[1:]}." for note in seen]
    if tested.sha256 and here.is_file() and sha256_of(here) != tested.sha256:
        notes.insert(
            0,
            f"test.json was not written for the {here.name} in this folder but for an earlier content of "
            f"{tested.path}, at step {tested.step}; test again",
        )
    return notes


def _data_facts(run: RunFiles, origin: DataOrigin) -> list[tuple[str, str]]:
    facts = [("Data", origin.name + (f" ({origin.store})" if origin.store != origin.name else ""))]
    if origin.embedded:
        facts.append(("Simulation", _simulation(section(run.data, "simulation"))))
    tested = None if run.test is None else run.test.data
    split = section(run.data, "split") if tested is None else tested.split
    if split:
        by = {"both": "stimulus and subject"}.get(str(split.get("by")), split.get("by", "?"))
        facts.append(("Split", f"held out by {by}, seed {split.get('seed', '?')}"))
    window = run.data.get("window")
    if window is not None:
        facts.append(("Window", f"{window:g} s" if isinstance(window, int | float) else str(window)))
    if tested is not None and tested.windows:
        counts = (f"{split_title(split)} {count}" for split, count in tested.windows.items())
        facts.append(("Windows", ", ".join(counts)))
    return facts


def _training_facts(run: RunFiles) -> list[tuple[str, str]]:
    trainer = section(run.config, "trainer")
    facts = []
    steps, epochs = trainer.get("max_steps"), trainer.get("max_epochs")
    if isinstance(steps, int) and steps > 0:
        facts.append(("Training", f"{steps} steps"))
    elif isinstance(epochs, int) and epochs > 0:
        facts.append(("Training", f"{epochs} epochs"))
    batch = run.data.get("batch_size")
    if batch is not None:
        facts.append(("Batch", f"{batch} windows on each device"))
    trained_on = run.settings.get("train_on")
    if trained_on not in (None, "real"):
        facts.append(("Trained on", f"{trained_on} instead of matching pairs (null control)"))
    if run.config.get("seed_everything") is not None:
        facts.append(("Seed", str(run.config["seed_everything"])))
    return facts


def _time_facts(run: RunFiles, events: Events) -> list[tuple[str, str]]:
    facts = []
    if events.begun is not None:
        facts.append(("Started", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(events.begun))))
    if events.trained:
        amount = f"{events.trained / 60:.0f} min" if events.trained > 90 else f"{events.trained:.0f} s"
        facts.append(("Duration", f"about {amount} of training"))
    if run.test is not None:
        tested = run.test.checkpoint
        facts.append(("Tested with", f"eeg2speech {run.test.eeg2speech}"))
        facts.append(("Tested checkpoint", f"{tested.path or 'none, the model was in memory'}, step {tested.step}"))
    return facts


def _simulation(settings: dict[str, Any]) -> str:
    snr = float(settings.get("snr", DEFAULT.snr))
    response = "no response to the sound" if snr == float("-inf") else f"response at {snr:g} dB"
    subjects, channels = settings.get("subjects", DEFAULT.subjects), settings.get("channels", DEFAULT.channels)
    return f"{subjects} subjects, {channels} electrodes, {response}, seed {settings.get('seed', DEFAULT.seed)}"


def _manifest(*roots: str) -> Description | None:
    for root in roots:
        if root and (Path(root) / "dataset.json").is_file():
            try:
                return read_description(Path(root))
            except DataError:  # a store of another version; the files of the run state what is needed
                continue
    return None
