"""`eeg2speech completion`: a script for a shell, made once from the parsers themselves, so that Tab imports nothing."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from eeg2speech.errors import ConfigError
from eeg2speech.files import written_beside

GROUPS: dict[str, list[str]] = {}
EXAMPLES = """
    eeg2speech completion bash --out ~/.eeg2speech.bash
    eeg2speech completion zsh --out ~/.zfunc/_eeg2speech
"""
CHECKPOINTS = ("best", "last", "auto")
FOLDERS = ("root", "store", "out", "run", "runs")


def completion(shell: Literal["bash", "zsh", "tcsh"], out: Path | None = None) -> int:
    """Print a script that completes commands, options and files in a shell.

    It takes the seconds of importing everything once; keep what it prints in a file, and make it anew after an update.
    For bash and tcsh, source the file where the shell starts (~/.bashrc); for zsh, put `fpath+=~/.zfunc` before
    `compinit`.

    Args:
        shell: Which one: bash, zsh or tcsh.
        out: Write the script to this file instead of printing it.
    """
    import shtab

    script = shtab.complete(command_tree(), shell)
    if out is None:
        print(script)
        return 0
    out = out.expanduser()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(out) as partial:
            partial.write_text(script + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror}); choose another place (--out)") from error
    print(f"{out}: written")
    return 0


def command_tree() -> argparse.ArgumentParser:
    """All commands with their options, as plain parsers that parse nothing."""
    import shtab

    from eeg2speech.cli import STAGES, TOOLS, prepare
    from eeg2speech.cli.lightning import stage_parsers
    from eeg2speech.cli.parser import tool_parser

    root = argparse.ArgumentParser(prog="eeg2speech", description="Decode speech from EEG.")
    root.add_argument("--version", action="version", version="")
    commands = root.add_subparsers()
    for name, parser in stage_parsers().items():
        command = commands.add_parser(name, help=STAGES[name])
        _copy(parser, command)
        for setting in _model_settings():
            command.add_argument(f"--model.init_args.{setting}").complete = shtab.FILE  # type: ignore[attr-defined]
    for name, (_, text) in TOOLS.items():
        command = commands.add_parser(name, help=text)
        if name == "prepare":
            datasets = command.add_subparsers()
            for dataset, parser in prepare.parsers().items():
                _copy(parser, datasets.add_parser(dataset, help=str(parser.description).partition(".")[0]))
        else:
            _copy(tool_parser(name), command)
    return root


def _model_settings() -> list[str]:
    """Settings that any stage has."""
    from eeg2speech import tasks

    stages = [found for found in vars(tasks).values() if inspect.isclass(found) and issubclass(found, tasks.Task)]
    return sorted({name for stage in stages for name in inspect.signature(stage).parameters} - {"args", "kwargs"})


def _copy(parser: argparse.ArgumentParser, to: argparse.ArgumentParser) -> None:
    """Give a plain parser the options of another one."""
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction):
            _copy_option(action, to)


def _copy_option(action: argparse.Action, to: argparse.ArgumentParser) -> None:
    import shtab

    flags = [flag for flag in action.option_strings if not flag.endswith("+")]
    settings: dict[str, Any] = {"help": " ".join((action.help or "").split()).partition(". ")[0].replace("%", "%%")}
    if not flags:
        if action.nargs not in (None, 0):
            settings["nargs"] = action.nargs
        flags = [action.dest]
    if choices := list(_choices(action)):
        settings["choices"] = choices
    copied = to.add_argument(*flags, **settings)
    name = action.dest.rsplit(".", 1)[-1]
    if not choices:  # where there are some that do not fit, bash falls back on files by itself
        copied.complete = shtab.DIR if name in FOLDERS else shtab.FILE  # type: ignore[attr-defined]


def _choices(action: argparse.Action) -> Iterator[str]:
    kind = getattr(action, "_typehint", None)
    if kind is bool:
        yield from ("true", "false")
    elif action.dest.endswith("ckpt_path"):
        yield from CHECKPOINTS
    elif action.choices is not None:
        yield from map(str, action.choices)
    else:
        literals = (kind, *getattr(kind, "__args__", ()))
        for literal in literals:
            if getattr(literal, "__origin__", None) is Literal:
                yield from map(str, literal.__args__)


COMMAND = completion
