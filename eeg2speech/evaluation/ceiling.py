"""The ceiling of retrieval on simulated EEG: the ideal observer, computed from the true responses."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.windows import read_montage
from eeg2speech.data.simulation.responses import true_responses
from eeg2speech.metrics import Embeddings
from eeg2speech.metrics.comparison import Comparison
from eeg2speech.metrics.ideal_observer import IdealObserver, NoiseSpectra, Signals, Spectra, multitaper

NOISE_WINDOWS = 4000
"""Training windows, evenly spread over all subjects, from which the noise is estimated."""


class Ceiling:
    """Compares the windows of simulated EEG with the responses to every sound.

    The noise of a recording is estimated from its windows without the response. For each window only the stimuli of
    the other half are used, so that the noise of a window is not part of its own estimate.

    Args:
        data: After ``setup``.
        responses: Response in each recording in microvolts, (channels, samples); see ``true_responses``.
    """

    def __init__(self, data: EEGAudioDataModule, responses: dict[str, NDArray[np.float32]]) -> None:
        self.data, self._responses, self._recordings = data, responses, data.store.recordings
        self._montages = [read_montage(data.store, r, data.scalings[r.recording]) for r in self._recordings]
        self._onsets = {(s.recording, s.stimulus): s.onset - s.offset for s in data.store.segments}
        highest, edge = data.samples // 2 - 1, data.store.description.settings["preprocessing.band"][1]
        self._frequencies = highest if edge is None else min(highest, int(edge * data.window))
        self._observers = self._fit()

    @classmethod
    def of(cls, data: EEGAudioDataModule) -> Ceiling | None:
        """The ceiling of a data module; None where the responses are not known, as in recorded EEG."""
        responses = true_responses(data.store)
        return None if responses is None else cls(data, responses)

    def compare(self, split: SplitName, embeddings: Embeddings) -> Comparison | None:
        """Log-likelihood of the response to every sound of a split, given each window.

        Args:
            split: Of the data.
            embeddings: All windows of the split, in order, as a model embeds them.

        Returns:
            Windows and sounds as in ``embeddings.compare()``; None if there is too little noise to estimate from.
        """
        dataset, (first, target) = self.data.datasets[split], embeddings.gallery()
        sounds = [(w.segment.stimulus, dataset.sound_start(w, w.start)) for w in (dataset.windows[i] for i in first)]
        similarity = np.zeros((len(target), len(first)), np.float32)
        candidates: dict[int, Spectra] = {}
        for batch in self.data.batches(split, audio=False):
            for recording, half, rows in _groups(batch):
                observer = self._observers[recording, half]
                if observer is None:
                    return None
                if recording not in candidates:  # windows come recording by recording, and one set is large
                    candidates = {recording: self._candidates(recording, sounds)}
                windows = multitaper(self._eeg(batch, recording, rows), self._frequencies)
                similarity[batch["index"].numpy()[rows]] = observer.likelihoods(windows, candidates[recording])
        return Comparison(similarity, target, embeddings.subject, embeddings.stimulus, embeddings.start[first])

    def _fit(self) -> dict[tuple[int, int], IdealObserver | None]:
        """Observers by recording and half of the stimuli."""
        noise: dict[tuple[int, int], NoiseSpectra] = defaultdict(NoiseSpectra)
        for split in self.data.datasets:
            for batch in self.data.batches(split, NOISE_WINDOWS, audio=False):
                for recording, half, rows in _groups(batch):
                    starts = np.rint((batch["start"].numpy()[rows] + self.data.lag) * self.data.store.rate)
                    noise_windows = self._eeg(batch, recording, rows) - self._response(recording, starts)
                    noise[recording, 1 - half].add(multitaper(noise_windows, self._frequencies))
        return defaultdict(lambda: None, {key: IdealObserver.fit(one) for key, one in noise.items()})

    def _eeg(self, batch: Batch, recording: int, rows: NDArray[np.intp]) -> Signals:
        """Scaled EEG of some rows of a batch, which are of one recording."""
        return batch["eeg"].numpy()[rows, : len(self._montages[recording].order)]

    def _response(self, recording: int, starts: NDArray[np.floating]) -> Signals:
        """The response from some samples on, scaled as the EEG is, (n, C, T)."""
        response, montage = self._responses[self._recordings[recording].recording], self._montages[recording]
        samples = starts.astype(int)[:, None] + np.arange(self.data.samples)
        windows = response[:, np.clip(samples, 0, response.shape[1] - 1)].transpose(1, 0, 2)
        scaled: Signals = windows[:, montage.order] * montage.gain
        return scaled

    def _candidates(self, recording: int, sounds: list[tuple[str, float]]) -> Spectra:
        """Spectra of the responses to sounds, each a stimulus and a start in it, (G, F, TAPERS, C)."""
        name, rate = self._recordings[recording].recording, self.data.store.rate
        onsets = np.array([self._onsets[name, stimulus] + start for stimulus, start in sounds])
        starts = np.rint((onsets + self.data.lag) * rate)
        return multitaper(self._response(recording, starts), self._frequencies)


def _groups(batch: Batch) -> list[tuple[int, int, NDArray[np.intp]]]:
    """Recording, half of the stimuli, and rows of a batch that share both."""
    recording, half = batch["recording"].numpy(), batch["stimulus"].numpy() % 2
    return [
        (int(r), int(h), np.flatnonzero((recording == r) & (half == h)))
        for r, h in np.unique(np.stack([recording, half]), axis=1).T
    ]
