from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rich.table import Table

from eeg2speech.core.console import table_console
from eeg2speech.metrics.intervals import Interval
from eeg2speech.metrics.results import SpeechResult, SpeechSplit, VariantResult, in_words
from eeg2speech.reporting.console.verdicts import print_line, print_reasons, split_title, verdict_markup

QUALITY = {
    "mel_corr": ("mel r", 2), "band_corr": ("band r", 2), "mcd_dtw": ("MCD dB", 1), "lsd": ("LSD dB", 1),
    "stoi": ("STOI", 2), "estoi": ("ESTOI", 2), "pesq": ("PESQ", 2), "wer": ("WER", 2),
}  # fmt: skip
"""Columns, and digits behind the point. MCD is after dynamic time warping."""
WIDE = 160
"""Columns of a terminal from which on intervals of all figures fit."""


def print_speech(result: SpeechResult, simulated: bool) -> None:
    """Print identification, quality and verdict of every test split.

    A narrow terminal has no room for the intervals of quality, which ``test.json`` holds.

    Args:
        result: Of the evaluation.
        simulated: The EEG is.
    """
    for split, of_split in result.splits.items():
        title, verdict = split_title(split, of_split.verdict.seen), of_split.verdict
        table_console().print(_identification(title, of_split, simulated))
        wide = table_console().width >= WIDE
        table_console().print(_quality(title, of_split, simulated, wide))
        _print_notes(of_split, result.left_out)
        markup = verdict_markup(verdict)
        table_console().print(f"{title}: {markup}  p = {verdict.p:.2g}, z = {verdict.effect.z:.1f}")
        print_reasons(verdict)


def _identification(title: str, split: SpeechSplit, simulated: bool) -> Table:
    """How often the clips of each variant are nearest to their own sound."""
    eeg, verdict = split.variants["eeg"], split.verdict
    table = Table(title=_title("Own sound identified", title, simulated))
    table.add_column(f"{split.windows} clips, {split.gallery} sounds", overflow="fold")
    for point in eeg.identification:
        table.add_column(f"one of {point.gallery}", justify="right", overflow="fold")
    table.add_column(f"EEG better by (of {verdict.way})", justify="right", overflow="fold")
    table.add_column(f"p (of {verdict.way})", justify="right", overflow="fold")
    for name, variant in split.variants.items():
        cells = [_cell(point.estimate) for point in variant.identification]
        judged = variant.among(verdict.way)
        p = "" if judged is None else f"{judged.null.p:.2g}"
        style = "bold" if name == "eeg" else None
        table.add_row(in_words(name), *cells, _cell(verdict.differences.get(name)), p, style=style)
    table.add_row("chance", *(f"{1 / point.gallery:.3g}" for point in eeg.identification), style="dim")
    limits = (f"{point.null.percentile_99:.3g}" for point in eeg.identification)
    table.add_row("99 % of permutations below", *limits, style="dim")
    return table


def _quality(title: str, split: SpeechSplit, simulated: bool, wide: bool) -> Table:
    """How close the clips of each variant are to the recording."""
    names = [name for name in QUALITY if name in split.variants["eeg"].quality]
    table = Table(title=_title("Against the recording", title, simulated, wide))
    table.add_column("", overflow="fold")
    for name in names:
        table.add_column(QUALITY[name][0], justify="right", overflow="fold")
    table.add_column("Frechet", justify="right", overflow="fold")
    table.add_column("copied", justify="right", overflow="fold")
    for name, variant in split.variants.items():
        cells = [_fixed(variant.quality.get(column), QUALITY[column][1], wide) for column in names]
        table.add_row(
            in_words(name), *cells, f"{variant.frechet.value:.3g}", f"{variant.memorised.share:.0%}",
            style="bold" if name == "eeg" else None,
        )  # fmt: skip
    return table


def _print_notes(split: SpeechSplit, left_out: Mapping[str, str]) -> None:
    truth = split.variants["truth"]
    print_line(
        "MCD is after dynamic time warping. Frechet distance from the real sounds of the split, whose halves are "
        f"{truth.frechet.halves:.3g} apart. Copied: nearer to a training sound than 99 % of real ones are, "
        f"{truth.memorised.threshold:.3f}."
    )
    missing = _missing(split.variants)
    if missing:
        print_line(f"Clips left out, silent or no number: {missing}.")
    for name, reason in left_out.items():
        print_line(f"No {QUALITY[name][0]}: {reason}")
    names = split.pretrained_stimuli
    if names:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        print_line(f"The pretrained components were trained on {len(names)} of its {split.stimuli} stimuli: {shown}.")
    else:
        print_line(f"The pretrained components record none of its {split.stimuli} stimuli as trained on.")


def _missing(variants: Mapping[str, VariantResult]) -> str:
    """Which variants have clips without a value, and in which figures where not in all."""
    parts = []
    for name, variant in variants.items():
        for count in sorted(set(variant.missing.values())):
            without = [QUALITY[figure][0] for figure, number in variant.missing.items() if number == count]
            figures = "" if len(without) == len(variant.quality) else f" in {', '.join(without)}"
            parts.append(f"{in_words(name)} {count}{figures}")
    return "; ".join(parts)


def _title(what: str, title: str, simulated: bool, intervals: bool = True) -> str:
    return f"{what}, {title}" + (" [95 % over stimuli]" if intervals else "") + (", SIMULATED EEG" if simulated else "")


def _cell(estimate: Interval | None) -> str:
    return _fixed(estimate, 2, interval=True)


def _fixed(estimate: Interval | None, digits: int, interval: bool) -> str:
    if estimate is None or not np.isfinite(estimate.value):
        return ""
    value = f"{estimate.value:.{digits}f}"
    if not interval or not np.isfinite(estimate.low):
        return value
    return f"{value} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
