"""`eeg2speech doctor`: the content of a prepared store, and the problems in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from eeg2speech.core.errors import ConfigError

if TYPE_CHECKING:
    from eeg2speech.data.store.store import Store
    from eeg2speech.quality.doctor import Facts

GROUPS = {"coupling of EEG and sound": ["coupling", "minutes"], "output": ["html", "psd", "json"]}
EXAMPLES = """
    eeg2speech doctor stores/mine
    eeg2speech doctor stores/mine --html mine.html
    eeg2speech doctor stores/mine --coupling false --json
"""


def doctor(
    store: Path,
    coupling: bool = True,
    minutes: float = 15.0,
    html: Path | None = None,
    psd: Path | None = None,
    json: bool = False,
) -> int:
    """Check a prepared store and print its content.

    The exit status is 1 if there are errors, and 0 if there are only warnings.

    Args:
        store: Folder of the store.
        coupling: Test whether the EEG follows the sound; this takes some seconds per subject.
        minutes: Minutes of sound per subject and condition that this test uses at most.
        html: Write a page about the dataset, with figures, to this file.
        psd: Save the power spectrum of every subject as this figure (png, pdf or svg).
        json: Print the report as JSON: facts, problems, coupling.
    """
    if psd is not None and psd.suffix not in (".png", ".pdf", ".svg"):
        raise ConfigError(f"psd={psd}: unknown format of figure; use a name that ends in .png, .pdf or .svg")
    if html is not None and html.suffix != ".html":
        raise ConfigError(f"html={html}: not the name of a page; use a name that ends in .html")
    from eeg2speech.cli.doctor_report import print_report
    from eeg2speech.cli.output import print_json
    from eeg2speech.core.console import table_console
    from eeg2speech.core.progress import Countdown
    from eeg2speech.data.store.store import Store
    from eeg2speech.quality.coupling import LEAST, couple
    from eeg2speech.quality.doctor import examine

    if coupling and not minutes * 60 >= LEAST:
        raise ConfigError(f"minutes={minutes:g}: too little sound for a test; use {LEAST / 60:g} or more")
    opened = Store(store)
    with Countdown("Examining recordings", len(opened.recordings)) as bar:
        report = examine(opened, lambda: bar.step(0))
    if coupling:
        with Countdown("Measuring coupling of subjects", len(opened.subjects)) as bar:
            report.add_coupling(couple(opened, minutes, lambda: bar.step(0)))
    if json:
        print_json(report)
    else:
        print_report(report, table_console(sys.stdout))
    if psd is not None:
        _save_psd(report.facts, opened, psd)
    if html is not None:
        from eeg2speech.quality.dataset_report import write_report  # imports matplotlib

        write_report(opened, report, html)
        print(f"{html}: written", file=sys.stderr)
    return int(report.failed)


def _save_psd(facts: Facts, store: Store, file: Path) -> None:
    from eeg2speech.quality.dataset_report import spectra_figure  # imports matplotlib

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        spectra_figure(store, facts).savefig(file, dpi=150)
    except OSError as error:
        raise ConfigError(f"psd={file}: cannot be written ({error.strerror}); choose another place") from error
