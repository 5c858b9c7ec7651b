"""Files that mne reads, opened without reading the signal, and places for electrodes that have none."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mne
from mne.io import BaseRaw

from eeg2speech.data.montage import electrode_positions
from eeg2speech.data.raw import from_mne
from eeg2speech.data.reading import one_line, reading
from eeg2speech.errors import DataError
from eeg2speech.types import Channel, RawRecording

KINDS = {"eeg": ("eeg",), "ieeg": ("seeg", "ecog"), "meg": ("mag", "grad")}
"""Channel types that are decoded from, by what was recorded."""
SIGNATURES = {".edf": b"0 ", ".bdf": b"\xffBIOSEMI", ".gdf": b"GDF"}
"""First bytes of formats whose readers take any bytes for samples."""
DECORATION = re.compile(r"^EEG[ _]+|[ _-]+(REF|LE|AR|AVG|CE)$", re.IGNORECASE)
"""What EDF files write around the name of an electrode: ``EEG Fp1-REF``."""

logger = logging.getLogger(__name__)


def open_recording(file: Path) -> BaseRaw:
    """Open a recording and leave its signal in the file.

    Raises:
        DataError: It is missing, damaged, empty, or not what its suffix says.
    """
    if not file.exists():
        raise DataError(f"{file}: missing; download it again")
    with reading(file):
        _check_signature(file)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if file.suffix.lower() in (".fif", ".gz"):
                raw = mne.io.read_raw_fif(file, allow_maxshield=True, verbose="ERROR")
            else:
                raw = mne.io.read_raw(file, verbose="WARNING")  # below, it would keep its warnings to itself
        for text in dict.fromkeys(one_line(warning.message) for warning in caught):
            # a recording that is shorter than its header says is worth a word, most other warnings are not
            level = logging.WARNING if "does not match the file size" in text else logging.INFO
            logger.log(level, "%s: %s", file, text)
        if file.suffix.lower() in SIGNATURES and _rates(raw) > 1:
            # of slower signals, mne reads other samples than it is asked for unless it reads all from the start
            raw.load_data(verbose="ERROR")
        if not raw.n_times > 0 or not float(raw.info["sfreq"]) > 0:
            raise DataError(f"{file}: holds no samples; download it again, or leave it out")
    _refuse_duplicates(raw, [one_line(warning.message) for warning in caught], file)
    return raw


def _rates(raw: BaseRaw) -> int:
    """How many sampling rates the signals of an EDF, BDF or GDF file have."""
    extras = raw._raw_extras[0]
    return len(set(extras["n_samps"][extras["sel"]].tolist()))


def _check_signature(file: Path) -> None:
    expected = SIGNATURES.get(file.suffix.lower())
    if expected is None:
        return
    with file.open("rb") as stream:
        start = stream.read(8)
    if not start.startswith(expected):
        fitting = next((suffix for suffix, first in SIGNATURES.items() if start.startswith(first)), None)
        advice = f"it begins like a {fitting} file; rename it" if fitting else "replace it, or rename it to what it is"
        raise DataError(f"{file}: is no {file.suffix.lower()[1:].upper()} file: {advice}")


def _refuse_duplicates(raw: BaseRaw, messages: Sequence[str], file: Path) -> None:
    """Refuse names that occur twice among channels that are decoded from.

    The library numbers them, so that they would be taken for different electrodes without a place.
    """
    for text in messages:
        if "not unique" in text:
            doubled = re.findall(r"'([^']*)'", text)
            types = dict(zip(raw.ch_names, raw.get_channel_types(), strict=True))
            for name in doubled:
                kinds = {kind for channel, kind in types.items() if channel.startswith(f"{name}-")}
                if kinds & {kind for group in KINDS.values() for kind in group}:
                    raise DataError(f"{file}: channel name {name!r} occurs more than once; rename one of the channels")


def decodable(raw: BaseRaw, datatype: str, file: Path) -> RawRecording:
    """Take the channels of a kind, whose signal stays in the file.

    Raises:
        DataError: There is none.
    """
    try:
        with reading(file):  # types of channels are looked up here, and may be none in a damaged file
            return from_mne(raw, KINDS[datatype], lazily=True, beside=("eog",) if datatype == "eeg" else ())
    except DataError as error:
        if str(file) in str(error):
            raise
        raise DataError(f"{file}: {error}") from error


def placed_by_name(channels: Sequence[Channel], montage: str, source: Path) -> list[Channel]:
    """Give scalp electrodes without a place the one that their name has in a standard montage.

    Names that it does not know stay without a place, and a warning says which.

    Raises:
        DataError: The montage is unknown.
    """
    electrode_positions([], montage, str(source))
    placed, unknown = [], []
    for channel in channels:
        if channel.type == "eeg" and math.isnan(channel.x):
            try:
                x, y, z = electrode_positions([DECORATION.sub("", channel.name)], montage, str(source))[0].tolist()
                channel = replace(channel, x=x, y=y, z=z)
            except DataError:
                unknown.append(channel.name)
        placed.append(channel)
    if unknown:
        shown = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
        logger.warning("%s: no place is known for %s (not in %s); they go without one", source, shown, montage)
    return placed
