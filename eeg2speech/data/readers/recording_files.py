"""Files that mne reads, opened without reading the signal."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import mne
import numpy as np
from mne.io import BaseRaw

from eeg2speech.data.raw import from_mne
from eeg2speech.data.readers.units import Scaled, gains, header_units, volts_of
from eeg2speech.data.reading import one_line, reading
from eeg2speech.errors import DataError
from eeg2speech.types import RawRecording

KINDS = {"eeg": ("eeg",), "ieeg": ("seeg", "ecog"), "meg": ("mag", "grad")}
"""Channel types that are decoded from, by what was recorded."""
SIGNATURES = {".edf": b"0 ", ".bdf": b"\xffBIOSEMI", ".gdf": b"GDF"}
"""First bytes of formats whose readers take any bytes for samples."""

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
        if not raw.n_times > 0 or not float(raw.info["sfreq"]) > 0:
            raise DataError(f"{file}: holds no samples; download it again, or leave it out")
        _type_voltages(raw, file)
    _refuse_duplicates(raw, [one_line(warning.message) for warning in caught], file)
    return raw


def _type_voltages(raw: BaseRaw, file: Path) -> None:
    """Take channels for EEG that mne passed over, as it does not know the spelling of their unit."""
    written = header_units(raw, file)
    kinds = zip(raw.ch_names, raw.get_channel_types(), strict=True)
    passed_over = [name for name, kind in kinds if kind == "misc" and volts_of(written.get(name, ("", 1.0))[0])]
    raw.set_channel_types(dict.fromkeys(passed_over, "eeg"), on_unit_change="ignore", verbose="ERROR")


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


def decodable(
    raw: BaseRaw, datatype: str, file: Path, units: Mapping[str, str] | None = None, gain: float = 1.0
) -> RawRecording:
    """Take the channels of a kind, in volts, whose signal stays in the file.

    Args:
        raw: Recording as mne reads it.
        datatype: What was recorded, of ``KINDS``.
        file: Its file.
        units: By channel, where a table says them.
        gain: Factor on all values.

    Raises:
        DataError: There is none.
    """
    try:
        with reading(file):  # types of channels are looked up here, and may be none in a damaged file
            read = from_mne(raw, KINDS[datatype], lazily=True, beside=("eog",) if datatype == "eeg" else ())
            factors = gains(raw, file, units or {}, gain)
    except DataError as error:
        if str(file) in str(error):
            raise
        raise DataError(f"{file}: {error}") from error
    by_row = np.array([factors[channel.name] for channel in read.channels])
    if (by_row != 1).any():
        read.eeg = Scaled(read.eeg, by_row)
    return read
