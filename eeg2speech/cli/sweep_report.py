"""Statistics of a sweep: means over seeds, and paired differences between the levels of a factor."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eeg2speech.cli.sweep_config import Levels, SweepConfig
from eeg2speech.core.errors import DataError
from eeg2speech.metrics.intervals import Repeated, over_repetitions
from eeg2speech.metrics.results import MODEL, read_results

MEASURES = ("top1", "top10", "mrr", "match_2023", "match_2024")
NOISE = "noise_at_test"
"""Row of the model with noise instead of EEG in the test only; runs trained on noise complete the comparison."""
Cell = tuple[str, str, str]
"""Test split, decoder, measure."""


@dataclass(frozen=True)
class SweepRun:
    """The test of one condition with one seed.

    Attributes:
        levels: Level of each factor.
        seed: Of the run.
        figures: By test split, decoder and measure.
        chance: By test split and measure.
        aligned: Verdict on each test split.
    """

    levels: Levels
    seed: int
    figures: dict[Cell, float]
    chance: dict[tuple[str, str], float]
    aligned: dict[str, bool]


def read_run(file: Path, levels: Levels, seed: int) -> SweepRun:
    """Read the results of a test.

    Args:
        file: ``test.json`` of the run.
        levels: Level of each factor.
        seed: Of the run.

    Raises:
        DataError: The file is damaged or of another version, or not that of an alignment.
    """
    found = read_results(file).alignment
    if found is None:
        raise DataError(f"{file}: without results of an alignment; remove its folder and run again")
    figures: dict[Cell, float] = {}
    chance: dict[tuple[str, str], float] = {}
    try:
        for split, one in found.splits.items():
            for decoder, row in one.figures.items():
                figures |= {(split, decoder, name): row[name].value for name in MEASURES}
            figures[split, NOISE, "mrr"] = one.controls_mrr["noise"].value
            chance |= {(split, name): one.figures[MODEL][name].chance for name in MEASURES}
    except KeyError as error:
        raise DataError(f"{file}: damaged results, {error} is missing; remove its folder and run again") from error
    return SweepRun(levels, seed, figures, chance, {split: one.verdict.aligned for split, one in found.splits.items()})


def report(plan: SweepConfig, runs: Sequence[SweepRun]) -> dict[str, Any]:
    """Summarise a sweep, ready for JSON.

    Returns:
        ``conditions``: means over seeds (or over the levels of ``plan.over``) with 95 % intervals, by test split,
        decoder and measure, and the difference between the model and each decoder. ``differences``: those between each
        level of a factor and its first level, of the model, over all settings of the other factors and within each.
    """
    groups = _grouped(runs, lambda run: {k: v for k, v in run.levels.items() if k != plan.over})
    conditions = [{"levels": levels, **_condition(members, plan.over)} for levels, members in groups]
    return {
        "intervals_over": plan.over or "seeds",
        "conditions": conditions,
        "differences": [
            difference for name in plan.factors if name != plan.over for difference in _differences(plan, name, runs)
        ],
    }


def _condition(runs: Sequence[SweepRun], over: str | None) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    for split in runs[0].aligned:
        cells = [cell for cell in runs[0].figures if cell[0] == split]
        rows: dict[str, dict[str, Any]] = defaultdict(dict)
        leads: dict[str, dict[str, Any]] = defaultdict(dict)
        for cell in cells:
            _, decoder, measure = cell
            rows[decoder][measure] = plain(_repeated([(run, run.figures.get(cell)) for run in runs], over))
            if decoder not in (MODEL, NOISE):
                leads[decoder][measure] = plain(_repeated([(run, _lead(run, cell)) for run in runs], over))
        splits[split] = {
            "figures": dict(rows),
            "model_above": dict(leads),
            "chance": {name: _mean([run.chance[split, name] for run in runs]) for name in MEASURES},
            "aligned": sum(run.aligned[split] for run in runs),
            "runs": len(runs),
        }
    return {"splits": splits}


def _lead(run: SweepRun, cell: Cell) -> float | None:
    split, _, measure = cell
    own, other = run.figures.get((split, MODEL, measure)), run.figures.get(cell)
    return None if own is None or other is None else own - other


def _differences(plan: SweepConfig, factor: str, runs: Sequence[SweepRun]) -> Iterable[dict[str, Any]]:
    first, *others = plan.factors[factor]
    rest = [name for name in plan.factors if name not in (factor, plan.over)]
    settings: list[Levels | None] = [None]  # None: over all settings
    if rest:
        settings += [
            dict(zip(rest, chosen, strict=True)) for chosen in itertools.product(*(plan.factors[n] for n in rest))
        ]
    for level, within in itertools.product(others, settings):
        pairs = list(_pairs(factor, first, level, within or {}, runs))
        if not pairs:
            continue
        splits: dict[str, dict[str, Any]] = defaultdict(dict)
        for split, measure in itertools.product(pairs[0][0].aligned, MEASURES):
            cell = (split, MODEL, measure)
            changes = [
                (b, b.figures[cell] - a.figures[cell]) for a, b in pairs if cell in a.figures and cell in b.figures
            ]
            splits[split][measure] = plain(_repeated(changes, plan.over))
        yield {"factor": factor, "from": first, "to": level, "within": within, "splits": dict(splits)}


def _pairs(
    factor: str, first: str, level: str, within: Levels, runs: Sequence[SweepRun]
) -> Iterable[tuple[SweepRun, SweepRun]]:
    """Pairs of runs that differ in one factor only."""
    known = {(*sorted(run.levels.items()), run.seed): run for run in runs}
    for run in runs:
        if run.levels[factor] == level and all(run.levels[name] == value for name, value in within.items()):
            other = known.get((*sorted({**run.levels, factor: first}.items()), run.seed))
            if other is not None:
                yield other, run


def _repeated(values: Iterable[tuple[SweepRun, float | None]], over: str | None) -> Repeated | None:
    """Mean over repetitions, each the mean of its runs; missing values and NaN are left out."""
    units: dict[str | int, list[float]] = defaultdict(list)
    for run, found in values:
        if found is not None and not math.isnan(found):
            units[run.seed if over is None else run.levels[over]].append(found)
    return over_repetitions([_mean(unit) for unit in units.values()]) if units else None


def _grouped(runs: Sequence[SweepRun], key: Callable[[SweepRun], Levels]) -> list[tuple[Levels, list[SweepRun]]]:
    groups: dict[tuple[tuple[str, str], ...], list[SweepRun]] = defaultdict(list)
    for run in runs:
        groups[tuple(key(run).items())].append(run)
    return [(dict(levels), members) for levels, members in groups.items()]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def plain(found: Repeated | None) -> dict[str, Any] | None:
    """Plain values for JSON; None stands for the interval of a single repetition."""
    if found is None:
        return None
    single = math.isnan(found.low)
    low, high = (None, None) if single else (found.low, found.high)
    return {"mean": found.mean, "low": low, "high": high, "values": list(found.values)}
