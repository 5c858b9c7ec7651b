"""`eeg2speech report`: one HTML page about runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from eeg2speech.errors import ConfigError

NAME = "report.html"


def run(argv: Sequence[str]) -> int:
    """Write a page about runs.

    Args:
        argv: Run folders and options.

    Returns:
        Exit status.

    Raises:
        ConfigError: An option is out of its range.
        DataError: A folder holds no run, or a file in it is damaged.
        DiskError: The page cannot be written.
    """
    options = _parser().parse_args(argv)
    if options.clips < 0:
        raise ConfigError(f"clips={options.clips} must be 0 or more (--clips)")
    out = options.out
    if out is not None and (out.is_dir() or out.suffix.lower() not in (".html", ".htm")):
        raise ConfigError(f"out={out} is not the name of a page; give a file that ends in .html (--out)")
    from eeg2speech.reporting import LIMIT, read_run, write_page  # brings matplotlib and torch

    folders: list[Path] = list(dict.fromkeys(options.runs))
    written = write_page([read_run(folder) for folder in folders], out or _place(folders), options.clips)
    for note in written.notes:
        print(f"note: {note}", file=sys.stderr)
    if written.refused:
        print(
            f"note: {len(written.refused)} pictures and sounds are not on the page, as it would exceed "
            f"{LIMIT / 1e6:.0f} MB or they are damaged; it names them; fewer --clips or runs leave more room",
            file=sys.stderr,
        )
    print(f"{written.file} ({written.size / 1e6:.1f} MB)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eeg2speech report",
        description="Write one HTML page about runs: what was run on what data, whether it works, figures, learning "
        "curves, pictures and sounds. The page holds everything in itself, so it opens from disk, without a network.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run of any stage, such as runs/maeeg")
    add("--out", type=Path, metavar="FILE",
        help=f"the page (default: {NAME} in the run's folder, or in the one that all runs lie in)")  # fmt: skip
    add("--clips", type=int, default=4, help="most windows of a test list to hear (default: %(default)s)")
    return parser


def _place(folders: Sequence[Path]) -> Path:
    if len(folders) == 1:
        return folders[0] / NAME
    try:
        common = Path(os.path.commonpath([folder.resolve() for folder in folders]))
    except ValueError:  # drives of Windows have nothing in common
        return Path(NAME)
    if common.parent == common:
        return Path(NAME)
    here = Path.cwd()
    return (common.relative_to(here) if common.is_relative_to(here) else common) / NAME
