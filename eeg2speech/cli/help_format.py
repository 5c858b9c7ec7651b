"""How the help of a command is laid out: usage in a line, words for values, defaults where they say something."""

from __future__ import annotations

import argparse
import re
import textwrap
from typing import Any

from jsonargparse import DefaultHelpFormatter

METAVARS = (("list", "[A,B,...]"), ("tuple", "[A,B]"), ("Path", "PATH"), ("int", "N"), ("float", "X"))
"""What stands for the value of an option, by a word in the name of its type; the first that fits."""


def is_flag(action: argparse.Action) -> bool:
    """Whether an option is true or false, so that it may stand without a value."""
    return getattr(action, "_typehint", None) is bool


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
        if isinstance(action, argparse._SubParsersAction):
            return f"{name} ..."
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
        told = not action.option_strings or action.nargs == 0 or "%(default)" in text
        # of none of these it is worth a word: the help says what happens without the option
        if told or action.default is None or action.default is False or action.default in ([], argparse.SUPPRESS):
            return text
        return f"{text} [default: {str(action.default).lower() if is_flag(action) else '%(default)s'}]"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Fill paragraphs; keep lines as they are where one of them is indented, as examples are."""
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(p if "\n  " in p else textwrap.fill(" ".join(p.split()), width) for p in paragraphs)
