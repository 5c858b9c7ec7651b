"""`eeg2speech prepare`: raw or simulated recordings into a prepared store."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eeg2speech.data.embedded import describe
from eeg2speech.data.prepare import Summary, prepare_sources
from eeg2speech.data.preprocess import Preprocessing
from eeg2speech.data.readers import READERS
from eeg2speech.data.shards import Shard
from eeg2speech.data.simulator import Simulation, demo_sources
from eeg2speech.data.speech import read_speech, sound_files
from eeg2speech.data.store import Description, Dropped, Store
from eeg2speech.data.tables import read_table
from eeg2speech.types import Source

PREPROCESSING = Preprocessing()
SIMULATION = Simulation()
SHOWN = 20
"""Lines of a list that are printed before it is cut."""


def run(argv: Sequence[str]) -> int:
    """Run the command with the words after ``eeg2speech prepare``."""
    import jsonargparse

    from eeg2speech.cli.yaml_labels import MODE

    parser = jsonargparse.ArgumentParser(
        prog="eeg2speech prepare", description="Turn raw recordings into a prepared store.", parser_mode=MODE
    )
    datasets = parser.add_subcommands(dest="dataset", metavar="DATASET")
    for name, reader in READERS.items():
        text = inspect.getdoc(reader) or ""
        summary = text.partition("\n")[0]
        about = text.partition("Attributes:")[0].strip()
        command = jsonargparse.ArgumentParser(description=about, parser_mode=MODE)
        command.add_argument("--config", action="config", help="YAML file of these options.")
        command.add_class_arguments(reader, as_positional=True)
        command.add_function_arguments(_into, skip={"reader"}, as_positional=True)
        datasets.add_subcommand(name, command, help=summary)
    command = jsonargparse.ArgumentParser(parser_mode=MODE, description=(_demo.__doc__ or "").partition("\n")[0])
    command.add_argument("--config", action="config", help="YAML file of these options.")
    command.add_function_arguments(_demo, as_positional=True)
    datasets.add_subcommand("demo", command, help="Simulated EEG of people who listen to speech.")

    chosen = parser.parse_args(list(argv))
    options = parser.instantiate(chosen)[chosen.dataset].as_dict()
    options.pop("config", None)
    if chosen.dataset == "demo":
        return _demo(**options)
    reader = READERS[chosen.dataset]
    own = {field.name: options.pop(field.name) for field in fields(reader)}  # type: ignore[arg-type]
    return _into(reader(**own), **options)


def _into(
    reader: Any,
    out: Path,
    preprocessing: Preprocessing = PREPROCESSING,
    jobs: int = 1,
    shard: str = "1/1",
) -> int:
    """Prepare the recordings of a reader.

    Args:
        reader: Dataset.
        out: Folder of the store, new or to be added to.
        preprocessing: What is done to every recording.
        jobs: Recordings prepared at once; -1 for one per core.
        shard: Do only this share of the recordings, e.g. 3/16: for array jobs, each writing to the same OUT.
    """
    share = Shard.parse(shard)
    return _prepare(reader.sources(), out, reader.description(), preprocessing, jobs, reader.root, share)


def _demo(
    root: str,
    out: Path,
    simulation: Simulation = SIMULATION,
    preprocessing: Preprocessing = PREPROCESSING,
    jobs: int = 1,
    shard: str = "1/1",
) -> int:
    """Prepare simulated EEG of people who listen to speech.

    Args:
        root: Folder of sound files, or `embedded` for the speech that comes with the package.
        out: Folder of the store, new or to be added to.
        simulation: Who is simulated and how well their brains can be read.
        preprocessing: What is done to every recording.
        jobs: Recordings prepared at once; -1 for one per core.
        shard: Do only this share of the recordings, e.g. 3/16: for array jobs, each writing to the same OUT.
    """
    share = Shard.parse(shard)
    description = describe(simulation)
    if root == "embedded":
        sources = demo_sources(read_speech(), simulation)
        return _prepare(sources, out, description, preprocessing, jobs, None, share)
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
    return _prepare(sources, out, description, preprocessing, jobs, folder, share)


def _prepare(
    sources: list[Source],
    out: Path,
    description: Description,
    preprocessing: Preprocessing,
    jobs: int,
    root: Path | None,
    shard: Shard,
) -> int:
    summary = prepare_sources(sources, out, description, preprocessing, jobs, root=root, shard=shard)
    if summary.waiting:
        print(
            f"Shard {shard.number}/{shard.count} is done; {summary.waiting} of {len(sources)} recordings are left to "
            f"other shards, and {out} will be there when the last of them is done"
        )
    else:
        _tell(Store(out))
    return _errors(summary, len(sources))


def _tell(store: Store) -> None:
    hours = sum(recording.samples for recording in store.recordings) / store.rate / 3600
    channels = " or ".join(str(count) for count in sorted({r.channels for r in store.recordings}))
    kind = "simulated " if store.description.simulated else ""
    print(
        f"{store.root}: {len(store.recordings)} {kind}recordings of {len(store.subjects)} subjects, "
        f"{hours:.2f} h of EEG, {channels} channels, {len(store.segments)} segments"
    )
    dropped = read_table(store.root / "dropped.tsv", Dropped) if (store.root / "dropped.tsv").is_file() else []
    if dropped:
        Console(soft_wrap=True).print(_table(dropped))


def _table(dropped: list[Dropped]) -> Table:
    """What is not in the store, by reason."""
    groups: dict[tuple[str, str], list[Dropped]] = defaultdict(list)
    for part in dropped:
        groups[part.what, "" if part.what == "recording" else _reason(part)].append(part)
    table = Table("Dropped", "Why", "How much", box=None, padding=(0, 2, 0, 0))
    table.add_column("Where", overflow="fold")
    for (what, reason), parts in sorted(groups.items()):
        where = Counter(part.recording for part in parts)
        if what == "time":
            amount = f"{sum(part.seconds for part in parts) / 60:.1f} min of segments"
        elif what == "channel":
            amount = f"{len(parts)} channels"
        else:
            amount, reason = f"{len(parts)} recordings", "see the errors below or dropped.tsv"
        names = ", ".join(list(where)[:3]) + (f" and {len(where) - 3} more" if len(where) > 3 else "")
        table.add_row(Text(what), Text(reason), amount, Text(f"{len(where)} recordings: {names}"))
    return table


def _reason(part: Dropped) -> str:
    """The reason without its figure, so that like goes with like."""
    return part.reason.partition("% of ")[2] or part.reason


def _errors(summary: Summary, count: int) -> int:
    for error in summary.errors[:SHOWN]:
        print(f"error: {error}", file=sys.stderr)
    if len(summary.errors) > SHOWN:
        print(f"... {len(summary.errors) - SHOWN} more, see dropped.tsv in the store", file=sys.stderr)
    if summary.errors:
        print(f"{len(summary.errors)} of {count} recordings failed; the others are in the store", file=sys.stderr)
    return int(bool(summary.errors))
