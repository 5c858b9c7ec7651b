"""`eeg2speech doctor`: what a prepared store holds and what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

from eeg2speech.core.errors import ConfigError

GROUPS = {"coupling of EEG and sound": ["coupling", "minutes"], "what is written": ["html", "psd", "json"]}
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
    """Check a prepared store and show what is in it.

    The exit status is 1 if there are errors; warnings leave it at 0.

    Args:
        store: Folder of the store.
        coupling: Measure whether the EEG follows the sound, some seconds per subject.
        minutes: Most minutes of sound per subject and condition that this looks at.
        html: Write a page about the dataset with pictures to this file.
        psd: Save the subjects' power spectra as this picture (png, pdf or svg).
        json: Print everything as JSON: facts, problems, coupling.
    """
    if psd is not None and psd.suffix not in (".png", ".pdf", ".svg"):
        raise ConfigError(f"psd={psd}: unknown kind of picture; end its name in .png, .pdf or .svg")
    if html is not None and html.suffix != ".html":
        raise ConfigError(f"html={html}: this is a page; end its name in .html")
    from eeg2speech.cli.doctor_tables import print_report
    from eeg2speech.cli.machine import print_json
    from eeg2speech.core.console import table_console
    from eeg2speech.core.progress import Countdown
    from eeg2speech.data.store.store import Store
    from eeg2speech.quality.coupling import LEAST, couple
    from eeg2speech.quality.doctor import examine

    if coupling and not minutes * 60 >= LEAST:
        raise ConfigError(f"minutes={minutes:g}: nothing can be told from so little; use {LEAST / 60:g} or more")
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
        from eeg2speech.cli.doctor_psd import save_psd  # brings matplotlib

        save_psd(report.facts, opened, psd)
    if html is not None:
        from eeg2speech.quality.dataset_report import write_report  # brings matplotlib

        write_report(opened, report, html)
        print(f"{html}: written", file=sys.stderr)
    return int(report.failed)


COMMAND = doctor
