"""`eeg2speech plan`: memory, time and GPU-hours of a stage, before a job is queued."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NoReturn

from eeg2speech.cli.machine import json_stdout, print_json
from eeg2speech.cli.parser import shown
from eeg2speech.cli.suggestion import closest
from eeg2speech.core.errors import ConfigError

if TYPE_CHECKING:
    from eeg2speech.planning import Assumptions

DEFAULTS: dict[str, Any] = {"gpu": "h100", "share": 0.4, "launch": 10.0, "network": 25.0, "per_node": 8}
"""As `planning.Assumptions` has them, in the units of the options; known without importing torch."""
MODELS = ("a100", "h100", "rtx4090", "v100")
STAGE = {"config", "run", "seed_everything", "data", "model", "trainer", "ckpt_path", "print_config"}
"""First words of the options that are the stage's."""
USAGE = "%(prog)s --config FILE [--config OVERLAY ...] [OPTIONS]"
EXAMPLES = """
    eeg2speech plan --config configs/maeeg.yaml --gpus 1,8,64 --gpu a100
    eeg2speech plan --config configs/diffusion.yaml --gpus 8 --json
"""


def run(argv: Sequence[str]) -> int:
    """Estimate what training a stage takes.

    Args:
        argv: Options of this command, and configs and settings as ``eeg2speech fit`` takes them.

    Returns:
        Exit status.

    Raises:
        ConfigError: A setting is out of its range, or the stage cannot be built.
    """
    made = parser()
    options, rest = made.parse_known_args(argv)
    _check(rest, made)
    if not options.config and not any(word.startswith("--model") for word in rest):
        made.error("no stage: give its configuration, e.g. --config maeeg")
    given = [*(word for file in options.config for word in ("--config", file)), *rest]
    gpus = _counts(options.gpus)
    from eeg2speech.core.progress import waiting

    with waiting("Counting the operations of a step, 10 to 20 s"), json_stdout(options.json == "true"):
        from eeg2speech.cli import planned  # brings torch and Lightning
        from eeg2speech.planning import estimate, footprint

        assumed = _assumptions(options)
        stage = planned.build_planned(given, options.alignment)
        settings = stage.settings if options.steps is None else replace(stage.settings, steps=options.steps)
        cost = footprint(stage.task, stage.data, settings.precision)
    rows = [estimate(cost, settings, assumed, count) for count in gpus]
    if options.json == "true":
        content = {
            "stage": type(stage.task).__name__, "run": asdict(settings), "footprint": asdict(cost),
            "assumptions": assumed.described(settings.precision) + stage.remarks,
            "assumed": asdict(assumed), "estimates": [asdict(row) for row in rows],
        }  # fmt: skip
        print_json(content)
    else:
        from eeg2speech.cli.plan_table import print_plan
        from eeg2speech.core.console import table_console

        print_plan(stage, settings, cost, rows, assumed, table_console(sys.stdout))
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of this command alone; what it does not know is the stage's."""
    made = PlanParser(
        prog="eeg2speech plan",
        description="Estimate memory, time and GPU-hours of a stage from counts of its operations, without training.",
        usage=USAGE,
        epilog=shown(EXAMPLES),
        formatter_class=PlanHelp,
        allow_abbrev=False,
    )
    stage = made.add_argument_group("the stage, as `eeg2speech fit` takes it")
    stage.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="Its config, and overlays; any other setting by --KEY VALUE.",
    )
    add = made.add_argument_group("the machine").add_argument
    add("--gpus", default="1,8,64", metavar="N,N", help="How many GPUs, several numbers with commas.")
    add("--gpu", choices=MODELS, default=DEFAULTS["gpu"], help="Model of GPU.")
    add("--share", type=float, metavar="X", default=DEFAULTS["share"], help="Of its peak FLOP/s that is reached.")
    add("--launch", type=float, metavar="X", default=DEFAULTS["launch"], help="Least time of an operation, in µs.")
    add("--link", type=float, metavar="X",
        help="GB/s between GPUs of a node, in one direction; the GPU's own if not given.")  # fmt: skip
    add("--network", type=float, metavar="X", default=DEFAULTS["network"], help="GB/s per GPU between nodes.")
    add("--per_node", type=int, metavar="N", default=DEFAULTS["per_node"], help="GPUs of a node.")
    add = made.add_argument_group("the run").add_argument
    add("--steps", type=int, metavar="N", help="Optimizer steps; trainer.max_steps if not given.")
    add("--alignment", action="append", default=[], metavar="FILE",
        help="Config of stage 2, and its overlays, that stands in for an aligner that is not trained yet; "
             "alignment.yaml beside the config if not given.")  # fmt: skip
    add("--json", nargs="?", choices=("true", "false"), const="true", default="false",
        help="Print everything as JSON: stage, run, footprint, assumptions, assumed, estimates.")  # fmt: skip
    return made


class PlanParser(argparse.ArgumentParser):
    """Says what is wrong as the other commands do."""

    def error(self, message: str) -> NoReturn:
        """Print usage and a line."""
        self.print_usage(sys.stderr)
        self.exit(2, f"error: {message}\n")


class PlanHelp(argparse.HelpFormatter):
    """Help as the other commands show it, of a parser that must pass over what it does not know."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n  " in text else super()._fill_text(text, width, indent)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return "--json" if action.dest == "json" else super()._format_action_invocation(action)

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        shows = action.default not in (None, [], "false", argparse.SUPPRESS)
        return f"{text} [default: %(default)s]" if shows else text


def _check(rest: Sequence[str], made: argparse.ArgumentParser) -> None:
    """Refuse at once what is neither an option of this command nor one of a stage."""
    own = [flag[2:] for action in made._actions for flag in action.option_strings if flag.startswith("--")]
    for word in rest:
        name = word[2:].partition("=")[0]
        if word.startswith("--") and name.partition(".")[0].rstrip("+") not in STAGE:
            near = closest(name, own)
            made.error(f"unrecognized arguments: {word}" + (f"; did you mean --{near}?" if near else ""))


def _assumptions(options: argparse.Namespace) -> Assumptions:
    from eeg2speech.planning import GPUS, Assumptions
    from eeg2speech.planning.hardware import GIGA

    for key in ("share", "launch", "network", "per_node", "link", "steps"):
        value = getattr(options, key)
        if value is not None and not value > 0:
            raise ConfigError(f"{key}={value} must be above 0 (--{key})")
    if options.share > 1:
        raise ConfigError(f"share={options.share} is more than the whole; give a share of 1 or less (--share)")
    link = None if options.link is None else options.link * GIGA
    return replace(
        Assumptions(), gpu=GPUS[options.gpu], share=options.share, launch=options.launch / 1e6, link=link,
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
