"""`eeg2speech plan`: memory, time and GPU-hours of a stage, before a job is queued."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eeg2speech.cli.planned import USAGE, PlannedStage, build_planned
from eeg2speech.errors import ConfigError
from eeg2speech.planning import GPUS, Assumptions, Estimate, Footprint, Run, estimate, footprint
from eeg2speech.planning.hardware import GIGA

DEFAULT = Assumptions()


def run(argv: Sequence[str]) -> int:
    """Estimate what training a stage takes.

    Args:
        argv: Options of this command, and configs and settings as ``eeg2speech fit`` takes them.

    Returns:
        Exit status.

    Raises:
        ConfigError: A setting is out of its range, or the stage cannot be built.
    """
    options, rest = _parser().parse_known_args(argv)
    assumed, gpus = _assumptions(options), _counts(options.gpus)
    stage = build_planned(rest, options.alignment)
    settings = stage.settings if options.steps is None else replace(stage.settings, steps=options.steps)
    cost = footprint(stage.task, stage.data, settings.precision)
    rows = [estimate(cost, settings, assumed, count) for count in gpus]
    if options.json == "true":
        content = {
            "stage": type(stage.task).__name__, "run": asdict(settings), "footprint": asdict(cost),
            "assumptions": assumed.described(settings.precision) + stage.remarks,
            "assumed": asdict(assumed), "estimates": [asdict(row) for row in rows],
        }  # fmt: skip
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        _print(stage, settings, cost, rows, assumed, Console(file=sys.stdout))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eeg2speech plan",
        description="Estimate memory, time and GPU-hours of a stage from counts of its operations, without training.",
        usage=USAGE,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--gpus", default="1,8,64", help="how many GPUs, several numbers with commas (default: %(default)s)")
    add("--gpu", choices=sorted(GPUS), default="h100", help="model of GPU (default: %(default)s)")
    add("--share", type=float, default=DEFAULT.share, help="of its peak FLOP/s that is reached (default: %(default)s)")
    add(
        "--launch",
        type=float,
        default=1e6 * DEFAULT.launch,
        help="least time of an operation, µs (default: %(default)s)",
    )
    add("--link", type=float, help="GB/s between GPUs of a node, one direction (default: the GPU's)")
    add(
        "--network",
        type=float,
        default=DEFAULT.network / GIGA,
        help="GB/s per GPU between nodes (default: %(default)s)",
    )
    add("--per_node", type=int, default=DEFAULT.per_node, help="GPUs of a node (default: %(default)s)")
    add("--steps", type=int, help="optimizer steps (default: trainer.max_steps)")
    add("--alignment", action="append", default=[], metavar="FILE",
        help="config of stage 2, and its overlays, that stands in for an aligner that is not trained yet "
             "(default: alignment.yaml beside the config)")  # fmt: skip
    add("--json", choices=("true", "false"), default="false", help="print everything as JSON")
    return parser


def _assumptions(options: argparse.Namespace) -> Assumptions:
    for key in ("share", "launch", "network", "per_node", "link", "steps"):
        value = getattr(options, key)
        if value is not None and not value > 0:
            raise ConfigError(f"{key}={value} must be above 0 (--{key})")
    if options.share > 1:
        raise ConfigError(f"share={options.share} is more than the whole; give a share of 1 or less (--share)")
    link = None if options.link is None else options.link * GIGA
    return replace(
        DEFAULT, gpu=GPUS[options.gpu], share=options.share, launch=options.launch / 1e6, link=link,
        network=options.network * GIGA, per_node=options.per_node,
    )  # fmt: skip


def _counts(text: str) -> list[int]:
    try:
        counts = [int(word) for word in text.strip("[]").split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise ConfigError(f"gpus={text} are not numbers of GPUs; give e.g. --gpus 1,8,64")
    return counts


def _print(
    stage: PlannedStage, settings: Run, cost: Footprint, rows: list[Estimate], assumed: Assumptions, console: Console
) -> None:
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
