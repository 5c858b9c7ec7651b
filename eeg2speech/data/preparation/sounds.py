"""Adding the sounds of a recording to a store."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import resample
from eeg2speech.audio.files import read_mono
from eeg2speech.audio.waveform import check_rate, scaled
from eeg2speech.core.errors import DataError
from eeg2speech.core.types import RawRecording, Sound
from eeg2speech.data.files.notices import collected_notices
from eeg2speech.data.files.sounds import sound_at, sound_file
from eeg2speech.data.store.inputs import Input, digest
from eeg2speech.data.store.writer import StoreWriter


def sound_files(raw: RawRecording, stimuli: Collection[str]) -> list[Path]:
    """Files that sounds of a recording are read from.

    Raises:
        DataError: One is missing or was not downloaded.
    """
    files = [file for name in sorted(stimuli) if name in raw.stimuli and (file := sound_file(raw.stimuli[name]))]
    for file in files:
        sound_at(file)
    return files


def add_sounds(
    raw: RawRecording, stimuli: Collection[str], rate: float, writer: StoreWriter, inputs: Sequence[Input]
) -> dict[str, str]:
    """Add sounds, and envelopes that stand in for them, unless the store has them from the same source.

    Args:
        raw: The recording.
        stimuli: Which sounds.
        rate: Samples per second of envelopes in the store.
        writer: Of the store.
        inputs: Files that the recording was read from, and any sound with it that lies in no file of its own.

    Returns:
        Hash of what each sound was read from.

    Raises:
        DataError: A sound is damaged, cut short, empty or holds NaN.
    """
    together = hashlib.sha256("\n".join(sorted(f"{row.file} {row.sha256}" for row in inputs)).encode()).hexdigest()
    sources = {}
    for stimulus in sorted(set(stimuli) & (raw.stimuli.keys() | raw.envelopes.keys())):
        file = sound_file(raw.stimuli[stimulus]) if stimulus in raw.stimuli else None
        source = sources[stimulus] = together if file is None else digest(file)
        if writer.has_sound(stimulus, source):
            continue
        if stimulus in raw.stimuli:
            with collected_notices() as notices:
                wave = _waveform(stimulus, raw.stimuli[stimulus])
            # kept with the sound, without the path that they begin with
            said = dict.fromkeys(notice.text.partition(": ")[2] for notice in notices)
            writer.add_audio(stimulus, wave, source, "; ".join(said))
        else:
            envelope, old_rate = raw.envelopes[stimulus]()
            writer.add_envelope(stimulus, resample(np.asarray(envelope, np.float32), old_rate, rate), source)
    return sources


def _waveform(stimulus: str, sound: Sound) -> NDArray[np.float32]:
    if isinstance(sound, Path):
        wave, rate = read_mono(sound)
        source: object = sound
    else:
        wave, rate = sound()
        source = f"stimulus {stimulus}"
        wave = scaled(np.asarray(wave), source)
    if wave.ndim != 1 or wave.size == 0:
        what = "is empty" if wave.size == 0 else f"has the shape {wave.shape}, not (samples,)"
        raise DataError(f"stimulus {stimulus}: {sound if isinstance(sound, Path) else 'its sound'} {what}; replace it")
    return resample(wave, check_rate(rate, source))
