"""The tables of a test, as titles, columns and values, for console, TensorBoard and report to lay out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eeg2speech.metrics.intervals import Interval
from eeg2speech.metrics.results import (
    IDEAL,
    MODEL,
    AlignmentResult,
    AlignmentSplit,
    ProbedTarget,
    ReconstructionResult,
    Results,
    SpeechSplit,
    in_words,
)
from eeg2speech.metrics.summary import (
    number,
    split_title,
    splits_in_order,
    variant_title,
    with_interval,
)

DECODERS = {
    "network": "network without matched filters",
    "matched_filters": "matched filters alone",
    "ridge_pooled": "ridge, pooled over subjects",
    "ridge_own": "ridge, fitted to each subject",
    "cca_pooled": "CCA, pooled over subjects",
    "cca_own": "CCA, fitted to each subject",
    IDEAL: "ceiling: ideal observer",
}
RETRIEVAL = {"mrr": "MRR", "top1": "top-1", "top10": "top-10", "median_rank": "median rank"}
MATCH = {"match_2023": "match 1 of 2", "match_2024": "match 1 of 5"}
"""Match-mismatch after the protocols of 2023 and 2024."""
QUALITY = {
    "mel_corr": "mel corr.", "band_corr": "band corr.", "mcd_dtw": "MCD, dB", "lsd": "LSD, dB", "stoi": "STOI",
    "estoi": "ESTOI", "pesq": "PESQ", "wer": "WER", "dnsmos": "DNSMOS", "speaker_similarity": "speaker sim.",
}  # fmt: skip
INTERVALS = "95 % intervals over stimuli"
NOT_COMPARED = "The test made no comparison, so there is no verdict."

Value = Interval | float | str | None
"""Content of a cell: an estimate, a number, text, or nothing."""


@dataclass(frozen=True)
class ResultRow:
    """A row of a table.

    Attributes:
        name: Header cell.
        cells: One for each column but the first.
        own: The row is that of the tested model.
    """

    name: str
    cells: Sequence[Value]
    own: bool = False


@dataclass(frozen=True)
class ResultTable:
    """A table.

    Attributes:
        title: What the table shows.
        columns: Header cells, that of the row names first.
        rows: From top to bottom.
        note: How to read the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[ResultRow]
    note: str = ""


@dataclass(frozen=True)
class ResultTables:
    """All tables of a test.

    Attributes:
        text: How to read the main tables.
        main: The main figures.
        probes: Classification from the frozen encoder.
        subjects: Figures of each subject.
    """

    text: str
    main: Sequence[ResultTable]
    probes: Sequence[ResultTable] = ()
    subjects: Sequence[ResultTable] = ()


def cell_text(value: Value, intervals: bool = True) -> str:
    """A cell in plain text.

    Args:
        value: Its content.
        intervals: Add the interval of an estimate in brackets.
    """
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Interval):
        return with_interval(value) if intervals else number(value.value)
    return number(value)


def result_tables(results: Results) -> ResultTables:
    """All tables of a test, those of the judged split first, and how to read them."""
    probes = [probe_table(target, found) for target, found in (results.probes or {}).items()]
    found = results.compared
    if found is None:
        return ResultTables(NOT_COMPARED, [_metrics_table(results.metrics)], probes)
    text = f"{found.measure[:1].upper()}{found.measure[1:]}."
    order = splits_in_order(found.splits, found.judged)
    if isinstance(found, ReconstructionResult):
        return ResultTables(text, [reconstruction_table(found)], probes)
    if isinstance(found, AlignmentResult):
        text += (
            " MRR: mean reciprocal rank of the matching sound among all sounds of the split, at best 1. Top-1 and "
            "top-10: share of windows whose matching sound has rank 1, or rank 10 or better. Match: share of windows "
            "whose matching sound is more similar than one or four other sounds of the same story."
        )
        subjects = [subject_table(split, found.splits[split]) for split in order]
        main = [alignment_table(split, found.splits[split]) for split in order]
        return ResultTables(text, main, probes, [table for table in subjects if table.rows])
    text += "".join(f" {QUALITY.get(name, name)} is left out: {why}." for name, why in found.left_out.items())
    main = [table(split, found.splits[split]) for table in (identification_table, quality_table) for split in order]
    main += [fidelity_table(split, found.splits[split]) for split in order if found.splits[split].curve]
    return ResultTables(text, main, probes)


