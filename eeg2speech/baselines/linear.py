"""Linear decoders on the windows that a network is trained and tested on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.audio.speech_features import NAMES, speech_features
from eeg2speech.baselines.lagged_decoders import CCA, BackwardTRF, LaggedDecoder
from eeg2speech.baselines.moments import Floats, Moments
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.progress import Track, silently
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.windows import Window


@dataclass(frozen=True)
class Method:
    """A kind of linear decoder.

    Attributes:
        make: Creates an unfitted decoder.
        features: Names of its speech features.
    """

    make: Callable[[], LaggedDecoder]
    features: tuple[str, ...] = NAMES

    @property
    def rows(self) -> list[int]:
        """Rows of its features in ``speech_features``."""
        return [NAMES.index(name) for name in self.features]


METHODS: Mapping[str, Method] = {"ridge": Method(BackwardTRF, ("envelope",)), "cca": Method(CCA)}


@dataclass(frozen=True)
class Embedded:
    """Embeddings of windows by a decoder, in the order of the split's windows.

    Attributes:
        eeg: Unit vectors, (n, K).
        sound: Unit vectors, (n, K); the dot product is the similarity.
    """

    eeg: NDArray[np.float32]
    sound: NDArray[np.float32]


@dataclass
class LinearBaselines:
    """Fitted linear decoders, which embed the same windows as the network.

    Attributes:
        channels: Names of the EEG rows; a recording's missing channels are zero, and other channels are left out.
        methods: Kinds of decoders.
        pooled: One decoder per method, fitted on all training subjects together.
        own: For each method the decoder of each training subject, by its index; may be empty.
    """

    channels: list[str]
    methods: Mapping[str, Method]
    pooled: dict[str, LaggedDecoder]
    own: dict[str, dict[int, LaggedDecoder]]

    def embed(self, data: EEGAudioDataModule, split: SplitName, lag: float | None = None) -> dict[str, Embedded]:
        """Embed every window of a split with every decoder.

        Args:
            data: The data module of the fit.
            split: Name of the split.
            lag: Delay of the EEG behind its sound, in seconds; unset: as in fitting.

        Returns:
            By name: ``ridge pooled``, ``cca pooled``, and, if every subject of the split is a training subject,
            ``ridge own`` and ``cca own``. Each subject's own decoder has its own space: K holds one block per subject
            of the split, in which the EEG of other subjects is zero, and the similarities are those of the own
            decoders over the root of the number of subjects.
        """
        names, subjects = _names(data, split), sorted(_by_subject(data, split))
        found: dict[str, list[Embedded]] = {}
        for batch in data.batches(split, lag=lag):
            eeg, features = self.arrange(batch, names), _features(batch)
            for name, method in self.methods.items():
                sound, pooled, own = features[:, method.rows], self.pooled[name], self.own.get(name, {})
                embedded = Embedded(pooled.embed_eeg(eeg), pooled.embed_sound(sound))
                found.setdefault(f"{name} pooled", []).append(embedded)
                if own and set(subjects) <= set(own):
                    blocks = _own([own[one] for one in subjects], eeg, sound, batch["subject"].numpy(), subjects)
                    found.setdefault(f"{name} own", []).append(blocks)
        return {
            name: Embedded(np.concatenate([b.eeg for b in batches]), np.concatenate([b.sound for b in batches]))
            for name, batches in found.items()
        }

    def arrange(self, batch: Batch, names: Mapping[int, Sequence[str]]) -> Floats:
        """EEG of a batch in the order of ``channels``, (B, len(channels), T).

        Args:
            batch: Windows.
            names: Channel names of each recording, by its index, in the order of the batch's channels.
        """
        eeg, recordings = batch["eeg"].numpy(), batch["recording"].numpy()
        place = {name: row for row, name in enumerate(self.channels)}
        out = np.zeros((len(eeg), len(place), eeg.shape[2]), np.float32)
        for recording in np.unique(recordings):
            here = recordings == recording
            for row, name in enumerate(names[int(recording)]):
                if name in place:
                    out[here, place[name]] = eeg[here, row]
        return out


def fit_linear(
    data: EEGAudioDataModule, methods: Mapping[str, Method] = METHODS, own: bool = True, track: Track = silently
) -> LinearBaselines:
    """Fit linear decoders on whole training segments; regularisers and weights are chosen on validation segments.

    Test splits are not used. The moments of one subject and of all subjects together are held in memory.

    Args:
        data: After ``setup``, with ``audio=True``.
        methods: Kinds of decoders.
        own: Also fit one decoder per training subject; a subject without validation segments uses those of all.
        track: Progress over subjects.

    Raises:
        ConfigError: The data module reads no sound.
    """
    if not data.audio:
        raise ConfigError("audio=False: linear baselines need the sound of each window (data.audio)")
    train, validation = _by_subject(data, "train"), _by_subject(data, "val")
    names = _names(data, "train")
    channels = list(dict.fromkeys(name for recording in names.values() for name in recording))
    fitted = LinearBaselines(channels, methods, {}, {name: {} for name in methods if own})
    every = _moments(fitted, data, "val", [window for windows in validation.values() for window in windows])
    total: dict[str, Moments] = {}
    for subject, windows in track(list(train.items())):
        moments = _moments(fitted, data, "train", windows)
        chosen = _moments(fitted, data, "val", validation[subject]) if own and subject in validation else every
        for name, method in methods.items():
            total[name] = total[name] + moments[name] if name in total else moments[name]
            if own:
                fitted.own[name][subject] = method.make().fit_moments(moments[name], chosen[name])
    for name, method in methods.items():
        fitted.pooled[name] = method.make().fit_moments(total[name], every[name])
    return fitted


def _by_subject(data: EEGAudioDataModule, split: SplitName) -> dict[int, list[Window]]:
    """Whole segments of a split, each as one window, by the subject's index."""
    number = {name: index for index, name in enumerate(data.store.subjects)}
    whole: dict[int, list[Window]] = {}
    seen = set()
    for window in data.datasets[split].windows:
        if (window.recording, window.segment) not in seen:
            seen.add((window.recording, window.segment))
            subject = number[data.store.recordings[window.recording].subject]
            whole.setdefault(subject, []).append(replace(window, start=window.first))
    return whole


