"""Generated speech: spectrograms beside the recording, and identification of its clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eeg2speech.audio import RATE
from eeg2speech.plotting.alignment import Curve
from eeg2speech.plotting.style import PALETTE, Array, grid_behind, single_axes

HERTZ = (500, 1000, 2000, 4000)
"""Frequencies marked on the axis of a spectrogram."""
RANGE = 8.0
"""Largest range of the colours, in nepers (70 dB): digital silence would take half of them."""
COLOURS = tuple(PALETTE[number] for number in (7, 5, 2, 0, 6, 1, 4, 3))
"""Colours of the variants: dark and cool ones for those from the recording, warm ones for those at chance."""
STEP_SECONDS = 0.16
"""Step in which EEG and sound are compared; each has a tick."""


def draw_speech(variants: Mapping[str, Array], clips: Sequence[str], title: str) -> Figure:
    """Spectrograms of the same clips by each variant, on one time axis and one colour scale.

    In the corner of all but the first row is the correlation of the spectrogram with that of the first row.

    Args:
        variants: Waveforms at 16 kHz by name, (n, S) each, the rows of the figure; the first is the recording. Clips of
            NaN are left blank.
        clips: Names of the n clips, the columns of the figure.
        title: Title of the figure.
    """
    images = {name: _spectrograms(waves) for name, waves in variants.items()}
    first = next(iter(images.values()))
    low, high = (float(value) for value in np.nanquantile(first, (0.05, 0.998)))
    low = max(low, high - RANGE)
    seconds = next(iter(variants.values())).shape[-1] / RATE
    shape = (len(variants), len(clips))
    figure = Figure(figsize=(1.1 + 3.1 * shape[1], 0.9 + 1.15 * shape[0]), layout="constrained")
    grid = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    for row, (name, of_variant) in enumerate(images.items()):
        for column, image in enumerate(of_variant):
            axes = grid[row, column]
            drawn = axes.imshow(
                image, aspect="auto", origin="lower", cmap="magma", vmin=low, vmax=max(high, low + 1e-3),
                interpolation="nearest", extent=(0, seconds, -0.5, len(image) - 0.5),
            )  # fmt: skip
            axes.set_facecolor("0.9")
            if row:
                _note(axes, f"r = {_correlation(first[column], image):.2f}")
        grid[row, 0].set_ylabel(f"{name}\nHz", fontsize=9)
    for column, clip in enumerate(clips):
        grid[0, column].set_title(clip, fontsize=9)
        grid[-1, column].set_xlabel("s")
    marked = np.interp(HERTZ, _centres(), np.arange(len(first[0])))
    grid[0, 0].set_yticks(marked, [f"{hertz:g}" for hertz in HERTZ])
    grid[0, 0].set_xticks(np.arange(0, seconds + 1e-6, 5 * STEP_SECONDS))
    grid[0, 0].set_xticks(np.arange(0, seconds + 1e-6, STEP_SECONDS), minor=True)
    for axes in grid.flat:
        axes.tick_params(labelsize=7)
    figure.colorbar(drawn, ax=figure.axes, label="log mel magnitude, peak at 0.5", fraction=0.02, shrink=0.7, aspect=40)
    figure.suptitle(title, fontsize=10)
    return figure


def draw_identification(results: Mapping[str, Curve], title: str) -> Figure:
    """Identification of each variant's clips, by the number of sounds to choose from.

    Args:
        results: By variant; x is the number of sounds to choose from, the same for all. A grey bar behind each point
            shows the permutations; NaN leaves out the bar or the point.
        title: Title of the figure.
    """
    ways = next(iter(results.values())).x
    figure, axes = single_axes(2.6 + 0.3 * len(ways) * (len(results) + 1), 4.4, title)
    places = np.arange(len(ways)) * (len(results) + 1.5)
    for number, (name, curve) in enumerate(results.items()):
        x, colour = places + number, COLOURS[number % len(COLOURS)]
        label = "" if number else "permutations within stimuli, 95 %"  # one entry of the legend for all
        axes.bar(x, curve.null_high - curve.null_low, 0.8, curve.null_low, color="0.85", lw=0, label=label)
        reach = np.nan_to_num(np.stack([curve.value - curve.low, curve.high - curve.value])).clip(min=0)
        axes.errorbar(x, curve.value, reach, fmt="o", ms=5, lw=1.6, capsize=2.5, color=colour, label=name)
    chance = next(iter(results.values())).chance
    ends = np.stack([places - 0.7, places + len(results) - 0.3])
    axes.hlines(chance, *ends, color="0.3", lw=1, ls="--", label="chance", zorder=3)
    axes.set_xticks(places + (len(results) - 1) / 2, [f"one of {way:g}" for way in ways])
    axes.tick_params(axis="x", length=0)
    axes.set(ylabel="matching sound identified, 95 % over stimuli", ylim=(0, 1.03))
    grid_behind(axes, "y")
    figure.legend(loc="outside right center", fontsize=8, frameon=False)
    return figure


def draw_fidelity(
    curve: Mapping[str, Sequence[float]], others: Mapping[str, Sequence[float]], chance: float, title: str
) -> Figure:
    """Identification against the Frechet distance, of a curve and of single points.

    Args:
        curve: Frechet distance, identification and its bounds by label, connected in this order.
        others: The same of variants that have no such setting.
        chance: Of the identification.
        title: Title of the figure.
    """
    figure, axes = single_axes(5.6, 4.2, title)
    own = np.array(list(curve.values()), dtype=np.float64)
    lines = {"speech from EEG, by start": (own, "o-"), **{name: (np.array([one]), "s") for name, one in others.items()}}
    for number, (name, (points, form)) in enumerate(lines.items()):
        x, value, low, high = points.T
        reach = np.nan_to_num(np.stack([value - low, high - value])).clip(min=0)
        axes.errorbar(x, value, reach, fmt=form, ms=5, lw=1.4, capsize=2.5, color=COLOURS[number], label=name)
    for label, (x, value, *_) in curve.items():
        axes.annotate(label, (x, value), textcoords="offset points", xytext=(6, 5), fontsize=8)
    axes.axhline(chance, color="0.3", lw=1, ls="--", label="chance")
    axes.set_xlabel("Frechet distance from real sounds (lower is more natural)")
    axes.set(ylabel="matching sound identified, 95 % over stimuli", ylim=(0, 1.03))
    grid_behind(axes, "both")
    axes.legend(fontsize=8, frameon=False)
    return figure


def draw_spectrogram(mel: NDArray[np.floating], loudest: float) -> Figure:
    """A log mel spectrogram without axes.

    Args:
        mel: Natural logarithms of band magnitudes, (L, F).
        loudest: Value of the brightest colour; 8 below it is black, so that pictures can be compared.
    """
    figure = Figure(figsize=(3.2, 1.2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(
        mel.T, origin="lower", aspect="auto", cmap="magma", vmin=loudest - RANGE, vmax=loudest, interpolation="nearest"
    )
    axes.set_axis_off()
    return figure


def _spectrograms(waves: Array) -> Array:
    """Log mel spectrograms at the same loudness, (n, 64, frames); NaN for clips of NaN."""
    import torch  # seconds of imports, which `eeg2speech doctor` avoids

    from eeg2speech.audio.mel import LogMel, level

    sound = torch.from_numpy(np.asarray(waves, np.float32))
    images: Array = LogMel()(level(sound)).transpose(1, 2).numpy()
    return images


def _centres() -> Array:
    """Centre frequencies of the bands in hertz, (64,)."""
    from eeg2speech.audio.mel import FFT, slaney_bank  # imports torch

    bank = slaney_bank().numpy()
    bins = np.arange(bank.shape[1]) * RATE / FFT
    centres: Array = bank @ bins / bank.sum(axis=1)
    return centres


def _correlation(target: Array, predicted: Array) -> float:
    if not np.isfinite(predicted).all() or min(target.std(), predicted.std()) < 1e-6:
        return float("nan")
    return float(np.corrcoef(target.ravel(), predicted.ravel())[0, 1])


def _note(axes: Axes, text: str) -> None:
    box = {"facecolor": "black", "alpha": 0.5, "lw": 0, "pad": 1.5}
    axes.text(0.985, 0.94, text, transform=axes.transAxes, ha="right", va="top", fontsize=7, color="white", bbox=box)
