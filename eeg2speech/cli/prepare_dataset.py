"""`eeg2speech prepare DATASET`: the options of a dataset, and what is printed about the store."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import jsonargparse
import yaml  # type: ignore[import-untyped]
from rich.table import Table
from rich.text import Text

from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.cli.help import examples_text
from eeg2speech.cli.output import json_stdout, print_json
from eeg2speech.cli.parser import CommandParser, docstring_text
from eeg2speech.core.console import table_console
from eeg2speech.core.paths import expanded
from eeg2speech.core.tables import read_table
from eeg2speech.core.types import Source
from eeg2speech.data.files.notices import collected_notices, one_line_per_kind
from eeg2speech.data.preparation.prepare import Summary, prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.readers import READERS
from eeg2speech.data.readers.bids_rules import rules_reader
from eeg2speech.data.simulation.embedded import describe
from eeg2speech.data.simulation.simulator import Simulation, demo_sources
from eeg2speech.data.simulation.speech import read_speech, sound_files
from eeg2speech.data.store.shards import Shard
from eeg2speech.data.store.store import Description, Dropped, Store

EMBEDDED = "embedded"
SHOWN = 20
"""Lines of a list that are printed before it is cut."""
PREPROCESSING = Preprocessing()
SIMULATION = Simulation()
YAML_MODE = "yaml_labels"
"""Parser mode of jsonargparse in which ``027`` is a label: YAML 1.1 reads the octal number 23, another participant."""
_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(?:0|[1-9][0-9]*)",
    "tag:yaml.org,2002:float": r"[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*(?:[eE][-+]?[0-9]+)?"
    r"|(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF|nan|NaN|NAN))",
}
"""Numbers of YAML 1.2: without leading zeros, and never in base 60."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in {*_NUMBERS, "tag:yaml.org,2002:timestamp"}]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list("-+0123456789."))
jsonargparse.set_loader(YAML_MODE, lambda text: yaml.load(text, Loader=_Loader), (yaml.YAMLError,))  # noqa: S506


@dataclass
class Demo:
    """Simulated EEG of people who listen to speech.

    Attributes:
        root: Folder of sound files, or `embedded` for the speech that comes with the package.
        simulation: Simulated subjects, and the level of their responses.
        channel: Channel of sounds with several channels: left, right, a number from 0, or the mean of all channels.
    """

    root: str
    simulation: Simulation = SIMULATION
    channel: ChannelChoice = "mean"

    def sources(self) -> list[Source]:
        """A recording per subject."""
        if self.root == EMBEDDED:
            return demo_sources(read_speech(), self.simulation)
        return demo_sources(
            read_speech(expanded(self.root), channel=self.channel), self.simulation, tuple(self._files().values())
        )

    def description(self) -> Description:
        """The simulation, and a hash of the user's own sounds."""
        description = describe(self.simulation)
        if self.root == EMBEDDED:
            return description
        digest = hashlib.sha256()
        for name, file in self._files().items():
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0" + file.read_bytes())
        chosen = {} if self.channel == "mean" else {"channel": self.channel}
        return replace(
            description,
            source="simulated by eeg2speech over sounds of the user's own",
            license="that of the sounds",
            settings=description.settings | {"simulation.speech": digest.hexdigest()} | chosen,
        )

    def _files(self) -> dict[str, Path]:
        """Sounds by name, then their texts."""
        sounds = sound_files(expanded(self.root))
        texts = [text for file in sounds.values() if (text := file.with_suffix(".txt")).is_file()]
        return sounds | {text.name: text for text in texts}


DATASETS: dict[str, Any] = {**READERS, "demo": Demo}


def run_dataset(name: str, argv: Sequence[str]) -> int:
    """Prepare a dataset.

    Args:
        name: Name of the dataset, or a YAML file with the rules of a BIDS dataset.
        argv: Words after it.

    Returns:
        Exit status.
    """
    parser = dataset_parser(name)
    options = parser.instantiate(parser.parse_args(list(argv))).as_dict()
    options.pop("config", None)
    reader = _dataset(name)
    return _prepare(reader(**{field.name: options.pop(field.name) for field in fields(reader)}), **options)


def dataset_parser(name: str) -> CommandParser:
    """The parser of a dataset: the options of its reader, and those of all datasets."""
    stem, dataset = Path(name).stem, _dataset(name)
    place = EMBEDDED if name == "demo" else f"~/{stem}"
    parser = CommandParser(
        prog=f"eeg2speech prepare {name}",
        description=docstring_text(dataset),
        epilog=examples_text(f"eeg2speech prepare {name} {place} stores/{stem} --jobs 4"),
        parser_mode=YAML_MODE,
    )
    parser.add_config_option()
    parser.add_class_arguments(dataset, as_positional=True)
    parser.add_function_arguments(_prepare, skip={"reader"}, as_positional=True)
    titles = {"root": "dataset", "out": "store", "preprocessing.rate": "processing of every recording"}
    parser.entitle(titles)
    return parser


def _dataset(name: str) -> type[Any]:
    return DATASETS[name] if name in DATASETS else rules_reader(expanded(name))


