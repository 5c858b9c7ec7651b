"""What is wrong with a command line in a line, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

CUTOFF = 0.6
"""Share of letters that a word and a suggestion must have in common."""
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "Path": "a path", "str": "text"}


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like another, None where none is near.

    Args:
        word: As it was typed.
        known: Words that it could have been.
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=CUTOFF)
    return near[0] if near else None


def in_a_line(message: str) -> str:
    """A message of jsonargparse in a line, in words for those who do not write Python.

    Args:
        message: As it would be printed.
    """
    text = " ".join(str(message).split())
    if found := re.search(r"Problem with given class_path '([\w.]+)': (?!Option)(.+?) - Expected", text):
        text = f"{text.partition(': ')[0]}: {found[1]} is no class that can be used here ({found[2]})"
    text = re.sub(r"Expected a typing\.Literal\[(.+?)\]", lambda found: f"choose from {found[1]}", text)
    text = re.sub(r"Expected a <class '(\w+)'>", lambda found: f"expected {_KINDS.get(found[1], found[1])}", text)
    return re.sub(r"^Parser key \"?([\w.]+)\"?: ", r"--\1: ", text).replace(". Got value: ", ", not ")
