"""Examination of a prepared store: its content and its problems."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import RATE
from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Recording, Segment
from eeg2speech.data.preparation.amplitude import PLAUSIBLE
from eeg2speech.data.store.store import Store
from eeg2speech.data.timing import Stretch
from eeg2speech.quality import coupling as couplings
from eeg2speech.quality.coupling import Couplings
from eeg2speech.quality.sound_checks import check_audio, check_clocks, check_presence, check_resemblance
from eeg2speech.quality.spectrum import Shape, describe, power_spectrum, window_length
from eeg2speech.quality.store_checks import (
    Problem,
    check_channels,
    check_dropped,
    check_duplicates,
    check_order,
    check_segments,
    check_units,
    stray_files,
)

FAR = 20.0
"""Robust standard deviations at which training clips the signal."""
HUM = 15.0
"""Decibels above the 1/f part from which a peak outside the alpha band is reported."""


@dataclass
class Tally:
    """Amount of data of one condition or label.

    Attributes:
        segments: Number of segments.
        hours: Their total duration.
    """

    segments: int = 0
    hours: float = 0.0


@dataclass
class Facts:
    """Content of a store.

    Attributes:
        name: Name of the dataset.
        license: License of the raw data.
        simulated: Whether the EEG is simulated.
        rate: EEG samples per second.
        subjects: Labels of the subjects.
        sessions: Labels of the sessions, without the empty one.
        recordings: Number of recordings.
        hours: Hours of EEG.
        segment_hours: Hours of EEG inside segments.
        channels: Number of recordings by number of channels.
        montages: Number of different lists of channel names.
        conditions: Segments by condition.
        labels: Segments by label.
        stimuli: Number of stimuli in segments.
        sounds: Number of stimuli with a sound.
        audio_hours: Hours of sound.
        bad: Names of bad channels by recording.
        amplitude: Median absolute amplitude over channels by subject, in microvolts.
        beyond: Fraction of samples beyond 20 robust standard deviations.
        spectra: Power density by subject, in square microvolts per hertz.
        frequencies: Frequencies of the spectra, in hertz.
        shapes: Slope and peaks of the spectrum by subject.
    """

    name: str
    license: str
    simulated: bool
    rate: float
    subjects: list[str]
    sessions: list[str]
    recordings: int
    hours: float = 0.0
    segment_hours: float = 0.0
    channels: dict[int, int] = field(default_factory=dict)
    montages: int = 0
    conditions: dict[str, Tally] = field(default_factory=dict)
    labels: dict[str, Tally] = field(default_factory=dict)
    stimuli: int = 0
    sounds: int = 0
    audio_hours: float = 0.0
    bad: dict[str, list[str]] = field(default_factory=dict)
    amplitude: dict[str, float] = field(default_factory=dict)
    beyond: float = 0.0
    spectra: dict[str, list[float]] = field(default_factory=dict)
    frequencies: list[float] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)


@dataclass
class Report:
    """Result of an examination.

    Attributes:
        facts: Content of the store.
        problems: Problems, errors first.
        coupling: Coupling of EEG and sound; None where it was not measured.
    """

    facts: Facts
    problems: list[Problem]
    coupling: Couplings | None = None

    @property
    def failed(self) -> bool:
        """Whether there is any error."""
        return any(problem.severity == "error" for problem in self.problems)

    def add_coupling(self, found: Couplings) -> None:
        """Add the coupling of EEG and sound, with its warnings."""
        self.coupling = found
        self.problems += [Problem("warning", text) for text in couplings.problems(found, self.facts.simulated)]


def examine(store: Store, step: Callable[[], None] = lambda: None) -> Report:
    """Examine a store, one memory-mapped recording at a time.

    Args:
        store: Prepared store.
        step: Called after every recording.
    """
    segments: dict[str, list[Segment]] = defaultdict(list)
    for segment in store.segments:
        segments[segment.recording].append(segment)
    facts = _facts(store)
    problems, amplitude = _examine_signals(store, segments, facts, step)
    problems += _examine_sounds(store, segments, facts)
    low_edge, _ = _band(store)
    warnings = check_dropped(store) + check_units(amplitude, low_edge) + check_order(store) + stray_files(store)
    problems += [Problem("error", text) for text in check_duplicates(store)]
    problems += [Problem("warning", text) for text in warnings]
    return Report(facts, sorted(problems, key=lambda problem: problem.severity))


def _facts(store: Store) -> Facts:
    """Facts from the tables of a store."""
    facts = Facts(
        name=store.description.name,
        license=store.description.license,
        simulated=store.description.simulated,
        rate=store.rate,
        subjects=store.subjects,
        sessions=sorted({recording.session for recording in store.recordings} - {""}),
        recordings=len(store.recordings),
        hours=sum(recording.samples for recording in store.recordings) / store.rate / 3600,
        channels=dict(sorted(Counter(recording.channels for recording in store.recordings).items())),
        montages=len({tuple(c.name for c in store.channels(r.recording)) for r in store.recordings}),
        stimuli=len({segment.stimulus for segment in store.segments if segment.stimulus}),
    )
    for segment in store.segments:
        for tallies, key in ((facts.conditions, segment.condition), (facts.labels, segment.label)):
            if key:
                tally = tallies.setdefault(key, Tally())
                tally.segments += 1
                tally.hours += segment.duration / 3600
    return facts


def _examine_signals(
    store: Store, segments: Mapping[str, list[Segment]], facts: Facts, step: Callable[[], None]
) -> tuple[list[Problem], dict[tuple[str, str], float]]:
    """Add amplitudes and spectra to the facts; return problems, and amplitudes by subject and type of channel."""
    problems: list[Problem] = []
    length = window_length(store.segments, store.rate)
    spectra: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    amplitudes: dict[str, list[float]] = defaultdict(list)
    by_kind: dict[tuple[str, str], list[float]] = defaultdict(list)
    beyond = 0
    for recording in store.recordings:
        own, channels = segments.get(recording.recording, []), store.channels(recording.recording)
        facts.segment_hours += _covered(own) / 3600
        problems += check_segments(recording, own, store.rate) + check_channels(recording, channels)
        if bad := [channel.name for channel in channels if channel.status == "bad"]:
            facts.bad[recording.recording] = bad
        try:
            eeg = store.eeg(recording)
        except DataError as error:
            problems.append(Problem("error", str(error)))
        else:
            blocks = store.blocks(recording)
            levels, outside, found = _amplitude(recording, eeg, blocks)
            problems += found
            beyond += outside
            amplitudes[recording.subject].append(_median(levels.values()))
            kinds = [channel.type for channel in channels]
            for kind in PLAUSIBLE.keys() & set(kinds):
                own_levels = [level for row, level in levels.items() if kinds[row : row + 1] == [kind]]
                by_kind[recording.subject, kind].append(_median(own_levels))
            power = power_spectrum(eeg, store.rate, length, own, blocks)
            if power is not None:
                spectra[recording.subject].append(power)
        step()

    facts.beyond = beyond / max(sum(r.channels * r.samples for r in store.recordings), 1)
    facts.amplitude = {subject: float(np.mean(levels)) for subject, levels in amplitudes.items()}
    frequencies = np.fft.rfftfreq(length, 1 / store.rate)
    facts.frequencies = frequencies.tolist()
    for subject, powers in sorted(spectra.items()):
        power = np.mean(powers, axis=0)
        facts.spectra[subject] = power.tolist()
        shape = facts.shapes[subject] = describe(frequencies, power, _band(store)[1])
        if shape.peak_decibels > HUM:
            peak = f"{shape.peak_decibels:.0f} dB at {shape.peak_hertz:g} Hz, perhaps line noise"
            text = f"subject {subject}: peak of {peak}; consider preprocessing.notch={shape.peak_hertz:g}"
            problems.append(Problem("warning", text))
    return problems, {key: float(np.mean(levels)) for key, levels in sorted(by_kind.items())}


def _examine_sounds(store: Store, segments: Mapping[str, list[Segment]], facts: Facts) -> list[Problem]:
    """Add the sounds to the facts and return their problems."""
    lengths, problems = check_audio(store)
    facts.sounds, facts.audio_hours = len(lengths), sum(lengths.values()) / RATE / 3600
    problems += check_presence(store, segments, lengths)
    seconds = {stimulus: samples / RATE for stimulus, samples in lengths.items()}
    warnings = check_clocks(segments, seconds) + check_resemblance(store, seconds)
    return problems + [Problem("warning", text) for text in warnings]


def _covered(segments: list[Segment]) -> float:
    """Seconds inside any segment."""
    covered = end = 0.0
    for segment in sorted(segments, key=lambda s: s.onset):
        last = segment.onset + segment.duration
        covered += max(last - max(segment.onset, end), 0.0)
        end = max(end, last)
    return covered


def _amplitude(
    recording: Recording, eeg: NDArray[np.float32], pieces: Sequence[Stretch]
) -> tuple[dict[int, float], int, list[Problem]]:
    """Median absolute amplitudes by row, samples beyond 20 robust standard deviations, and problems."""
    problems, levels, beyond = [], {}, 0
    for number, whole in enumerate(eeg):
        row = np.concatenate([whole[first:stop] for first, stop in pieces])
        finite = row[np.isfinite(row)]
        if finite.size < row.size:
            text = f"{recording.recording}: row {number} holds {row.size - finite.size} NaN or infinite samples"
            problems.append(Problem("error", text))
        if finite.size == 0 or np.ptp(finite) == 0:
            problems.append(Problem("warning", f"{recording.recording}: row {number} is flat"))
            continue
        distance = np.abs(finite - np.median(finite))
        level = float(np.median(distance))
        levels[number] = level
        beyond += int((distance > FAR * 1.4826 * level).sum())
    return levels, beyond, problems


def _median(levels: Iterable[float]) -> float:
    """Median, 0 where there is none."""
    return float(np.median(list(levels) or [0.0]))


def _band(store: Store) -> tuple[float | None, float]:
    """Edges of the band that was kept, in hertz."""
    band = store.description.settings.get("preprocessing.band")
    low, high = band if isinstance(band, list) and len(band) == 2 else (None, None)
    lower = float(low) if isinstance(low, (int, float)) else None
    return lower, float(high) if isinstance(high, (int, float)) else store.rate / 2
