"""How every console table names a split and its verdict."""

from __future__ import annotations

from eeg2speech.core.console import table_console
from eeg2speech.metrics import Verdict
from eeg2speech.metrics.results import in_words
from eeg2speech.metrics.verdict import SpeechVerdict


def split_title(split: str, seen: str) -> str:
    """Name of a test split in words, with what of it was trained on.

    Args:
        split: Its name.
        seen: What of it was trained on, in words; empty where nothing was.
    """
    return in_words(split) + (f" (NOT UNSEEN: {seen})" if seen else "")


def verdict_markup(verdict: Verdict | SpeechVerdict) -> str:
    """The words of a verdict, in colour where it is one."""
    if verdict.outcome is None:
        return verdict.words
    return f"[bold {'green' if verdict.outcome else 'red'}]{verdict.words.upper()}[/]"


def print_reasons(verdict: Verdict | SpeechVerdict) -> None:
    """Print the reasons of a verdict, one a line."""
    for reason in verdict.reasons:
        print_line(f"  {reason}")


def print_line(text: str) -> None:
    """Print a line as it is, without markup."""
    table_console().print(text, highlight=False, markup=False)
