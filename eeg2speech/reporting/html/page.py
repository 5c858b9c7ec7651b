"""The HTML page: one file that loads nothing from a network."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eeg2speech import __version__
from eeg2speech.core.errors import DataError, DiskError
from eeg2speech.core.files import written_beside
from eeg2speech.metrics.results import RESULTS_FILE
from eeg2speech.reporting.html.clips import clip_sections
from eeg2speech.reporting.html.curves import curve_sections
from eeg2speech.reporting.html.embed import LIMIT, Budget
from eeg2speech.reporting.html.facts import find_origin, run_facts, run_notes, stage_of
from eeg2speech.reporting.html.pictures import picture_sections
from eeg2speech.reporting.html.provenance import credits_section, environment_section
from eeg2speech.reporting.html.run import RunFiles
from eeg2speech.reporting.html.verdicts import show_verdicts
from eeg2speech.reporting.html.views import RunView, Section, cell_note, cell_text
from eeg2speech.reporting.tables import ResultTables, result_tables
from eeg2speech.reporting.tensorboard.events import read_events


@dataclass(frozen=True)
class WrittenPage:
    """A page that was written.

    Attributes:
        file: Its path.
        size: In bytes.
        notes: What the runs lack.
        refused: Pictures and sounds that were left out.
    """

    file: Path
    size: int
    notes: list[str]
    refused: list[str]


def write_page(runs: Sequence[RunFiles], file: Path, clips: int = 4, limit: int = LIMIT) -> WrittenPage:
    """Write a page about runs; an existing page is replaced only once the new one is complete.

    Args:
        runs: In the order of the page.
        file: Path of the page.
        clips: Windows of each test split whose clips are on the page.
        limit: Bytes of pictures and sounds; the text of the page adds little.

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
    _distinguish(views)
    content = render(views, budget.refused).encode("utf-8")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(file) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise DiskError(f"out={file}: cannot be written ({error.strerror}); choose another path") from error
    notes = [f"{view.folder}: {note}" for view in views for note in view.notes]
    return WrittenPage(file, len(content), notes, budget.refused)


def view_run(run: RunFiles, anchor: str, clips: int, budget: Budget) -> RunView:
    """Collect the content of the page about a run.

    Args:
        run: The run.
        anchor: Identifier in the page.
        clips: Windows of each test split whose clips are on the page.
        budget: Of the run.

    Raises:
        DataError: A file of the run is damaged.
    """
    task, stage = stage_of(run)
    origin = find_origin(run)
    events = read_events(run.events)
    simulated = origin.simulated if stage.uses_eeg else False
    view = RunView(anchor, stage.title, str(run.folder), simulated, origin.evidence, stage.lead, stage.uses_eeg)
    view.facts = run_facts(run, origin, events)
    view.notes = run_notes(run, origin)
    tables = ResultTables("", ())
    if run.test is not None:
        try:
            show_verdicts(view, run.test, budget)
            tables = result_tables(run.test)
        except KeyError as error:
            file = run.folder / RESULTS_FILE
            raise DataError(f"{file}: damaged results, {error} is missing; test the checkpoint again") from error
    view.sections += view.tables("Figures", tables.text, tables.main)
    view.sections += curve_sections(view, events.scalars, budget)
    probes = "Linear and nearest-neighbour classifiers on the frozen encoder."
    view.sections += view.tables("Probes of the encoder", probes, tables.probes)
    sounds = clip_sections(view, run, events.sounds, clips, budget)
    view.sections += sounds
    view.sections += picture_sections(view, run, events, bool(sounds), budget)
    view.sections += view.tables("Per subject", "", tables.subjects)
    if run.configs:
        view.sections.append(Section("Configuration", code=list(run.configs.items()), folded=True))
    view.sections += [environment_section(run), credits_section(run, task, origin)]
    return view


def render(views: Sequence[RunView], refused: Sequence[str] = ()) -> str:
    """Render the HTML of a page.

    Args:
        views: Its runs.
        refused: What was left out.
    """
    loader = PackageLoader("eeg2speech.reporting.html", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"text": cell_text, "note": cell_note}
    style, _, _ = loader.get_source(environment, "page.css")
    simulated = [view.simulated is True for view in views if view.uses_eeg] or [False]
    title = views[0].title if len(views) == 1 else f"{len(views)} runs"
    return environment.get_template("page.html.jinja").render(
        title=("Simulated EEG: " if any(simulated) else "") + title,
        heading=title,
        style=Markup(style),  # noqa: S704  # a file of this package
        runs=views,
        simulated="all" if all(simulated) else "some" if any(simulated) else "none",
        refused=refused,
        version=__version__,
        now=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _distinguish(views: Sequence[RunView]) -> None:
    """Add the folder to the titles of runs of the same stage."""
    counts = Counter(view.title for view in views)
    names = Counter((view.title, Path(view.folder).name) for view in views)
    for view in views:
        name = Path(view.folder).name
        if counts[view.title] > 1:
            view.title += f", {name if names[view.title, name] == 1 else view.folder}"
