"""Channels of a BIDS recording: types, bad channels and units of ``channels.tsv``."""

from __future__ import annotations

import logging
from pathlib import Path

from mne.io import BaseRaw

from eeg2speech.core.errors import DataError
from eeg2speech.data.electrodes.names import key_of, match_names
from eeg2speech.data.files.bids_layout import BidsRecording, Row, read_rows
from eeg2speech.data.files.recording_files import numbered

TYPES = {"EEG": "eeg", "SEEG": "seeg", "ECOG": "ecog", "EOG": "eog", "VEOG": "eog", "HEOG": "eog", "TRIG": "stim"}
"""Channel types of ``channels.tsv`` that are decoded from, that show eye movements, or that hold triggers."""

logger = logging.getLogger(__name__)


def apply_channels(raw: BaseRaw, table: Path, recording: BidsRecording) -> dict[str, str]:
    """Set types and bad channels as in ``channels.tsv``; MEG files have their own types.

    Returns:
        Units by channel of the recording.
    """
    rows = _rows_by_channel(raw, table)
    known = match_names(raw.ch_names, rows, key_of(recording.datatype))
    if rows and not known:
        raise DataError(
            f"{table}: none of its channels ({', '.join(list(rows)[:3])}, ...) is in {recording.file.name} "
            f"({', '.join(raw.ch_names[:3])}, ...); correct the names"
        )
    if rows and len(known) < len(raw.ch_names):
        others = [name for name in raw.ch_names if name not in known]
        logger.warning("%s: has no rows for %d channels (%s, ...)", table, len(others), ", ".join(others[:3]))
    kinds = {name: cells.get("type", "").upper() for name, cells in rows.items()}
    used = [kind for kind, what in TYPES.items() if what != "stim"]
    absent = [name for name in rows.keys() - known.values() if kinds[name] in used or kinds[name].startswith("MEG")]
    if absent:
        logger.warning(
            "%s: %d of its channels (%s, ...) are not in %s",
            table, len(absent), ", ".join(sorted(absent)[:3]), recording.file.name,
        )  # fmt: skip
    found = {name: rows[listed] for name, listed in known.items()}
    if recording.datatype != "meg":
        raw.set_channel_types(
            {name: TYPES.get(kinds[listed], "misc") for name, listed in known.items() if kinds[listed]},
            on_unit_change="ignore",
            verbose="ERROR",
        )
    raw.info["bads"] = [name for name, cells in found.items() if cells.get("status", "").lower() == "bad"]
    return {name: cells.get("units", "") for name, cells in found.items()}


def _rows_by_channel(raw: BaseRaw, table: Path) -> dict[str, dict[str, str]]:
    """Rows of ``channels.tsv`` by channel.

    Where the file has a name twice, one row of that name applies to both channels, and two rows follow their order.
    """
    listed: dict[str, list[Row]] = {}
    for row in read_rows(table):
        listed.setdefault(row.cells.get("name", ""), []).append(row)
    if not listed:
        logger.warning("%s: has no rows; the types of channels are those of the recording", table)
    rows: dict[str, dict[str, str]] = {}
    for name, same in listed.items():
        channels = numbered(raw).get(name, [name])
        if len(same) not in (1, len(channels)):
            raise DataError(f"{same[1].where}: channel {name!r} occurs twice; give each channel its own name")
        rows |= {channel: row.cells for channel, row in zip(channels, same * len(channels), strict=False)}
    return rows
