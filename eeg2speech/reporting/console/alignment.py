from __future__ import annotations

from rich.table import Table

from eeg2speech.core.console import table_console
from eeg2speech.metrics import Estimate
from eeg2speech.metrics.results import MODEL, AlignmentResult, AlignmentSplit, in_words
from eeg2speech.reporting.console.verdicts import print_reasons, split_title, verdict_markup

COLUMNS = {
    "top1": "top-1", "top10": "top-10", "mrr": "MRR", "median_rank": "median rank",
    "match_2023": "match-mismatch 2023", "match_2024": "2024",
}  # fmt: skip


def print_alignment(result: AlignmentResult, simulated: bool) -> None:
    """Print figures with chance levels, controls and verdict of every test split.

    Args:
        result: Of the evaluation.
        simulated: The EEG is.
    """
    for split, of_split in result.splits.items():
        title = split_title(split, of_split.verdict.seen)
        table_console().print(_figures(title, of_split, simulated))
        _print_verdict(title, of_split)


def _figures(title: str, split: AlignmentSplit, simulated: bool) -> Table:
    table = Table(title=f"Alignment on {title} [95 % over stimuli]" + (", SIMULATED EEG" if simulated else ""))
    table.add_column("", overflow="fold")
    for column in COLUMNS.values():
        table.add_column(column, justify="right", overflow="fold")
    rows = {**split.figures, "model, windows of the protocols": split.protocol_windows}
    for name, figures in rows.items():
        style = "bold" if name == MODEL else None
        table.add_row(in_words(name), *(_cell(figures.get(column)) for column in COLUMNS), style=style)
    for name, mrr in split.controls_mrr.items():
        table.add_row(
            f"  {in_words(name)}", *(_cell(mrr) if column == "mrr" else "" for column in COLUMNS), style="dim"
        )
    own = split.figures[MODEL]
    table.add_row("chance", *(f"{own[column].chance:.3g}" if column in own else "" for column in COLUMNS))
    return table


def _print_verdict(title: str, split: AlignmentSplit) -> None:
    verdict, null = split.verdict, split.permutations["mrr"]
    table_console().print(
        f"{title}: {verdict_markup(verdict)}  p = {verdict.p:.2g}, z = {verdict.effect.z:.1f}, "
        f"{verdict.effect.ratio:.1f} x the mean of {null.permutations} permutations"
    )
    print_reasons(verdict)


def _cell(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.3g} [{estimate.low:.2g}, {estimate.high:.2g}]"
