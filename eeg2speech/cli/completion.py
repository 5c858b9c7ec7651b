"""`eeg2speech completion`: a script for a shell, generated from the parsers, so that Tab imports nothing."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.files import written_beside
from eeg2speech.core.paths import expanded

GROUPS: dict[str, list[str]] = {}
EXAMPLES = """
    eeg2speech completion bash --out ~/.eeg2speech.bash
    eeg2speech completion zsh --out ~/.zfunc/_eeg2speech
"""
CHECKPOINTS = ("best", "last", "auto")
FOLDERS = ("root", "store", "out", "run", "runs")
Names = Mapping[str, Sequence[str]]
"""Configurations of the package that an option may name instead of a file, by option."""


def completion(shell: Literal["bash", "zsh", "tcsh"], out: Path | None = None) -> int:
    """Print a script that completes commands, options and files in a shell.

    This imports all parsers, which takes some seconds. Keep the script in a file, and create it again after an update.
    For bash and tcsh, source the file where the shell starts (~/.bashrc); for zsh, put `fpath+=~/.zfunc` before
    `compinit`.

    Args:
        shell: Shell: bash, zsh or tcsh.
        out: Write the script to this file instead of printing it.
    """
    import shtab

    script = shtab.complete(command_tree(), shell)
    if out is None:
        print(script)
        return 0
    out = expanded(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(out) as partial:
            partial.write_text(script + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror}); choose another place (--out)") from error
    print(f"{out}: written")
    return 0


def command_tree() -> argparse.ArgumentParser:
    """All commands with their options, as plain parsers for shtab."""
    import shtab

    from eeg2speech.cli import STAGES, TOOLS, prepare
    from eeg2speech.cli.lightning import stage_parsers
    from eeg2speech.cli.parser import tool_parser

    root = argparse.ArgumentParser(prog="eeg2speech", description="Decode speech from EEG.")
    root.add_argument("--version", action="version", version="")
    commands = root.add_subparsers()
    named = _configs()
    for name, parser in stage_parsers().items():
        command = commands.add_parser(name, help=STAGES[name])
        _copy(parser, command, named)
        for setting in _model_settings():
            command.add_argument(f"--model.init_args.{setting}").complete = shtab.FILE  # type: ignore[attr-defined]
    for name, text in TOOLS.items():
        command = commands.add_parser(name, help=text)
        if name == "prepare":
            datasets = command.add_subparsers()
            for dataset, parser in prepare.parsers().items():
                _copy(parser, datasets.add_parser(dataset, help=str(parser.description).partition(".")[0]))
        else:
            tool_names = {"plan": named, "sweep": {"config": named["sweep"]}}
            _copy(tool_parser(name), command, tool_names.get(name, {}))
    return root


def _configs() -> Names:
    """Configurations of the package, by the option that takes them."""
    from eeg2speech.core.config_files import config_names

    names = config_names()
    stages = [name for name in names if "/" not in name]
    overlays = [name for name in names if name.partition("/")[0] in stages]
    return {
        "config": sorted([*stages, *overlays]),
        "alignment": [name for name in overlays if name.startswith("alignment/")] + ["alignment"],
        "trainer": [name for name in names if name.startswith("trainer/")],
        "sweep": [name for name in names if name.startswith("sweeps/")],
    }


def _names_and_files(names: Sequence[str]) -> dict[str, Any]:
    """Completion in each shell of an option that takes names of configurations as well as files."""
    words = " ".join(names)
    function = f"_eeg2speech_file_{names[0].replace('/', '_')}"
    return {
        "bash": function,
        "zsh": function,
        "tcsh": "f:*",
        "preamble": {
            "bash": f'{function}() {{ compgen -f -- "$1"; compgen -W "{words}" -- "$1"; }}',
            "zsh": f"{function}() {{ _alternative 'names:configuration:({words})' 'files:file:_files' }}",
        },
    }


def _model_settings() -> list[str]:
    """Settings of all stages."""
    from eeg2speech import tasks

    stages = [found for found in vars(tasks).values() if inspect.isclass(found) and issubclass(found, tasks.Task)]
    return sorted({name for stage in stages for name in inspect.signature(stage).parameters} - {"args", "kwargs"})


def _copy(parser: argparse.ArgumentParser, to: argparse.ArgumentParser, named: Names = {}) -> None:  # noqa: B006
    """Give a plain parser the options of another one."""
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction):
            _copy_option(action, to, named)


def _copy_option(action: argparse.Action, to: argparse.ArgumentParser, named: Names) -> None:
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
    if action.dest in named:
        copied.complete = _names_and_files(named[action.dest])  # type: ignore[attr-defined]
    elif not choices:  # if none of them matches, bash falls back on files by itself
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
