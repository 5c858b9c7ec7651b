"""Independent component analysis: artefacts are removed by a linear map over channels, fitted once per subject."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import mne
import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import RawRecording
from eeg2speech.data.electrodes.names import key_of, match_names
from eeg2speech.data.preparation.bad_channels import fill_gaps
from eeg2speech.data.preparation.blocks import Blocks
from eeg2speech.data.preparation.dropouts import between_dropouts
from eeg2speech.data.preparation.filtering import filter_blocks
from eeg2speech.data.preparation.ica_labels import CLASSES, classify_components, eye_correlations, frontal_electrodes

if TYPE_CHECKING:
    pass

FIT_RATE = 200.0
"""Rate of the fit in hertz: ICLabel needs spectra of 1 to 100 Hz."""
FIT_LOW = 1.0
"""Lower edge of the fit's band in hertz: slower drifts would occupy components."""
CHUNK = 30.0
"""Seconds read at once for the fit; chunks are spread over the recordings if these are longer than needed."""
FEWEST_CHANNELS = 4
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ica:
    """Settings of the independent component analysis.

    Attributes:
        method: `iclabel` classifies components by their map, spectrum and autocorrelation (pip install
            eeg2speech[ica]; every electrode's position must be known); `eog` finds those that correlate with EOG
            channels, or with the foremost electrodes if there are none.
        remove: Classes that `iclabel` removes, of muscle, eye, heart, line, channel and other.
        probability: Smallest probability of its class for a component to be removed (`iclabel`).
        correlation: Smallest absolute correlation with an EOG channel, from 1 to 10 Hz, for a component to be removed
            (`eog`).
        variance: As many components as explain this share of the variance...
        components: ... but no more than this, and one less than channels.
        minutes: Length of signal to fit on, spread over the recordings.
        seed: Seed of the fit.
    """

    method: Literal["iclabel", "eog"] = "iclabel"
    remove: list[str] = field(default_factory=lambda: ["eye", "muscle"])
    probability: float = 0.9
    correlation: float = 0.9
    variance: float = 0.99
    components: int = 30
    minutes: float = 5.0
    seed: int = 0

    def check(self) -> None:
        """Check the range of every setting.

        Raises:
            ConfigError: A value is out of range.
        """
        unknown = [name for name in self.remove if name not in CLASSES[1:]]
        if unknown:
            raise ConfigError(
                f"preprocessing.ica.remove={unknown[0]!r} is no kind of artefact; choose from {', '.join(CLASSES[1:])}"
            )
        for name in ("probability", "correlation", "variance"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"preprocessing.ica.{name}={getattr(self, name):g} must lie in (0, 1]")
        if self.components < 2:
            raise ConfigError(f"preprocessing.ica.components={self.components} must be 2 or more")
        if not self.minutes > 0:
            raise ConfigError(f"preprocessing.ica.minutes={self.minutes:g} must be above 0")


