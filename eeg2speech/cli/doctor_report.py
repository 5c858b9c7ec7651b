"""Tables that `eeg2speech doctor` prints."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eeg2speech.quality.coupling import ALPHA, LEAST, Coupling, Couplings
from eeg2speech.quality.doctor import Facts, Report, Tally
from eeg2speech.quality.spectrum import sparkline
from eeg2speech.quality.store_checks import Problem, one_problem_per_kind

SHOWN = 30
"""Rows of a list that are printed."""
SHOWN_COUPLINGS = 100
"""Rows of the table of coupling that are printed."""
STYLES = {"coupling found": "green", "no coupling found": "yellow"}


def print_report(report: Report, console: Console) -> None:
    """Print the content of a store, its coupling if it was measured, and its problems."""
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
        _print_coupling(report.coupling, console)
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
    lines = one_problem_per_kind(problems)
    for problem in lines[:SHOWN]:
        style = "red" if problem.severity == "error" else "yellow"
        console.print(Text(f"{problem.severity}: ", style=style) + Text(problem.text), soft_wrap=True)
    if len(lines) > SHOWN:
        _more(len(lines), console)
    elif len(lines) < len(problems):
        console.print(Text("  --json lists them all"))


def _more(count: int, console: Console) -> None:
    if count > SHOWN:
        console.print(Text(f"  ... {count - SHOWN} more; --json lists them all"))


def _print_coupling(couplings: Couplings, console: Console) -> None:
    """Print a row per subject and condition, and a sentence per condition."""
    if not couplings.subjects:
        console.print(Text("Coupling of EEG and sound: no segment of listening or overt speech"), soft_wrap=True)
        return
    console.print(Text("Coupling of EEG and sound", style="bold"))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Subject", "Condition", "Minutes", "r", "Chance 95 %", "p", "Lag", "Verdict"):
        table.add_column(heading, justify="left" if heading in ("Subject", "Condition", "Verdict") else "right")
    for one in couplings.subjects[:SHOWN_COUPLINGS]:
        table.add_row(*_cells(one))
    if len(couplings.subjects) > SHOWN_COUPLINGS:
        table.add_row("...", f"{len(couplings.subjects) - SHOWN_COUPLINGS} more; --json lists them all")
    console.print(table)
    for one in couplings.overall:
        console.print(Text(_sentence(one, couplings)), soft_wrap=True)
    if not couplings.overall:
        text = f"Not enough sound to test the coupling: {LEAST:g} s of a subject are needed."
        console.print(Text(text), soft_wrap=True)


def _cells(one: Coupling) -> tuple[Text, ...]:
    lag = "-" if one.lag is None else f"{1000 * one.lag:.0f} ms"
    numbers = [f"{one.minutes:.1f}", _number(one.r), _number(one.null_95), _number(one.p), lag]
    verdict = Text("could not be measured" if one.problem else one.verdict, style=STYLES.get(one.verdict, "dim"))
    return Text(one.subject), Text(one.condition), *(Text(cell) for cell in numbers), verdict


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _sentence(one: Coupling, couplings: Couplings) -> str:
    own = [c for c in couplings.subjects if c.condition == one.condition and c.r is not None]
    found = sum(c.verdict == "coupling found" for c in own)
    lag = ""
    if one.lag is not None:
        lag = f", strongest {abs(one.lag) * 1000:.0f} ms {'before' if one.lag < 0 else 'after'} the sound"
    return (
        f"{one.condition}: {one.verdict}{lag}. Mean r {one.r:.3f} over {len(own)} subjects, p {one.p:.3f} against "
        f"{len(one.null)} false alignments; {found} of {len(own)} subjects by themselves have p <= {ALPHA:g}. "
        f"At most {couplings.minutes:g} min of each subject were used."
    )
