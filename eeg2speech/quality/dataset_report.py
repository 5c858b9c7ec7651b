"""HTML page about a prepared store: its content, problems, spectra, recordings, and coupling of EEG and sound."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.files import written_beside
from eeg2speech.data.store.store import Store
from eeg2speech.plotting import (
    CouplingRow,
    Figure,
    Row,
    chance_figure,
    coupling_lag_figure,
    montage_figure,
    psd_figure,
    response_figure,
    timeline_figure,
)
from eeg2speech.quality.coupling import FARTHEST, Coupling, Couplings
from eeg2speech.quality.decoding import electrode_places, response_lags
from eeg2speech.quality.doctor import Facts, Report
from eeg2speech.quality.store_checks import one_problem_per_kind
from eeg2speech.quality.timeline import RATE

ROWS = 50
"""Number of recordings in one picture."""
SINGLE = 24
"""Largest number of subjects with a picture of their own, and of montages."""
BANNER = (
    '<div style="background:#b30000;color:white;padding:1em;font-size:1.6em;font-weight:bold;text-align:center">'
    "SIMULATED EEG: nobody was recorded. Results on it show nothing about brains.</div>"
)

Places = NDArray[np.float64]


def write_report(store: Store, report: Report, file: Path) -> None:
    """Write the page as a single file with its pictures, atomically.

    Args:
        store: Prepared store.
        report: Result of its examination.
        file: File to write, ending in ``.html``.

    Raises:
        ConfigError: The file cannot be written.
    """
    import mne  # seconds of imports

    facts = report.facts
    mark = "SIMULATED EEG: " if facts.simulated else ""
    page = mne.Report(title=escape(f"{mark}{facts.name}"), image_format="png", verbose="ERROR")
    if facts.simulated:
        page.add_html(BANNER, "SIMULATED EEG", tags=("simulated",))
    page.add_html(_summary(store, facts), "Dataset", tags=("dataset",))
    page.add_html(_problems(report), "Problems", tags=("problems",))
    coupling = report.coupling
    if coupling is not None:
        page.add_html(_coupling_table(coupling), "Coupling of EEG and sound", tags=("coupling",))
        for title, figures in _coupling_figures(store, coupling, mark):
            captions = [figure.get_suptitle() for figure in figures]
            page.add_figure(figures, title, caption=captions, tags=("coupling",))
    for number, figure in enumerate(_montages(store, mark)):
        title = f"Electrodes {number + 1}" if number else "Electrodes"
        page.add_figure(figure, title, caption=figure.get_suptitle(), tags=("montage",))
    if facts.spectra:
        page.add_figure(spectra_figure(store, facts), "Power spectra", tags=("spectra",))
        page.add_html(_shapes(facts), "Spectra in numbers", tags=("spectra",))
    for number, figure in enumerate(_timelines(store, mark)):
        page.add_figure(figure, f"Recordings {number + 1}" if number else "Recordings", tags=("recordings",))
    content = json.dumps(asdict(store.description), indent=2, ensure_ascii=False, sort_keys=True, default=str)
    page.add_code(content, "dataset.json", language="json", tags=("dataset",))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(file) as partial:
            page.save(partial, open_browser=False, overwrite=True, verbose="ERROR")
    except OSError as error:
        raise ConfigError(f"html={file}: cannot be written ({error.strerror}); choose another place") from error


def _summary(store: Store, facts: Facts) -> str:
    description = store.description
    conditions = ", ".join(f"{key} {tally.hours:.2f} h" for key, tally in sorted(facts.conditions.items()))
    rows = {
        "Licence": description.license,
        "Source": description.source,
        "Cite": description.citation,
        "Subjects": str(len(facts.subjects)),
        "Recordings": f"{facts.recordings}, {facts.hours:.2f} h at {facts.rate:g} Hz",
        "Channels": ", ".join(f"{count} ({times} recordings)" for count, times in facts.channels.items()),
        "Segments": f"{facts.segment_hours:.2f} h" + (f": {conditions}" if conditions else ""),
        "Sounds": f"{facts.sounds} of {facts.stimuli} stimuli, {facts.audio_hours:.2f} h",
        "Bad channels": "; ".join(f"{name}: {', '.join(bad)}" for name, bad in facts.bad.items()) or "none",
    }
    return _table(("", ""), rows.items())


def _problems(report: Report) -> str:
    if not report.problems:
        return "<p>No problems found.</p>"
    return _table(("", "Problem"), one_problem_per_kind(report.problems))


def _coupling_table(couplings: Couplings) -> str:
    rows = []
    for one in [*couplings.subjects, *couplings.overall]:
        numbers = ("-", "-", "-") if one.r is None else (f"{one.r:.3f}", f"{one.null_95:.3f}", f"{one.p:.3f}")
        lag = "-" if one.lag is None else f"{one.lag * 1000:.0f} ms"
        rows.append((one.subject or "all", one.condition, f"{one.minutes:.1f}", *numbers, lag, one.verdict))
    heads = ("Subject", "Condition", "Minutes", "r", "95 % of chance", "p", "Lag of peak", "Verdict")
    if not rows:
        return "<p>No segment of listening or overt speech has a sound.</p>"
    return _table(heads, rows) + (
        "<p>r: cross-validated correlation of the sound's envelope (0.5 to 8 Hz) with its reconstruction from EEG by a "
        "linear decoder. Chance: the same procedure with envelopes shifted in time.</p>"
    )


def _coupling_figures(store: Store, couplings: Couplings, mark: str) -> Iterable[tuple[str, list[Figure]]]:
    for overall in couplings.overall:
        condition = overall.condition
        measured = [one for one in couplings.subjects if one.condition == condition and one.r is not None]
        several = len(measured) > 1
        rows = [
            CouplingRow(one.subject or "all", one.r or 0.0, np.array(one.null), one.verdict == "coupling found")
            for one in [*measured, *([overall] if several else [])]
        ]
        yield f"Against chance, {condition}", [chance_figure(rows, f"{mark}EEG and sound, {condition}")]
        lags = np.round(np.arange(len(overall.by_lag)) / RATE - FARTHEST, 6)
        curves = {"mean of subjects" if several else "subject": np.array(overall.by_lag)}
        curves |= {one.subject: np.array(one.by_lag) for one in measured if several}
        title = f"{mark}Lag of the EEG, {condition}"
        yield f"By lag, {condition}", [coupling_lag_figure(lags, curves, max(overall.null_peaks), title)]
        yield from _responses(store, measured, condition, mark)


def _responses(
    store: Store, measured: Sequence[Coupling], condition: str, mark: str
) -> Iterable[tuple[str, list[Figure]]]:
    """Mean response of the subjects of each montage, and responses of single subjects."""
    groups: dict[tuple[str, ...], list[Coupling]] = defaultdict(list)
    for one in measured:
        groups[one.channels].append(one)
    for names, group in groups.items():
        weights = np.array([one.response for one in group])
        lags = np.array(response_lags()) / RATE
        places = [_places(store, one.subject, names) for one in group]
        title = f"{mark}Response to the envelope, {condition}"
        mean = [response_figure(lags, weights.mean(axis=0), places[0], f"{title}, mean of {len(group)} subjects")]
        yield f"Response, {condition}, {len(names)} channels", mean
        if 1 < len(group) <= SINGLE:
            single = [
                response_figure(lags, rows, place, f"{title}, subject {one.subject}")
                for one, rows, place in zip(group, weights, places, strict=True)
            ]
            yield f"Response of each subject, {condition}, {len(names)} channels", single


def _places(store: Store, subject: str, names: Sequence[str]) -> Places:
    recording = next(r.recording for r in store.recordings if r.subject == subject)
    return electrode_places(store, recording, names)


def _montages(store: Store, mark: str) -> Iterable[Figure]:
    """A picture of each different set of electrodes, the most frequent first."""
    groups: dict[tuple[tuple[str, ...], bytes], list[str]] = defaultdict(list)
    places: dict[tuple[tuple[str, ...], bytes], Places] = {}
    for recording in store.recordings:
        channels = store.channels(recording.recording)
        positions = np.array([(c.x, c.y, c.z) for c in channels]).reshape(-1, 3)
        key = (tuple(c.name for c in channels), np.nan_to_num(positions).round(3).tobytes())
        groups[key].append(recording.recording)
        places[key] = positions
    for key, recordings in sorted(groups.items(), key=lambda item: -len(item[1]))[:SINGLE]:
        names = key[0]
        title = f"{mark}{len(names)} channels of {len(recordings)} recordings, first {recordings[0]}"
        yield montage_figure(places[key], names, title)


def spectra_figure(store: Store, facts: Facts) -> Figure:
    """Power spectra of the subjects of a store, with line frequency and alpha peaks."""
    mark = "SIMULATED EEG: " if facts.simulated else ""
    notch = store.description.settings.get("preprocessing.notch")
    return psd_figure(
        np.array(facts.frequencies),
        {subject: np.array(power) for subject, power in facts.spectra.items()},
        {subject: (shape.slope, shape.intercept) for subject, shape in facts.shapes.items()},
        f"{mark}{facts.name}: power spectrum of every subject, triangles at alpha peaks",
        float(notch) if notch else None,
        {subject: shape.alpha_hertz for subject, shape in facts.shapes.items()},
    )


def _shapes(facts: Facts) -> str:
    rows = (
        (
            subject,
            f"{shape.slope:.1f}",
            f"{shape.alpha_hertz:.1f} Hz",
            f"{shape.alpha_decibels:+.1f} dB",
            f"{facts.amplitude.get(subject, float('nan')):.1f} µV",
        )
        for subject, shape in facts.shapes.items()
    )
    return _table(("Subject", "1/f exponent", "Alpha peak", "Height over 1/f", "Median amplitude"), rows)


def _timelines(store: Store, mark: str) -> Iterable[Figure]:
    segments: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for segment in store.segments:
        segments[segment.recording].append((segment.onset, segment.duration, segment.condition))
    rows = [Row(r.recording, r.samples / store.rate, segments[r.recording]) for r in store.recordings]
    for start in range(0, len(rows), ROWS):
        shown = rows[start : start + ROWS]
        which = f", {start + 1} to {start + len(shown)} of {len(rows)}" if len(rows) > ROWS else ""
        yield timeline_figure(shown, f"{mark}Recordings and their segments{which}")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table; every cell is escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads) if any(heads) else ""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="table table-sm table-striped"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
