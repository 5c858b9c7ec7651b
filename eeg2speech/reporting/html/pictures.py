"""Pictures of a run, from its folder and from TensorBoard, with their alternative texts."""

from __future__ import annotations

from pathlib import Path

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.metrics.results import MODEL, AlignmentSplit, Results, SpeechSplit
from eeg2speech.metrics.summary import split_title, variant_title
from eeg2speech.reporting.html.embed import Budget, embed_png
from eeg2speech.reporting.html.run import RunFiles
from eeg2speech.reporting.html.verdicts import estimate_text
from eeg2speech.reporting.html.views import Picture, RunView, Section, number
from eeg2speech.reporting.tensorboard.events import Events

FOLDER = "pictures"
CAPTIONS = {
    "similarity": "similarity of EEG windows and sounds",
    "lags": "retrieval with EEG shifted against its sound",
    "galleries": "retrieval by size of the gallery",
    "cosines": "similarity of EEG windows with matching and with other sounds",
    "electrodes": "electrode importance",
    "plane": "embeddings of EEG and sounds, first two components",
    "response": "response to the envelope of the sound (temporal response function)",
    "identification": "identification of the matching sound, by variant",
    "fidelity": "identification against Frechet distance, by noise level of the start",
    "speech": "spectrograms by variant",
    "reconstruction": "original, visible patches and reconstruction of a window",
    "error_topomap": "reconstruction error at each electrode",
}
"""Kinds of pictures and their captions, in the order of the page."""
DESCRIPTIONS = {
    "speech": "Spectrograms of some held-out windows, a row for each window and a column for each variant, the "
    "recording first.",
    "cosines": "Histograms of the cosine between EEG windows and their matching sound, the closest other sound, and "
    "all other sounds. Higher cosines for the matching sound than for the others are better. The legend gives medians.",
    "plane": "Scatter plot of EEG windows (dots) and sounds (triangles) in the first two principal components of the "
    "embedding space, coloured by stimulus; lines connect some windows with their sounds.",
    "response": "Above, topographic maps at the peaks of the response, red and blue where EEG rises and falls with the "
    "sound. Below, the weights of each electrode from 0.2 s before to 0.6 s after the sound, and in black their spread "
    "over electrodes.",
    "reconstruction": "One window over time: complete, with hidden patches in grey, and reconstructed. Traces of "
    "channels, if present, show the recording in black and predictions of hidden patches in orange.",
    "error_topomap": "Topographic map of the squared error of hidden patches, divided by the variance at each "
    "electrode; yellow is an error as large as the signal.",
}
"""Alternative texts of kinds that have no figures in ``test.json``."""
SPECTROGRAMS = "speech"
"""The kind that repeats the spectrograms of the clips on the page."""


def picture_sections(view: RunView, run: RunFiles, events: Events, has_clips: bool, budget: Budget) -> list[Section]:
    """Pictures of the data, of each test split, and of validation where no test drew the same kind.

    Args:
        view: Article of the page about the run.
        run: The run.
        events: Its TensorBoard events.
        has_clips: The page has clips with spectrograms.
        budget: Of the run.
    """

    def embed(kind: str, where: str, content: bytes, results: AlignmentSplit | SpeechSplit | None) -> Picture | None:
        if has_clips and kind == SPECTROGRAMS:
            return None
        caption = CAPTIONS.get(kind, kind.replace("_", " "))
        return embed_png(content, describe(kind, caption, results), view.caption(f"{caption}, {where}"), budget)

    tested = _tested(run, events)
    drawn = {kind for kinds in tested.values() for kind in kinds}
    response = _response(run, events)
    found = {"the data": [] if response is None else [embed("response", "mean over subjects", response, None)]}
    for split, kinds in tested.items():
        title, results = split_title(split), _split_results(run.test, split)
        found[title] = [embed(kind, title, kinds[kind], results) for kind in sorted(kinds, key=_order)]
    validated = {tag.removeprefix("val/"): one for tag, one in events.images.items() if tag.startswith("val/")}
    found["validation"] = [
        embed(kind, f"validation, step {validated[kind].step}", validated[kind].content, None)
        for kind in sorted(validated.keys() - drawn, key=_order)
    ]
    sections = [
        Section(f"Pictures: {title}", pictures=[picture for picture in pictures if picture is not None])
        for title, pictures in found.items()
    ]
    return [section for section in sections if section.pictures]


