"""Simulated EEG of people who listen to speech, determined by the speech, a signal-to-noise ratio and a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio import RATE, Waveform
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Channel, RawRecording, Segment, Source
from eeg2speech.data.simulation import background
from eeg2speech.data.simulation.evoked import evoke, make_listener
from eeg2speech.data.simulation.features import FEATURES, FRAME_RATE, HOP, Features, speech_features
from eeg2speech.data.simulation.head import choose_electrodes, make_head
from eeg2speech.data.simulation.speech import Speech

SIMULATOR_VERSION = 1
"""Increased with every change of the simulated data, so that cached data are simulated again."""

_MARGIN = 2 * FRAME_RATE  # frames of rest before the first and after the last sound


@dataclass(frozen=True)
class Simulation:
    """Settings of the simulation.

    Attributes:
        subjects: Number of subjects. The data of a subject do not depend on it.
        channels: Number of electrodes, 8 to 64, or their names in the 10-20 system.
        snr: Power of the response relative to that of 1/f activity and alpha rhythm in decibels, both from 0.5 to
            30 Hz and averaged over electrodes. -20 is easy to decode, -25 to -28 is like real recordings, and -inf
            omits the response, so that nothing can be decoded.
        seed: Seed of every random number.
        passages: Number of sounds that are played, from the first on; 0 for all.
        rate: Samples per second of the recording, a whole number.
        background: Root mean square of the 1/f activity in microvolts.
        alpha: Strength of the alpha rhythm relative to the 1/f activity.
        blinks: Mean peak of a blink in microvolts where it is largest.
        line: Typical line noise in microvolts.
        line_frequency: Line frequency in hertz.
        sensor: Typical noise of amplifier and skin in microvolts, root mean square.

    Raises:
        ConfigError: A value outside its range.
    """

    subjects: int = 8
    channels: int | list[str] = 32
    snr: float = -20.0
    seed: int = 0
    passages: int = 0
    rate: float = 200.0
    background: float = 10.0
    alpha: float = 0.15
    blinks: float = 60.0
    line: float = 6.0
    line_frequency: float = 50.0
    sensor: float = 2.5

    def __post_init__(self) -> None:
        choose_electrodes(self.channels)
        _check(self.subjects >= 1, "subjects", self.subjects, "choose 1 or more")
        _check(self.snr < math.inf, "snr", self.snr, "choose decibels, or -inf for no response")
        _check(self.passages >= 0, "passages", self.passages, "choose 1 or more, or 0 for all")
        whole = math.isfinite(self.rate) and self.rate == int(self.rate) and self.rate >= FRAME_RATE
        _check(whole, "rate", self.rate, f"choose a whole number of hertz from {FRAME_RATE} on")
        _check(0 < self.background < math.inf, "background", self.background, "choose microvolts above 0")
        for name in ("alpha", "blinks", "line", "sensor"):
            _check(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "choose 0 or more")
        below = 0 < self.line_frequency < self.rate / 2
        _check(below, "line_frequency", self.line_frequency, f"choose hertz above 0 and below {self.rate / 2:g}")

    @property
    def electrodes(self) -> tuple[str, ...]:
        """Names of the electrodes."""
        return choose_electrodes(self.channels)

    @property
    def subject_names(self) -> list[str]:
        """Labels of the subjects."""
        return [f"sub-{subject:02d}" for subject in range(1, self.subjects + 1)]

    @property
    def is_null(self) -> bool:
        """Whether the response is omitted."""
        return self.snr == -math.inf

    def settings(self) -> dict[str, Any]:
        """Every setting as JSON allows; an SNR of minus infinity becomes the text ``-inf``."""
        return asdict(self) | {"snr": "-inf" if self.is_null else float(self.snr)}


class _Stream(IntEnum):
    """Uses of random numbers: each has numbers of its own, which no other use shifts."""

    POPULATION = 1
    ORDER = 2
    LISTENER = 3
    ONGOING = 4
    ALPHA = 5
    BLINKS = 6
    LINE = 7
    SENSOR = 8


@dataclass(frozen=True)
class _Stimulus:
    """A sound with its features, which the null does not need."""

    wave: Waveform
    text: str
    features: Features | None

    @property
    def frames(self) -> int:
        return -(-len(self.wave) // HOP)


def demo_sources(speech: Mapping[str, Speech], simulation: Simulation, inputs: tuple[Path, ...] = ()) -> list[Source]:
    """Simulated recordings, one per subject, in the form that readers yield.

    Args:
        speech: Sounds by stimulus id.
        simulation: Settings of the simulation.
        inputs: Files of the sounds, if they are the user's own.

    Raises:
        ConfigError: More passages are requested than there are sounds.
    """
    available = len(speech)
    if simulation.passages > available:
        raise ConfigError(
            f"passages={simulation.passages} (simulation.passages): there are {available}; choose {available} or fewer"
        )
    names = sorted(speech)[: simulation.passages or available]
    # without features, the null cannot depend on the sounds
    features = {} if simulation.is_null else speech_features({name: speech[name].wave for name in names})
    stimuli = {name: _Stimulus(speech[name].wave, speech[name].text, features.get(name)) for name in names}
    labels = simulation.subject_names
    return [
        Source(label, label, "", "", inputs, partial(_record, stimuli, simulation, subject, label))
        for subject, label in enumerate(labels, start=1)
    ]


def response_recordings(
    waves: Mapping[str, Waveform], simulation: Simulation, labels: Sequence[str]
) -> Iterator[tuple[str, RawRecording]]:
    """The responses that simulated recordings contain, without any other activity, by subject.

    Args:
        waves: Sounds at 16 kHz by stimulus id, all that were played.
        simulation: Settings of the simulation, with a response.
        labels: Subjects whose responses are returned.

    Raises:
        DataError: The sounds are silent.
    """
    features = speech_features(waves)
    stimuli = {name: _Stimulus(wave, "", features[name]) for name, wave in waves.items()}
    for subject, label in enumerate(simulation.subject_names, start=1):
        if label in labels:
            order, seconds = _timeline(stimuli, simulation, subject)
            activity = _ongoing_and_alpha(simulation, subject, seconds)
            response = _response(stimuli, order, simulation, subject, activity, label)
            yield label, _raw(stimuli, order, response, simulation, label)


def _record(stimuli: Mapping[str, _Stimulus], simulation: Simulation, subject: int, label: str) -> RawRecording:
    """Simulate one subject's recording."""
    order, seconds = _timeline(stimuli, simulation, subject)
    microvolts = _ongoing_and_alpha(simulation, subject, seconds)
    if not simulation.is_null:
        microvolts += _response(stimuli, order, simulation, subject, microvolts, label)
    _add_artefacts(microvolts, simulation, subject)
    return _raw(stimuli, order, microvolts, simulation, label)


