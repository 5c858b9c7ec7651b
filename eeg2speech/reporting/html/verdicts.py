"""Verdicts on the page: words, reasons, and a picture of the model's figure with controls and chance."""

from __future__ import annotations

from eeg2speech.metrics import Estimate
from eeg2speech.metrics.results import Results
from eeg2speech.metrics.summary import SplitVerdict, main_figures, split_verdicts
from eeg2speech.plotting import Mark, compared_figure
from eeg2speech.reporting.html.embed import Budget, embed_figure
from eeg2speech.reporting.html.views import Picture, RunView, VerdictView, cell_note, number

MAX_DRAWN = 2.0
"""Largest value of a figure that is drawn; larger errors would hide the differences between others."""


def show_verdicts(view: RunView, results: Results, budget: Budget) -> None:
    """Add the verdicts of a test and the headline of the overview."""
    found = split_verdicts(results.compared)
    for one in found:
        picture = _picture(view, one, budget)
        view.verdicts.append(VerdictView(one.title, one.words, one.outcome, one.reasons, picture))
    if found:
        own = found[0].estimate
        interval = "; ".join(filter(None, (cell_note(own), f"{found[0].chance_name}: {number(own.chance)}")))
        view.headline = (found[0].words, f"{found[0].measure} {number(own.value)}", interval)
    else:
        nmse = main_figures(results).get("nmse")
        view.headline = ("not judged", "" if nmse is None else f"NMSE {number(nmse)}", "")


def _picture(view: RunView, verdict: SplitVerdict, budget: Budget) -> Picture | None:
    own, null, chance = verdict.own, verdict.null, verdict.estimate.chance
    drawn = {name: one for name, one in verdict.compared.items() if one.value <= MAX_DRAWN or name == own}
    figure = compared_figure(
        [Mark(name, one.value, one.low, one.high, name == own) for name, one in drawn.items()],
        None if null is None else (null.low, null.high),
        None if null is None else null.percentile_99,
        chance,
        view.caption(verdict.title),
        verdict.label,
        verdict.chance_name,
    )
    alt = f"{verdict.label}. {'; '.join(estimate_text(name, one) for name, one in drawn.items())}."
    beyond = [f"{name} {number(one.value)}" for name, one in verdict.compared.items() if name not in drawn]
    left_out = f"; not drawn, above {MAX_DRAWN:g}: {', '.join(beyond)}" if beyond else ""
    if null is not None:
        alt += (
            f" 95 % of {null.permutations} permutations lie from {number(null.low)} to {number(null.high)}, their 99th "
            f"percentile at {number(null.percentile_99)}, {verdict.chance_name} at {number(chance)}."
        )
    else:
        alt += f" A line marks {verdict.chance_name} at {number(chance)}."
    return embed_figure(figure, alt, view.caption(f"{verdict.label}, {verdict.title}{left_out}"), budget)


def estimate_text(name: str, estimate: Estimate) -> str:
    """A named estimate in words, for alternative texts."""
    interval = cell_note(estimate)
    return f"{name} {number(estimate.value)}" + (f" (95 % interval {interval})" if interval else "")
