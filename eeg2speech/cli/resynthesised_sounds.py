"""The sounds that `eeg2speech resynthesise` is given."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from eeg2speech.audio import Waveform
from eeg2speech.audio.channels import ChannelChoice
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.data.files.notices import collected_notices
from eeg2speech.data.simulation.speech import read_sound, sound_files

SILENCE = 1e-4
"""A sound that nowhere exceeds this is silent."""


def find_sounds(named: list[str]) -> dict[str, Path]:
    """Sound files by the name of what is made of them.

    Args:
        named: Files and folders.

    Raises:
        DataError: One is not there.
        ConfigError: Two have the same name.
    """
    files: list[Path] = []
    for path in map(expanded, named):
        if path.is_dir():
            files += sound_files(path).values()
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path}: no such sound file or folder")
    names = Counter(file.stem for file in files)
    if twice := [name for name, times in names.items() if times > 1]:
        raise ConfigError(
            f"several sounds are named {twice[0]!r}; resynthesise them one at a time, each into its own --out"
        )
    return {file.stem: file for file in files}


def read_sounds(files: dict[str, Path], channel: ChannelChoice = "mean") -> dict[str, Waveform]:
    """Waveforms of sounds that can be spoken again, by name.

    Args:
        files: From ``find_sounds``.
        channel: Which of their channels; ``mean`` averages all.

    Raises:
        DataError: A sound is broken or silent.
    """
    waves = {}
    for name, file in files.items():
        with collected_notices() as notices:
            wave = waves[name] = read_sound(file, channel)
        for notice in notices:
            print(f"warning: {notice.text}", file=sys.stderr)
        if np.abs(wave).max() < SILENCE:
            raise DataError(f"{file}: is silent; there is nothing to resynthesise, leave it out")
    return waves
