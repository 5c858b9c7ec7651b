"""What is seen on the pictures of a run, for those who do not see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eeg2speech.reporting.html.figures import mark_of, mark_text
from eeg2speech.reporting.html.views import number

SEEN = {
    "speech": "Spectrograms of some held-out windows, one row each; a column for each arm, the recording first.",
    "cosines": "Histograms of the cosine of EEG windows with their own sound, with the closest other sound, and with "
    "all other sounds; the further the first lies to the right of the others, the better. Medians stand in the legend.",
    "plane": "Scatter plot of EEG windows (dots) and sounds (triangles) in the first two components of the common "
    "space, coloured by stimulus; lines join some windows with their sounds.",
    "response": "Above, heads at the peaks of the response, red and blue where EEG rises and falls with the sound; "
    "below, each electrode's weights from 0.2 s before to 0.6 s after the sound, and in black how far they are apart.",
    "reconstruction": "One window by time: whole, with hidden patches greyed out, and reconstructed. Where traces of "
    "channels follow below, the recording is black and predictions of hidden stretches are orange.",
    "error_topomap": "Head seen from above, coloured by the squared error of hidden patches over the variance at each "
    "electrode; yellow is an error as large as the signal.",
}


def describe(kind: str, caption: str, results: Mapping[str, Any]) -> str:
    """What is seen on a picture, with the figures that are its message.

    Args:
        kind: As its file is named, without the list.
        caption: Below it; empty of a kind that is not known.
        results: Of its list, from ``test.json``; may be empty.
    """
    words = _COUNTED[kind](results) if kind in _COUNTED else SEEN.get(kind, "")
    return words or f"Picture of {caption or kind.replace('_', ' ')}; no description is known of it."


def _similarity(results: Mapping[str, Any]) -> str:
    top = results.get("figures", {}).get("model", {}).get("top1")
    share = "" if top is None else f" In the whole list {number(100 * top['value'])} % of windows find their sound."
    return (
        "Matrix of one subject: windows of EEG from top to bottom, sounds from left to right, dark where similar. The "
        f"right sounds lie on the diagonal; dots mark the sound that each window finds, green where it is right.{share}"
    )


def _lags(results: Mapping[str, Any]) -> str:
    curve = results.get("lag curve, mrr")
    if not curve:
        return ""
    best = max(curve, key=lambda lag: curve[lag]["value"])
    others = [figure["value"] for lag, figure in curve.items() if lag != best]
    rest = f", at every other lag at most {number(max(others))}" if others else ""
    return (
        f"Mean reciprocal rank when EEG is read later or earlier than in training: highest at {best} s "
        f"({number(curve[best]['value'])}){rest}; chance {number(curve[best]['chance'])}."
    )


def _galleries(results: Mapping[str, Any]) -> str:
    found = results.get("galleries")
    if not found:
        return ""
    told_by_measure = []
    for measure, points in found.items():
        points = [point for point in points if point.get("gallery") is not None]
        told_by_measure += [
            f"{measure} among {point['gallery']} sounds {number(point['value'])} (chance {number(point['chance'])})"
            for point in (points[0], points[-1])
        ]
    return f"Accuracy against the number of sounds to choose from, falling: {'; '.join(told_by_measure)}."


def _electrodes(results: Mapping[str, Any]) -> str:
    drops = results.get("electrodes", {}).get("drop in mrr")
    if not drops:
        return ""
    ranked = sorted(drops, key=lambda name: -drops[name]["value"])[:5]
    most = ", ".join(f"{name} {number(drops[name]['value'])}" for name in ranked)
    return f"Head seen from above, red where silence costs most. Largest drops in MRR around: {most}."


def _identification(results: Mapping[str, Any]) -> str:
    found = results.get("identification")
    if not found:
        return ""
    way = str(results["verdict"]["way"])
    marks = [mark_of(arm, ways[way]) for arm, ways in found.items() if way in ways]
    return (
        f"Share of clips whose own sound is found, by arm. Among {way}: {'; '.join(mark_text(mark) for mark in marks)}."
    )


_COUNTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "similarity": _similarity,
    "lags": _lags,
    "galleries": _galleries,
    "electrodes": _electrodes,
    "identification": _identification,
}