def reconstruction_table(found: ReconstructionResult) -> ResultTable:
    """Error of the model and of each baseline, a column for each split."""
    splits = {split: found.splits[split] for split in splits_in_order(found.splits, found.judged)}
    methods = dict.fromkeys(name for one in splits.values() for name in one.nmse)
    rows = [
        ResultRow(in_words(name), [one.nmse.get(name) for one in splits.values()], name == MODEL) for name in methods
    ]
    columns = [f"{split_title(split, one.verdict.seen)}, {one.windows} windows" for split, one in splits.items()]
    note = "Lower is better; 1 is the error of predicting the mean."
    return ResultTable(f"NMSE on hidden patches, {INTERVALS}", ("Method", *columns), rows, note)


def probe_table(target: str, found: ProbedTarget) -> ResultTable:
    """Accuracy of the classifiers of one target, a row for each kind of features."""
    kinds = list(dict.fromkeys(kind for one in found.accuracy.values() for kind in one))
    rows = [
        ResultRow(in_words(name), [one.get(kind) for kind in kinds], name == "encoder")
        for name, one in found.accuracy.items()
    ]
    chance = next((figure.chance for one in found.accuracy.values() for figure in one.values()), None)
    rows.append(ResultRow("chance", [chance] * len(kinds)))
    groups = {"stimulus": "stimuli", "subject": "subjects"}[found.groups]
    title = f"{target}, balanced accuracy on held-out {groups}: {found.windows} windows, 95 % intervals"
    return ResultTable(title, ("Features", *kinds), rows)


def alignment_table(split: str, found: AlignmentSplit) -> ResultTable:
    """Figures of the model, the linear decoders and the controls."""
    own = found.figures[MODEL]
    measures = {key: title for key, title in (RETRIEVAL | MATCH).items() if key in own}
    names = sorted(found.figures, key=lambda name: (name != MODEL, name == IDEAL))
    rows = [_measured(DECODERS.get(name, in_words(name)), found.figures[name], measures) for name in names]
    if found.protocol_windows:
        rows.append(_measured("model, window length of the protocol", found.protocol_windows, measures))
    for name, control in found.controls_mrr.items():
        rows.append(_measured(f"control: {in_words(name)}", {"mrr": control}, measures))
    limits = {key: null.percentile_99 for key, null in found.permutations.items()}
    rows.append(_measured("99th percentile of permutations", limits, measures))
    rows.append(_measured("chance", {key: one.chance for key, one in own.items()}, measures))
    title = f"{split_title(split, found.verdict.seen)}: {found.windows} windows, {found.gallery} sounds, {INTERVALS}"
    return ResultTable(title, ("Decoder", *measures.values()), rows)


def subject_table(split: str, found: AlignmentSplit) -> ResultTable:
    """Retrieval of each subject in the whole gallery."""
    results = [
        one
        for one in found.retrieval
        if one.subject is not None and one.direction == "eeg_to_sound" and one.gallery is None
    ]
    rows = [
        ResultRow(str(one.subject), [str(one.windows), *(one.figures.get(key) for key in RETRIEVAL)]) for one in results
    ]
    if results:
        name = "chance" if len({one.size for one in results}) == 1 else f"chance of {results[0].subject}"
        chances = {key: one.chance for key, one in results[0].figures.items()}
        rows.append(ResultRow(name, [None, *(chances.get(key) for key in RETRIEVAL)]))
    title = f"{split_title(split, found.verdict.seen)}, each subject, {INTERVALS}"
    return ResultTable(title, ("Subject", "Windows", *RETRIEVAL.values()), rows)


