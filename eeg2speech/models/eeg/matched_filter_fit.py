"""The fit of matched filters: topographies and noise of each subject, then temporal response functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from eeg2speech.audio.speech_features import NAMES
from eeg2speech.models.eeg.matched_filters import LAGS, RATE, ROWS, SPECTRUM, TAPS, MatchedFilters

SHRINKAGE = 3e-3
"""Share of the mean power of the channels that is added to each, at every frequency."""
STRENGTHS = (0.1, 0.3, 1.0, 3.0)
"""Penalties of the response, as multiples of the variance of a speech feature, to choose from."""
LEAST = 60
"""Seconds of training EEG from which on a subject has filters of its own."""
FEWEST = 20
"""Validation windows that are needed to find a response."""
EVIDENCE = 3.0
"""Standard errors above 0 that the mean cosine in validation windows has to reach for a response to be used."""
ITERATIONS = 4
"""Alternations of topographies and the common response."""

Windows = Iterable[tuple[Tensor, Tensor, Tensor]]
"""Batches of windows: EEG at 100 Hz (B, C, T), sound at 16 kHz (B, S), subject (B,)."""
SlowWindows = Sequence[tuple[Tensor, Tensor, Tensor]]
"""Batches of windows at 50 Hz: EEG (B, C, n), standardised features (B, ROWS, n), subject (B,)."""


@torch.no_grad()
def fit_matched_filters(
    filters: MatchedFilters, train: Windows, validation: Windows, shuffle: bool = False
) -> float | None:
    """Fit filters and responses to training windows, which are read once and kept at 50 Hz in memory.

    Args:
        filters: What is fitted.
        train: Training windows, as the filters receive EEG.
        validation: Windows on which the penalty of the responses is chosen.
        shuffle: Permute the sounds of all windows, for a null; within batches too many would stay in place.

    Returns:
        The penalty; None if no response is found in the validation windows. Then the network alone is compared.
    """
    raw = [(filters.slow(eeg), filters.speech(audio), subject) for eeg, audio, subject in train]
    _fit_levels(filters, [features for _, features, _ in raw])
    windows = [(eeg, filters.standardised(features)[..., : eeg.shape[-1]], subject) for eeg, features, subject in raw]
    del raw
    held_out = list(validation)
    if shuffle:
        windows, held_out = _shuffled(windows), _shuffled(held_out)
    shape = _fit_filters(filters, windows)
    filters.mixing.zero_()
    filters.sound.zero_()
    chosen, best = None, EVIDENCE
    for penalty, mixing, sound in _Responses(filters, windows, shape).solve(filters.components):
        before = filters.mixing, filters.sound
        filters.mixing, filters.sound = mixing.to(filters.mixing), sound.to(filters.sound)
        evidence = _evidence(filters, held_out)
        if evidence > best:
            best, chosen = evidence, penalty
        else:
            filters.mixing, filters.sound = before
    return chosen


def _shuffled(batches: Sequence[tuple[Tensor, Tensor, Tensor]]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Batches of EEG, sounds and subjects with the sounds of all permuted."""
    if not batches:
        return []
    sounds = torch.cat([sound for _, sound, _ in batches])
    order = torch.randperm(len(sounds), generator=torch.Generator().manual_seed(0)).to(sounds.device)
    permuted = torch.split(sounds[order], [len(eeg) for eeg, _, _ in batches])
    return [(eeg, sound, subject) for (eeg, _, subject), sound in zip(batches, permuted, strict=True)]


def _evidence(filters: MatchedFilters, windows: Sequence[tuple[Tensor, Tensor, Tensor]]) -> float:
    """Mean cosine of EEG and the response that its sound predicts, in standard errors; 0 for too few windows."""
    cosines = []
    for eeg, audio, subject in windows:
        measured, predicted = filters.eeg_steps(eeg, subject), filters.sound_steps(audio)
        no_network = measured.new_zeros(len(eeg), measured.shape[1], 0)
        vectors = [filters.join(no_network, side[:, : measured.shape[1]]) for side in (measured, predicted)]
        cosines.append((vectors[0] * vectors[1]).sum(-1))
    cosine = torch.cat(cosines) if cosines else torch.zeros(0)
    if len(cosine) < FEWEST:
        return 0.0
    return float(cosine.mean() / (cosine.std() / len(cosine) ** 0.5).clamp(min=1e-12))


