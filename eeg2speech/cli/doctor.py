"""`eeg2speech doctor`: what a prepared store holds and what is wrong with it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from json import dumps
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eeg2speech.cli.doctor_coupling import print_coupling
from eeg2speech.data.coupling import LEAST, couple
from eeg2speech.data.doctor import Facts, Report, Tally, examine
from eeg2speech.data.progress import Countdown
from eeg2speech.data.spectrum import sparkline
from eeg2speech.data.store import Store
from eeg2speech.data.store_files import Problem
from eeg2speech.errors import ConfigError

SHOWN = 30
"""Rows of a list that are printed before it is cut."""


def doctor(
    store: Path,
    coupling: bool = True,
    minutes: float = 15.0,
    html: Path | None = None,
    psd: Path | None = None,
    json: bool = False,
) -> int:
    """Check a prepared store and show what is in it.

    Args:
        store: Folder of the store.
        coupling: Measure whether the EEG follows the sound, some seconds per subject.
        minutes: Most minutes of sound per subject and condition that this looks at.
        html: Write a page about the dataset with pictures to this file.
        psd: Save the subjects' power spectra as this picture (png, pdf or svg).
        json: Print everything as JSON instead of tables.
    """
    if psd is not None and psd.suffix not in (".png", ".pdf", ".svg"):
        raise ConfigError(f"psd={psd}: unknown kind of picture; end its name in .png, .pdf or .svg")
    if html is not None and html.suffix != ".html":
        raise ConfigError(f"html={html}: this is a page; end its name in .html")
    if coupling and not minutes * 60 >= LEAST:
        raise ConfigError(f"minutes={minutes:g}: nothing can be told from so little; use {LEAST / 60:g} or more")
    opened = Store(store)
    with Countdown("Examining recordings", len(opened.recordings)) as bar:
        report = examine(opened, lambda: bar.step(0))
    if coupling:
        with Countdown("Measuring coupling of subjects", len(opened.subjects)) as bar:
            report.add_coupling(couple(opened, minutes, lambda: bar.step(0)))
    if json:
        print(dumps(asdict(report), indent=2, ensure_ascii=False, default=str))
    else:
        _print(report, Console(file=sys.stdout))
    if psd is not None:
        _save_psd(report.facts, opened, psd)
    if html is not None:
        from eeg2speech.data.dataset_report import write_report  # brings matplotlib

        write_report(opened, report, html)
        print(f"{html}: written", file=sys.stderr)
    return int(report.failed)


def _print(report: Report, console: Console) -> None:
    facts = report.facts
    title = f"{facts.name}  ({facts.license})" + ("  SIMULATED EEG" if facts.simulated else "")
    console.print(Text(title, style="bold"))
    summary = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in _summary(facts).items():
        summary.add_row(Text(key, style="dim"), Text(value))
    console.print(summary)
    for name, tallies in (("Condition", facts.conditions), ("Label", facts.labels)):
        if tallies:
            console.print(_tallies(name, tallies))
    if facts.spectra:
        console.print(_spectra(facts))
    if facts.bad:
        console.print(Text("Bad channels", style="bold"))
        for recording, names in list(facts.bad.items())[:SHOWN]:
            console.print(Text(f"  {recording}: {', '.join(names)}"))
        _more(len(facts.bad), console)
    if report.coupling is not None:
        print_coupling(report.coupling, console)
    _problems(report.problems, console)


def _summary(facts: Facts) -> dict[str, str]:
    channels = ", ".join(f"{count} ({times} recordings)" for count, times in facts.channels.items())
    montages = "one montage" if facts.montages == 1 else f"{facts.montages} different montages"
    levels = list(facts.amplitude.values())
    spread = f"{np.median(levels):.1f} µV median, subjects {min(levels):.1f} to {max(levels):.1f}" if levels else "-"
    return {
        "Subjects": str(len(facts.subjects)),
        "Sessions": str(len(facts.sessions)) if facts.sessions else "-",
        "Recordings": str(facts.recordings),
        "EEG": f"{_time(facts.hours)} at {facts.rate:g} Hz, {_time(facts.segment_hours)} inside segments",
        "Channels": f"{channels}, {montages}",
        "Stimuli": f"{facts.stimuli}, {facts.sounds} with sound, {_time(facts.audio_hours)}",
        "Amplitude": spread,
        "Beyond 20 sd": f"{facts.beyond:.4%} of samples",
    }


def _time(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def _tallies(name: str, tallies: dict[str, Tally]) -> Table:
    table = Table(name, "Segments", "Time", box=None, padding=(0, 2, 0, 0))
    for key, tally in sorted(tallies.items())[:SHOWN]:
        table.add_row(Text(key), str(tally.segments), _time(tally.hours))
    if len(tallies) > SHOWN:
        table.add_row(f"... {len(tallies) - SHOWN} more", "", "")
    return table


def _spectra(facts: Facts) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("Subject", overflow="fold")
    table.add_column("1 to 40 Hz, log power", min_width=40, no_wrap=True)
    for column in ("1/f", "Alpha", "µV"):
        table.add_column(column, no_wrap=True)
    frequencies = np.array(facts.frequencies)
    for subject, power in list(facts.spectra.items())[:SHOWN]:
        shape = facts.shapes[subject]
        alpha = f"{shape.alpha_hertz:.0f} Hz {shape.alpha_decibels:+.1f} dB"
        row = (Text(subject), sparkline(frequencies, np.array(power)), f"{shape.slope:.1f}", alpha)
        table.add_row(*row, f"{facts.amplitude[subject]:.1f}")
    if len(facts.spectra) > SHOWN:
        table.add_row("...", f"{len(facts.spectra) - SHOWN} more", "", "", "")
    return table


def _problems(problems: list[Problem], console: Console) -> None:
    if not problems:
        console.print(Text("No problems found.", style="green"))
        return
    errors = sum(problem.severity == "error" for problem in problems)
    console.print(Text(f"{errors} errors, {len(problems) - errors} warnings", style="bold"))
    for problem in problems[:SHOWN]:
        style = "red" if problem.severity == "error" else "yellow"
        console.print(Text(f"{problem.severity}: ", style=style) + Text(problem.text), soft_wrap=True)
    _more(len(problems), console)


def _more(count: int, console: Console) -> None:
    if count > SHOWN:
        console.print(Text(f"  ... {count - SHOWN} more; --json true lists them all"))


def _save_psd(facts: Facts, store: Store, file: Path) -> None:
    from eeg2speech.plotting import psd_figure  # brings matplotlib

    notch = store.description.settings.get("preprocessing.notch")
    figure = psd_figure(
        np.array(facts.frequencies),
        {subject: np.array(power) for subject, power in facts.spectra.items()},
        {subject: (shape.slope, shape.intercept) for subject, shape in facts.shapes.items()},
        f"{facts.name}: power spectrum of every subject" + (" (simulated EEG)" if facts.simulated else ""),
        float(notch) if notch else None,
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise ConfigError(f"psd={file}: cannot be written ({error.strerror}); choose another place") from error


COMMAND = doctor
