"""`eeg2speech plan`: memory, time and GPU-hours of a stage, before a job is queued."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from rich.table import Table
from rich.text import Text

from eeg2speech.cli.help import examples_text
from eeg2speech.cli.output import json_stdout, print_json
from eeg2speech.cli.parser import CommandParser, docstring_text
from eeg2speech.core.console import table_console
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.progress import waiting
from eeg2speech.planning import GPUS, Assumptions, Estimate, Footprint, Run, estimate
from eeg2speech.planning.hardware import GIGA

USAGE = "eeg2speech plan --config FILE [--config OVERLAY ...] [OPTIONS]"
GROUPS = {
    "stage, as for `eeg2speech fit`": ["config", "alignment"],
    "machine": ["gpus", "gpu", "mfu", "launch", "link", "network", "per_node"],
    "run": ["steps", "json"],
}
EXAMPLES = """
    eeg2speech plan --config configs/maeeg.yaml --gpus 1,8,64 --gpu a100
    eeg2speech plan --config configs/diffusion.yaml --gpus 8 --json
"""


@dataclass
class PlanOptions:
    """Estimate memory, time and GPU-hours of a stage from counts of its operations, without training.

    Other options are settings of the stage: --KEY VALUE.

    Attributes:
        gpus: Numbers of GPUs, separated by commas.
        gpu: Model of GPU.
        mfu: Model FLOP utilisation: fraction of the peak FLOP/s of the GPU that is reached.
        launch: Shortest time of an operation, in µs.
        link: GB/s between GPUs of a node, in one direction; the GPU's own if not given.
        network: GB/s per GPU between nodes.
        per_node: GPUs per node.
        steps: Optimizer steps; trainer.max_steps if not given.
        alignment: Config of stage 2 and its overlays, used if the aligner of stage 3 is not trained yet; if not given,
            alignment.yaml in the folder of the config.
        json: Print the estimate as JSON: stage, run, footprint, assumptions, assumed, estimates.
    """

    gpus: str = "1,8,64"
    gpu: Literal["a100", "h100", "rtx4090", "v100"] = "h100"
    mfu: float = Assumptions.mfu
    launch: float = Assumptions.launch * 1e6
    link: float | None = None
    network: float = Assumptions.network / GIGA
    per_node: int = Assumptions.per_node
    steps: int | None = None
    alignment: list[str] = field(default_factory=list)
    json: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        for key in ("mfu", "launch", "network", "per_node", "link", "steps"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                raise ConfigError(f"{key}={value} must be above 0 (--{key})")
        if self.mfu > 1:
            raise ConfigError(f"mfu={self.mfu} is above 1; give a fraction of 1 or less (--mfu)")
        if not re.fullmatch(r"\[?[1-9]\d*(,\s*[1-9]\d*)*\]?", self.gpus):
            raise ConfigError(f"gpus={self.gpus} are not numbers of GPUs; give e.g. --gpus 1,8,64")

    @property
    def counts(self) -> list[int]:
        """Numbers of GPUs."""
        return [int(count) for count in self.gpus.strip("[]").split(",")]

    def assumptions(self) -> Assumptions:
        """The options about the machine in bytes and seconds."""
        return Assumptions(
            gpu=GPUS[self.gpu], mfu=self.mfu, launch=self.launch / 1e6, network=self.network * GIGA,
            link=None if self.link is None else self.link * GIGA, per_node=self.per_node,
        )  # fmt: skip


def parser() -> CommandParser:
    """The options of this command, without those of the stage."""
    made = CommandParser(
        prog="eeg2speech plan", description=docstring_text(PlanOptions), usage=USAGE, epilog=examples_text(EXAMPLES)
    )
    made.add_argument("-c", "--config", action="append", help="Config of the stage, and overlays.")
    made.add_class_arguments(PlanOptions, as_group=False)
    next(action for action in made._actions if action.dest == "alignment").metavar = "FILE"
    made.arrange(GROUPS)
    return made


def run(argv: Sequence[str]) -> int:
    """Estimate what training a stage takes.

    Args:
        argv: Options of this command, and configs and settings as ``eeg2speech fit`` takes them.

    Returns:
        Exit status.

    Raises:
        ConfigError: A setting is out of its range, or the stage cannot be built.
    """
    if {"-h", "--help"} & set(argv):
        parser().print_help()
        sys.exit(0)
    with waiting("Counting the operations of a step, 10 to 20 s"), json_stdout(json=True):
        from eeg2speech.cli.planned import build_planned  # brings torch and Lightning
        from eeg2speech.planning.measure import footprint

        stage = build_planned(argv)
        options, settings = stage.options, stage.settings
        cost = footprint(stage.model, stage.datamodule, settings.precision)
    name, assumed = type(stage.model).__name__, options.assumptions()
    assumptions = assumed.described(settings.precision) + stage.remarks
    rows = [estimate(cost, settings, assumed, count) for count in options.counts]
    if options.json:
        print_json({
            "stage": name, "run": asdict(settings), "footprint": asdict(cost), "assumptions": assumptions,
            "assumed": asdict(assumed), "estimates": [asdict(row) for row in rows],
        })  # fmt: skip
    else:
        _print_plan(name, settings, cost, rows, assumptions)
    return 0


def _print_plan(stage: str, settings: Run, cost: Footprint, rows: list[Estimate], assumptions: list[str]) -> None:
    """Print a column for each number of GPUs, and every assumption."""
    console = table_console(sys.stdout)
    console.print(Text(f"{stage}: a step of {settings.batch} windows per GPU", style="bold"))
    passes, update = cost.passes, cost.update
    accumulated = f" x {settings.accumulated} accumulated" if settings.accumulated > 1 else ""
    console.print(
        Text(
            f"{cost.trained / 1e6:.3g} M parameters trained, {cost.frozen / 1e6:.3g} M frozen; "
            f"{passes.flops / 1e12:.4g} TFLOP in {passes.operations} operations forward and backward{accumulated}, "
            f"{update.flops / 1e12:.4g} TFLOP in {update.operations} of the optimizer"
        )
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("GPUs")
    for row in rows:
        table.add_column(str(row.gpus), justify="right")
    table.add_row("Memory per GPU", *(_bytes(row.memory) + ("" if row.fits else " TOO MUCH") for row in rows))
    for part in rows[0].memory_of:
        table.add_row(f"  {part}", *(_bytes(row.memory_of[part]) for row in rows))
    table.add_row("Time of a step", *(_time(row.step) for row in rows))
    for part in rows[0].time_of:
        table.add_row(f"  {part}", *(_time(row.time_of[part]) for row in rows))
    table.add_row("  limited by", *map(_limit, rows))
    table.add_row("Windows/s", *(f"{row.windows_per_s:.4g}" for row in rows))
    table.add_row("Run", *(_hours(row.hours) for row in rows))
    table.add_row("GPU-hours", *(_hours(row.gpu_hours) for row in rows))
    console.print(table)
    steps = "no end: give --steps" if settings.steps is None else f"{settings.steps} steps"
    console.print(Text(f"Run: {steps}; the batch per GPU is constant, so a step of n GPUs has n times the windows."))
    console.print(Text("Estimated, not measured. Assumed:", style="dim"))
    for line in assumptions:
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
    """The part that takes most of a step's time."""
    busy = {name: seconds for name, seconds in row.time_of.items() if name != "communication"}
    return "communication" if row.step > 1.5 * max(busy.values()) else max(busy, key=lambda name: busy[name])
