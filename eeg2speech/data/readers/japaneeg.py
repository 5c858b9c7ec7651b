"""Reader of JapanEEG: a thousand hours of EEG of three people who read aloud, hear and imagine Japanese sentences.

Reference: Sato et al. 2024, Scaling law in neural data: non-invasive speech decoding with 175 hours of EEG data,
arXiv:2407.07595.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eeg2speech.core.types import Source
from eeg2speech.data.events.sound_rules import SoundRule
from eeg2speech.data.readers.base import describe
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.store.store import Description

BESIDE = "{folder}/../beh/{stem}_recording-"
"""Where the sound of a recording lies, up to its kind."""


@dataclass
class JapanEeg:
    """JapanEEG (openneuro.org/datasets/ds007808, of which ds007602 is an earlier part).

    Three participants read sentences aloud (task speechopen), hear them (listening), or hear and then imagine them
    (listeningcovert). A microphone or the player was recorded into a file per run; wav_onset in events.tsv says where
    in it a sentence lies, value what was said. Speaking moves muscles whose activity is in the EEG.

    Names and tables of speechopen are those of published files, as are the names of sounds; columns of the listening
    tasks are known from public code that reads them, and that imagined sentences are named covert from it alone.
    Checked on files written in that layout only. Electrodes have places in recordings of the g.Pangolin only, and none
    if the dataset does not say how its coordinates lie in the head.

    Attributes:
        root: Folder that holds sub-*.
        subjects: Participants, e.g. [01]; all if not given.
        sessions: Days, e.g. [20230829]; all if not given.
        tasks: Of speechopen, listening and listeningcovert; all if not given.
        runs: Runs; all if not given.
        sound: False keeps what was said, but no sound: for a download without the folders beh.
        onset: Seconds added to every onset.
    """

    root: Path
    subjects: list[str | int] | None = None
    sessions: list[str | int] | None = None
    tasks: list[str] | None = None
    runs: list[str | int] | None = None
    sound: bool = True
    onset: float = 0.0

    def sources(self) -> list[Source]:
        """One recording per participant, day and run."""
        return Bids(
            self.root,
            subjects=self.subjects,
            sessions=self.sessions,
            tasks=self.tasks,
            runs=self.runs,
            datatype="eeg",
            sounds=self._rules(),
            onset=self.onset,
        ).sources()

    def description(self) -> Description:
        """What goes into ``dataset.json``."""
        return describe(
            "JapanEEG",
            source="https://openneuro.org/datasets/ds007808",
            license="CC0",
            citation="M. Sato, I. Horiguchi, M. Inoue, K. Tomeoka, E. Hatakeyama, Y. Kita, A. Yamamoto, I. Fujisawa, "
            "S. Sasai, EEG-Speech Brain Decoding Dataset, OpenNeuro, doi 10.18112/openneuro.ds007808.v1.0.0; "
            "arXiv:2407.07595",
            reader="japaneeg",
            sound=self.sound,
            onset=self.onset,
        )

    def _rules(self) -> list[SoundRule]:
        vocal, heard = (f"{BESIDE}{kind}_beh.wav" if self.sound else "" for kind in ("vocal", "audio"))
        start = "{wav_onset}" if self.sound else 0.0
        return [
            SoundRule("_task-speechopen_", vocal, "^overt$", offset=start, condition="overt", text="{value}"),
            SoundRule("_task-listening(covert)?_", heard, "^listening$", offset=start, text="{value}"),
            SoundRule("_task-listeningcovert_", "", "^covert$", condition="imagined", text="{value}"),
        ]
