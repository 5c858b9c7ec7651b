"""The results of a test on standard output: tables, then the verdict with its reasons."""

from __future__ import annotations

from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from eeg2speech.core.console import table_console
from eeg2speech.metrics import Interval, Verdict
from eeg2speech.metrics.results import (
    AlignmentResult,
    ProbedTarget,
    ReconstructionResult,
    ReconstructionVerdict,
    SpeechResult,
    VariantResult,
    in_words,
)
from eeg2speech.metrics.speech_verdict import SpeechVerdict
from eeg2speech.metrics.summary import number, split_title, splits_in_order, with_interval
from eeg2speech.reporting.tables import (
    QUALITY,
    ResultTable,
    Value,
    alignment_table,
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
    """Print the error of every method and the verdicts.

    Args:
        result: Of the evaluation.
        simulated: The EEG is.
    """
    print_table(reconstruction_table(result), simulated)
    for split in splits_in_order(result.splits, result.judged):
        _print_verdict(split, result.splits[split].verdict)


def print_probes(probes: Mapping[str, ProbedTarget], simulated: bool) -> None:
    """Print the accuracy of every probe.

    Args:
        probes: By target.
        simulated: The EEG is.
    """
    for target, probed in probes.items():
        print_table(probe_table(target, probed), simulated)


def print_alignment(result: AlignmentResult, simulated: bool) -> None:
    """Print figures and verdict of every split; arguments as in ``print_reconstruction``."""
    for split in splits_in_order(result.splits, result.judged):
        found = result.splits[split]
        print_table(alignment_table(split, found), simulated)
        _print_verdict(split, found.verdict)


def print_speech(result: SpeechResult, simulated: bool) -> None:
    """Print identification, quality and verdict of every split; arguments as in ``print_reconstruction``."""
    for split in splits_in_order(result.splits, result.judged):
        found = result.splits[split]
        print_table(identification_table(split, found), simulated)
        print_table(quality_table(split, found), simulated)
        if missing := _missing(found.variants):
            _print_line(f"Clips without a value, which are left out of the means: {missing}.")
        names = ", ".join(found.pretrained_stimuli[:10]) + (", ..." if len(found.pretrained_stimuli) > 10 else "")
        count = f"{len(found.pretrained_stimuli)} of its {found.stimuli} stimuli"
        _print_line(f"The pretrained components were trained on {count}{': ' if names else ''}{names}.")
        _print_verdict(split, found.verdict)
    for figure, reason in result.left_out.items():
        _print_line(f"No {QUALITY.get(figure, figure)}: {reason}")


def print_table(table: ResultTable, simulated: bool) -> None:
    """Print a table, and below it how to read it."""
    console = table_console()
    intervals = len(table.columns) < MANY or console.width >= WIDE
    title = table.title[:1].upper() + table.title[1:] + (", SIMULATED EEG" if simulated else "")
    shown = Table(title=escape(title))
    for place, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if place else "left", overflow="fold")
    for row in table.rows:
        cells = (escape(_cell(value, intervals)) for value in row.cells)
        shown.add_row(escape(row.name), *cells, style="bold" if row.own else None)
    console.print(shown)
    if table.note:
        _print_line(table.note)


def _print_verdict(split: str, verdict: ReconstructionVerdict | Verdict | SpeechVerdict) -> None:
    colour = {True: "[bold green]", False: "[bold red]", None: "[bold]"}[verdict.outcome]
    evidence = ""
    if not isinstance(verdict, ReconstructionVerdict):
        effect = verdict.effect
        evidence = f"  p = {verdict.p:.2g}, z = {effect.z:.1f}, {effect.ratio:.1f} x the mean of the permutations"
    title = escape(split_title(split, verdict.seen))
    table_console().print(f"{title}: {colour}{escape(verdict.words.upper())}[/]{evidence}")
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


def _cell(value: Value, intervals: bool) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, Interval):
        return number(value)
    return with_interval(value) if intervals else number(value.value)


def _print_line(text: str) -> None:
    table_console().print(text, highlight=False, markup=False)
