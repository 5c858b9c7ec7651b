from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from eeg2speech.core.console import table_console
from eeg2speech.metrics import Estimate
from eeg2speech.metrics.results import MODEL, ProbedTarget, ReconstructionResult, in_words
from eeg2speech.reporting.console.verdicts import split_title

METHODS = {MODEL: "MAEEG"}
"""Titles of methods where they are not the id in words."""


def print_reconstruction(result: ReconstructionResult, simulated: bool) -> None:
    """Print the error of every method, with a column for every test split.

    Args:
        result: Of the evaluation.
        simulated: The EEG is.
    """
    title = "NMSE on hidden patches (1 = predicting the mean)"
    table = Table(title=title + (", SIMULATED EEG" if simulated else ""))
    table.add_column("", overflow="fold")
    splits = result.splits.values()
    for name, split in result.splits.items():
        table.add_column(split_title(name, split.verdict.seen), justify="right", overflow="fold")
    for name in next(iter(splits)).nmse:
        cells = [_cell(split.nmse[name]) for split in splits]
        table.add_row(METHODS.get(name, in_words(name)), *cells, style="bold" if name == MODEL else None)
    table_console().print(table)


def print_probes(probes: Mapping[str, ProbedTarget], simulated: bool) -> None:
    """Print the accuracy of every probe.

    Args:
        probes: By target.
        simulated: The EEG is.
    """
    title = "Probes: balanced accuracy [95 %]"
    table = Table(title=title + (", SIMULATED EEG" if simulated else ""))
    for column in ("probe", "features", "linear", "knn", "chance"):
        table.add_column(column, overflow="fold")
    for target, probed in probes.items():
        for name, kinds in probed.accuracy.items():
            cells = (_cell(kinds[kind]) for kind in ("linear", "knn"))
            row = (f"{target}, {probed.groups}-held-out", in_words(name), *cells, f"{kinds['linear'].chance:.3f}")
            table.add_row(*row)
    table_console().print(table)


def _cell(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
