"""Reading and writing sound files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from eeg2speech.audio.channels import ChannelChoice, Mixer
from eeg2speech.audio.truncation import SHORT, check_whole, short
from eeg2speech.audio.waveform import RATE, Waveform, scaled
from eeg2speech.core.errors import DataError, DiskError
from eeg2speech.core.files import printable, written_beside


def read_audio(file: Path, start: int = 0, samples: int = -1) -> tuple[Waveform, float]:
    """Read a part of a sound file as mono, without checking its content; see ``read_mono`` for files of users.

    Args:
        file: Anything libsndfile reads: wav, flac, ogg, mp3.
        start: First sample.
        samples: How many; -1 for all that follow.

    Returns:
        Waveform in [-1, 1], (samples,), and its rate in hertz.

    Raises:
        DataError: The file is missing, truncated or not a sound file.
    """
    try:
        wave, rate = soundfile.read(file, frames=samples, start=start, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, UnicodeEncodeError) as error:
        raise _unreadable(file, error) from error
    return wave.mean(axis=1), float(rate)


def read_mono(file: Path, channel: ChannelChoice = "mean") -> tuple[Waveform, float]:
    """Read a whole sound file as mono; warn of clipping and of channels that hold different sounds.

    Args:
        file: Anything libsndfile reads: wav, flac, ogg, mp3.
        channel: Which of its channels; ``mean`` averages all.

    Returns:
        Waveform in [-1, 1], (samples,), and its rate in hertz.

    Raises:
        DataError: The file is missing, cut short or not a sound file, its samples are not in [-1, 1], it has no such
            channel, or the channels cancel each other.
    """
    try:
        with soundfile.SoundFile(file) as sound:
            check_whole(file, sound)
            rate, promised = float(sound.samplerate), sound.frames
            mixer = Mixer(sound.channels, rate, channel, file)
            parts = []
            # SoundFile.blocks would return its last buffer again where a file ends early
            while len(block := sound.read(mixer.block, dtype="float32", always_2d=True)):
                parts.append(mixer.add(scaled(block, file)))
    except (soundfile.LibsndfileError, OSError, UnicodeEncodeError) as error:  # of a name that is not UTF-8
        raise _unreadable(file, error) from error
    wave: Waveform = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if promised - len(wave) > SHORT * rate:
        raise short(file, len(wave) / rate, promised / rate)
    mixer.finish()
    return wave, rate


def write_audio(file: Path, wave: Waveform, comment: str = "") -> None:
    """Write a waveform as FLAC with 16 bits.

    Args:
        file: To write.
        wave: At 16 kHz in [-1, 1], (samples,); louder samples are clipped.
        comment: Note about the sound, stored in the file.
    """
    with soundfile.SoundFile(file, "w", RATE, 1, "PCM_16", format="FLAC") as sound:
        if comment:
            sound.comment = comment
        sound.write(np.clip(wave, -1.0, 1.0))


@contextmanager
def wav_writer(file: Path) -> Iterator[Callable[[Waveform], None]]:
    """Yield a function that appends a waveform in [-1, 1], (samples,), to a 16-bit wav file at 16 kHz.

    The file gets its name when it is complete; louder samples are clipped.

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
    """Write a waveform as ``wav_writer`` does.

    Raises:
        DiskError: The file cannot be written.
    """
    with wav_writer(file) as write:
        write(wave)


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(printable(f"{file}: cannot be read as sound ({error}); replace or remove it"))
