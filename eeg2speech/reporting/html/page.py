"""The page: one file that asks nothing of any network."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eeg2speech import __version__
from eeg2speech.core.errors import DiskError
from eeg2speech.core.files import written_beside
from eeg2speech.reporting.html.assemble import view_run
from eeg2speech.reporting.html.embed import LIMIT, Budget
from eeg2speech.reporting.html.run import Run
from eeg2speech.reporting.html.views import Cell, Row, RunView, Table


@dataclass(frozen=True)
class Written:
    """A page that was written.

    Attributes:
        file: Where.
        size: Bytes.
        notes: What it lacks, by run.
        refused: Pictures and sounds that did not fit.
    """

    file: Path
    size: int
    notes: list[str]
    refused: list[str]


def write_page(runs: Sequence[Run], file: Path, clips: int = 4, limit: int = LIMIT) -> Written:
    """Write a page about runs, beside and then renamed.

    Args:
        runs: In the order of the page.
        file: Where to write.
        clips: Windows of a test list to hear.
        limit: Bytes of pictures and sounds; the page itself adds little.

    Raises:
        DataError: A file of a run is damaged.
        DiskError: The page cannot be written.
    """
    budget = Budget(limit)
    views = []
    for place, run in enumerate(runs):
        share = budget.share(len(runs) - place)
        views.append(view_run(run, f"run-{place + 1}", clips, share))
        budget.spend(share)
    _tell_apart(views)
    text = render(views, budget.refused)
    content = text.encode("utf-8")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(file) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise DiskError(f"out={file}: cannot be written ({error.strerror}); choose another place") from error
    notes = [f"{view.folder}: {note}" for view in views for note in view.notes]
    return Written(file, len(content), notes, budget.refused)


def render(views: Sequence[RunView], refused: Sequence[str] = ()) -> str:
    """HTML of a page.

    Args:
        views: Of its runs.
        refused: What was left out.
    """
    environment = Environment(
        loader=PackageLoader("eeg2speech.reporting.html", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    loader = environment.loader
    assert loader is not None
    style, _, _ = loader.get_source(environment, "page.css")
    simulated = [view.simulated is True for view in views]
    title = views[0].title if len(views) == 1 else f"{len(views)} runs"
    return environment.get_template("page.html.jinja").render(
        title=("Simulated EEG: " if any(simulated) else "") + title,
        heading=title,
        style=Markup(style),  # noqa: S704  # a file of this package
        runs=views,
        overview=_overview(views) if len(views) > 1 else None,
        simulated=_amount(simulated),
        refused=refused,
        version=__version__,
        now=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _tell_apart(views: Sequence[RunView]) -> None:
    """Add the folder to the titles of runs of the same stage."""
    counts = Counter(view.title for view in views)
    names = Counter((view.title, Path(view.folder).name) for view in views)
    for view in views:
        name = Path(view.folder).name
        if counts[view.title] > 1:
            view.title += f", {name if names[view.title, name] == 1 else view.folder}"


def _amount(simulated: Sequence[bool]) -> str:
    """How much of the page is about simulated data."""
    return "all" if all(simulated) else "some" if any(simulated) else "none"


def _overview(views: Sequence[RunView]) -> Table:
    data = {True: "SIMULATED", False: "recorded", None: "not known"}
    rows = [
        Row(
            view.title,
            (Cell(data[view.simulated]), Cell(view.headline[0]), view.headline[1], Cell(view.folder)),
            link=view.anchor,
        )
        for view in views
    ]
    note = "Verdict and main figure are those of the list that the run is judged by; intervals are 95 % over stimuli."
    return Table("Runs of this page", ("Run", "EEG", "Verdict", "Main figure", "Folder"), rows, note)