def identification_table(split: str, found: SpeechSplit) -> ResultTable:
    """How often clips of each variant are most similar to their matching sound."""
    way = found.verdict.way
    points = {name: {one.gallery: one for one in result.identification} for name, result in found.variants.items()}
    ways = sorted({gallery for one in points.values() for gallery in one})
    differences = found.verdict.differences | {"mel_regression": found.regression.difference}
    rows = []
    for name, one in points.items():
        shares = [one[gallery].estimate if gallery in one else None for gallery in ways]
        p = f"{one[way].null.p:.2g}" if way in one else None
        log_mel = {other.gallery: other.estimate for other in found.variants[name].identification_log_mel}
        cells = [*shares, differences.get(name), p, log_mel.get(way)]
        rows.append(ResultRow(variant_title(name), cells, name == "eeg"))
    limits = {gallery: one.null.percentile_99 for gallery, one in points["eeg"].items()}
    threshold = [limits.get(gallery) for gallery in ways]
    rows.append(ResultRow("99th percentile of permutations of EEG", [*threshold, None, None, None]))
    rows.append(ResultRow("chance", [*(1 / gallery for gallery in ways), None, None, 1 / way]))
    title = (
        f"matching sound identified, {split_title(split, found.verdict.seen)}: {found.windows} clips, {found.gallery} "
        f"sounds, {INTERVALS}"
    )
    columns = (
        *(f"among {gallery}" for gallery in ways), f"EEG minus variant, among {way}", f"p, among {way}",
        f"in log mel, among {way}",
    )  # fmt: skip
    return ResultTable(title, ("Variant", *columns), rows)


def fidelity_table(split: str, found: SpeechSplit) -> ResultTable:
    """Identification and naturalness of speech from EEG, by the noise level at which sampling starts."""
    rows = [
        ResultRow(f"start {point.start:g}", [point.identification, point.identification_log_mel, point.frechet.value])
        for point in found.curve
    ]
    regression, way = found.variants["mel_regression"], found.verdict.way
    log_mel = {one.gallery: one.estimate for one in regression.identification_log_mel}
    point = regression.among(way)
    cells = [None if point is None else point.estimate, log_mel.get(way), regression.frechet.value]
    rows.append(ResultRow(variant_title("mel_regression"), cells))
    title = f"fidelity and naturalness, {split_title(split, found.verdict.seen)}, {INTERVALS}"
    note = "Frechet: distance from the real sounds of the split; lower is more natural."
    return ResultTable(title, ("Speech from EEG", f"among {way}", f"in log mel, among {way}", "Frechet"), rows, note)


def quality_table(split: str, found: SpeechSplit) -> ResultTable:
    """How close clips of each variant are to the recording."""
    names = list(dict.fromkeys(name for one in found.variants.values() for name in one.quality))
    names.sort(key=lambda name: list(QUALITY).index(name) if name in QUALITY else len(QUALITY))
    rows = [
        ResultRow(
            variant_title(name),
            [*(one.quality.get(key) for key in names), one.frechet.value, one.memorised.share],
            name == "eeg",
        )
        for name, one in found.variants.items()
    ]
    first = next(iter(found.variants.values()))
    note = (
        "Compared with the recording; MCD is after dynamic time warping. MCD, LSD, WER and Frechet: lower is better. "
        "Frechet: distance from the real sounds of the split, two halves of which are "
        f"{number(first.frechet.halves)} apart. Copied: share of clips whose similarity to a training sound exceeds "
        f"{number(first.memorised.threshold)}, the 99th percentile of real sounds. The verdict does not depend on "
        "these figures."
    )
    title = f"sound quality, {split_title(split, found.verdict.seen)}, {INTERVALS}"
    columns = ("Variant", *(QUALITY.get(name, name) for name in names), "Frechet", "copied, share")
    return ResultTable(title, columns, rows, note)


def _metrics_table(metrics: Mapping[str, float]) -> ResultTable:
    """A row for each test split and a column for each measure of its tags ``test/SPLIT/MEASURE``."""
    tags = {tuple(tag.split("/")[1:]): value for tag, value in metrics.items() if tag.count("/") == 2}
    measures = dict.fromkeys(measure for _, measure in tags)
    rows = [
        ResultRow(split_title(split), [tags.get((split, measure)) for measure in measures])
        for split in dict.fromkeys(split for split, _ in tags)
    ]
    note = "NMSE: 1 is the error of predicting the mean." if "nmse" in measures else ""
    titles = ("NMSE" if measure == "nmse" else measure for measure in measures)
    return ResultTable("means over the test splits", ("Test split", *titles), rows, note)


def _measured(name: str, figures: Mapping[str, Value], measures: Mapping[str, str]) -> ResultRow:
    """A row of what exists of some measures."""
    return ResultRow(name, [figures.get(key) for key in measures], name == MODEL)
