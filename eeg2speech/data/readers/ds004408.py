"""Reader of OpenNeuro ds004408: 128-channel EEG of people hearing The Old Man and the Sea.

Reference: Broderick et al. 2018, Electrophysiological correlates of semantic dissimilarity reflect the comprehension
of natural, narrative speech, doi 10.1016/j.cub.2018.01.080.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eeg2speech.core.types import Source
from eeg2speech.data.events.sound_rules import SoundRule
from eeg2speech.data.readers.base import describe
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.store.store import Description

RULE = SoundRule(match=r"_task-listening_", sound="stimuli/audio{run:0>2}.wav")


@dataclass
class Ds004408:
    """OpenNeuro ds004408: 19 people hear The Old Man and the Sea, 128 channels (openneuro.org/datasets/ds004408).

    Sound and EEG of a run start together and the EEG goes on for longer. Layout and alignment are those of the
    dataset's own README and tables; checked on files written in that layout only, not on the recordings.

    Attributes:
        root: Folder that holds sub-* and stimuli.
        subjects: Participants, e.g. [001,002]; all if not given.
        runs: Parts of the story, e.g. [01,02]; all if not given.
        onset: Seconds by which the sound is later than the EEG.
    """

    root: Path
    subjects: list[str | int] | None = None
    runs: list[str | int] | None = None
    onset: float = 0.0

    def sources(self) -> list[Source]:
        """One recording per participant and part of the story."""
        return Bids(
            self.root,
            subjects=self.subjects,
            tasks=["listening"],
            runs=self.runs,
            datatype="eeg",
            sounds=[RULE],
            montage="biosemi128",
            onset=self.onset,
        ).sources()

    def description(self) -> Description:
        """What goes into ``dataset.json``."""
        return describe(
            "OpenNeuro ds004408",
            source="https://openneuro.org/datasets/ds004408",
            license="CC0",
            citation="G. M. Di Liberto, J. A. O'Sullivan, E. C. Lalor, Low-frequency cortical entrainment to speech "
            "reflects phoneme-level processing, Current Biology 25(19), 2015; M. P. Broderick, A. J. Anderson, "
            "G. M. Di Liberto, M. J. Crosse, E. C. Lalor, Electrophysiological correlates of semantic dissimilarity "
            "reflect the comprehension of natural, narrative speech, Current Biology 28(5), 2018",
            reader="ds004408",
            onset=self.onset,
        )
