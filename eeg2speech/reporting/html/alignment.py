"""Stage 2: whether EEG finds its sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eeg2speech.checkpoints.training_record import verdict_words
from eeg2speech.plotting import compared_figure
from eeg2speech.reporting.html.embed import Budget, embed_figure
from eeg2speech.reporting.html.figures import cell_of, mark_of, mark_text
from eeg2speech.reporting.html.origin import list_order, list_title
from eeg2speech.reporting.html.views import Cell, Row, RunView, Section, Table, Verdict, number

MEASURES = {
    "mrr": "MRR", "top1": "top-1", "top10": "top-10", "match_2023": "match 1 of 2", "match_2024": "match 1 of 5",
    "median_rank": "median rank",
}  # fmt: skip
BY_SUBJECT = {"mrr": "MRR", "top1": "top-1", "top10": "top-10", "median_rank": "median rank"}
FORWARD = "eeg_to_sound"


def show_alignment(view: RunView, found: Mapping[str, Any], budget: Budget) -> None:
    """Add what the test of an alignment found."""
    lists = _ordered(found["lists"], found.get("verdict", {}).get("list"))
    for split, results in lists.items():
        view.verdicts.append(_verdict(view, split, results, budget))
    main = next(iter(lists.values()))
    cell = cell_of(main["figures"]["model"]["mrr"])
    view.headline = (view.verdicts[0].words, Cell(f"MRR {cell.text}", f"{cell.note}; chance {_chance(main, 'mrr')}"))
    text = (
        f"{found.get('measure', '').capitalize()}. MRR: mean reciprocal rank of the right sound among all sounds of "
        "the list, 1 at best; top-1 and top-10: share of windows whose sound comes first or among the first ten; "
        "match: share of windows whose sound is preferred to one or four others of the same story."
    )
    view.sections.append(Section("Figures", text, [_table(view, split, one) for split, one in lists.items()]))
    people = [_subjects(view, split, one) for split, one in lists.items()]
    view.sections.append(Section("Per subject", "", [table for table in people if table.rows]))


def _ordered(lists: Mapping[str, Any], judged: str | None) -> dict[str, Any]:
    """The list that the verdict of the run rests on, then the others."""
    names = sorted(lists, key=lambda name: (name != judged, list_order(name)))
    return {name: lists[name] for name in names}


def _verdict(view: RunView, split: str, results: Mapping[str, Any], budget: Budget) -> Verdict:
    verdict, null = results["verdict"], results["permutations"]["mrr"]
    title = list_title(split, bool(verdict.get("seen")))
    own = mark_of("model", results["figures"]["model"]["mrr"], own=True)
    controls = [mark_of(name, figure) for name, figure in results["controls, mrr"].items()]
    chance = results["figures"]["model"]["mrr"]["chance"]
    figure = compared_figure(
        [own, *controls], (null["low"], null["high"]), null["percentile_99"], chance, view.caption(title), "MRR"
    )
    alt = (
        f"{mark_text(own)}. 95 % of {null['permutations']} permutations lie from {number(null['low'])} to "
        f"{number(null['high'])}, their 99th percentile at {number(null['percentile_99'])}, chance at {number(chance)}"
        f". Controls: {'; '.join(mark_text(mark) for mark in controls)}."
    )
    caption = view.caption(f"MRR beside permutations and controls, {title}")
    words = verdict_words(verdict, "aligned", "not aligned")
    reasons = [*verdict["reasons"], f"p = {number(verdict['p'])}, {results['windows']} windows"]
    picture = embed_figure(figure, alt, caption, budget)
    return Verdict(title, words, None if verdict.get("seen") else bool(verdict["aligned"]), reasons, picture)


def _chance(results: Mapping[str, Any], measure: str) -> str:
    return number(results["figures"]["model"].get(measure, {}).get("chance"))


def _table(view: RunView, split: str, results: Mapping[str, Any]) -> Table:
    measures = [name for name in MEASURES if any(name in row for row in results["figures"].values())]
    figures = dict(sorted(results["figures"].items(), key=lambda item: (not item[0].startswith("model"), item[0])))
    rows = [
        Row(_decoder(name), [cell_of(row.get(measure)) for measure in measures], name == "model")
        for name, row in figures.items()
    ]
    null = results.get("permutations", {})
    limits = [Cell(number(null.get(measure, {}).get("percentile_99"))) for measure in measures]
    rows.append(Row("99 % of permutations below", limits))
    rows.append(Row("chance", [Cell(_chance(results, measure)) for measure in measures]))
    caption = view.caption(
        f"{list_title(split)}: {results['windows']} windows, {results['gallery']} sounds, 95 % intervals"
    )
    return Table(caption, ("Decoder", *(MEASURES[name] for name in measures)), rows)


def _decoder(name: str) -> str:
    return name.replace("cca", "CCA").replace(" own", ", fitted to each person").replace(" pooled", ", pooled")


def _subjects(view: RunView, split: str, results: Mapping[str, Any]) -> Table:
    found = [
        row for row in results["retrieval"]
        if row["subject"] is not None and row["direction"] == FORWARD and row["gallery"] is None
    ]  # fmt: skip
    rows = [
        Row(row["subject"], [Cell(str(row["windows"])), *(cell_of(row.get(name)) for name in BY_SUBJECT)])
        for row in found
    ]
    if found:
        chances = [Cell(number(found[0].get(name, {}).get("chance"))) for name in BY_SUBJECT]
        sizes = {row["size"] for row in found}
        rows.append(Row("chance" if len(sizes) == 1 else f"chance of {found[0]['subject']}", [Cell(""), *chances]))
    caption = view.caption(f"{list_title(split)}, each subject on its own, 95 % intervals")
    return Table(caption, ("Subject", "Windows", *BY_SUBJECT.values()), rows)
