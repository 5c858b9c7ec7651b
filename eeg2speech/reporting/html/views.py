"""What a page shows, as plain values: the template asks for nothing that is not here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What stands there.
        note: In smaller letters below it: an interval.
    """

    text: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        head: What the row is about.
        cells: One for each column but the first.
        strong: It is the model's own.
        link: Anchor in the page that the head leads to.
    """

    head: str
    cells: Sequence[Cell]
    strong: bool = False
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: What it shows, and of what data.
        columns: Heads, the first that of the rows' heads.
        rows: From top to bottom.
        note: How to read it.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        uri: The picture itself.
        alt: What is seen on it, for those who do not see it.
        caption: What it is.
        width: In pixels.
        height: In pixels.
    """

    uri: str
    alt: str
    caption: str
    width: int
    height: int


@dataclass(frozen=True)
class Sound:
    """A sound and its spectrogram.

    Attributes:
        name: Who speaks.
        uri: The sound itself.
        picture: Its spectrogram.
        seconds: How long it is.
    """

    name: str
    uri: str
    picture: Picture
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """Whether a model works, on one test list.

    Attributes:
        title: The list.
        words: The verdict.
        good: True for the better of two outcomes, False for the other, None where nothing is judged.
        reasons: Why.
        picture: The figure beside chance and controls.
    """

    title: str
    words: str
    good: bool | None
    reasons: Sequence[str]
    picture: Picture | None = None


@dataclass(frozen=True)
class Section:
    """Pictures, sounds or tables under a heading; empty ones are not shown.

    Attributes:
        title: The heading.
        text: Below it.
        tables: Then.
        pictures: Then.
        sounds: Then, by what they are of.
        folded: Closed until it is asked for.
        code: Text as it stands in files, by their names.
    """

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    sounds: Sequence[tuple[str, Sequence[Sound]]] = ()
    folded: bool = False
    code: Sequence[tuple[str, str]] = ()


@dataclass
class RunView:
    """All that is said of one run.

    Attributes:
        anchor: In the page.
        title: Of its stage.
        folder: Where it lies.
        simulated: Its EEG was simulated; None where nothing tells.
        told_by: How that is known.
        lead: What the stage does, in a sentence.
        facts: What was run on what.
        notes: What is missing, and how to make it.
        verdicts: On each test list.
        sections: The rest, in the order of reading.
        headline: Verdict and main figure of the overview.
    """

    anchor: str
    title: str
    folder: str
    simulated: bool | None
    told_by: str
    lead: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    headline: tuple[str, Cell] = ("not tested", Cell("-"))

    def caption(self, text: str) -> str:
        """A caption or title, which says of simulated data what they are wherever it is taken."""
        return f"Simulated EEG: {text}" if self.simulated else text[:1].upper() + text[1:]


def number(value: float | None) -> str:
    """Three digits that matter; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    size = abs(value)
    whole = size >= 100 or (size >= 1 and size == int(size))
    digits = 0 if whole else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def figure_cell(value: float | None, low: float | None, high: float | None) -> Cell:
    """A figure with its interval below; one that is a single point is not repeated."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)) or low == high == value:
        return Cell(number(value))
    return Cell(number(value), f"{number(low)} to {number(high)}")