def _fit_levels(filters: MatchedFilters, features: Sequence[Tensor]) -> None:
    """Set the level of the bands, and mean and spread of each row, from speech features at 100 Hz, (B, F, T)."""
    count = sum(len(one) for one in features)
    filters.level.copy_(torch.stack([one[:, 2:].mean((1, 2)).sum() for one in features]).sum() / count)
    mean = torch.cat([filters.adapted(one).mean(2).cpu() for one in features]).double().mean(0)
    spread = [(filters.adapted(one).cpu() - mean[:, None].float()).square().mean(2) for one in features]
    filters.offset.copy_(mean[:, None])
    filters.spread.copy_(torch.cat(spread).double().mean(0).clamp(min=1e-18).sqrt()[:, None])


def _fit_filters(filters: MatchedFilters, windows: SlowWindows) -> Tensor:
    """Set each subject's matched filter.

    Returns:
        What their frequency responses have in common, as a kernel that is applied to the sound, (TAPS,).
    """
    moments = _Moments.of(windows, filters.filters.shape[1])
    topographies = moments.topographies()
    samples = torch.tensor([moments.samples[s] for s in topographies], dtype=torch.float64)
    weight = samples / samples.sum()
    spectra = torch.stack([moments.spectra[s] / moments.samples[s] for s in topographies])
    mean_spectra = torch.einsum("s,sfcd->fcd", weight.to(spectra.dtype), spectra)
    mean_topography = weight @ torch.stack(list(topographies.values()))
    unseen = len(filters.filters) - 1
    matched = {unseen: matched_filter(mean_spectra, mean_topography)}
    for s, own_spectra in zip(topographies, spectra, strict=True):
        if moments.samples[s] >= LEAST * RATE:
            matched[s] = matched_filter(own_spectra, topographies[s])
    gains = torch.stack([gain for _, gain in matched.values()])
    share = torch.tensor([float(moments.samples.get(s, 0)) for s in matched], dtype=torch.float64)
    if not share.any():  # no subject has a filter of its own
        share = torch.ones_like(share)
    common = (share / share.sum()) @ gains
    filters.fitted.zero_()
    for subject, (weights, gain) in matched.items():
        # the gain is applied to the response too: what subjects have in common to the sound, the rest to the EEG
        kernel = kernel_of(weights * gain / common.clamp(min=0.2 * common.max()))
        filters.filters[subject] = (kernel / kernel.norm()).to(filters.filters)
        filters.fitted[subject] = True
    shape = kernel_of(common)
    return torch.div(shape, shape.norm()).to(filters.sound)


