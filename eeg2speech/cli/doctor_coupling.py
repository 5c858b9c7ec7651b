"""What `eeg2speech doctor` says about the coupling of EEG and sound."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eeg2speech.quality.coupling import ALPHA, LEAST, Coupling, Couplings

SHOWN = 100
"""Subjects that are printed before the table is cut."""
STYLES = {"coupling found": "green", "no coupling found": "yellow", "not enough sound to tell": "dim"}


def print_coupling(couplings: Couplings, console: Console) -> None:
    """Print a row per subject and condition, and a sentence per condition.

    Args:
        couplings: What was measured.
        console: Where to.
    """
    if not couplings.subjects:
        console.print(Text("Coupling of EEG and sound: no segment of listening or overt speech"), soft_wrap=True)
        return
    console.print(Text("Coupling of EEG and sound", style="bold"))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Subject", "Condition", "Minutes", "r", "Chance 95 %", "p", "Lag", "Verdict"):
        table.add_column(heading, justify="left" if heading in ("Subject", "Condition", "Verdict") else "right")
    for one in couplings.subjects[:SHOWN]:
        table.add_row(*_cells(one))
    if len(couplings.subjects) > SHOWN:
        table.add_row("...", f"{len(couplings.subjects) - SHOWN} more; --json lists them all")
    console.print(table)
    for one in couplings.overall:
        console.print(Text(_sentence(one, couplings)), soft_wrap=True)
    if not couplings.overall:
        text = f"Not enough sound to tell whether EEG and sound belong together: {LEAST:g} s of a subject are needed."
        console.print(Text(text), soft_wrap=True)


def _cells(one: Coupling) -> tuple[Text, ...]:
    lag = "-" if one.lag is None else f"{1000 * one.lag:.0f} ms"
    numbers = [f"{one.minutes:.1f}", _number(one.r), _number(one.null_95), _number(one.p), lag]
    verdict = Text("could not be measured" if one.problem else one.verdict, style=STYLES[one.verdict])
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
        f"{len(one.null)} false alignments; {found} of {len(own)} subjects by themselves at p up to {ALPHA:g}. "
        f"At most {couplings.minutes:g} min of each were used."
    )
