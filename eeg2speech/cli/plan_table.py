"""What `eeg2speech plan` prints."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eeg2speech.cli.planned import PlannedStage
from eeg2speech.planning import Assumptions, Estimate, Footprint, Run


def print_plan(
    stage: PlannedStage, settings: Run, cost: Footprint, rows: list[Estimate], assumed: Assumptions, console: Console
) -> None:
    """Print a column for each number of GPUs, and every assumption.

    Args:
        stage: What was planned.
        settings: Of its run.
        cost: Of a step.
        rows: One for each number of GPUs.
        assumed: Of the machine.
        console: Where to.
    """
    console.print(Text(f"{type(stage.task).__name__}: a step of {settings.batch} windows per GPU", style="bold"))
    accumulated = f" x {settings.accumulated} accumulated" if settings.accumulated > 1 else ""
    console.print(
        Text(
            f"{cost.trained / 1e6:.3g} M parameters trained, {cost.frozen / 1e6:.3g} M frozen; "
            f"{cost.flops / 1e12:.4g} TFLOP in {cost.operations} operations forward and backward{accumulated}, "
            f"{cost.step_flops / 1e12:.4g} TFLOP in {cost.step_operations} of the optimizer"
        )
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("GPUs")
    for row in rows:
        table.add_column(str(row.gpus), justify="right")
    for name, show in LINES:
        table.add_row(name, *(show(row) for row in rows))
    console.print(table)
    steps = "no end: give --steps" if settings.steps is None else f"{settings.steps} steps"
    console.print(Text(f"Run: {steps}; the batch per GPU stays, so n GPUs see n times the windows in a step."))
    console.print(Text("Estimated, not measured. Assumed:", style="dim"))
    for line in assumed.described(settings.precision) + stage.remarks:
        console.print(Text(f"- {line}", style="dim"))


def _bytes(value: float) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value / 1e3:.3g} kB"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _hours(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} h"


def _limit(row: Estimate) -> str:
    busy = {"arithmetic": row.arithmetic, "memory traffic": row.traffic, "launches": row.launches}
    if row.step > 1.5 * max(busy.values()):
        return "communication"
    return max(busy, key=lambda name: busy[name])


LINES: list[tuple[str, Any]] = [
    ("Memory per GPU", lambda row: _bytes(row.memory) + ("" if row.fits else " TOO MUCH")),
    ("  weights", lambda row: _bytes(row.weights)),
    ("  gradients", lambda row: _bytes(row.gradients)),
    ("  optimizer", lambda row: _bytes(row.optimizer)),
    ("  moving average", lambda row: _bytes(row.average)),
    ("  activations", lambda row: _bytes(row.working)),
    ("Time of a step", lambda row: _time(row.step)),
    ("  arithmetic", lambda row: _time(row.arithmetic)),
    ("  memory traffic", lambda row: _time(row.traffic)),
    ("  launches", lambda row: _time(row.launches)),
    ("  communication", lambda row: _time(row.communication)),
    ("  limited by", _limit),
    ("Windows/s", lambda row: f"{row.windows_per_s:.4g}"),
    ("Run", lambda row: _hours(row.hours)),
    ("GPU-hours", lambda row: _hours(row.gpu_hours)),
]
