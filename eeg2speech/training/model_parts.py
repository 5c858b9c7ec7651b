from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelSummary
from rich.markup import escape
from rich.table import Table
from torch import nn

from eeg2speech.core.console import table_console

DEPTH = 2
"""Levels of modules in the table."""


class ModelParts(ModelSummary):
    """Prints the number of weights of each part of the model before training, and how many of them are trained.

    It replaces Lightning's summary, whose column of operations is empty before the first step; ``eeg2speech plan``
    counts these.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print on the first process."""
        if trainer.is_global_zero:
            table_console().print(_table(pl_module))


def _table(module: nn.Module) -> Table:
    total, trained = _weights(module)
    table = Table(title=f"{total:,} weights, {trained:,} of them trained", title_justify="left")
    table.add_column("Part")
    table.add_column("Class")
    table.add_column("Weights", justify="right")
    table.add_column("Trained", justify="right")
    for name, part in module.named_modules():
        count, trained = _weights(part)
        if name and count and name.count(".") < DEPTH:
            share = "all" if trained == count else f"{trained:,}" if trained else "none"
            table.add_row(
                "  " * name.count(".") + escape(name.rpartition(".")[2]), type(part).__name__, f"{count:,}", share
            )
    return table


def _weights(module: nn.Module) -> tuple[int, int]:
    parameters = list(module.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)
