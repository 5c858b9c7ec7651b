"""The parser of all commands: options from the signature of a function, and errors of one line."""

from __future__ import annotations

import argparse
import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_type_hints

import jsonargparse

from eeg2speech.cli.help import CommandHelp, examples_text, is_flag

Groups = Mapping[str, Sequence[str]]
"""Names of options, by the title they stand under."""
CUTOFF = 0.6
"""Similarity, from 0 to 1, from which on a known word is suggested for an unknown one."""
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "Path": "a path", "str": "text"}
_UNKNOWN = re.compile(
    r"[Uu]nrecognized arguments: (--[\w.]+)|[Kk]ey '([\w.]+)' is not expected|^Subcommand .* option '([\w.]+)'"
)
_REFUSED = re.compile(
    r"class_path '((?:eeg2speech|lightning|torch)\.[\w.]+)':\s+Option '([\w.]+)' is not accepted"
    r"|((?:eeg2speech|lightning|torch)\.[\w.]+) does not accept option '([\w.]+)'"
)


class CommandParser(jsonargparse.ArgumentParser):
    """A parser with a short help, errors of one line, and flags that need no value."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": CommandHelp, "allow_abbrev": False, **kwargs})

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **kwargs: Any
    ) -> Any:
        """Parse words; ``--json`` alone is ``--json true``."""
        words = sys.argv[1:] if args is None else args
        if isinstance(words, Sequence):  # Lightning also passes mappings
            flags = {flag for part in self.parts() for a in part._actions if is_flag(a) for flag in a.option_strings}
            words = list(_with_values(words, flags))
        return super().parse_args(words, *more, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Print in one line what is wrong and what was probably meant, and exit."""
        text = in_a_line(message)
        for name in (action.dest for part in self.parts() for action in part._actions if not action.option_strings):
            if text.startswith(f"--{name}: "):
                text = f"{name.upper()}: {text.removeprefix(f'--{name}: ')}"
        if found := _REFUSED.search(text):  # parsers of nested classes wrap each other's messages
            path, option = (group for group in found.groups() if group)
            module, _, name = path.rpartition(".")
            parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
            near = closest(option.partition(".")[0], parameters)
            text = f"{path} does not accept option '{option}'" + (f"; did you mean {near}?" if near else "")
        elif found := _UNKNOWN.search(text):
            word = (found[1] or found[2] or found[3]).lstrip("-")
            near = closest(word, [a.dest for part in self.parts() for a in part._actions])
            text += f"; did you mean --{near}?" if near else ""
        super().error(text, ex)

    def parts(self) -> Iterator[argparse.ArgumentParser]:
        """This parser and those of its subcommands."""
        yield self
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from action.choices.values()

    def arrange(self, groups: Groups) -> None:
        """Put options under titles; the others stay where they are."""
        actions = {action.dest: action for action in self._actions}
        for title, names in groups.items():
            group = self.add_argument_group(title)
            for action in (actions[name] for name in names):
                for other in self._action_groups:
                    if action in other._group_actions:
                        other._group_actions.remove(action)
                group._group_actions.append(action)

    def entitle(self, titles: Mapping[str, str]) -> None:
        """Change the titles of groups, each found by the name of one of its options."""
        for name, title in titles.items():
            next(g for g in self._action_groups if any(a.dest == name for a in g._group_actions)).title = title

    def add_config_option(self) -> None:
        """Take options from a YAML file as well; ``--print_config`` works but is not in the help."""
        self.add_argument("--config", action="config", help="YAML file of these options.")
        for action in self._actions:
            if "--print_config" in action.option_strings:
                action.help = argparse.SUPPRESS


def tool_parser(name: str) -> CommandParser:
    """The parser of a tool; nothing heavy is imported for it."""
    module = importlib.import_module(f"eeg2speech.cli.{name}")
    if hasattr(module, "parser"):
        made: CommandParser = module.parser()
        return made
    return function_parser(name, getattr(module, name), module.GROUPS, module.EXAMPLES)


def function_parser(name: str, command: Callable[..., Any], groups: Groups, examples: str) -> CommandParser:
    """A parser of the arguments of a function.

    Args:
        name: Name of the command.
        command: Function; its docstring is the help.
        groups: Options under titles.
        examples: Command lines, one per line.
    """
    parser = CommandParser(
        prog=f"eeg2speech {name}", description=docstring_text(command), epilog=examples_text(examples)
    )
    # jsonargparse resolves types by importing what a module imports for type checking alone, which is slow
    command.__annotations__ = get_type_hints(command)
    if "config" not in inspect.signature(command).parameters:
        parser.add_config_option()
    parser.add_function_arguments(command, as_group=False, as_positional=True)
    parser.arrange(groups)
    return parser


def call(name: str, words: Sequence[str]) -> int:
    """Run the function of a tool on the words of a command line; returns the exit status."""
    command = getattr(importlib.import_module(f"eeg2speech.cli.{name}"), name)
    parser = tool_parser(name)
    options = parser.instantiate(parser.parse_args(words)).as_dict()
    return int(command(**{key: options[key] for key in inspect.signature(command).parameters}))


def docstring_text(documented: Any) -> str:
    """The text of a docstring, without its sections."""
    return re.split(r"\n\s*(?:Args|Attributes|Returns|Raises):", inspect.getdoc(documented) or "")[0].strip()


def closest(word: str, known: Iterable[str]) -> str | None:
    """The most similar known word; None if none is similar."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=CUTOFF)
    return near[0] if near else None


def in_a_line(message: str) -> str:
    """A message of jsonargparse in one line, without Python types."""
    text = " ".join(str(message).split())
    if found := re.search(r"Problem with given class_path '([\w.]+)': (?!Option)(.+?) - Expected", text):
        text = f"{text.partition(': ')[0]}: {found[1]} is not a class that can be used here ({found[2]})"
    text = re.sub(r"Expected a typing\.Literal\[(.+?)\]", lambda found: f"choose from {found[1]}", text)
    text = re.sub(r"Expected a <class '(\w+)'>", lambda found: f"expected {_KINDS.get(found[1], found[1])}", text)
    return re.sub(r"^Parser key \"?([\w.]+)\"?: ", r"--\1: ", text).replace(". Got value: ", ", not ")


def _with_values(words: Sequence[str], flags: set[str]) -> Iterator[str]:
    for word, after in zip(words, [*words, ""][1:], strict=True):
        yield f"{word}=true" if word in flags and after.lower() not in ("true", "false") else word