def _raw(
    stimuli: Mapping[str, _Stimulus],
    order: list[tuple[str, int]],
    microvolts: NDArray[np.float32],
    simulation: Simulation,
    label: str,
) -> RawRecording:
    """A signal in microvolts, (C, samples), as a recording with a segment for each sound."""
    head = make_head(simulation.electrodes)
    places = zip(head.names, head.positions.tolist(), strict=True)
    return RawRecording(
        eeg=microvolts * np.float32(1e-6),
        rate=simulation.rate,
        channels=[Channel(name, "eeg", *position) for name, position in places],
        segments=[
            Segment(
                recording=label,
                onset=start / FRAME_RATE,
                duration=len(stimuli[name].wave) / RATE,
                stimulus=name,
                offset=0.0,
                condition="listening",
                text=stimuli[name].text,
            )
            for name, start in order
        ],
        stimuli={name: partial(_waveform, sound.wave) for name, sound in stimuli.items()},
    )


def _timeline(
    stimuli: Mapping[str, _Stimulus], simulation: Simulation, subject: int
) -> tuple[list[tuple[str, int]], int]:
    """Sounds with their first frames, and the duration of the recording in seconds."""
    order = _schedule(stimuli, _rng(simulation, _Stream.ORDER, subject))
    last = order[-1]
    return order, math.ceil((last[1] + stimuli[last[0]].frames + _MARGIN) / FRAME_RATE)