@dataclass(frozen=True, eq=False)
class FittedIca:
    """Components of one subject's EEG, and which of them are artefacts.

    Attributes:
        channels: Names of the channels it was fitted on.
        unmixing: Map from microvolts to components, (components, channels). Its rows sum to zero, as do the columns of
            ``mixing``, so the reference does not matter.
        mixing: Map from components to microvolts, (channels, components).
        labels: Most likely class of each component, (components,).
        scores: Probability of the class (`iclabel`) or absolute correlation (`eog`), (components,).
        excluded: Components that are artefacts, ascending.
        variance: Share of the variance of the signal it was fitted on, high-passed at 1 Hz, (components,).
        seconds: Length of that signal.
    """

    channels: tuple[str, ...]
    unmixing: NDArray[np.float64]
    mixing: NDArray[np.float64]
    labels: tuple[str, ...]
    scores: NDArray[np.float64]
    excluded: tuple[int, ...]
    variance: NDArray[np.float64]
    seconds: float

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Map that removes the excluded components from a signal with any reference, (channels, channels).

        The mean of an artefact over channels is not part of the components; an average reference removes it.
        """
        rows = list(self.excluded)
        return np.asarray(np.eye(len(self.channels)) - self.mixing[:, rows] @ self.unmixing[rows])


def fit_ica(
    recordings: Sequence[RawRecording],
    settings: Ica,
    source_name: str,
    bad: Collection[str] = (),
    notch: float | None = None,
) -> FittedIca:
    """Fit components to one subject's recordings, and find those that are artefacts.

    Extended infomax, solved by picard (over ten times faster than by its own natural gradient), is fitted on a few
    minutes of the raw signals: average reference over the good channels, high-passed at 1 Hz, at 200 Hz or the lowest
    rate of the recordings. As filters treat all channels alike, the map can be applied before or after any filter.

    Args:
        recordings: Recordings to fit on, which must not include tested ones.
        settings: Settings of the analysis.
        source_name: The recording or subject, for error messages.
        bad: Names of channels to ignore, besides those marked bad.
        notch: Line frequency in hertz that is removed beforehand, or None.

    Raises:
        ConfigError: A setting is out of range, or an optional package is missing.
        DataError: Too few channels are good in all recordings, or positions are missing that ``iclabel`` needs.

    Reference: Ablin et al. 2018, Faster independent component analysis by preconditioning with Hessian approximations.
    """
    settings.check()
    if find_spec("picard") is None:
        raise ConfigError(
            "preprocessing.ica needs a package that is not installed: pip install eeg2speech[ica], or set it to null"
        )
    channels = _common(recordings, "eeg", bad)
    if len(channels) < FEWEST_CHANNELS:
        raise DataError(
            f"{source_name}: {len(channels)} good EEG channels are common to its recordings, ICA needs at least "
            f"{FEWEST_CHANNELS}; leave it out, or set preprocessing.ica to null"
        )
    eyes = _common(recordings, "eog", bad) if settings.method == "eog" else []
    rate = min([FIT_RATE, *(recording.rate for recording in recordings)])
    eeg, eog = _signal(recordings, channels, eyes, rate, settings.minutes, notch)
    if eeg.shape[1] < 2 * len(channels) ** 2:
        logger.warning("%s: %.0f s are little to separate %d channels", source_name, eeg.shape[1] / rate, len(channels))

    raw = _as_raw(eeg, recordings[0], channels, rate)
    ica = mne.preprocessing.ICA(
        _components(raw.get_data(), settings),
        method="picard",
        fit_params={"extended": True, "ortho": False},  # the objective of extended infomax, reached much sooner
        random_state=settings.seed,
        verbose="ERROR",
    )
    ica.fit(raw, verbose="ERROR")  # no warning: mne has no information that the array is high-passed
    whitener = ica.pre_whitener_.ravel() * 1e6
    directions = ica.pca_components_[: ica.n_components_]
    unmixing = ica.unmixing_matrix_ @ directions / whitener
    mixing = whitener[:, None] * (directions.T @ ica.mixing_matrix_)

    signal = raw.get_data() * 1e6
    sources = unmixing @ signal
    if settings.method == "iclabel":
        labels, scores = classify_components(raw, ica, source_name)
        excluded = np.isin(labels, settings.remove) & (scores >= settings.probability)
    else:
        scores = eye_correlations(sources, eog if eyes else signal[frontal_electrodes(channels, source_name)], rate)
        excluded = scores >= settings.correlation
        labels = ["eye" if is_eye else "other" for is_eye in excluded]
    artefacts = tuple(np.flatnonzero(excluded).tolist())
    variance = np.square(mixing).sum(axis=0) * sources.var(axis=1) / signal.var(axis=1).sum()
    found = ", ".join(f"{labels[k]} {scores[k]:.2f} ({variance[k]:.0%} of variance)" for k in artefacts)
    logger.info("%s: ICA removes %d of %d components: %s", source_name, len(artefacts), len(labels), found or "none")
    seconds = eeg.shape[1] / rate
    return FittedIca(tuple(channels), unmixing, mixing, tuple(labels), scores, artefacts, variance, seconds)


def apply_ica(eeg: NDArray[np.floating], channels: Sequence[str], fitted: FittedIca) -> NDArray[np.floating]:
    """Remove artefacts from a recording of the same subject, in any unit, at any rate, filtered or not.

    Args:
        eeg: Signal or a part of it, without bad channels, (channels, samples).
        channels: Names of its channels, in any order, (channels,).
        fitted: Components and artefacts.

    Returns:
        The signal without the excluded components, with its own reference, (channels, samples).

    Raises:
        DataError: The channels are not those of the fit.
    """
    named = match_names(channels, fitted.channels)
    lacking, extra = set(fitted.channels) - set(named.values()), set(channels) - named.keys()
    if lacking or extra or len(channels) != len(fitted.channels):
        differences = [
            f"{verb} {', '.join(sorted(names))}" for verb, names in (("lacks", lacking), ("adds", extra)) if names
        ]
        raise DataError(
            f"the recording {' and '.join(differences) or 'names a channel twice'}, compared with the "
            f"{len(fitted.channels)} good channels that ICA was fitted on; name these in preprocessing.bad, or fit on "
            "the recording itself"
        )
    order = [fitted.channels.index(named[name]) for name in channels]
    matrix = fitted.matrix[np.ix_(order, order)].astype(eeg.dtype)
    return np.asarray(matrix @ eeg)


def _common(recordings: Sequence[RawRecording], kind: str, bad: Collection[str]) -> list[str]:
    """Channels of a type that are good in every recording, in the order and with the names of the first one."""
    key = key_of(kind)
    left_out = {key(name) for name in bad}
    good = [
        {key(c.name): c.name for c in recording.channels if c.type == kind and c.status == "good"}
        for recording in recordings
    ]
    common = set.intersection(*(set(names) for names in good)) - left_out if good else set()
    return [name for found, name in good[0].items() if found in common] if good else []


def _signal(
    recordings: Sequence[RawRecording],
    channels: list[str],
    eyes: list[str],
    rate: float,
    minutes: float,
    notch: float | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read and filter some minutes of the recordings: EEG and EOG in volts, each (channels, samples)."""
    chunks = []
    for recording in recordings:
        length = round(CHUNK * recording.rate)
        blocks = Blocks.of(recording.eeg.shape[1], recording.breaks, recording.rate, recording.rate)
        for (start, end), _ in blocks.outside(recording.gaps):
            chunks += [(recording, first, min(first + length, end)) for first in range(start, end, length)]
    total = sum((end - first) / recording.rate for recording, first, end in chunks)
    count = max(round(len(chunks) * min(60 * minutes / total, 1)), 1) if chunks else 0
    parts = []
    for number in np.linspace(0, len(chunks) - 1, count).round().astype(int):
        recording, first, end = chunks[number]
        rows = {(c.type, key_of(c.type)(c.name)): row for row, c in enumerate(recording.channels)}
        wanted = [*(("eeg", name) for name in channels), *(("eog", name) for name in eyes)]
        every = np.asarray(recording.eeg[:, first:end], np.float64)
        part = every[[rows[kind, key_of(kind)(name)] for kind, name in wanted]]
        for start, stop in between_dropouts(part, recording.rate):
            fill_gaps(part, np.array([start, stop]))
            parts.append(filter_blocks(part[:, start:stop], recording.rate, rate, (FIT_LOW, None), notch))
    joined = np.concatenate(parts, axis=1)
    return joined[: len(channels)], joined[len(channels) :]


def _as_raw(eeg: NDArray[np.float64], recording: RawRecording, channels: list[str], rate: float) -> mne.io.RawArray:
    """EEG in volts with an average reference, and with those positions that are known."""
    raw = mne.io.RawArray(eeg, mne.create_info(channels, rate, "eeg"), verbose="ERROR")
    places = {c.name: np.array([c.x, c.y, c.z]) for c in recording.channels if c.name in channels}
    raw.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), verbose="ERROR")
    raw.set_eeg_reference("average", verbose="ERROR")
    return raw


def _components(eeg: NDArray[np.float64], settings: Ica) -> int:
    """Number of components; an average reference leaves one direction fewer than channels."""
    shares = np.linalg.eigvalsh(np.cov(eeg))[::-1]
    enough = int(np.searchsorted(np.cumsum(shares) / shares.sum(), settings.variance)) + 1
    return max(min(enough, settings.components, len(eeg) - 1), 2)
