"""Units of voltages in headers and ``channels.tsv``, and the factors that convert to volts."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mne.io import BaseRaw

from eeg2speech.core.errors import ConfigError

VOLTAGES = ("eeg", "seeg", "ecog", "eog")
MICRO = ("\u00c2\u00b5", "\u00ce\u00bc", "\x83\xca", "\u00b5", "\u03bc")
"""Spellings of the prefix micro: UTF-8 that was read as latin-1, Shift-JIS, micro sign, Greek letter."""
UNIT = re.compile(r"(micro|milli|nano|u|m|n|)v(?:olts?)?")
FACTOR = {"": 1.0, "m": 1e-3, "milli": 1e-3, "u": 1e-6, "micro": 1e-6, "n": 1e-9, "nano": 1e-9}

logger = logging.getLogger(__name__)


def volts_of(unit: str) -> float | None:
    """Volts per unit for any spelling (``uV``, ``µV``, ``microvolt``, ``UV``); None if it is no unit of voltage."""
    for micro in MICRO:
        unit = unit.replace(micro, "u")
    text = "".join(unit.split())
    text = text if text[:1] == "M" and len(text) <= 2 else text.lower()  # MV is ambiguous
    match = UNIT.fullmatch(text)
    return FACTOR[match[1]] if match else None


def check_gain(gain: float) -> None:
    """Check the gain.

    Raises:
        ConfigError: The gain is not above 0.
    """
    if not 0 < gain < float("inf"):
        raise ConfigError(f"gain={gain:g} must be above 0; 1e-6 is right for microvolts that are treated as volts")


def gains(raw: BaseRaw, file: Path, listed_units: Mapping[str, str], gain: float) -> dict[str, float]:
    """Factors that convert the values that mne reads to volts, by channel.

    The unit in the file is used; where the file has no known unit, that of ``channels.tsv``. Without either, the values
    are treated as volts. Formats with a fixed unit (FIF, EEGLAB, ...) keep it.
    """
    written = header_units(raw, file)
    found, unknown, contradicted = {}, [], Counter[tuple[str, str]]()
    for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True):
        found[name] = gain
        if kind not in VOLTAGES or name not in written:
            continue
        unit, applied = written[name]
        own, listed = volts_of(unit), volts_of(listed_units.get(name, ""))
        if own is None and listed is None and kind != "eog":
            unknown.append(unit)
        if own is not None and listed is not None and own != listed:
            contradicted[unit, listed_units[name]] += 1
        right = own if own is not None else listed
        found[name] *= 1.0 if right is None else right / applied
    spelt = ", ".join(dict.fromkeys(repr(unit) for unit in unknown))
    if unknown and gain != 1:
        logger.info(
            "%s: the unit of %d channels is unknown (the file states %s); their values times the given gain of %g are "
            "volts",
            file, len(unknown), spelt, gain,
        )  # fmt: skip
    elif unknown:
        logger.warning(
            "%s: the unit of %d channels is unknown (the file states %s); their values are treated as volts: correct "
            "the file, name the unit in channels.tsv, or give a gain",
            file, len(unknown), spelt,
        )  # fmt: skip
    for (unit, listed_unit), count in contradicted.items():
        logger.warning(
            "%s: %d channels are in %s by the file, in %s by channels.tsv; the file's unit is used",
            file, count, unit, listed_unit,
        )  # fmt: skip
    return found


def header_units(raw: BaseRaw, file: Path) -> dict[str, tuple[str, float]]:
    """Units in the headers of EDF, BDF and BrainVision, and the factors that mne has applied, by channel."""
    suffix = file.suffix.lower()
    if suffix in (".edf", ".bdf"):
        extras = raw._raw_extras[0]
        units, applied = _edf_units(file, extras["sel"]), extras["units"]
    elif suffix in (".vhdr", ".ahdr"):
        units, applied = _brainvision_units(file, len(raw.ch_names)), [ch["range"] for ch in raw.info["chs"]]
    else:
        return {}
    return {name: (unit, float(x)) for name, unit, x in zip(raw.ch_names, units, applied, strict=True)}


def _edf_units(file: Path, picks: Sequence[int]) -> list[str]:
    with file.open("rb") as stream:
        count = int(stream.read(256)[252:])
        stream.seek(256 + count * (16 + 80))  # labels and transducers
        units = [stream.read(8).decode("latin-1").strip("\0 ") for _ in range(count)]
    return [units[pick] for pick in picks]


def _brainvision_units(file: Path, channels: int) -> list[str]:
    """Units of BrainVision; microvolts where none is written, as the format says."""
    content = file.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    section = re.search(r"^\[Channel Infos\]\s*$(.*?)(^\[|\Z)", text, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    units = ["µV"] * channels
    for number, line in re.findall(r"^Ch(\d+)=(.*)$", section[1] if section else "", re.MULTILINE | re.IGNORECASE):
        cells = [*line.split(","), "", "", "", ""]
        if 0 < int(number) <= channels:
            units[int(number) - 1] = cells[3].strip() or "µV"
    return units
