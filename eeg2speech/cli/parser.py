"""Parsers of the tools: options from a function's signature, help for 80 columns, errors of one line."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jsonargparse

from eeg2speech.cli import TOOLS
from eeg2speech.cli.help_format import CommandHelp, is_flag
from eeg2speech.cli.suggestion import closest, in_a_line

Groups = Mapping[str, Sequence[str]]
"""Names of options, by the title they stand under."""
_UNKNOWN = re.compile(r"[Uu]nrecognized arguments: (--[\w.]+)|[Kk]ey '([\w.]+)' is not expected")


class CommandParser(jsonargparse.ArgumentParser):
    """A parser whose help is short, whose mistakes cost one line, and whose flags need no value."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": CommandHelp, "allow_abbrev": False, **kwargs})

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **kwargs: Any
    ) -> Any:
        """Parse words; ``--json`` alone is ``--json true``."""
        flags = {flag for part in self.parts() for a in part._actions if is_flag(a) for flag in a.option_strings}
        return super().parse_args(None if args is None else list(_spelt_out(args, flags)), *more, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Say in a line what is wrong, and what was probably meant."""
        text = in_a_line(message)
        for name in (action.dest for part in self.parts() for action in part._actions if not action.option_strings):
            text = text.replace(f"--{name}: ", f"{name.upper()}: ", 1) if text.startswith(f"--{name}: ") else text
        if found := _UNKNOWN.search(text):
            word = (found[1] or found[2]).lstrip("-")
            near = closest(word, [a.dest for part in self.parts() for a in part._actions])
            text += f"; did you mean --{near}?" if near else ""
        super().error(text, ex)

    def parts(self) -> Iterator[CommandParser]:
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
        """Give the groups that options stand in other titles, by the name of one option of each."""
        for name, title in titles.items():
            next(g for g in self._action_groups if any(a.dest == name for a in g._group_actions)).title = title

    def hide(self, *flags: str) -> None:
        """Leave options out of the help; they still work."""
        for action in self._actions:
            if set(flags) & set(action.option_strings):
                action.help = argparse.SUPPRESS


def tool_parser(name: str) -> CommandParser:
    """The parser of a tool; nothing heavy is imported for it."""
    module = importlib.import_module(TOOLS[name][0])
    if hasattr(module, "parser"):
        made: CommandParser = module.parser()
        return made
    return function_parser(name, module.COMMAND, module.GROUPS, module.EXAMPLES)


def function_parser(name: str, command: Callable[..., int], groups: Groups, examples: str) -> CommandParser:
    """A parser of what a function takes.

    Args:
        name: Of the command.
        command: Its docstring is the help.
        groups: Options under titles.
        examples: Command lines, one each line.
    """
    parser = CommandParser(prog=f"eeg2speech {name}", description=described(command), epilog=shown(examples))
    parser.add_argument("--config", action="config", help="YAML file of these options.")
    parser.add_function_arguments(command, as_group=False, as_positional=True)
    parser.hide("--print_config")
    parser.arrange(groups)
    return parser


def described(documented: Any) -> str:
    """What a docstring says before it comes to arguments."""
    return re.split(r"\n\s*(?:Args|Attributes|Returns|Raises):", inspect.getdoc(documented) or "")[0].strip()


def shown(examples: str) -> str:
    """Examples as the end of a help."""
    lines = [line.strip() for line in examples.strip().splitlines()]
    return "\n".join(["examples:" if len(lines) > 1 else "example:", *(f"  {line}" for line in lines)])


def _spelt_out(words: Sequence[str], flags: set[str]) -> Iterator[str]:
    for word, after in zip(words, [*words, ""][1:], strict=True):
        yield f"{word}=true" if word in flags and after.lower() not in ("true", "false") else word