@dataclass
class _Moments:
    """Sums over the samples of training windows.

    Attributes:
        features: Products of lagged features with each other, (Q, Q).
        cross: Of EEG with lagged features, by subject, (C, Q).
        covariance: Of EEG, by subject, (C, C).
        spectra: Cross-spectra of EEG, by subject, (SPECTRUM // 2 + 1, C, C).
        samples: Number of samples of EEG, by subject.
    """

    features: Tensor
    cross: dict[int, Tensor]
    covariance: dict[int, Tensor]
    spectra: dict[int, Tensor]
    samples: dict[int, int]

    @classmethod
    def of(cls, windows: SlowWindows, channels: int) -> _Moments:
        """Accumulate moments; features are those without adaptation, which suffice for topographies."""
        moments = cls(torch.zeros(()), {}, {}, {}, {})
        taper = torch.hann_window(SPECTRUM, periodic=False)
        for eeg, features, subject in windows:
            eeg = F.pad(eeg, (0, 0, 0, channels - eeg.shape[1])).cpu()
            lagged = _lagged(F.pad(features[:, : len(NAMES)], (LAGS - 1, 0)).cpu())
            moments.features = moments.features + _products(lagged, lagged)
            pieces = F.pad(eeg, (0, max(0, SPECTRUM - eeg.shape[2]))).unfold(-1, SPECTRUM, SPECTRUM // 2)
            spectra = torch.fft.rfft((pieces - pieces.mean(-1, keepdim=True)) * taper)
            for s in sorted(set(subject.tolist())):
                rows = (subject == s).cpu()
                own = eeg[rows]
                for sums, added in (
                    (moments.cross, _products(own, lagged[rows])),
                    (moments.covariance, _products(own, own)),
                    (moments.spectra, torch.einsum("bckf,bdkf->fcd", spectra[rows], spectra[rows].conj())),
                ):
                    sums[s] = sums.get(s, 0) + added.to(torch.complex128 if added.is_complex() else torch.float64)
                moments.samples[s] = moments.samples.get(s, 0) + own.shape[0] * own.shape[2]
        return moments

    def topographies(self) -> dict[int, Tensor]:
        """Topography of each subject's response, (C,), from a response that all have in common up to topography."""
        subjects = [s for s in self.samples if self.covariance[s].trace() > 0]
        total = sum(self.samples[s] for s in subjects)
        penalised = self.features / sum(self.samples.values())
        penalised = penalised + STRENGTHS[1] * torch.eye(len(penalised), dtype=torch.float64)
        cross = {s: self.cross[s] / self.samples[s] for s in subjects}
        whitening = {s: _whitening(self.covariance[s] / self.samples[s]) for s in subjects}
        weight = {s: self.samples[s] / total for s in subjects}
        average = torch.stack([cross[s] * weight[s] for s in subjects]).sum(0)
        pooled = _whitening(torch.stack([self.covariance[s] / total for s in subjects]).sum(0))
        white = pooled @ average
        first = torch.linalg.eigh(white @ torch.linalg.solve(penalised, white.T)).eigenvectors[:, -1]
        spatial = dict.fromkeys(subjects, pooled.T @ first)
        for _ in range(ITERATIONS):
            filtered = torch.stack([weight[s] * spatial[s] @ cross[s] for s in subjects]).sum(0)
            response = torch.linalg.solve(penalised, filtered)
            topographies = {s: cross[s] @ response for s in subjects}
            for s in subjects:
                direction = whitening[s] @ topographies[s]
                spatial[s] = whitening[s].T @ direction / direction.norm().clamp(min=1e-30)
        return topographies


class _Response(NamedTuple):
    """Temporal response functions of all subjects.

    Attributes:
        penalty: Of the regression that gave them.
        mixing: Share of each component in the TRF of each subject, (S + 1, K).
        sound: Components, as filters of the features, (K, ROWS, LAGS + TAPS - 1).
    """

    penalty: float
    mixing: Tensor
    sound: Tensor


class _Responses:
    """Temporal response functions of filtered EEG: one that all have in common, and each subject's change of it."""

    def __init__(self, filters: MatchedFilters, windows: SlowWindows, shape: Tensor) -> None:
        self._filters, self._shape = filters, shape
        self._unseen = len(filters.filters) - 1
        cross, power, samples = dict[int, Tensor](), dict[int, float](), dict[int, int]()
        products = torch.zeros(())
        for filtered, lagged, row in self._read(windows):
            products = products + _products(lagged, lagged)
            for s in sorted(set(row.tolist())):
                own = filtered[row == s]
                cross[s] = cross.get(s, 0) + _products(own[:, None], lagged[row == s])[0]
                power[s] = power.get(s, 0.0) + own.square().sum().item()
                samples[s] = samples.get(s, 0) + own.numel()
        self._subjects, total = sorted(cross), sum(samples.values())
        scale = {s: (power[s] / samples[s]) ** -0.5 if power[s] else 0.0 for s in self._subjects}
        self._values, self._vectors = torch.linalg.eigh(products / total)
        average = torch.stack([cross[s] * scale[s] for s in self._subjects]).sum(0) / total
        self._common = [self._solve(average, penalty) for penalty in STRENGTHS]
        # products of the features with what the common response leaves of each subject's EEG
        common = torch.stack(self._common).float()
        rest = {s: torch.zeros(len(STRENGTHS), len(average), dtype=torch.float64) for s in self._subjects}
        for filtered, lagged, row in self._read(windows):
            scales = torch.tensor([scale[s] for s in row.tolist()])
            left = scales[:, None, None] * filtered[:, None] - common @ lagged
            for s in sorted(set(row.tolist())):
                rest[s] += _products(left[row == s], lagged[row == s])
        self._rest = {s: rest[s] / samples[s] for s in self._subjects}

    def _read(self, windows: SlowWindows) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Filtered EEG, (B, n), shaped features at all lags, (B, Q, n), and rows of filters, (B,)."""
        for slow, features, subject in windows:
            filtered, row = self._filters.filtered(slow, subject)
            wide = F.pad(features, (LAGS - 1 + TAPS // 2, TAPS // 2))
            shaped = F.conv1d(wide.flatten(0, 1)[:, None], self._shape.flip(0)[None, None])
            yield filtered.cpu(), _lagged(shaped.view(*features.shape[:2], -1).cpu()), row.cpu()

    def _solve(self, target: Tensor, penalty: float) -> Tensor:
        """Solve for a response, (Q,)."""
        rotated = self._vectors.T @ target
        return torch.mv(self._vectors, rotated / (self._values.clamp(min=0) + penalty))

    def solve(self, components: int) -> Iterator[_Response]:
        """Responses for each penalty, of K components."""
        shape = self._shape.cpu()
        for index, (penalty, common) in enumerate(zip(STRENGTHS, self._common, strict=True)):
            # a change of one subject has the data of one
            weaker = penalty * len(self._subjects)
            own = torch.stack([common + self._solve(self._rest[s][index], weaker) for s in self._subjects])
            left, values, right = torch.linalg.svd(own, full_matrices=False)
            rank = min(components, len(values))
            basis = right[:rank] * (values[:rank, None] / values[0].clamp(min=1e-30))
            mixing = torch.zeros(self._unseen + 1, components, dtype=torch.float64)
            mixing[self._subjects, :rank] = left[:, :rank]
            mixing[self._unseen, :rank] = torch.linalg.lstsq(basis.T, common[:, None]).solution[:, 0]
            kernels = rearrange(basis, "k (l f) -> k f l", l=LAGS).to(shape)
            # "full" convolution with the common gain
            shaped = F.conv1d(F.pad(kernels, (TAPS - 1, TAPS - 1)).flatten(0, 1)[:, None], shape.flip(0)[None, None])
            sound = torch.zeros(components, ROWS, LAGS + TAPS - 1)
            sound[:rank] = shaped.view(rank, ROWS, -1)
            yield _Response(penalty, mixing, sound)


def matched_filter(spectra: Tensor, topography: Tensor) -> tuple[Tensor, Tensor]:
    """Matched filter of a topography, (C,), in noise of some cross-spectra, (F, C, C).

    Returns:
        Weights, (C, F), after which the noise is white, and the gain of the response, (F,).
    """
    level = spectra.diagonal(dim1=1, dim2=2).real.mean(1).clamp(min=1e-30)
    eye = torch.eye(spectra.shape[1], dtype=spectra.dtype)
    solved = torch.linalg.solve(spectra + SHRINKAGE * level[:, None, None] * eye, topography.to(spectra.dtype))
    gain = (solved.real @ topography).clamp(min=1e-30).sqrt()
    gain[0] = 0  # the mean of a window is removed
    weights = solved.conj().T / gain.clamp(min=1e-9 * gain.max())
    weights[:, 0] = 0
    return weights, gain


def kernel_of(response: Tensor) -> Tensor:
    """Filter of TAPS samples, its middle at lag 0, with a frequency response, (..., F)."""
    kernel = torch.fft.irfft(response, SPECTRUM).roll(SPECTRUM // 2, -1)
    kernel = torch.cat([kernel, kernel[..., :1]], dim=-1)
    return kernel * torch.hann_window(TAPS + 2, periodic=False, dtype=kernel.dtype)[1:-1]


def _products(first: Tensor, second: Tensor) -> Tensor:
    """Sums over windows and samples of the products of rows, (B, P, n) and (B, Q, n) to (P, Q)."""
    # in single precision, which is twice as fast; sums over batches are in double precision
    sums = rearrange(first, "b p n -> p (b n)") @ rearrange(second, "b q n -> (b n) q")
    return sums.double()


def _lagged(signal: Tensor) -> Tensor:
    """Copies of a signal at each lag of the response, (B, F, n + LAGS - 1) to (B, LAGS * F, n)."""
    return rearrange(signal.unfold(-1, LAGS, 1).flip(-1), "b f t l -> b (l f) t")


def _whitening(covariance: Tensor) -> Tensor:
    """Matrix after which EEG of this covariance, (C, C), is white, (rank, C)."""
    values, vectors = torch.linalg.eigh(covariance)
    there = values > 1e-6 * values.max()
    return torch.div(vectors[:, there], (values[there] + 1e-3 * values.mean()).sqrt()).T
