"""Recordings in the formats that mne reads, opened without reading the signal."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mne
from mne.io import BaseRaw

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import DECODABLE, RawRecording
from eeg2speech.data.files.downloads import check_downloaded
from eeg2speech.data.files.raw import from_mne
from eeg2speech.data.files.reading import one_line, wrap_read_errors
from eeg2speech.data.files.signal_files import check_format, missing_markers
from eeg2speech.data.files.units import gains, header_units, volts_of

KINDS = {"eeg": ("eeg",), "ieeg": ("seeg", "ecog"), "meg": ("mag", "grad")}
"""Channel types that are decoded from, by datatype."""
FORMATS = (
    ".vhdr", ".edf", ".bdf", ".gdf", ".set", ".fif", ".fif.gz", ".cnt", ".con", ".sqd", ".ds", ".mff", ".nxe", ".lay",
)  # fmt: skip
"""Suffixes of recordings that are read."""
SIGNATURES = {".edf": b"0 ", ".bdf": b"\xffBIOSEMI", ".gdf": b"GDF"}
"""First bytes of formats whose readers accept any bytes as samples."""
TRIGGER_CHANNEL = re.compile(
    r"status|trig(ger)?s?|sti ?\d{3}|stim|stimulus|markers?|events?|din ?\d+|uppt ?\d+", re.IGNORECASE
)
"""Names of channels that hold triggers, for formats without channel types."""

logger = logging.getLogger(__name__)


def open_recording(file: Path) -> BaseRaw:
    """Open a recording and leave its signal in the file.

    Raises:
        DataError: The file is missing, damaged, empty, not what its suffix says, or in a format that is not read.
    """
    check_downloaded(file)
    if not file.exists():
        raise DataError(f"{file}: missing; download it again")
    check_format(file, FORMATS)
    with wrap_read_errors(file):
        _check_signature(file)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            raw = _read(file)
        messages = [one_line(warning.message) for warning in caught]
        for text in dict.fromkeys(messages):
            # a recording that is shorter than its header says matters to the user, most other warnings do not
            level = logging.WARNING if "does not match the file size" in text else logging.INFO
            logger.log(level, "%s: %s", file, text)
        if file.suffix.lower() in SIGNATURES and _count_rates(raw) > 1:
            # mne reads wrong samples of slower signals unless it reads all from the start
            raw.load_data(verbose="ERROR")
        if not raw.n_times > 0 or not float(raw.info["sfreq"]) > 0:
            raise DataError(f"{file}: holds no samples; download it again, or leave it out")
        _set_types_of_voltages(raw, file)
        if markers := missing_markers(file):
            logger.warning("%s: its markers, %s, are missing; read without them", file, markers.name)
    _note_repeated_names(raw, messages)
    return raw


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


def _read(file: Path) -> BaseRaw:
    """Open a file with mne, and give channels of triggers the type ``stim`` also where the file has no types.

    Annotations of EDF are in UTF-8 according to the format; others are read as Latin-1.
    """
    options: dict[str, Any] = {"verbose": "WARNING"}  # below this level mne would not show its warnings
    if file.suffix.lower() in (".fif", ".gz"):
        options = {"verbose": "ERROR", "allow_maxshield": True}
    try:
        raw = mne.io.read_raw(file, **options)
    except Exception as error:
        if "encoding='latin1'" not in str(error):
            raise
        logger.warning("%s: its annotations are not in UTF-8; they are read as Latin-1", file)
        options["encoding"] = "latin1"
        raw = mne.io.read_raw(file, **options)
    types = dict(zip(raw.ch_names, raw.get_channel_types(), strict=True))
    triggers = [name for name, kind in types.items() if kind == "eeg" and TRIGGER_CHANNEL.fullmatch(name.strip())]
    if triggers:
        logger.warning("%s: by its name, %s is a channel of triggers, not EEG", file, ", ".join(triggers))
        if file.suffix.lower() in SIGNATURES:
            # all channels get the rate of the fastest one that is not declared to hold triggers
            declared = [name for name, kind in types.items() if kind == "stim"]
            raw = mne.io.read_raw(file, stim_channel=declared + triggers, **options)
        raw.set_channel_types(dict.fromkeys(triggers, "stim"), on_unit_change="ignore", verbose="ERROR")
    return raw


def _set_types_of_voltages(raw: BaseRaw, file: Path) -> None:
    """Set the type of channels to EEG that mne skipped because of the spelling of their unit."""
    written = header_units(raw, file)
    kinds = zip(raw.ch_names, raw.get_channel_types(), strict=True)
    skipped = [name for name, kind in kinds if kind == "misc" and volts_of(written.get(name, ("", 1.0))[0])]
    raw.set_channel_types(dict.fromkeys(skipped, "eeg"), on_unit_change="ignore", verbose="ERROR")


def _count_rates(raw: BaseRaw) -> int:
    """Number of sampling rates among the signals of an EDF, BDF or GDF file."""
    extras = raw._raw_extras[0]
    return len(set(extras["n_samps"][extras["sel"]].tolist()))


def _note_repeated_names(raw: BaseRaw, messages: Sequence[str]) -> None:
    """Keep in ``info["temp"]`` which names occur twice in the file; mne numbers such channels."""
    repeated = [name for text in messages if "not unique" in text for name in re.findall(r"'([^']*)'", text)]
    raw.info["temp"] = {
        name: [c for c in raw.ch_names if re.fullmatch(re.escape(name) + r"-\d+", c)] for name in repeated
    }


def numbered(raw: BaseRaw) -> dict[str, list[str]]:
    """Names that occur more than once in the file, and the names of these channels in ``raw``, in their order."""
    found: dict[str, list[str]] = raw.info["temp"] or {}
    return found


def decodable(
    raw: BaseRaw, datatype: str, file: Path, units: Mapping[str, str] | None = None, gain: float = 1.0
) -> RawRecording:
    """Select the channels of a datatype, in volts; the signal stays in the file.

    Raises:
        DataError: There is no such channel, or two have the same name.
    """
    try:
        with wrap_read_errors(file):  # looks up the types of channels, which a damaged file may lack
            factors = gains(raw, file, units or {}, gain)
            beside = ("eog",) if datatype == "eeg" else ()
            read = from_mne(raw, KINDS[datatype], lazily=True, beside=beside, factors=factors)
    except DataError as error:
        if str(file) in str(error):
            raise
        raise DataError(f"{file}: {error}") from error
    decoded = {channel.name for channel in read.channels if channel.type in DECODABLE}
    for name, channels in numbered(raw).items():
        if len(decoded.intersection(channels)) > 1:
            raise DataError(f"{file}: channel name {name!r} occurs more than once; rename one of the channels")
    return read
