from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from eeg2speech.checkpoints.training_record import verdict_words
from eeg2speech.core.console import table_console
from eeg2speech.metrics import Estimate, Null, Verdict

COLUMNS = {
    "top1": "top-1", "top10": "top-10", "mrr": "MRR", "median_rank": "median rank",
    "match_2023": "match-mismatch 2023", "match_2024": "2024",
}  # fmt: skip


def print_figures(
    split: str, figures: Mapping[str, Mapping[str, Estimate]], controls: Mapping[str, Estimate], simulated: bool
) -> None:
    """Print a test list's figures with their chance levels, and the controls.

    Args:
        split: Name of the list, in words.
        figures: Of the model and the linear decoders, by column.
        controls: Mean reciprocal rank of each control.
        simulated: The EEG is.
    """
    title = f"Alignment on {split} [95 % over stimuli]" + (", SIMULATED EEG" if simulated else "")
    table = Table(title=title)
    table.add_column("", overflow="fold")
    for column in COLUMNS.values():
        table.add_column(column, justify="right", overflow="fold")
    for name, row in figures.items():
        table.add_row(name, *(_cell(row.get(column)) for column in COLUMNS), style="bold" if name == "model" else None)
    for name, figure in controls.items():
        table.add_row(f"  {name}", *(_cell(figure) if column == "mrr" else "" for column in COLUMNS), style="dim")
    chance = next(iter(figures.values()))
    table.add_row("chance", *(f"{chance[column].chance:.3g}" if column in chance else "" for column in COLUMNS))
    table_console().print(table)


def print_verdict(split: str, verdict: Verdict, null: Null) -> None:
    """Print whether a list is aligned, how sure that is, and why."""
    word = verdict_words(vars(verdict), "[bold green]ALIGNED[/]", "[bold red]NOT ALIGNED[/]")
    table_console().print(
        f"{split}: {word}  p = {verdict.p:.2g}, z = {verdict.effect.z:.1f}, "
        f"{verdict.effect.ratio:.1f} x the mean of {len(null.draws)} permutations"
    )
    for reason in verdict.reasons:
        table_console().print(f"  {reason}", highlight=False)


def _cell(figure: Estimate | None) -> str:
    return "" if figure is None else f"{figure.value:.3g} [{figure.low:.2g}, {figure.high:.2g}]"