def describe(kind: str, caption: str, results: AlignmentSplit | SpeechSplit | None) -> str:
    """Alternative text of a picture, with its main figures.

    Args:
        kind: Kind of the picture.
        caption: Caption of the kind.
        results: Of the split in ``test.json``, if any.
    """
    text = ""
    if isinstance(results, SpeechSplit) and kind == "identification":
        text = _identification(results)
    elif isinstance(results, SpeechSplit) and kind == "fidelity":
        text = _fidelity(results)
    elif isinstance(results, AlignmentSplit) and kind == "lags":
        text = _lags(results)
    elif isinstance(results, AlignmentSplit) and kind == "galleries":
        text = _galleries(results)
    elif isinstance(results, AlignmentSplit) and kind == "electrodes":
        text = _electrodes(results)
    elif kind == "similarity":
        text = _similarity(results)
    return text or DESCRIPTIONS.get(kind) or f"Picture: {caption}; no description is available."


def _similarity(results: AlignmentSplit | SpeechSplit | None) -> str:
    text = (
        "Similarity matrix of one subject: EEG windows from top to bottom, sounds from left to right, dark where "
        "similar. Matching sounds lie on the diagonal; dots mark the most similar sound of each window, green where it "
        "matches."
    )
    if isinstance(results, AlignmentSplit) and "top1" in results.figures[MODEL]:
        text += f" In the whole split, {number(100 * results.figures[MODEL]['top1'].value)} % of windows match."
    return text


def _lags(results: AlignmentSplit) -> str:
    if not results.lag_curve:
        return ""
    best, *others = sorted(results.lag_curve, key=lambda one: -one.mrr.value)
    rest = f", at every other lag at most {number(others[0].mrr.value)}" if others else ""
    return (
        f"Mean reciprocal rank with EEG read later or earlier than in training: highest at {best.lag:+.2f} s "
        f"({number(best.mrr.value)}){rest}; chance {number(best.mrr.chance)}."
    )


def _galleries(results: AlignmentSplit) -> str:
    found = [
        f"{measure} among {point.gallery} sounds {number(own.value)} (chance {number(own.chance)})"
        for measure, points in results.galleries.items()
        for point, own in ((point, point.estimate) for point in (*points[:1], *points[1:][-1:]))
    ]
    return f"Accuracy, which decreases with the number of candidate sounds: {'; '.join(found)}." if found else ""


def _electrodes(results: AlignmentSplit) -> str:
    if results.electrodes is None or not results.electrodes.drops:
        return ""
    largest = sorted(results.electrodes.drops, key=lambda drop: -drop.mrr_drop.value)[:5]
    listed = ", ".join(f"{drop.name} {number(drop.mrr_drop.value)}" for drop in largest)
    return (
        "Topographic map, red where retrieval loses most when the electrodes around a position are set to zero. "
        f"Largest losses in MRR around: {listed}."
    )


def _identification(results: SpeechSplit) -> str:
    way = results.verdict.way
    points = {name: one.among(way) for name, one in results.variants.items()}
    listed = [estimate_text(variant_title(name), one.estimate) for name, one in points.items() if one is not None]
    return f"Share of clips whose matching sound is identified, by variant. Among {way}: {'; '.join(listed)}."


def _fidelity(results: SpeechSplit) -> str:
    points = [
        f"start {number(one.start)} {number(one.identification.value)} at {number(one.frechet.value)}"
        for one in results.curve
    ]
    return (
        f"Share of clips whose matching sound is identified among {results.verdict.way} against the Frechet distance "
        f"from real sounds, by the noise level at which sampling starts: {'; '.join(points)}."
    )


def _split_results(results: Results | None, split: str) -> AlignmentSplit | SpeechSplit | None:
    if results is not None and results.alignment is not None and split in results.alignment.splits:
        return results.alignment.splits[split]
    if results is not None and results.speech is not None and split in results.speech.splits:
        return results.speech.splits[split]
    return None


def _tested(run: RunFiles, events: Events) -> dict[str, dict[str, bytes]]:
    """Pictures of each split by kind; those in the folder replace those in TensorBoard."""
    found: dict[str, dict[str, bytes]] = {}
    for split in TEST_SPLITS:
        prefix = f"test/{split}/"
        kinds = {tag.removeprefix(prefix): one.content for tag, one in events.images.items() if tag.startswith(prefix)}
        for file in sorted((run.folder / FOLDER).glob(f"{split}_*.png")):
            kinds[file.stem.removeprefix(f"{split}_")] = _read(file)
        if kinds:
            found[split] = kinds
    return found


def _response(run: RunFiles, events: Events) -> bytes | None:
    file = run.folder / FOLDER / "response.png"
    if "test/response" in events.images:
        return events.images["test/response"].content
    return _read(file) if file.is_file() else None


def _order(kind: str) -> tuple[int, str]:
    kinds = list(CAPTIONS)
    return (kinds.index(kind) if kind in kinds else len(kinds), kind)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); restore it or remove it") from error
