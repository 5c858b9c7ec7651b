"""`eeg2speech prepare`: raw or simulated recordings into a prepared store."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

from eeg2speech.data.embedded import describe
from eeg2speech.data.feis import feis_description, feis_sources
from eeg2speech.data.prepare import prepare_sources
from eeg2speech.data.preprocess import Preprocessing
from eeg2speech.data.simulator import Simulation, demo_sources
from eeg2speech.data.speech import read_speech, sound_files
from eeg2speech.data.store import Description, Store
from eeg2speech.types import Source

PREPROCESSING = Preprocessing()
SIMULATION = Simulation()


def feis(
    root: Path,
    out: Path,
    phases: list[str] | None = None,
    subjects: list[str | int] | None = None,
    preprocessing: Preprocessing = PREPROCESSING,
    jobs: int = 1,
) -> int:
    """Prepare FEIS: 14-channel EEG of hearing, imagining and speaking phonemes (doi 10.5281/zenodo.3369178).

    Args:
        root: Folder that holds data_eeg and data_wav.
        out: Folder of the store, new or to be added to.
        phases: Of stimuli, articulators, thinking, speaking and resting; all that are there if not given.
        subjects: Participants, e.g. [01,02]; all if not given.
        preprocessing: What is done to every recording.
        jobs: Recordings prepared at once; -1 for one per core.
    """
    names = None if subjects is None else [str(subject) for subject in subjects]  # YAML reads 01 as a number
    sources = feis_sources(root, phases, names)
    return _prepare(sources, out, feis_description(), preprocessing, jobs, root)


def demo(
    root: str,
    out: Path,
    simulation: Simulation = SIMULATION,
    preprocessing: Preprocessing = PREPROCESSING,
    jobs: int = 1,
) -> int:
    """Prepare simulated EEG of people who listen to speech.

    Args:
        root: Folder of sound files, or `embedded` for the speech that comes with the package.
        out: Folder of the store, new or to be added to.
        simulation: Who is simulated and how well their brains can be read.
        preprocessing: What is done to every recording.
        jobs: Recordings prepared at once; -1 for one per core.
    """
    description = describe(simulation)
    if root == "embedded":
        sources = demo_sources(read_speech(), simulation)
        return _prepare(sources, out, description, preprocessing, jobs, None)
    folder = Path(root).expanduser()
    files = sound_files(folder)
    digest = hashlib.sha256()
    for name, file in files.items():
        digest.update(name.encode() + b"\0" + file.read_bytes())
    description = replace(
        description,
        source="simulated by eeg2speech over sounds of the user's own",
        license="that of the sounds",
        settings=description.settings | {"simulation.speech": digest.hexdigest()},
    )
    sources = demo_sources(read_speech(folder), simulation, tuple(files.values()))
    return _prepare(sources, out, description, preprocessing, jobs, folder)


def _prepare(
    sources: list[Source],
    out: Path,
    description: Description,
    preprocessing: Preprocessing,
    jobs: int,
    root: Path | None,
) -> int:
    errors = prepare_sources(sources, out, description, preprocessing, jobs, root=root)
    store = Store(out)
    hours = sum(recording.samples for recording in store.recordings) / store.rate / 3600
    channels = " or ".join(str(count) for count in sorted({r.channels for r in store.recordings}))
    kind = "simulated " if store.description.simulated else ""
    print(
        f"{store.root}: {len(store.recordings)} {kind}recordings of {len(store.subjects)} subjects, "
        f"{hours:.2f} h of EEG, {channels} channels, {len(store.segments)} segments"
    )
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    if errors:
        print(f"{len(errors)} of {len(sources)} recordings failed; the others are in the store", file=sys.stderr)
    return int(bool(errors))


COMMAND = {"demo": demo, "feis": feis}