def _moments(
    fitted: LinearBaselines, data: EEGAudioDataModule, split: SplitName, windows: Sequence[Window]
) -> dict[str, Moments]:
    """Moments of some stretches for each method; the stretches are read one by one."""
    names, total = _names(data, split), dict[str, Moments]()
    decoders = {name: method.make() for name, method in fitted.methods.items()}
    for window in windows:
        reader = copy(data.datasets[split])  # the same scaling, clamp and lag as for the network
        reader.windows, reader.augment = [window], None
        reader.samples = window.last - window.first + data.samples
        batch = reader[0, 0]
        eeg, features = fitted.arrange(batch, names)[0], _features(batch)[0]
        for name, method in fitted.methods.items():
            one = decoders[name].moments([(eeg, features[method.rows])])
            total[name] = total[name] + one if name in total else one
    return total


def _own(
    decoders: Sequence[LaggedDecoder],
    eeg: Floats,
    features: Floats,
    subject: NDArray[np.integer[Any]],
    subjects: Sequence[int],
) -> Embedded:
    """Embeddings with one block for each of ``subjects``, from its own decoder."""
    from_eeg, from_sound = [], []
    for decoder, one in zip(decoders, subjects, strict=True):
        sound = decoder.embed_sound(features) / np.float32(np.sqrt(len(subjects)))
        block = np.zeros_like(sound)
        if (subject == one).any():
            block[subject == one] = decoder.embed_eeg(eeg[subject == one])
        from_eeg.append(block)
        from_sound.append(sound)
    return Embedded(np.concatenate(from_eeg, axis=1), np.concatenate(from_sound, axis=1))


def _features(batch: Batch) -> Floats:
    return np.stack([speech_features(wave) for wave in batch["audio"].numpy()])


def _names(data: EEGAudioDataModule, split: SplitName) -> dict[int, list[str]]:
    """Names of the channels of each recording of a split."""
    recordings = sorted({window.recording for window in data.datasets[split].windows})
    return {recording: [name.lower() for name in data.channel_names(recording)] for recording in recordings}
