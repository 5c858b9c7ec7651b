"""The results of a test on standard output: tables, then the verdicts with their reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from eeg2speech.core.console import table_console
from eeg2speech.metrics.results import (
    AlignmentResult,
    ProbedTarget,
    ReconstructionResult,
    SpeechResult,
    VariantResult,
    in_words,
)
from eeg2speech.metrics.summary import SplitVerdict, split_verdicts
from eeg2speech.reporting.tables import (
    QUALITY,
    ResultTable,
    alignment_table,
    cell_text,
    fidelity_table,
    identification_table,
    probe_table,
    quality_table,
    reconstruction_table,
)

WIDE = 160
"""Columns of a terminal from which on tables of many columns have intervals."""
MANY = 8
"""Columns of a table from which on a narrow terminal has no room for intervals, which ``test.json`` holds."""


def print_reconstruction(result: ReconstructionResult, simulated: bool) -> None:
    """Print the error of every method, and the verdicts.

    Args:
        result: Of the evaluation.
        simulated: The EEG is simulated.
    """
    _print_table(reconstruction_table(result), simulated)
    _print_verdicts(split_verdicts(result))


def print_probes(probes: Mapping[str, ProbedTarget], simulated: bool) -> None:
    """Print the accuracy of every probe.

    Args:
        probes: By target.
        simulated: The EEG is simulated.
    """
    for target, probed in probes.items():
        _print_table(probe_table(target, probed), simulated)


def print_alignment(result: AlignmentResult, simulated: bool) -> None:
    """Print the figures of every split, then the verdicts; arguments as in ``print_reconstruction``."""
    for split, found in result.splits.items():
        _print_table(alignment_table(split, found), simulated)
    _print_verdicts(split_verdicts(result))


def print_speech(result: SpeechResult, simulated: bool) -> None:
    """Print identification and quality of every split, then the verdicts; arguments as in ``print_reconstruction``."""
    for split, found in result.splits.items():
        _print_table(identification_table(split, found), simulated)
        _print_table(quality_table(split, found), simulated)
        if found.curve:
            _print_table(fidelity_table(split, found), simulated)
        if missing := _missing(found.variants):
            _print_line(f"Clips without a value, which are left out of the means: {missing}.")
        if not found.pretrained_stimuli:
            _print_line(f"The pretrained components record none of its {found.stimuli} stimuli as trained on.")
    for figure, reason in result.left_out.items():
        _print_line(f"No {QUALITY.get(figure, figure)}: {reason}")
    _print_verdicts(split_verdicts(result))


def _print_table(table: ResultTable, simulated: bool) -> None:
    console = table_console()
    intervals = len(table.columns) < MANY or console.width >= WIDE
    title = table.title[:1].upper() + table.title[1:] + (", SIMULATED EEG" if simulated else "")
    shown = Table(title=escape(title))
    for place, column in enumerate(table.columns):
        shown.add_column(escape(column), justify="right" if place else "left", overflow="fold")
    for row in table.rows:
        cells = (escape(cell_text(value, intervals)) for value in row.cells)
        shown.add_row(escape(row.name), *cells, style="bold" if row.own else None)
    console.print(shown)
    if table.note:
        _print_line(table.note)


def _print_verdicts(verdicts: Sequence[SplitVerdict]) -> None:
    """The judged split comes first in ``verdicts`` and is printed last, next to the prompt."""
    colours = {True: "[bold green]", False: "[bold red]", None: "[bold]"}
    for verdict in reversed(verdicts):
        table_console().print(f"{escape(verdict.title)}: {colours[verdict.outcome]}{escape(verdict.words.upper())}[/]")
        for reason in verdict.reasons:
            _print_line(f"  {reason}")


def _missing(variants: Mapping[str, VariantResult]) -> str:
    """Which variants have clips without a value, and in which figures where not in all."""
    parts = []
    for name, variant in variants.items():
        for count in sorted(set(variant.missing.values())):
            titles = [QUALITY.get(figure, figure) for figure, times in variant.missing.items() if times == count]
            figures = "" if len(titles) == len(variant.quality) else f" in {' and '.join(titles)}"
            parts.append(f"{in_words(name)} {count}{figures}")
    return "; ".join(parts)


def _print_line(text: str) -> None:
    table_console().print(text, highlight=False, markup=False)
