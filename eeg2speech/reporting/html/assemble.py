"""From a run folder to all that a page says of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eeg2speech.core.errors import DataError
from eeg2speech.core.files import sha256_of
from eeg2speech.reporting.html.alignment import show_alignment
from eeg2speech.reporting.html.clips import clip_sections
from eeg2speech.reporting.html.credits import credits_section
from eeg2speech.reporting.html.curves import curve_sections
from eeg2speech.reporting.html.diffusion import show_speech
from eeg2speech.reporting.html.embed import Budget
from eeg2speech.reporting.html.machine import environment_section
from eeg2speech.reporting.html.maeeg import show_reconstruction
from eeg2speech.reporting.html.origin import facts_of, find_origin
from eeg2speech.reporting.html.pictures import picture_sections
from eeg2speech.reporting.html.run import Run, section
from eeg2speech.reporting.html.stages import stage_of, training_facts
from eeg2speech.reporting.html.views import RunView, Section
from eeg2speech.reporting.tensorboard.events import Events, read_events


def view_run(run: Run, anchor: str, clips: int, budget: Budget) -> RunView:
    """Gather what is said of a run, in the order of reading.

    Args:
        run: What it left.
        anchor: Name of its place in the page.
        clips: Windows of a list to hear.
        budget: Of the page.

    Raises:
        DataError: A file of the run holds other things than this version writes.
    """
    task, stage = stage_of(run)
    origin = find_origin(run)
    view = RunView(anchor, stage.title, str(run.folder), origin.simulated, origin.told_by, stage.lead)
    events = read_events(run.events)
    view.facts = [("Folder", str(run.folder)), *facts_of(run, origin), *training_facts(run), *_when(events, run)]
    view.notes = [*_missing(run, origin.simulated), *_about_test(run)]
    with _as_written(run.folder / "test.json"):
        if run.test is not None:
            _show_test(view, run.test, budget)
    view.sections[1:1] = curve_sections(view, events.scalars, budget)  # behind the figures
    sounds = clip_sections(view, run, events.sounds, clips, budget)
    with _as_written(run.folder / "test.json"):
        view.sections += sounds + picture_sections(view, run, events, bool(sounds), budget)
    view.sections.sort(key=lambda section: section.title == "Per subject")  # pictures first
    if run.configs:
        view.sections.append(Section("Configuration", code=list(run.configs.items()), folded=True))
    view.sections += [environment_section(run), credits_section(run, task, origin)]
    return view


def _show_test(view: RunView, test: Mapping[str, Any], budget: Budget) -> None:
    if "diffusion" in test:
        show_speech(view, test["diffusion"], budget)
    elif "alignment" in test:
        show_alignment(view, test["alignment"], budget)
    else:
        show_reconstruction(view, test, budget)


@contextmanager
def _as_written(file: Path) -> Iterator[None]:
    """Say of a file that it holds other things than expected, rather than where that was noticed."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise DataError(f"{file}: not as this version writes it ({error!r}); test the checkpoint again") from error


def _missing(run: Run, simulated: bool | None) -> list[str]:
    notes = []
    if run.test is None:
        config = next(iter(run.configs), "config.yaml")
        notes.append(
            f"No test.json: the run was not tested, so there is no verdict. Make it with: eeg2speech test --config "
            f"{run.folder / config} --ckpt_path {run.folder / 'checkpoints' / 'best.ckpt'}"
        )
    if not run.configs:
        notes.append("No config.yaml: settings, and what stage this was, are not known beyond what the test says.")
    if not run.events:
        notes.append("No TensorBoard events: there are no learning curves.")
    if simulated is None:
        notes.append("Nothing in the folder tells whether the EEG was recorded from people or simulated.")
    return notes


def _about_test(run: Run) -> list[str]:
    """What the test says of its model and lists that a reader has to know."""
    test = run.test or {}
    tested = section(test, "checkpoint")
    notes = []
    here = run.folder / "checkpoints" / Path(str(tested.get("path") or "none")).name
    if tested.get("sha256") and here.is_file() and sha256_of(here) != tested["sha256"]:
        notes.append(
            f"test.json is not of the {here.name} that is in this folder but of {tested['path']} as it was then, at "
            f"step {tested.get('step')}; test again"
        )
    return notes + [f"{note[:1].upper()}{note[1:]}." for note in section(test, "seen").get("notes", [])]


def _when(events: Events, run: Run) -> list[tuple[str, str]]:
    facts = []
    if events.begun is not None:
        facts.append(("Begun", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(events.begun))))
    if events.trained:
        facts.append(("Took", f"about {events.trained / 60:.0f} min of training" if events.trained > 90 else
                      f"about {events.trained:.0f} s of training"))  # fmt: skip
    version = (run.test or {}).get("eeg2speech")
    if version:
        facts.append(("Tested with", f"eeg2speech {version}"))
    if tested := section(run.test or {}, "checkpoint"):
        facts.append(("Tested checkpoint", f"{tested.get('path') or 'of the program'}, step {tested.get('step')}"))
    return facts