def _schedule(stimuli: Mapping[str, _Stimulus], rng: np.random.Generator) -> list[tuple[str, int]]:
    """Sounds in random order, 1 to 2 s apart, each with its first frame of 10 ms."""
    names, start, order = sorted(stimuli), _MARGIN, []
    for number in rng.permutation(len(names)):
        order.append((names[number], start))
        start += stimuli[names[number]].frames + int(rng.integers(FRAME_RATE, 2 * FRAME_RATE + 1))
    return order


def _response(
    stimuli: Mapping[str, _Stimulus],
    order: list[tuple[str, int]],
    simulation: Simulation,
    subject: int,
    activity: NDArray[np.float32],
    label: str,
) -> NDArray[np.float32]:
    """Response to all sounds in microvolts, (C, samples), at the SNR to the other activity, (C, samples)."""
    features = np.zeros((len(FEATURES), activity.shape[1] // int(simulation.rate) * FRAME_RATE), np.float32)
    for name, start in order:
        rows = stimuli[name].features
        assert rows is not None, "only the null has no features"
        features[:, start : start + rows.shape[1]] = rows
    listener = make_listener(
        make_head(simulation.electrodes),
        _rng(simulation, _Stream.LISTENER, subject),
        _rng(simulation, _Stream.POPULATION, 0),
    )
    evoked = evoke(listener, features, simulation.rate)
    power = background.band_power(evoked, simulation.rate)
    if not power > 0:
        raise DataError(f"{label}: the sounds are silent, so that no SNR can be set; use other sounds")
    wanted = background.band_power(activity, simulation.rate) * 10 ** (simulation.snr / 10)
    return np.float32(math.sqrt(wanted / power)) * evoked


def _ongoing_and_alpha(simulation: Simulation, subject: int, seconds: int) -> NDArray[np.float32]:
    """Activity in microvolts, (C, samples), relative to which the SNR is defined."""
    head, samples = make_head(simulation.electrodes), seconds * int(simulation.rate)
    signal = background.ongoing(head, _rng(simulation, _Stream.ONGOING, subject), samples, simulation.rate)
    rhythm = background.alpha(head, _rng(simulation, _Stream.ALPHA, subject), samples, simulation.rate)
    signal += np.float32(simulation.alpha) * rhythm
    signal *= np.float32(simulation.background)
    return signal


def _add_artefacts(microvolts: NDArray[np.float32], simulation: Simulation, subject: int) -> None:
    """Add blinks, line noise and sensor noise to a signal in microvolts, (C, samples)."""
    head, (channels, samples), rate = make_head(simulation.electrodes), microvolts.shape, simulation.rate
    lids = background.blinks(head, _rng(simulation, _Stream.BLINKS, subject), samples, rate)
    microvolts += np.float32(simulation.blinks) * lids
    mains = _rng(simulation, _Stream.LINE, subject)
    hum = background.line_noise(channels, mains, samples, rate, simulation.line_frequency)
    microvolts += np.float32(simulation.line) * hum
    noise = background.sensor_noise(channels, _rng(simulation, _Stream.SENSOR, subject), samples)
    microvolts += np.float32(simulation.sensor) * noise


def _rng(simulation: Simulation, stream: _Stream, subject: int) -> np.random.Generator:
    return np.random.default_rng(mix(simulation.seed, stream, subject))


def _waveform(wave: Waveform) -> tuple[Waveform, float]:
    return wave, float(RATE)


def _check(valid: bool, name: str, value: object, remedy: str) -> None:
    if not valid:
        raise ConfigError(f"{name}={value} (simulation.{name}): {remedy}")
