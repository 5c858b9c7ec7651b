from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from eeg2speech.core.console import table_console
from eeg2speech.metrics.results import MODEL, in_words
from eeg2speech.metrics.summary import split_title
from eeg2speech.reporting.tables import DECODERS, MATCH, RETRIEVAL

COLUMNS = {key: (RETRIEVAL | MATCH)[key] for key in ("top1", "top10", "mrr", *MATCH)}


def print_report(found: Mapping[str, Any]) -> None:
    """Print a table of figures and one of differences for every test split.

    Args:
        found: From ``sweep_report.report``.
    """
    console = table_console()
    over = found["intervals_over"]
    for split in {split: None for condition in found["conditions"] for split in condition["splits"]}:
        table = _table(f"{split_title(split)} [95 % over {over}]", "aligned")
        for condition in found["conditions"]:
            _add_condition(table, _label(condition["levels"]), condition["splits"][split])
        console.print(table)
        if found["differences"]:
            table = _table(f"Differences on {split_title(split)} [95 % over {over}]")
            for difference in found["differences"]:
                row = difference["splits"][split]
                table.add_row(_compared(difference), *(_cell(row[column], "+.3f") for column in COLUMNS))
            console.print(table)


def _add_condition(table: Table, label: str, results: Mapping[str, Any]) -> None:
    for decoder, row in results["figures"].items():
        cells = [_cell(row.get(column), ".3g") for column in COLUMNS]
        name, style, verdict = f"  {DECODERS.get(decoder, in_words(decoder))}", "dim", ""
        if decoder == MODEL:
            name, style, verdict = label, "bold", f"{results['aligned']} of {results['runs']}"
        table.add_row(name, *cells, verdict, style=style)
    table.add_row("  chance", *(f"{results['chance'][column]:.3g}" for column in COLUMNS), "", style="dim")


def _table(title: str, *more: str) -> Table:
    table = Table(title=title)
    table.add_column("", overflow="fold")
    for column in (*COLUMNS.values(), *more):
        table.add_column(column, justify="right", overflow="fold")
    return table


def _cell(figure: Mapping[str, Any] | None, form: str) -> str:
    if figure is None:
        return ""
    mean = format(figure["mean"], form)
    return mean if figure["low"] is None else f"{mean} [{figure['low']:.2g}, {figure['high']:.2g}]"


def _compared(difference: Mapping[str, Any]) -> str:
    what = f"{difference['to']} - {difference['from']}"
    within = difference["within"]
    return what if within is None else f"  {', '.join(within.values())}: {what}"


def _label(levels: Mapping[str, str]) -> str:
    return ", ".join(levels.values()) or "all"
