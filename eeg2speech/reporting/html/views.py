"""The contents of a page as plain values, which the template only lays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from eeg2speech.metrics import Interval, summary
from eeg2speech.reporting.tables import ResultTable, Value


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        uri: ``data:`` address that contains the picture.
        alt: Alternative text for readers who do not see the picture.
        caption: Below the picture.
        width: In pixels.
        height: In pixels.
    """

    uri: str
    alt: str
    caption: str
    width: int
    height: int


@dataclass(frozen=True)
class SoundClip:
    """A sound and its spectrogram.

    Attributes:
        name: What produced the sound.
        uri: ``data:`` address that contains the sound.
        picture: The spectrogram.
        seconds: Duration.
    """

    name: str
    uri: str
    picture: Picture
    seconds: float


@dataclass(frozen=True)
class VerdictView:
    """The verdict on one test split.

    Attributes:
        title: The split.
        words: The verdict.
        good: True for the favourable outcome, False for the other, None where no judgement is made.
        reasons: Why.
        picture: The model's figure, compared with chance and controls.
    """

    title: str
    words: str
    good: bool | None
    reasons: Sequence[str]
    picture: Picture | None = None


@dataclass(frozen=True)
class Section:
    """A heading and what follows it, in this order; empty parts are not shown.

    Attributes:
        title: The heading.
        text: A paragraph.
        tables: Tables.
        pictures: Pictures.
        sounds: Sounds, grouped under a subheading each.
        folded: The section is closed until the reader opens it.
        code: Contents of text files, by file name.
    """

    title: str
    text: str = ""
    tables: Sequence[ResultTable] = ()
    pictures: Sequence[Picture] = ()
    sounds: Sequence[tuple[str, Sequence[SoundClip]]] = ()
    folded: bool = False
    code: Sequence[tuple[str, str]] = ()


@dataclass
class RunView:
    """The article of the page about one run.

    Attributes:
        anchor: Identifier in the page.
        title: Name of the stage.
        folder: Folder of the run.
        simulated: The EEG is simulated; None if no file states whether it is.
        evidence: The files and keys that state it.
        lead: What the stage does, in one or two sentences.
        uses_eeg: EEG enters the stage; without it ``simulated`` is False.
        facts: Terms and descriptions.
        notes: What is missing, and how to get it.
        verdicts: One for each test split.
        sections: The rest, in reading order.
        headline: Verdict, main figure and its interval, for the overview.
    """

    anchor: str
    title: str
    folder: str
    simulated: bool | None
    evidence: str
    lead: str
    uses_eeg: bool = True
    facts: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdicts: list[VerdictView] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    headline: tuple[str, str, str] = ("not tested", "", "")

    def caption(self, text: str) -> str:
        """A caption or title, which names simulated EEG as such so that a copied picture still does."""
        return f"Simulated EEG: {text}" if self.simulated else text[:1].upper() + text[1:]

    def tables(self, title: str, text: str, tables: Sequence[ResultTable]) -> list[Section]:
        """A section of tables of results; none without tables."""
        captioned = [replace(table, title=self.caption(table.title)) for table in tables]
        return [Section(title, text, captioned)] if captioned else []


def number(value: float | None) -> str:
    """A number with three significant digits and a typographic minus sign."""
    return summary.number(value).replace("-", "\N{MINUS SIGN}")


def cell_text(value: Value) -> str:
    """The value of a cell of a table, without its interval."""
    if value is None or isinstance(value, str):
        return value or ""
    return number(value.value if isinstance(value, Interval) else value)


def cell_note(value: Value) -> str:
    """The interval of a cell of a table; empty without one."""
    found = summary.bounds(value) if isinstance(value, Interval) else None
    return "" if found is None else " to ".join(found).replace("-", "\N{MINUS SIGN}")
