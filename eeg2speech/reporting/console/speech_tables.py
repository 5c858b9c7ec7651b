from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from eeg2speech.checkpoints.training_record import verdict_words
from eeg2speech.core.console import table_console
from eeg2speech.evaluation.speech_results import PartResults, VariantResults
from eeg2speech.metrics import Interval
from eeg2speech.metrics.speech import left_out

QUALITY = {
    "mel_corr": ("mel r", 2), "band_corr": ("band r", 2), "mcd_dtw": ("MCD dB", 1), "lsd": ("LSD dB", 1),
    "stoi": ("STOI", 2), "estoi": ("ESTOI", 2), "pesq": ("PESQ", 2), "wer": ("WER", 2),
}  # fmt: skip
"""Columns, and digits behind the point. MCD is after dynamic time warping."""
WIDE = 160
"""Columns of a terminal from which on intervals of all figures fit."""


def print_identification(split: str, results: PartResults, simulated: bool) -> None:
    """Print how often each arm's clips are nearest to their own sound.

    Args:
        split: Name of the list, in words.
        results: Of the list.
        simulated: The EEG is.
    """
    ways = list(results.arms["eeg"].identification)
    table = Table(title=_title("Own sound found", split, simulated))
    table.add_column(f"{results.windows} clips, {results.gallery} sounds", overflow="fold")
    for way in ways:
        table.add_column(f"one of {way}", justify="right", overflow="fold")
    way = results.verdict.way
    table.add_column(f"EEG better by (of {way})", justify="right", overflow="fold")
    table.add_column(f"p (of {way})", justify="right", overflow="fold")
    for name, arm in results.arms.items():
        cells = [_cell(arm.identification[way]) for way in ways]
        better = _cell(results.verdict.differences.get(name))
        p = f"{arm.nulls[way].p:.2g}" if way in arm.nulls else ""
        table.add_row(name, *cells, better, p, style="bold" if name == "eeg" else None)
    nulls = results.arms["eeg"].nulls
    table.add_row("chance", *(f"{1 / way:.3g}" for way in ways), style="dim")
    table.add_row("99 % of permutations below", *(f"{nulls[way].threshold:.3g}" for way in ways), style="dim")
    table_console().print(table)


def print_quality(split: str, results: PartResults, simulated: bool) -> None:
    """Print how close each arm's clips are to the recording; arguments as in ``print_identification``.

    A narrow terminal has no room for the intervals, which ``test.json`` holds.
    """
    wide = table_console().width >= WIDE
    names = [name for name in QUALITY if name in results.arms["eeg"].quality]
    table = Table(title=_title("Against the recording", split, simulated, wide))
    table.add_column("", overflow="fold")
    for name in names:
        table.add_column(QUALITY[name][0], justify="right", overflow="fold")
    table.add_column("Frechet", justify="right", overflow="fold")
    table.add_column("copied", justify="right", overflow="fold")
    for name, arm in results.arms.items():
        cells = [_fixed(arm.quality.get(column), QUALITY[column][1], wide) for column in names]
        table.add_row(
            name, *cells, f"{arm.frechet.value:.3g}", f"{arm.memorised.share:.0%}",
            style="bold" if name == "eeg" else None,
        )  # fmt: skip
    table_console().print(table)
    first = results.arms["truth"]
    _line(
        "MCD is after dynamic time warping. Frechet distance from the list's real sounds, of which two halves are "
        f"{first.frechet.halves:.3g} apart. Copied: nearer to a training sound than 99 % of real ones are, "
        f"{first.memorised.threshold:.3f}."
    )
    without = _missing(results.arms)
    if without:
        _line(f"Clips left out, silent or no number: {without}.")
    for name, reason in left_out().items():
        _line(f"No {QUALITY[name][0]}: {reason}")


def print_verdict(split: str, results: PartResults) -> None:
    """Print whether EEG carries speech information, how sure that is, and why."""
    verdict = results.verdict
    word = verdict_words(
        vars(verdict), "[bold green]EEG CARRIES SPEECH INFORMATION[/]", "[bold red]NO SPEECH INFORMATION[/]", "informed"
    )
    table_console().print(f"{split}: {word}  p = {verdict.p:.2g}, z = {verdict.effect.z:.1f}")
    for reason in verdict.reasons:
        _line(f"  {reason}")


def print_trained(stimuli: Sequence[str], count: int) -> None:
    """Print which sounds of a list the pretrained parts, which speak but hear no EEG, had been trained on.

    Args:
        stimuli: Their names.
        count: Stimuli in the list.
    """
    if stimuli:
        shown = ", ".join(stimuli[:10]) + (", ..." if len(stimuli) > 10 else "")
        _line(f"The pretrained parts of the model were trained on {len(stimuli)} of its {count} stimuli: {shown}.")
    else:
        _line(f"The pretrained parts of the model say of none of its {count} stimuli that they were trained on it.")


def _missing(arms: dict[str, VariantResults]) -> str:
    """Which arms have clips without a value, and in which figures where not in all."""
    parts = []
    for name, arm in arms.items():
        for count in sorted(set(arm.missing.values())):
            without = [QUALITY[key][0] for key, number in arm.missing.items() if number == count]
            figures = "" if len(without) == len(arm.quality) else f" in {', '.join(without)}"
            parts.append(f"{name} {count}{figures}")
    return "; ".join(parts)


def _title(what: str, split: str, simulated: bool, intervals: bool = True) -> str:
    return f"{what}, {split}" + (" [95 % over stimuli]" if intervals else "") + (", SIMULATED EEG" if simulated else "")


def _cell(figure: Interval | None) -> str:
    return _fixed(figure, 2, interval=True)


def _fixed(figure: Interval | None, digits: int, interval: bool) -> str:
    if figure is None or not np.isfinite(figure.value):
        return ""
    value = f"{figure.value:.{digits}f}"
    if not interval or not np.isfinite(figure.low):
        return value
    return f"{value} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"


def _line(text: str) -> None:
    table_console().print(text, highlight=False, markup=False)