def _prepare(
    reader: Any,
    out: Path,
    preprocessing: Preprocessing = PREPROCESSING,
    jobs: int = 1,
    shard: str = "1/1",
    json: bool = False,
) -> int:
    """Prepare the recordings of a reader.

    Args:
        reader: Dataset.
        out: Folder of the store; a new folder, or a store to which recordings are added.
        preprocessing: Processing of every recording.
        jobs: Number of recordings prepared in parallel; -1 for one per core.
        shard: Prepare only this share of the recordings, e.g. 3/16: for array jobs that write to the same OUT.
        json: Print the content of the store, and what was left out, as JSON.
    """
    share = Shard.parse(shard)
    with collected_notices() as notices:
        try:
            sources = reader.sources()
        finally:
            for line in one_line_per_kind(notices):
                print(line, file=sys.stderr)
    root = None if reader.root == EMBEDDED else expanded(reader.root)
    with json_stdout(json):
        summary = prepare_sources(sources, out, reader.description(), preprocessing, jobs, root=root, shard=share)
    store = None if summary.waiting else Store(out)
    if json:
        print_json(_as_json(store, out, summary, len(sources)))
    elif store is None:
        print(
            f"Shard {share.number}/{share.count} is done; {summary.waiting} of {len(sources)} recordings are left to "
            f"other shards, and {out} is complete when the last of them is done"
        )
    else:
        _print_store(store)
    _print_errors(summary, len(sources))
    return int(bool(summary.errors or summary.incomplete))


def _print_store(store: Store) -> None:
    kind = "simulated " if store.description.simulated else ""
    print(
        f"{store.root}: {len(store.recordings)} {kind}recordings of {len(store.subjects)} subjects, "
        f"{_hours(store):.2f} h of EEG, {' or '.join(map(str, _channels(store)))} channels, "
        f"{len(store.segments)} segments, {_with_sound(store)} of them with a sound"
    )
    if dropped := _dropped(store):
        table_console().print(_dropped_table(dropped))


def _as_json(store: Store | None, out: Path, summary: Summary, count: int) -> dict[str, Any]:
    """The summary for a program; ``store`` is None while other shards are not done, ``count`` that of the dataset."""
    found: dict[str, Any] = {
        "store": out, "finished": store is not None, "of": count, "waiting": summary.waiting, "again": summary.again,
        "errors": summary.errors, "incomplete": summary.incomplete,
        "warnings": one_line_per_kind(summary.notices),
    }  # fmt: skip
    if store is not None:
        found |= {
            "simulated": store.description.simulated, "recordings": len(store.recordings),
            "subjects": len(store.subjects), "hours": _hours(store), "channels": _channels(store),
            "segments": len(store.segments), "with_sound": _with_sound(store),
            "dropped": [vars(part) for part in _dropped(store)],
        }  # fmt: skip
    return found


def _print_errors(summary: Summary, count: int) -> None:
    """Print which recordings failed or are incomplete to standard error."""
    for error in summary.errors[:SHOWN]:
        print(f"error: {error}", file=sys.stderr)
    if len(summary.errors) > SHOWN:
        print(f"... {len(summary.errors) - SHOWN} more, see dropped.tsv in the store", file=sys.stderr)
    if summary.incomplete:
        names = ", ".join(summary.incomplete[:3]) + (" and others" if len(summary.incomplete) > 3 else "")
        print(
            f"{len(summary.incomplete)} of {count} recordings lack something whose file is missing ({names}); complete "
            "the dataset and prepare it anew",
            file=sys.stderr,
        )
    if summary.errors:
        print(f"{len(summary.errors)} of {count} recordings failed; the others are in the store", file=sys.stderr)


def _with_sound(store: Store) -> int:
    """Segments whose sound, or its envelope, is in the store."""
    there = {file.stem for folder in ("audio", "envelopes") for file in (store.root / folder).glob("*.*")}
    return sum(segment.stimulus in there for segment in store.segments)


def _hours(store: Store) -> float:
    return sum(recording.samples for recording in store.recordings) / store.rate / 3600


def _channels(store: Store) -> list[int]:
    return sorted({recording.channels for recording in store.recordings})


def _dropped(store: Store) -> list[Dropped]:
    file = store.root / "dropped.tsv"
    return read_table(file, Dropped) if file.is_file() else []


def _dropped_table(dropped: list[Dropped]) -> Table:
    """Raw data that is not in the store, by reason; figures in reasons are left out, so that like ones are one row."""
    groups: dict[tuple[str, str], list[Dropped]] = defaultdict(list)
    for part in dropped:
        reason = part.reason.partition("% of ")[2] or part.reason
        groups[part.what, "" if part.what == "recording" else reason].append(part)
    table = Table("Dropped", "Why", "How much", box=None, padding=(0, 2, 0, 0))
    table.add_column("Where", overflow="fold")
    for (what, reason), parts in sorted(groups.items()):
        where = Counter(part.recording for part in parts)
        if what == "time":
            amount = f"{sum(part.seconds for part in parts) / 60:.1f} min of segments"
        elif what == "filled":
            amount = f"{sum(part.seconds for part in parts):.3g} s"
        elif what in ("channel", "segment"):
            amount = f"{len(parts)} {what}s"
        elif what == "sound":
            stimuli = {part.name for part in parts}
            amount = f"{len(stimuli)} sounds" if any(stimuli) else f"{len(parts)} recordings"
        else:
            amount, reason = f"{len(parts)} recordings", "see the errors below or dropped.tsv"
        names = ", ".join(list(where)[:3]) + (f" and {len(where) - 3} more" if len(where) > 3 else "")
        table.add_row(Text(what), Text(reason), amount, Text(f"{len(where)} recordings: {names}"))
    return table
