"""Pictures that a run left, in its folder and in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.reporting.html.alt_text import describe
from eeg2speech.reporting.html.embed import Budget, embed_png
from eeg2speech.reporting.html.origin import list_title
from eeg2speech.reporting.html.run import Run
from eeg2speech.reporting.html.views import Picture, RunView, Section
from eeg2speech.reporting.tensorboard.events import Events

FOLDER = "pictures"
CAPTIONS = {
    "similarity": "similarity of EEG windows with sounds",
    "lags": "EEG moved against its sound",
    "galleries": "retrieval by size of the gallery",
    "cosines": "how similar right and other sounds are",
    "electrodes": "what each electrode is worth",
    "plane": "the common space, its first two components",
    "response": "what the sound's envelope evokes (temporal response function)",
    "identification": "own sound found, by arm",
    "speech": "spectrograms by arm",
    "reconstruction": "a window, what was visible of it, and its reconstruction",
    "error_topomap": "reconstruction error over the head",
}
"""Kinds of pictures, in the order in which they are shown."""
LISTENED = ("speech",)
"""Kinds that say nothing beyond sounds with their own spectrograms."""


def picture_sections(view: RunView, run: Run, events: Events, heard: bool, budget: Budget) -> list[Section]:
    """Pictures by test list, then those of validation that no test drew.

    Args:
        view: What they are shown in.
        run: The run.
        events: What it told TensorBoard.
        heard: The page already has its sounds with spectrograms.
        budget: Of the page.
    """
    tested = _tested(run, events)
    drawn = {kind for kinds in tested.values() for kind in kinds}
    validated: dict[str, tuple[bytes, int]] = {}
    for tag, seen in events.images.items():
        part, _, kind = tag.partition("/")
        if part == "val" and kind not in drawn:
            validated[kind] = (seen.content, seen.step)
    sections = [_section("Pictures: the data", [_response(view, run, events, budget)])]
    for part, kinds in tested.items():
        pictures = []
        for kind in sorted(kinds, key=_rank):
            if not (heard and kind in LISTENED):
                alt = describe(kind, CAPTIONS.get(kind, ""), _results(run, part))
                pictures.append(_embed(view, kind, list_title(part), kinds[kind], alt, budget))
        sections.append(_section(f"Pictures: {list_title(part)}", pictures))
    pictures = []
    for kind in sorted(validated, key=_rank):
        content, step = validated[kind]
        if not (heard and kind in LISTENED):
            where = f"validation, step {step}"
            pictures.append(_embed(view, kind, where, content, describe(kind, CAPTIONS.get(kind, ""), {}), budget))
    sections.append(_section("Pictures: validation", pictures))
    return [section for section in sections if section.pictures]


def _response(view: RunView, run: Run, events: Events, budget: Budget) -> Picture | None:
    file = run.folder / FOLDER / "response.png"
    seen = events.images.get("test/response")
    if not file.is_file() and seen is None:
        return None
    content = seen.content if seen is not None else _read(file)
    return _embed(
        view, "response", "mean over subjects", content, describe("response", CAPTIONS["response"], {}), budget
    )


def _section(title: str, pictures: list[Picture | None]) -> Section:
    return Section(title, pictures=[picture for picture in pictures if picture is not None])


def _rank(kind: str) -> tuple[int, str]:
    kinds = list(CAPTIONS)
    return (kinds.index(kind) if kind in kinds else len(kinds), kind)


def _embed(view: RunView, kind: str, where: str, content: bytes, alt: str, budget: Budget) -> Picture | None:
    caption = view.caption(f"{CAPTIONS.get(kind, kind.replace('_', ' '))}, {where}")
    return embed_png(content, alt, caption, budget)


def _tested(run: Run, events: Events) -> dict[str, dict[str, bytes]]:
    """Pictures of each list by kind: the folder's, and TensorBoard's where the folder has none."""
    found: dict[str, dict[str, bytes]] = {}
    for part in TEST_SPLITS:
        files = sorted((run.folder / FOLDER).glob(f"{part}_*.png"))
        kinds = {file.stem.removeprefix(f"{part}_"): _read(file) for file in files}
        prefix = f"test/{part}/"
        seen = {tag.removeprefix(prefix): one.content for tag, one in events.images.items() if tag.startswith(prefix)}
        if seen | kinds:
            found[part] = seen | kinds
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); restore it or take it out") from error


def _results(run: Run, part: str) -> Mapping[str, Any]:
    for stage in ("alignment", "diffusion"):
        found = (run.test or {}).get(stage)
        if isinstance(found, dict) and part in found.get("lists", {}):
            results: Mapping[str, Any] = found["lists"][part]
            return results
    return {}
