"""Files that a recording is spread over: which leads to which, and which are missing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from eeg2speech.core.errors import DataError

LED_TO = {".eeg": ".vhdr", ".vmrk": ".vhdr", ".dat": ".vhdr", ".fdt": ".set"}
"""Suffixes of files that are read by way of another one, and that one's."""
UNREAD = (".nwb", ".mefd", ".kdf", ".mhd", ".meghdf5", ".xdf", ".trc", ".nedf", ".cdt", ".ahdr")
"""Suffixes of nothing but recordings, in formats that are not read."""
PACKED = (".gz", ".zip")
UNSUPPORTED = (*UNREAD, ".raw", ".mat", "", *PACKED)
"""The same, and those that hold recordings where a file is named like one; folders of 4D/BTi have none."""


def unread_format(file: Path, formats: tuple[str, ...]) -> str:
    """Suffix of a recording in a format that is not read, ``.edf.gz`` among them; empty for any other file."""
    name, suffix = file.name.lower(), file.suffix.lower()
    packed = suffix in PACKED and file.with_suffix("").name.lower().endswith(formats)
    if name.endswith(formats) or not (packed or suffix in UNREAD):
        return ""
    return "".join(file.suffixes[-2:]) if packed else file.suffix


def check_format(file: Path, formats: tuple[str, ...]) -> None:
    """Refuse a recording in a format that is not read, or a part of one without the file that leads to it.

    Args:
        file: That is to be opened.
        formats: That are read.

    Raises:
        DataError: It is of another format.
    """
    suffix = file.suffix.lower()
    if suffix in LED_TO:
        header = file.with_suffix(LED_TO[suffix]).name
        raise DataError(
            f"{file}: {header}, by way of which it is read, is missing; download it (other formats named "
            f"{suffix} are not supported)"
        )
    if not file.name.lower().endswith(formats):
        name = "".join(file.suffixes[-2:]) if suffix in PACKED else file.suffix
        what = f"format {name}" if name else "a recording without a suffix (4D/BTi?)"
        raise DataError(f"{file}: {what} is not supported; convert it to one of {', '.join(formats)}")


def missing_markers(header: Path) -> Path | None:
    """The marker file that a BrainVision header names and that is not there; None for other formats.

    The library reads on without it, from a file of the header's own name if there is one.
    """
    if header.suffix.lower() != ".vhdr":
        return None
    named = re.search(r"^\s*MarkerFile\s*=\s*(.+?)\s*$", header.read_text("utf-8", "replace"), re.MULTILINE)
    if named is None:
        return None
    name = named[1].replace("$b", header.stem)
    there = header.with_name(Path(name.replace("\\", "/")).name).is_file() or header.with_suffix(".vmrk").is_file()
    return None if there else header.with_name(name)


def orphans(files: Iterable[Path]) -> list[Path]:
    """Signals whose header is not there: ``.eeg`` that no ``.vhdr`` beside it names, ``.fdt`` without a ``.set``."""
    folders: dict[Path, dict[str, list[Path]]] = {}
    for file in files:
        folders.setdefault(file.parent, {}).setdefault(file.suffix.lower(), []).append(file)
    found = []
    for beside in folders.values():
        stems = {(suffix, file.stem) for suffix in (".vhdr", ".set") for file in beside.get(suffix, ())}
        lonely = {
            suffix: [file for file in beside.get(suffix, ()) if (LED_TO[suffix], file.stem) not in stems]
            for suffix in (".eeg", ".fdt")
        }
        if lonely[".eeg"]:
            headers = "\n".join(header.read_text("utf-8", "replace") for header in beside.get(".vhdr", ()))
            found += [file for file in lonely[".eeg"] if file.name not in headers]
        if len(beside.get(".set", ())) < len(beside.get(".fdt", ())):
            found += lonely[".fdt"]
    return found
