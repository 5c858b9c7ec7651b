"""Sound files that are written piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from eeg2speech.audio.waveform import RATE, Waveform
from eeg2speech.core.errors import DiskError
from eeg2speech.core.files import written_beside


@contextmanager
def wav_writer(file: Path) -> Iterator[Callable[[Waveform], None]]:
    """Give a function that adds a waveform in [-1, 1], (samples,), to a 16-bit wav file at 16 kHz.

    The file is written beside and renamed at the end; louder samples are clipped.

    Raises:
        DiskError: It cannot be written.
    """
    try:
        with (
            written_beside(file) as partial,
            soundfile.SoundFile(partial, "w", RATE, 1, "PCM_16", format="WAV") as sound,
        ):
            yield lambda wave: sound.write(np.clip(wave, -1.0, 1.0))
    except (OSError, soundfile.LibsndfileError) as error:
        raise DiskError(f"{file}: cannot be written ({error}); free some space or choose another folder") from error


def write_wav(file: Path, wave: Waveform) -> None:
    """Write a waveform in [-1, 1], (samples,), as a 16-bit wav file at 16 kHz, beside and then renamed.

    Raises:
        DiskError: It cannot be written.
    """
    with wav_writer(file) as write:
        write(wave)
