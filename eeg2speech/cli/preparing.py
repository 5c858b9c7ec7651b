"""Preparing the dataset that `eeg2speech prepare` was asked for."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from pathlib import Path

from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.cli.machine import json_stdout, print_json
from eeg2speech.cli.parser import CommandParser, described, shown
from eeg2speech.cli.prepared import print_errors, print_notices, print_store, store_in_figures
from eeg2speech.cli.yaml_labels import MODE
from eeg2speech.core.paths import expanded
from eeg2speech.core.types import Source
from eeg2speech.data.files.notices import collected_notices
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.readers import READERS
from eeg2speech.data.readers.base import Reader
from eeg2speech.data.readers.bids_rules import rules_reader
from eeg2speech.data.simulation.embedded import describe
from eeg2speech.data.simulation.simulator import Simulation, demo_sources
from eeg2speech.data.simulation.speech import read_speech, sound_files
from eeg2speech.data.store.shards import Shard
from eeg2speech.data.store.store import Description, Store

DEMO = "demo"
PREPROCESSING = Preprocessing()
SIMULATION = Simulation()


def run_dataset(name: str, argv: list[str]) -> int:
    """Prepare a dataset.

    Args:
        name: Name of the dataset, or a YAML file with the rules of a BIDS dataset.
        argv: Words after it.

    Returns:
        Exit status.
    """
    parser = dataset_parser(name)
    options = parser.instantiate(parser.parse_args(argv)).as_dict()
    options.pop("config", None)
    if name == DEMO:
        return _demo(**options)
    reader = _reader(name)
    own = {field.name: options.pop(field.name) for field in fields(reader)}
    return _into(reader(**own), **options)


def dataset_parser(name: str) -> CommandParser:
    """The parser of a dataset: options of its reader, and of the preprocessing."""
    stem = Path(name).stem
    place = "embedded" if name == DEMO else f"~/{stem}"
    parser = CommandParser(
        prog=f"eeg2speech prepare {name}",
        description=described(_demo if name == DEMO else _reader(name)),
        epilog=shown(f"eeg2speech prepare {name} {place} stores/{stem} --jobs 4"),
        parser_mode=MODE,
    )
    parser.add_argument("--config", action="config", help="YAML file of these options.")
    parser.hide("--print_config")
    if name == DEMO:
        parser.add_function_arguments(_demo, as_positional=True)
    else:
        parser.add_class_arguments(_reader(name), as_positional=True)
        parser.add_function_arguments(_into, skip={"reader"}, as_positional=True)
    own = {"root": "sounds and store"} if name == DEMO else {"root": "the dataset", "out": "the store"}
    parser.entitle(own | {"preprocessing.rate": "what is done to every recording"})
    return parser


def _reader(name: str) -> type[Reader]:
    return READERS[name] if name in READERS else rules_reader(expanded(name))


def _into(
    reader: Reader,
    out: Path,
    preprocessing: Preprocessing = PREPROCESSING,
    jobs: int = 1,
    shard: str = "1/1",
    json: bool = False,
) -> int:
    """Prepare the recordings of a reader.

    Args:
        reader: Dataset.
        out: Folder of the store, new or to be added to.
        preprocessing: What is done to every recording.
        jobs: Recordings prepared at once; -1 for one per core.
        shard: Do only this share of the recordings, e.g. 3/16: for array jobs, each writing to the same OUT.
        json: Print what is in the store as JSON, and what is not.
    """
    share = Shard.parse(shard)
    with collected_notices() as notices:
        try:
            sources = reader.sources()
        finally:
            print_notices(notices)
    return _prepare(sources, out, reader.description(), preprocessing, jobs, reader.root, share, json)


def _demo(
    root: str,
    out: Path,
    simulation: Simulation = SIMULATION,
    preprocessing: Preprocessing = PREPROCESSING,
    channel: ChannelChoice = "mean",
    jobs: int = 1,
    shard: str = "1/1",
    json: bool = False,
) -> int:
    """Prepare simulated EEG of people who listen to speech.

    Args:
        root: Folder of sound files, or `embedded` for the speech that comes with the package.
        out: Folder of the store, new or to be added to.
        simulation: Who is simulated and how well their brains can be read.
        preprocessing: What is done to every recording.
        channel: Of sounds with several: left, right, its number from 0, or the mean of all.
        jobs: Recordings prepared at once; -1 for one per core.
        shard: Do only this share of the recordings, e.g. 3/16: for array jobs, each writing to the same OUT.
        json: Print what is in the store as JSON, and what is not.
    """
    share = Shard.parse(shard)
    description = describe(simulation)
    if root == "embedded":
        sources = demo_sources(read_speech(), simulation)
        return _prepare(sources, out, description, preprocessing, jobs, None, share, json)
    folder = expanded(root)
    files = sound_files(folder)
    texts = [text for file in files.values() if (text := file.with_suffix(".txt")).is_file()]
    digest = hashlib.sha256()
    for name, file in [*files.items(), *((text.name, text) for text in texts)]:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0" + file.read_bytes())
    chosen = {} if channel == "mean" else {"channel": channel}
    description = replace(
        description,
        source="simulated by eeg2speech over sounds of the user's own",
        license="that of the sounds",
        settings=description.settings | {"simulation.speech": digest.hexdigest()} | chosen,
    )
    with collected_notices() as notices:
        speech = read_speech(folder, channel=channel)
    print_notices(notices)
    sources = demo_sources(speech, simulation, (*files.values(), *texts))
    return _prepare(sources, out, description, preprocessing, jobs, folder, share, json)


def _prepare(
    sources: list[Source],
    out: Path,
    description: Description,
    preprocessing: Preprocessing,
    jobs: int,
    root: Path | None,
    shard: Shard,
    json: bool,
) -> int:
    with json_stdout(json):
        summary = prepare_sources(sources, out, description, preprocessing, jobs, root=root, shard=shard)
    store = None if summary.waiting else Store(out)
    if json:
        print_json(store_in_figures(store, out, summary, len(sources)))
    elif store is None:
        print(
            f"Shard {shard.number}/{shard.count} is done; {summary.waiting} of {len(sources)} recordings are left to "
            f"other shards, and {out} will hold them when the last of them is done"
        )
    else:
        print_store(store)
    print_errors(summary, len(sources))
    return int(bool(summary.errors or summary.incomplete))
