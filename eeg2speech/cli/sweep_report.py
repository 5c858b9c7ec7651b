"""What the runs of a sweep found: means over seeds, and differences between runs that share everything else."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eeg2speech.cli.sweep_config import Levels, SweepConfig
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import float_or_nan
from eeg2speech.metrics.seeds import Repeated, over_repetitions

MEASURES = ("top1", "top10", "mrr", "match_2023", "match_2024")
NOISE = "model, noise at test"
"""The model on noise in place of the EEG: beside runs that were trained on noise, the table of four cells."""
MODEL = "model"
Cell = tuple[str, str, str]
"""Test list, decoder, measure."""


@dataclass(frozen=True)
class Run:
    """A condition with one seed.

    Attributes:
        levels: Level of each factor.
        seed: Of the run.
        figures: By test list, decoder and measure.
        chance: By test list and measure.
        aligned: Verdict on each test list.
    """

    levels: Levels
    seed: int
    figures: dict[Cell, float]
    chance: dict[tuple[str, str], float]
    aligned: dict[str, bool]


def read_run(file: Path, levels: Levels, seed: int) -> Run:
    """Read what a test found.

    Raises:
        DataError: It is no test of an alignment.
    """
    figures: dict[Cell, float] = {}
    chance: dict[tuple[str, str], float] = {}
    try:
        lists = json.loads(file.read_text(encoding="utf-8"))["alignment"]["lists"]
        for part, found in lists.items():
            for decoder, row in found["figures"].items():
                figures |= {(part, decoder, name): float_or_nan(row[name]["value"]) for name in MEASURES}
            figures[part, NOISE, "mrr"] = float_or_nan(found["controls, mrr"]["noise"]["value"])
            chance |= {(part, name): float_or_nan(found["figures"][MODEL][name]["chance"]) for name in MEASURES}
        aligned = {part: bool(found["verdict"]["aligned"]) for part, found in lists.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file}: not the test.json of an alignment ({error!r}); remove its folder and run again"
        ) from error
    return Run(levels, seed, figures, chance, aligned)


def report(plan: SweepConfig, runs: Sequence[Run]) -> dict[str, Any]:
    """Summarise a sweep, ready for JSON.

    Returns:
        ``conditions``: for each, means over seeds (or over the levels of ``plan.over``) with 95 % intervals, by test
        list, decoder and measure, and the model's lead over each decoder. ``differences``: what each level of a factor
        adds to its first, of the model, over all settings of the other factors and within each of them.
    """
    groups = _grouped(runs, lambda run: {k: v for k, v in run.levels.items() if k != plan.over})
    conditions = [{"levels": levels, **_condition(members, plan.over)} for levels, members in groups]
    return {
        "intervals over": plan.over or "seeds",
        "conditions": conditions,
        "differences": [
            difference for name in plan.factors if name != plan.over for difference in _differences(plan, name, runs)
        ],
    }


def _condition(runs: Sequence[Run], over: str | None) -> dict[str, Any]:
    lists: dict[str, Any] = {}
    for part in runs[0].aligned:
        cells = [cell for cell in runs[0].figures if cell[0] == part]
        rows: dict[str, dict[str, Any]] = defaultdict(dict)
        lead: dict[str, dict[str, Any]] = defaultdict(dict)
        for cell in cells:
            _, decoder, measure = cell
            rows[decoder][measure] = plain(_repeated([(run, run.figures.get(cell)) for run in runs], over))
            if decoder not in (MODEL, NOISE):
                lead[decoder][measure] = plain(_repeated([(run, _lead(run, cell)) for run in runs], over))
        lists[part] = {
            "figures": dict(rows),
            "model above": dict(lead),
            "chance": {name: _mean([run.chance[part, name] for run in runs]) for name in MEASURES},
            "aligned": sum(run.aligned[part] for run in runs),
            "runs": len(runs),
        }
    return {"lists": lists}


def _lead(run: Run, cell: Cell) -> float | None:
    part, _, measure = cell
    own, other = run.figures.get((part, MODEL, measure)), run.figures.get(cell)
    return None if own is None or other is None else own - other


def _differences(plan: SweepConfig, factor: str, runs: Sequence[Run]) -> Iterable[dict[str, Any]]:
    first, *others = plan.factors[factor]
    rest = [name for name in plan.factors if name not in (factor, plan.over)]
    settings: list[Levels | None] = [None]  # over all of them
    if rest:
        settings += [
            dict(zip(rest, chosen, strict=True)) for chosen in itertools.product(*(plan.factors[n] for n in rest))
        ]
    for level, within in itertools.product(others, settings):
        pairs = list(_pairs(factor, first, level, within or {}, runs))
        if not pairs:
            continue
        lists: dict[str, dict[str, Any]] = defaultdict(dict)
        for part, measure in itertools.product(pairs[0][0].aligned, MEASURES):
            cell = (part, MODEL, measure)
            changes = [
                (b, b.figures[cell] - a.figures[cell]) for a, b in pairs if cell in a.figures and cell in b.figures
            ]
            lists[part][measure] = plain(_repeated(changes, plan.over))
        yield {"factor": factor, "from": first, "to": level, "within": within, "lists": dict(lists)}


def _pairs(factor: str, first: str, level: str, within: Levels, runs: Sequence[Run]) -> Iterable[tuple[Run, Run]]:
    """Runs that differ in one factor alone."""
    known = {(*sorted(run.levels.items()), run.seed): run for run in runs}
    for run in runs:
        if run.levels[factor] == level and all(run.levels[name] == value for name, value in within.items()):
            other = known.get((*sorted({**run.levels, factor: first}.items()), run.seed))
            if other is not None:
                yield other, run


def _repeated(values: Iterable[tuple[Run, float | None]], over: str | None) -> Repeated | None:
    """Over repetitions, each the mean of its runs; values that do not exist (NaN among them) are left out."""
    units: dict[str | int, list[float]] = defaultdict(list)
    for run, found in values:
        if found is not None and not math.isnan(found):
            units[run.seed if over is None else run.levels[over]].append(found)
    return over_repetitions([_mean(unit) for unit in units.values()]) if units else None


def _grouped(runs: Sequence[Run], key: Callable[[Run], Levels]) -> list[tuple[Levels, list[Run]]]:
    groups: dict[tuple[tuple[str, str], ...], list[Run]] = defaultdict(list)
    for run in runs:
        groups[tuple(key(run).items())].append(run)
    return [(dict(levels), members) for levels, members in groups.items()]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def plain(found: Repeated | None) -> dict[str, Any] | None:
    """For JSON, which has no NaN."""
    if found is None:
        return None
    single = math.isnan(found.low)
    low, high = (None, None) if single else (found.low, found.high)
    return {"mean": found.mean, "low": low, "high": high, "values": list(found.values)}
