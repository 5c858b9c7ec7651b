"""`eeg2speech report`: one HTML page about runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from eeg2speech.cli.help import examples_text
from eeg2speech.cli.output import json_stdout, print_json
from eeg2speech.cli.parser import CommandParser
from eeg2speech.core.errors import ConfigError

NAME = "report.html"
EXAMPLES = """
    eeg2speech report runs/maeeg
    eeg2speech report runs/maeeg runs/alignment runs/diffusion --out all.html
"""


def run(argv: Sequence[str]) -> int:
    """Write a page about runs.

    Args:
        argv: Run folders and options.

    Returns:
        The exit status.

    Raises:
        ConfigError: An option is out of range.
        DataError: A folder is not a run folder, or a file in it is damaged.
        DiskError: The page cannot be written.
    """
    options = parser().parse_args(list(argv))
    if options.clips < 0:
        raise ConfigError(f"clips={options.clips} must be 0 or more (--clips)")
    out = options.out
    if out is not None and (out.is_dir() or out.suffix.lower() not in (".html", ".htm")):
        raise ConfigError(f"out={out} is not the name of an HTML file; give a name that ends in .html (--out)")
    from eeg2speech.core.progress import Countdown
    from eeg2speech.reporting.html import LIMIT, read_run, write_page  # brings matplotlib and torch

    folders: list[Path] = list(dict.fromkeys(options.runs))
    runs = []
    with json_stdout(options.json), Countdown("Reading runs and writing the page", len(folders) + 1) as bar:
        for folder in folders:
            runs.append(read_run(folder))
            bar.step()
        written = write_page(runs, out or _place(folders), options.clips)
        bar.step()
    for note in written.notes:
        print(f"note: {note}", file=sys.stderr)
    if written.refused:
        print(
            f"note: {len(written.refused)} pictures and sounds are left out because they are damaged or the page would "
            f"exceed {LIMIT / 1e6:.0f} MB; the page lists them. Use fewer --clips or fewer runs",
            file=sys.stderr,
        )
    if options.json:
        print_json({"file": written.file, "bytes": written.size, "notes": written.notes, "left_out": written.refused})
    else:
        print(f"{written.file} ({written.size / 1e6:.1f} MB)")
    return 0


def parser() -> CommandParser:
    """Parser of the command, which takes any number of run folders."""
    made = CommandParser(
        prog="eeg2speech report",
        description="Write one HTML page about runs: data and settings, verdicts, figures, learning curves, pictures "
        "and clips. The page is a single file that opens from disk, without a network.",
        epilog=examples_text(EXAMPLES),
    )
    add = made.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="Run folder of any stage, such as runs/maeeg.")
    add(
        "--out",
        type=Path,
        help=f"Path of the page; default: {NAME} in the run folder or the folder of all runs.",
    )
    add("--clips", type=int, default=4, help="Largest number of windows of a test split with clips on the page.")
    add("--json", type=bool, default=False, help="Print what was written as JSON: file, bytes, notes, left_out.")
    return made


def _place(folders: Sequence[Path]) -> Path:
    if len(folders) == 1:
        return folders[0] / NAME
    try:
        common = Path(os.path.commonpath([folder.resolve() for folder in folders]))
    except ValueError:  # on different drives of Windows
        return Path(NAME)
    if common.parent == common:
        return Path(NAME)
    here = Path.cwd()
    return (common.relative_to(here) if common.is_relative_to(here) else common) / NAME
