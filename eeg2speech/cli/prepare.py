"""`eeg2speech prepare`: raw or simulated recordings into a prepared store."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eeg2speech.cli.parser import CommandParser

DATASETS = {
    "your own recordings": {
        "bids": "Brain Imaging Data Structure: EEG, intracranial EEG and MEG.",
        "files": "Folders of other recordings: EDF, BDF, GDF, BrainVision, EEGLAB, FIF, CNT, KIT, EGI.",
        "demo": "Simulated EEG of people who listen to sound files or to the embedded speech.",
    },
    "public datasets": {
        "brennan": "49 people, 60 electrodes, Alice in Wonderland.",
        "broderick": "19 people, 128 electrodes, an audiobook; MATLAB files without the sounds.",
        "ds004408": "19 people, 128 electrodes, The Old Man and the Sea.",
        "dtu": "18 people, 64 electrodes, attention to one of two Danish talkers.",
        "eav": "42 people, 30 electrodes, the participants' own emotional speech.",
        "feis": "21 people, 14 electrodes, phonemes heard, imagined, spoken.",
        "japaneeg": "3 people, up to 128 electrodes, sentences read and heard.",
        "karaone": "KARA ONE: 60 electrodes, phonemes and words imagined and spoken.",
        "kul": "16 people, 64 electrodes, attention to one of two Dutch stories.",
        "meg_masc": "27 people, MEG of 208 sensors, four stories.",
        "single_words": "10 people, depth electrodes, Dutch words read aloud.",
        "sparrkulee": "85 people, 64 electrodes, Dutch stories and podcasts.",
        "vlaai": "DTU's single-talker trials, with envelopes only.",
    },
}
"""Datasets with a summary, written here so that the readers need not be imported."""
NAMES = [name for group in DATASETS.values() for name in group]
USAGE = "eeg2speech prepare DATASET ROOT OUT [OPTIONS]"
EXAMPLES = """
    eeg2speech prepare bids ~/my_dataset stores/mine --jobs 4
    eeg2speech prepare demo embedded stores/demo
"""


def run(argv: Sequence[str]) -> int:
    """Prepare a dataset.

    Args:
        argv: Words after ``eeg2speech prepare``.

    Returns:
        Exit status: 1 if a recording failed; the others are in the store.
    """
    if argv and (argv[0] in NAMES or argv[0].endswith((".yaml", ".yml"))):
        from eeg2speech.cli.prepare_dataset import run_dataset  # brings scipy

        return run_dataset(argv[0], argv[1:])
    if {"-h", "--help"} & set(argv):
        from eeg2speech.cli.help import examples_text, page

        text = "Convert raw or simulated recordings into a prepared store. Recordings that were prepared before are "
        text += "skipped unless their files have changed. `eeg2speech prepare DATASET --help` lists the options. "
        text += "DATASET may also be a YAML file with the rules of a BIDS dataset."
        print(page(USAGE, text, DATASETS, examples_text(EXAMPLES)), end="")
        sys.exit(0)
    from eeg2speech.cli.parser import closest

    near = closest(argv[0], NAMES) if argv else None
    problem = f"unknown dataset {argv[0]!r}" if argv else "no dataset is named"
    hint = f"did you mean {near}?" if near else f"choose from {', '.join(NAMES)}"
    print(f"usage: {USAGE}\nerror: {problem}; {hint}", file=sys.stderr)
    sys.exit(2)


def parsers() -> dict[str, CommandParser]:
    """The parser of each dataset."""
    from eeg2speech.cli.prepare_dataset import dataset_parser

    return {name: dataset_parser(name) for name in NAMES}
