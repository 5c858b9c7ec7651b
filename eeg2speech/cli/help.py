"""Help texts: the layout of every `--help`, and the two helps that no parser makes: of `eeg2speech` and of a stage."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Mapping
from typing import Any

from jsonargparse import DefaultHelpFormatter

from eeg2speech.cli import STAGES, TOOLS

WIDEST = 98
"""Columns of a help on a wide terminal."""
MARGIN = 24
"""Column at which the meanings of options begin, unless all names are short."""
METAVARS = (("list", "[A,B,...]"), ("tuple", "[A,B]"), ("Path", "PATH"), ("int", "N"), ("float", "X"))
"""Placeholder for the value of an option, by a word in the name of its type; the first that fits."""
COMMANDS = {
    "your data": ("prepare", "doctor"),
    "a stage": ("plan", *STAGES),
    "results": ("report", "generate", "resynthesise", "export"),
    "more": ("sweep", "completion"),
}
"""Commands by the title they are listed under."""
STATUS = {
    0: "done",
    1: "a problem that the last line explains",
    2: "a mistake on the command line",
    75: "pre-empted, checkpoint saved; run the same command again to continue",
    130: "interrupted",
}
"""Meaning of each exit status."""
STAGE_TEXTS = {
    "fit": "Train a stage: maeeg, audiomae, alignment or diffusion, as named by --config. Checkpoints, TensorBoard "
    "logs and the config are saved in the run folder. An earlier run in this folder is renamed, unless --ckpt_path "
    "continues it. Ctrl-C finishes the step and saves a checkpoint.",
    "validate": "Validate a checkpoint once on the validation windows.",
    "test": "Test a checkpoint on the held-out splits: print tables and the verdict, and write all results to "
    "test.json in the run folder.",
    "predict": "Compute tokens and pooled features of the windows of the test splits, in stage 3 also their speech.",
}
STAGE_EXAMPLES = {
    "fit": (
        "eeg2speech fit --config maeeg",
        "eeg2speech fit --config maeeg --data.store stores/mine",
        "eeg2speech fit --config alignment --ckpt_path last",
        "eeg2speech fit --config maeeg --print_config",
    ),
    "validate": ("eeg2speech validate --config maeeg --ckpt_path last",),
    "test": ("eeg2speech test --config maeeg --ckpt_path best",),
    "predict": ("eeg2speech predict --config maeeg --ckpt_path best",),
}
CHECKPOINTS = {
    "fit": "Checkpoint to continue from: last, auto (the newest readable one; a new run if there is none) or a file.",
    "validate": "Checkpoint to validate: best, last or a file.",
    "test": "Checkpoint to test: best, last or a file.",
    "predict": "Checkpoint to predict with: best, last or a file.",
}
OPTIONS = {
    "--seed_everything N": "Seed of all random numbers [default: 0].",
    "-h, --help": "Show this help.",
    "--help=all": "Show every option, several hundred lines.",
    "--print_config": "After --config: print every setting with its value as YAML.",
    "--model.help CLASS": "Show the settings of a model, e.g. of eeg2speech.tasks.MAEEGTask.",
}
SETTINGS = {
    "--data.store STORE": "Prepared store instead of the embedded simulated EEG.",
    "--data.window X": "Length of a window in seconds.",
    "--data.batch_size N": "Windows per step on each device.",
    "--data.workers N": "Processes that load data.",
    "--data.split.test_subjects [A,B]": "Subjects to hold out; --data.split.by selects what is held out.",
    "--data.simulation.snr X": "Level of the embedded data's response in dB; -.inf removes it.",
    "--model.init_args.KEY VALUE": "Setting of the stage, e.g. encoder_weights, optimizer.init_args.lr.",
    "--trainer.max_steps N": "Optimizer steps.",
    "--trainer.precision NAME": "32-true, bf16-mixed or 16-mixed.",
    "--trainer.devices N": "Devices; --trainer FILE takes an overlay, e.g. trainer/ddp.",
    "--trainer.enable_progress_bar false": "Show no progress bars.",
}


class CommandHelp(DefaultHelpFormatter):
    """Help that fits 80 columns: no Python types, choices and defaults only where there are some."""

    def _format_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None) -> str:
        if usage is not None:
            return super()._format_usage(usage, actions, groups, prefix)
        words = [self._prog.replace(" [options]", "")]
        words += [self._positional(a) for a in actions if not a.option_strings and a.help != argparse.SUPPRESS]
        return f"usage: {' '.join(words)} [OPTIONS]\n\n"

    def _positional(self, action: argparse.Action) -> str:
        name = self._get_default_metavar_for_positional(action)
        return f"{name} [{name} ...]" if action.nargs == "+" else name

    def _get_default_metavar_for_positional(self, action: argparse.Action) -> str:
        return str(action.metavar or action.dest.rsplit(".", 1)[-1].upper())

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        if "--config" in action.option_strings:
            return "FILE"
        kind = self._get_type_str(action) or ""
        if chosen := re.search(r"Literal\[(.+?)\]", kind):
            words = chosen[1].replace("'", "").replace(", ", ",")
            return f"{{X,{words}}}" if "float" in kind else f"{{{words}}}"
        named = super()._get_default_metavar_for_optional(action)
        return next((word for part, word in METAVARS if part in kind), named)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        flags = [flag for flag in action.option_strings if not flag.endswith("+")]
        if action.nargs == 0 or (is_flag(action) and action.default is False):
            return ", ".join(flags)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(flags)} {value}"

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        text = text[:1].upper() + text[1:] + ("." if text and text[-1] not in ".!?)" else "")
        complete = not action.option_strings or action.nargs == 0 or "%(default)" in text
        # defaults like these are not shown: the help describes what happens without the option
        if complete or action.default is None or action.default is False or action.default in ([], argparse.SUPPRESS):
            return text
        return f"{text} [default: {str(action.default).lower() if is_flag(action) else '%(default)s'}]"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return fill(text, width)


def fill(text: str, width: int) -> str:
    """Wrap paragraphs; keep the lines of a paragraph that holds an indented one, as examples do."""
    paragraphs = text.strip("\n").split("\n\n")
    return "\n\n".join(p if "\n  " in p else textwrap.fill(" ".join(p.split()), width) for p in paragraphs)


def is_flag(action: argparse.Action) -> bool:
    """Whether an option is true or false, so that it may stand without a value."""
    return getattr(action, "_typehint", None) is bool


def examples_text(examples: str) -> str:
    """Command lines, one per line, as the end of a help."""
    lines = [line.strip() for line in examples.strip().splitlines()]
    return "\n".join(["examples:" if len(lines) > 1 else "example:", *(f"  {line}" for line in lines)])


def page(usage: str, text: str, groups: Mapping[str, Mapping[str, str]], ending: str) -> str:
    """A help that is not made from a parser.

    Args:
        usage: Words of the command line.
        text: Description.
        groups: Names with their meaning, by title.
        ending: Examples, and paragraphs that are separated by empty lines.
    """
    width = min(shutil.get_terminal_size().columns - 2, WIDEST)
    margin = min(MARGIN, 4 + max(len(name) for rows in groups.values() for name in rows))
    lines = [f"usage: {usage}", "", fill(text, width)]
    for title, rows in groups.items():
        lines += ["", f"{title}:"]
        for name, meaning in rows.items():
            filled = textwrap.wrap(meaning, width - margin)
            fits = len(name) <= margin - 4
            lines.append(f"  {name:<{margin - 2}}{filled.pop(0)}" if fits else f"  {name}")
            lines += [" " * margin + line for line in filled]
    return "\n".join([*lines, "", fill(ending, width), ""])


def root_help() -> str:
    """The help of `eeg2speech` itself."""
    texts = STAGES | TOOLS
    groups = {title: {name: texts[name] for name in names} for title, names in COMMANDS.items()}
    examples = examples_text("eeg2speech fit --config maeeg\neeg2speech test --config maeeg --ckpt_path best")
    return page(
        "eeg2speech COMMAND ...",
        "Decode speech from EEG: masked autoencoding, EEG-speech alignment, diffusion.",
        groups | {"exit status": {str(code): text for code, text in STATUS.items()}},
        f"{examples}\n\n`eeg2speech COMMAND --help` shows the options of a command, `eeg2speech --version` the version "
        "and `eeg2speech --configs` the folder of the configurations.",
    )


def stage_help(stage: str) -> str:
    """The help of fit, validate, test or predict: the options that are often used, out of several hundred."""
    options = {
        "-c, --config FILE": "Stage: maeeg, audiomae, alignment, diffusion or a file. Further --config are overlays.",
        "--run FOLDER": "Run folder, for all output [as in the config, e.g. runs/maeeg].",
        "--ckpt_path NAME": CHECKPOINTS[stage],
        **OPTIONS,
    }
    return page(
        f"eeg2speech {stage} --config FILE [--config OVERLAY ...] [--KEY VALUE]",
        STAGE_TEXTS[stage],
        {"options": options, "settings that are often changed, also in an overlay": SETTINGS},
        examples_text("\n".join(STAGE_EXAMPLES[stage])),
    )
