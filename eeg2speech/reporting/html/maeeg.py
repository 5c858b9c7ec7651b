"""Stage 1 and the encoder of sound: how well hidden patches are filled in, and what can be read from the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eeg2speech.checkpoints.training_record import UNJUDGED, seen_text
from eeg2speech.plotting import compared_figure
from eeg2speech.reporting.html.embed import Budget, embed_figure
from eeg2speech.reporting.html.figures import cell_of, mark_of, mark_text
from eeg2speech.reporting.html.origin import list_order, list_title
from eeg2speech.reporting.html.views import Cell, Row, RunView, Section, Table, Verdict, number

OWN = "MAEEG"
FIGURE = "NMSE"
SHOWN = 2.0
"""Errors above this many variances are left to the table, or they would crowd what matters into a corner."""


def show_reconstruction(view: RunView, test: Mapping[str, Any], budget: Budget) -> None:
    """Add what the test of an autoencoder found."""
    found = test.get("reconstruction")
    if found is None:
        _plain(view, test)
        return
    lists = {split: found["lists"][split] for split in sorted(found["lists"], key=list_order)}
    for split, methods in lists.items():
        view.verdicts.append(_verdict(view, split, methods, seen_text(test, split), budget))
    cell = cell_of(next(iter(lists.values())).get(OWN), "nmse")
    view.headline = (view.verdicts[0].words, Cell(f"{FIGURE} {cell.text}", cell.note))
    view.sections.append(Section("Figures", f"{found.get('measure', FIGURE)}.", (_table(view, lists),)))
    if test.get("probes"):
        tables = [_probes(view, question, probes) for question, probes in test["probes"].items()]
        text = "A linear or nearest-neighbour classifier on the frozen encoder, 95 % intervals."
        view.sections.append(Section("What can be read from the encoder", text, tables))


def _plain(view: RunView, test: Mapping[str, Any]) -> None:
    """A test without comparison: the encoder of sound."""
    errors = {key: value for key, value in test.get("metrics", {}).items() if key.endswith("/nmse")}
    if not errors:
        view.notes.append("The test compared the model with nothing, so there is no verdict.")
        return
    rows = [Row(list_title(key.split("/")[1]), (Cell(number(value)), Cell("1")), True) for key, value in errors.items()]
    view.headline = ("not judged", Cell(f"{FIGURE} {number(next(iter(errors.values())))}"))
    table = Table(view.caption("error on hidden patches"), ("List", FIGURE, "Mean"), rows, "1 is predicting the mean.")
    view.sections.append(Section("Figures", "No interval and no other method: nothing is judged by these.", (table,)))


def _verdict(view: RunView, split: str, methods: Mapping[str, Any], seen: str, budget: Budget) -> Verdict:
    marks = sorted((mark_of(name, row, name == OWN, "nmse") for name, row in methods.items()), key=lambda m: m.value)
    own = next((mark for mark in marks if mark.own), None)
    others = [mark for mark in marks if not mark.own]
    title = list_title(split, bool(seen))
    if own is None or not others:
        return Verdict(title, "not compared", None, ("The test ran no other method.",))
    best = others[0]
    if own.high < best.low:
        words, good = f"better than every other method ({best.name} is next)", True
    elif own.low > best.high:
        words, good = f"worse than {best.name}", False
    else:
        words, good = f"not to be told from {best.name}", None
    if seen:
        words, good = UNJUDGED, None
    reasons = [f"The list is not unseen: {seen}."] if seen else []
    reasons += [
        f"{mark_text(own)}; {mark_text(best)}. Predicting the mean gives 1. Told by whether the intervals overlap."
    ]
    shown = [mark for mark in marks if mark.value <= SHOWN or mark.own]
    figure = compared_figure(
        shown, None, None, 1.0, view.caption(title), f"{FIGURE}, less is better", "predicting the mean"
    )
    alt = f"{FIGURE} by method, the smallest first: {'; '.join(mark_text(mark) for mark in shown)}. A line stands at 1."
    picture = embed_figure(figure, alt, view.caption(f"{FIGURE} on hidden patches, {title}"), budget)
    return Verdict(title, words, good, reasons, picture)


def _table(view: RunView, lists: Mapping[str, Any]) -> Table:
    methods = dict.fromkeys(name for rows in lists.values() for name in rows)
    rows = [Row(name, [cell_of(rows.get(name), "nmse") for rows in lists.values()], name == OWN) for name in methods]
    caption = view.caption(f"{FIGURE} on hidden patches, 95 % intervals")
    note = "Less is better; 1 is predicting the mean, which is what knowing nothing gives."
    return Table(caption, ("Method", *(list_title(split) for split in lists)), rows, note)


def _probes(view: RunView, question: str, probes: Mapping[str, Any]) -> Table:
    kinds = list(dict.fromkeys(kind for found in probes.values() for kind in found))
    rows = [
        Row(name, [cell_of(found.get(kind), "accuracy") for kind in kinds], name == "encoder")
        for name, found in probes.items()
    ]
    chance = next((one["chance"] for found in probes.values() for one in found.values()), None)
    rows.append(Row("chance", [Cell(number(chance))] * len(kinds)))
    return Table(view.caption(f"accuracy in telling {question.replace('-', ' ')}"), ("Features", *kinds), rows)
