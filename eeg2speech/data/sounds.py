"""Sound files of datasets: what libsndfile reads, and NumPy archives, plain or gzipped."""

from __future__ import annotations

import gzip
import io
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from eeg2speech.data.downloads import check_downloaded
from eeg2speech.data.reading import reading
from eeg2speech.errors import DataError
from eeg2speech.files import printable
from eeg2speech.types import Sound

SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64",
    ".sph", ".npz", ".npz.gz",
)  # fmt: skip
UNREADABLE = (
    ".m4a", ".m4b", ".aac", ".wma", ".amr", ".ac3", ".ape", ".mka", ".weba", ".wv", ".alac", ".ra", ".mpc",
)  # fmt: skip
"""Sounds in formats that are not read."""
LARGEST = 4 * 10**9
"""Bytes of an unpacked archive beyond which it is taken for a bomb: six hours of stereo at 24 kHz in float64."""


def sound_at(file: Path) -> Sound:
    """Where a sound is read from.

    Raises:
        DataError: The file is missing or of no known kind.
    """
    if not file.name.lower().endswith(SUFFIXES):
        raise DataError(f"{file}: unknown kind of sound; convert it to one of {', '.join(SUFFIXES)}")
    if printable(str(file)) != str(file):  # libsndfile takes no other names
        raise DataError(f"{printable(str(file))}: its name, or that of its folder, is no UTF-8; rename it")
    check_downloaded(file)
    if not file.is_file():
        raise DataError(f"{file}: missing; download it, or leave out the recordings that need it")
    return partial(read_npz, file) if file.name.lower().endswith((".npz", ".npz.gz")) else file


def sound_file(sound: Sound) -> Path | None:
    """The file that holds a sound; None where a reader makes the sound otherwise."""
    if isinstance(sound, partial) and sound.func is read_npz:
        sound = sound.args[0]
    return sound if isinstance(sound, Path) else None


def sound_seconds(file: Path) -> float:
    """Length of a sound in seconds.

    Raises:
        DataError: It cannot be read.
    """
    return _seconds(file, file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=4096)
def _seconds(file: Path, _modified: int) -> float:
    where = sound_at(file)
    if callable(where):
        wave, rate = where()
        return len(wave) / rate
    with reading(file):
        return float(soundfile.info(file).duration)


def read_npz(file: Path) -> tuple[NDArray[np.float32], float]:
    """Read a NumPy archive that holds a waveform ``audio`` and its rate ``fs``, as SparrKULee has them.

    Channels are averaged; integers are scaled by their range.

    Returns:
        Waveform in [-1, 1], (samples,), and its rate.

    Raises:
        DataError: The archive is damaged, too large, or lacks one of the two.
    """
    with reading(file):
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
    if not 0 < rate < np.inf or wave.ndim not in (1, 2) or wave.size == 0 or wave.dtype.kind not in "fiu":
        raise DataError(f"{file}: a sound of {wave.dtype} of shape {wave.shape} at {rate:g} Hz; replace it")
    middle, scale = _range(wave.dtype)
    if wave.ndim == 2:
        wave = wave.mean(axis=int(wave.shape[0] > wave.shape[1]))
    return ((wave - middle) / scale).astype(np.float32), rate


def _range(dtype: np.dtype[np.generic]) -> tuple[float, float]:
    """Value of silence and of full scale above it."""
    if dtype.kind == "f":
        return 0.0, 1.0
    full = 2.0 ** (8 * dtype.itemsize - 1)
    return (full, full) if dtype.kind == "u" else (0.0, full)
