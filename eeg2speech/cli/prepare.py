"""`eeg2speech prepare`: raw or simulated recordings into a prepared store."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eeg2speech.cli.suggestion import closest
from eeg2speech.cli.text import page, paragraph, rows

if TYPE_CHECKING:
    from eeg2speech.cli.parser import CommandParser

DATASETS = {
    "your own recordings": {
        "bids": "Brain Imaging Data Structure: EEG, intracranial EEG and MEG.",
        "files": "Folders in no standard: EDF, BDF, GDF, BrainVision, EEGLAB, FIF, CNT, KIT, EGI.",
        "demo": "Simulated listeners of sound files, or of the embedded speech.",
    },
    "public datasets": {
        "brennan": "49 people, 60 electrodes, Alice in Wonderland.",
        "broderick": "19 people, 128 electrodes, an audiobook; MATLAB files without the sounds.",
        "ds004408": "19 people, 128 electrodes, The Old Man and the Sea.",
        "dtu": "18 people, 64 electrodes, one of two Danish talkers.",
        "eav": "42 people, 30 electrodes, own emotional speech.",
        "feis": "21 people, 14 electrodes, phonemes heard, imagined, spoken.",
        "japaneeg": "3 people, up to 128 electrodes, sentences read and heard.",
        "karaone": "KARA ONE: 60 electrodes, phonemes and words imagined and spoken.",
        "kul": "16 people, 64 electrodes, one of two Dutch stories.",
        "meg_masc": "27 people, MEG of 208 sensors, four stories.",
        "single_words": "10 people, depth electrodes, Dutch words read aloud.",
        "sparrkulee": "85 people, 64 electrodes, Dutch stories and podcasts.",
        "vlaai": "DTU's single-talker trials, with envelopes only.",
    },
}
"""What can be prepared, in a line; `DATASET --help` says more. Known without importing the readers."""
USAGE = "usage: eeg2speech prepare DATASET ROOT OUT [OPTIONS]"
NAMES = [name for group in DATASETS.values() for name in group]


def run(argv: Sequence[str]) -> int:
    """Prepare a dataset.

    Args:
        argv: Words after ``eeg2speech prepare``.

    Returns:
        Exit status: 1 if a recording failed; the others are in the store.
    """
    if argv and (argv[0] in NAMES or argv[0].endswith((".yaml", ".yml"))):
        from eeg2speech.cli.preparing import run_dataset  # brings scipy

        return run_dataset(argv[0], list(argv[1:]))
    if {"-h", "--help"} & set(argv):
        print(_help_text(), end="")
        sys.exit(0)
    word = next(iter(argv), "")
    near = closest(word, NAMES)
    what = f"unknown dataset {word!r}" if argv else "no dataset is named"
    hint = f"did you mean {near}?" if near else f"choose from {', '.join(NAMES)}"
    print(f"{USAGE}\nerror: {what}; {hint}", file=sys.stderr)
    sys.exit(2)


def parsers() -> dict[str, CommandParser]:
    """The parser of each dataset."""
    from eeg2speech.cli.preparing import dataset_parser

    return {name: dataset_parser(name) for name in NAMES}


def _help_text() -> str:
    lines = [USAGE, "", *paragraph("Turn raw or simulated recordings into a prepared store.")]
    for title, group in DATASETS.items():
        lines += ["", f"{title}:", *rows(group.items(), 16)]
    more = "What was prepared before is skipped unless its files have changed; "
    more += "`eeg2speech prepare DATASET --help` lists the options. "
    more += "DATASET may also be a YAML file with the rules of a BIDS dataset."
    lines += ["", *paragraph(more)]
    lines += ["", "examples:", "  eeg2speech prepare bids ~/my_dataset stores/mine --jobs 4"]
    lines += ["  eeg2speech prepare demo embedded stores/demo"]
    return page(lines)
