"""Sound files of datasets: the formats of libsndfile, and NumPy archives, plain or gzipped."""

from __future__ import annotations

import gzip
import io
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from eeg2speech.audio import Waveform
from eeg2speech.audio.channels import ChannelChoice, mixed
from eeg2speech.audio.samples import RATES, scaled
from eeg2speech.audio.sound_file import read_mono
from eeg2speech.audio.truncation import check_whole
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import printable
from eeg2speech.core.types import Sound
from eeg2speech.data.files.downloads import check_downloaded
from eeg2speech.data.files.reading import wrap_read_errors

SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64",
    ".sph", ".npz", ".npz.gz",
)  # fmt: skip
UNREADABLE = (
    ".m4a", ".m4b", ".aac", ".wma", ".amr", ".ac3", ".ape", ".mka", ".weba", ".wv", ".alac", ".ra", ".mpc",
)  # fmt: skip
"""Sounds in formats that are not read."""
LARGEST = 4 * 10**9
"""Largest unpacked archive in bytes; a larger one is refused as a zip bomb. Six hours of stereo at 24 kHz fit in."""


def sound_at(file: Path, channel: ChannelChoice = "mean") -> Sound:
    """Check a sound file and return how to read it.

    Raises:
        DataError: The file is missing or of an unknown format.
    """
    if not file.name.lower().endswith(SUFFIXES):
        raise DataError(f"{file}: unknown kind of sound; convert it to one of {', '.join(SUFFIXES)}")
    if printable(str(file)) != str(file):  # libsndfile accepts no other names
        raise DataError(f"{printable(str(file))}: its name, or that of its folder, is no UTF-8; rename it")
    check_downloaded(file)
    if not file.is_file():
        raise DataError(f"{file}: missing; download it, or leave out the recordings that need it")
    return file if channel == "mean" and not _zipped(file) else partial(read_sound, file, channel)


def read_sound(file: Path, channel: ChannelChoice = "mean") -> tuple[Waveform, float]:
    """Read a sound file or a NumPy archive as one waveform, and warn of irregularities.

    Returns:
        Waveform in [-1, 1], (samples,), and its rate.

    Raises:
        DataError: See ``read_mono`` and ``read_npz``.
    """
    return read_npz(file, channel) if _zipped(file) else read_mono(file, channel)


def _zipped(file: Path) -> bool:
    return file.name.lower().endswith((".npz", ".npz.gz"))


def sound_file(sound: Sound) -> Path | None:
    """The file of a sound; None where a reader makes the sound in another way."""
    if isinstance(sound, partial) and sound.func is read_sound:
        sound = sound.args[0]
    return sound if isinstance(sound, Path) else None


def sound_seconds(file: Path) -> float:
    """Length of a sound in seconds.

    Raises:
        DataError: The file cannot be read.
    """
    return _seconds(file, file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=4096)
def _seconds(file: Path, _modified: int) -> float:
    sound_at(file)
    if _zipped(file):
        samples, rate = _archived(file)
        return float(max(samples.shape) / rate)
    with wrap_read_errors(file), soundfile.SoundFile(file) as sound:
        check_whole(file, sound)
        return float(sound.frames / sound.samplerate)


def read_npz(file: Path, channel: ChannelChoice = "mean") -> tuple[Waveform, float]:
    """Read a NumPy archive with a waveform ``audio`` and its rate ``fs``, the format of SparrKULee.

    Integers are scaled by their range. Of two dimensions, the shorter one is that of the channels.

    Returns:
        Waveform in [-1, 1], (samples,), and its rate.

    Raises:
        DataError: The archive is damaged, too large, or lacks one of the two.
    """
    samples, rate = _archived(file)
    return mixed(scaled(samples, file), rate, channel, file), rate


def _archived(file: Path) -> tuple[NDArray[np.generic], float]:
    """Samples of an archive without scaling, and their rate."""
    with wrap_read_errors(file):
        if file.name.lower().endswith(".gz"):
            with gzip.open(file) as stream:
                content = stream.read(LARGEST + 1)
        else:
            content = file.read_bytes()
        if len(content) > LARGEST:
            raise DataError(f"{file}: unpacks to more than {LARGEST / 1e9:.0f} GB; this is no sound")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            missing = [key for key in ("audio", "fs") if key not in archive]
            if missing:
                raise DataError(f"{file}: holds {', '.join(archive) or 'nothing'}, no {missing[0]!r}; replace it")
            if sum(member.file_size for member in archive.zip.infolist()) > LARGEST:
                raise DataError(f"{file}: unpacks to more than {LARGEST / 1e9:.0f} GB; this is no sound")
            wave, rate = np.asarray(archive["audio"]), float(np.asarray(archive["fs"]).item())
    sound = wave.ndim in (1, 2) and wave.size > 0 and wave.dtype.kind in "fiu"
    if not sound or not RATES[0] <= rate <= RATES[1]:
        raise DataError(f"{file}: a sound of {wave.dtype} of shape {wave.shape} at {rate:g} Hz; replace it")
    return wave, rate
