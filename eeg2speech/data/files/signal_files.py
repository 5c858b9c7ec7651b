"""Files that a recording is spread over: which belong together, which are missing, and formats that are not read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from eeg2speech.core.errors import DataError
from eeg2speech.data.files.downloads import has_content, is_listed
from eeg2speech.data.files.reading import inside

HEADERS = {".eeg": ".vhdr", ".vmrk": ".vhdr", ".dat": ".vhdr", ".fdt": ".set"}
"""Suffix of the header of files that are read through a header."""
UNREAD = (".nwb", ".mefd", ".kdf", ".mhd", ".meghdf5", ".xdf", ".trc", ".nedf", ".cdt", ".ahdr")
"""Suffixes of recordings in formats that are not read."""
PACKED = (".gz", ".zip")
UNSUPPORTED = (*UNREAD, ".raw", ".mat", "", *PACKED)
"""The same, and suffixes of files that may be recordings; folders of 4D/BTi have none."""
LONGEST = 2**20
"""Bytes of a text header that are searched for names of files."""


def signal_files(file: Path) -> list[Path]:
    """A recording's file, and those that it needs or that continue it, whether or not their content was downloaded."""
    if file.is_dir():
        return sorted(path for path in file.rglob("*") if not path.is_dir())
    name = file.name.lower()
    if not has_content(file):
        parts = {".vhdr": (".eeg", ".vmrk"), ".set": (".fdt",)}.get(file.suffix.lower(), ())
        return [file, *_of_same_stem(file, parts)]
    if name.endswith(".vhdr"):
        markers = [beside for beside in _named_in(file, "MarkerFile") if is_listed(beside)]
        return [file, *_named_in(file, "DataFile"), *(markers or _of_same_stem(file, (".vmrk",)))]
    if name.endswith(".set"):
        return [file, *_of_eeglab(file)]
    if name.endswith(".lay"):
        return [file, *_named_in(file, "File")]
    return [file, *_later_parts(file)] if name.endswith((".fif", ".fif.gz")) else [file]


def _of_same_stem(file: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return [beside for suffix in suffixes if is_listed(beside := file.with_suffix(suffix))]


def _named_in(header: Path, key: str) -> list[Path]:
    """The file that a text header names, in its own folder or below."""
    try:
        with header.open("rb") as stream:
            text = stream.read(LONGEST).decode("utf-8", "surrogateescape")
    except OSError:  # reported when the recording is opened
        return []
    named = re.search(rf"^[ \t]*{key}[ \t]*=[ \t]*(.+?)[ \t\r]*$", text, re.MULTILINE | re.IGNORECASE)
    try:
        return [inside(header.parent, named[1].replace("$b", header.stem), header)] if named else []
    except DataError:  # a path of another computer; reported when the recording is opened
        return []


def _of_eeglab(file: Path) -> list[Path]:
    """Signal of a ``.set`` file, which may name it by a name from before a renaming."""
    orphaned = (f for f in sorted(file.parent.glob("*.fdt")) if not is_listed(f.with_suffix(".set")))
    return _of_same_stem(file, (".fdt",)) or list(orphaned)


def _later_parts(file: Path) -> list[Path]:
    """Later parts of a split FIF file: ``raw-1.fif``, or ``split-02`` after ``split-01``."""
    ending = ".fif.gz" if file.name.lower().endswith(".gz") else ".fif"
    stem = file.name[: -len(ending)]
    first = re.fullmatch(r"(.+_split-)0*1(_.*)?", stem)
    later = rf"{re.escape(first[1])}\d+{re.escape(first[2] or '')}" if first else rf"{re.escape(stem)}-\d+"
    pattern = re.compile(later + re.escape(ending), re.IGNORECASE)
    return sorted(f for f in file.parent.iterdir() if pattern.fullmatch(f.name) and f.name != file.name)


def missing_markers(header: Path) -> Path | None:
    """The marker file that a BrainVision header names, if it is missing; None otherwise and for other formats.

    mne reads on without it, or reads a marker file with the header's own name if there is one.
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
    """Signals without a header: ``.eeg`` that no ``.vhdr`` beside it names, ``.fdt`` without a ``.set``."""
    folders: dict[Path, dict[str, list[Path]]] = {}
    for file in files:
        folders.setdefault(file.parent, {}).setdefault(file.suffix.lower(), []).append(file)
    found = []
    for beside in folders.values():
        stems = {(suffix, file.stem) for suffix in (".vhdr", ".set") for file in beside.get(suffix, ())}
        without = {
            suffix: [file for file in beside.get(suffix, ()) if (HEADERS[suffix], file.stem) not in stems]
            for suffix in (".eeg", ".fdt")
        }
        if without[".eeg"]:
            headers = "\n".join(header.read_text("utf-8", "replace") for header in beside.get(".vhdr", ()))
            found += [file for file in without[".eeg"] if file.name not in headers]
        if len(beside.get(".set", ())) < len(beside.get(".fdt", ())):
            found += without[".fdt"]
    return found


def unread_format(file: Path, formats: tuple[str, ...]) -> str:
    """Suffix of a recording in a format that is not read, such as ``.edf.gz``; empty for any other file."""
    name, suffix = file.name.lower(), file.suffix.lower()
    packed = suffix in PACKED and file.with_suffix("").name.lower().endswith(formats)
    if name.endswith(formats) or not (packed or suffix in UNREAD):
        return ""
    return "".join(file.suffixes[-2:]) if packed else file.suffix


def check_format(file: Path, formats: tuple[str, ...]) -> None:
    """Check that a recording has a format that is read.

    Raises:
        DataError: The file has another format, or is a part of a recording whose header is missing.
    """
    suffix = file.suffix.lower()
    if suffix in HEADERS:
        header = file.with_suffix(HEADERS[suffix]).name
        raise DataError(
            f"{file}: its header, {header}, is missing; download it (other formats named {suffix} are not supported)"
        )
    if not file.name.lower().endswith(formats):
        name = "".join(file.suffixes[-2:]) if suffix in PACKED else file.suffix
        what = f"format {name}" if name else "a recording without a suffix (4D/BTi?)"
        raise DataError(f"{file}: {what} is not supported; convert it to one of {', '.join(formats)}")
