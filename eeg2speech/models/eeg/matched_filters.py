"""Matched filters beside the network: EEG filtered against the noise, and the response that a sound predicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.audio.speech_features import NAMES, SpeechFeatures
from eeg2speech.models.eeg.subject import own_or_mean

RATE = 50
"""Samples per second: EEG and features at 100 Hz are averaged in pairs."""
STEP = 8
"""Samples of a step of 160 ms."""
ADAPTATION = 0.25
"""Time constant of the adaptation of a mel band to its recent level, in seconds."""
ROWS = 2 * len(NAMES)
"""Speech features and adapted speech features."""
LAGS = 28
"""Lags of the response behind the sound, 0 to 0.54 s."""
SPECTRUM = 64
"""Samples of the cross-spectra of the noise, 1.28 s."""
TAPS = SPECTRUM + 1
"""Length of the filters of EEG."""
SHRINKAGE = 3e-3
"""Share of the mean power of the channels that is added to each, at every frequency."""
STRENGTHS = (0.1, 0.3, 1.0, 3.0)
"""Penalties of the response, as multiples of the variance of a speech feature, to choose from."""
SILENT = 1e-4
"""Norm of a window's courses that is not distinguished from silence."""
LEAST = 60
"""Seconds of training EEG from which on a subject has filters of its own."""
FEWEST = 20
"""Validation windows that are needed to find a response."""
START = 1.5
"""Logit of the weight of the matched filters beside a network that has not been trained."""
EVIDENCE = 3.0
"""Standard errors above 0 that the mean cosine in validation windows has to reach for a response to be used."""
ITERATIONS = 4
"""Alternations of topographies and the common response."""

Windows = Iterable[tuple[Tensor, Tensor, Tensor]]
"""Batches of windows: EEG at 100 Hz (B, C, T), sound at 16 kHz (B, S), subject (B,)."""
Slow = tuple[Tensor, Tensor, Tensor]
"""A batch of windows at 50 Hz: EEG (B, C, n), standardised features (B, ROWS, n), subject (B,)."""


class MatchedFilters(nn.Module):
    """Compares EEG with the response that a linear forward model predicts for a sound.

    The response of a subject is a topography times the speech features convolved with a temporal response function
    (TRF). EEG is filtered by the topography and the inverse cross-spectra of the subject's noise, which is the matched
    filter of this response, a beamformer at every frequency. Each subject has a TRF of its own, shrunk towards that of
    all; the TRFs are combinations of K components. A subject without training data has the mean topography, noise and
    TRF. Nothing is trained by gradients but the weight of the comparison.

    Reference: Van Veen et al. 1997 for the beamformer; Lalor and Foxe 2010 for the TRF.

    Args:
        subjects: Size of the subject index.
        channels: Most channels of a window; channel i has to be the same electrode in all.
        components: Components of the TRFs, K.
    """

    filters: Tensor
    mixing: Tensor
    sound: Tensor
    level: Tensor
    offset: Tensor
    spread: Tensor
    shape: Tensor
    fitted: Tensor

    def __init__(self, subjects: int, channels: int, components: int) -> None:
        super().__init__()
        self.components = components
        # the last row is for subjects without a fit
        self.register_buffer("filters", torch.zeros(subjects + 1, channels, TAPS))
        self.register_buffer("mixing", torch.zeros(subjects + 1, components))
        self.register_buffer("fitted", torch.zeros(subjects + 1, dtype=torch.bool))
        self.register_buffer("sound", torch.zeros(components, ROWS, LAGS + SPECTRUM))
        self.register_buffer("shape", torch.zeros(TAPS), persistent=False)  # until the responses are fitted
        self.register_buffer("level", torch.ones(()))
        self.register_buffer("offset", torch.zeros(ROWS, 1))
        self.register_buffer("spread", torch.ones(ROWS, 1))
        self.share = nn.Parameter(torch.tensor(START))
        self.speech = SpeechFeatures()

    @property
    def features(self) -> int:
        """Values of a step."""
        return self.components * STEP

    def eeg_steps(self, eeg: Tensor, subject: Tensor) -> Tensor:
        """Filter EEG, (B, C, T), of subjects by index, -1 for an unseen one, (B,), to (B, L, K * STEP)."""
        with torch.autocast(eeg.device.type, enabled=False):
            course, row = self.filtered(self._slow(eeg.float()), subject)
            return _steps(course[:, None] * self.mixing[row].float()[:, :, None])

    def sound_steps(self, audio: Tensor) -> Tensor:
        """Responses that sounds, (B, S) at 16 kHz, predict, (B, L, K * STEP)."""
        with torch.autocast(audio.device.type, enabled=False):
            features = F.pad(self.standardised(self.speech(audio)), (LAGS - 1 + SPECTRUM // 2, SPECTRUM // 2))
            return _steps(F.conv1d(features.float(), self.sound.float().flip(-1)))

    def join(self, network: Tensor, steps: Tensor) -> Tensor:
        """Unit vectors of windows, (B, L * (E + K * STEP)).

        The dot product of two is a weighted mean of the network's similarity and the cosine of the courses of EEG and
        response, over all components together.

        Args:
            network: Unit vectors of the network, (B, L, E).
            steps: Of ``eeg_steps`` or ``sound_steps``, (B, L, K * STEP).
        """
        courses = rearrange(steps.float(), "b l (k t) -> b k (l t)", k=self.components)
        courses = (courses - courses.mean(-1, keepdim=True)).flatten(1)
        unit = F.normalize(courses, dim=-1, eps=SILENT)
        share = self.share.sigmoid()
        # where there are no courses, as in silence, the network has all of the weight
        of_network = (1 - share * unit.square().sum(1)).clamp(min=0)
        matched = rearrange(unit, "b (k l t) -> b l (k t)", k=self.components, t=STEP)
        return torch.cat([of_network.sqrt()[:, None, None] * network, share.sqrt() * matched], dim=-1).flatten(1)

    def standardised(self, features: Tensor) -> Tensor:
        """Speech features at 100 Hz, (B, F, T), and their adapted form, at 50 Hz and centred, (B, ROWS, n)."""
        features = F.avg_pool1d((self._adapted(features) - self.offset) / self.spread, 100 // RATE)
        return features - features.mean(-1, keepdim=True)

    def _adapted(self, features: Tensor) -> Tensor:
        """Speech features, (B, F, T), with each band also divided by its recent level, (B, ROWS, T)."""
        bands = features[:, 2:]
        keep = torch.exp(torch.tensor(-1 / (100 * ADAPTATION), device=bands.device))
        reach = int(100 * 6 * ADAPTATION)
        decay = (1 - keep) * keep ** torch.arange(reach, device=bands.device, dtype=bands.dtype)
        mean = bands.mean(-1, keepdim=True)  # the level before the window
        recent = F.conv1d(F.pad((bands - mean).flatten(0, 1)[:, None], (reach - 1, 0)), decay.flip(0)[None, None])
        adapted = bands / (self.level + mean + recent.view_as(bands)).clamp(min=1e-9)
        envelope = adapted.mean(1, keepdim=True)
        onset = F.pad(envelope.diff(dim=-1), (1, 0)).clamp(min=0)
        return torch.cat([features, envelope, onset, adapted], dim=1)

    @staticmethod
    def _slow(eeg: Tensor) -> Tensor:
        slow = F.avg_pool1d(eeg, 100 // RATE)
        return slow - slow.mean(-1, keepdim=True)

    @torch.no_grad()
    def fit(self, train: Windows, validation: Windows, shuffle: bool = False) -> float | None:
        """Fit filters and responses to training windows, which are read once and kept at 50 Hz in memory.

        Args:
            train: Training windows, as the filters receive EEG.
            validation: Windows on which the penalty of the responses is chosen.
            shuffle: Permute the sounds of all windows, for a null; within batches too many would stay in place.

        Returns:
            The penalty; None if no response is found in the validation windows. Then the network alone is compared.
        """
        raw = [(self._slow(eeg), self.speech(audio), subject) for eeg, audio, subject in train]
        self._fit_levels([features for _, features, _ in raw])
        windows = [(eeg, self.standardised(features)[..., : eeg.shape[-1]], subject) for eeg, features, subject in raw]
        del raw
        held_out = list(validation)
        if shuffle:
            windows, held_out = _shuffled(windows), _shuffled(held_out)
        self._fit_filters(windows)
        self.mixing.zero_()
        self.sound.zero_()
        chosen, best = None, EVIDENCE
        for strength, mixing, sound in _Responses(self, windows).solve(self.components):
            before = self.mixing, self.sound
            self.mixing, self.sound = mixing.to(self.mixing), sound.to(self.sound)
            evidence = self._evidence(held_out)
            if evidence > best:
                best, chosen = evidence, strength
            else:
                self.mixing, self.sound = before
        return chosen

    def _fit_filters(self, windows: Sequence[Slow]) -> None:
        """Set each subject's matched filter, and the shape that is applied to the sound in place of the EEG."""
        moments = _Moments.of(windows, self.filters.shape[1])
        topographies = moments.topographies()
        samples = torch.tensor([moments.samples[s] for s in topographies], dtype=torch.float64)
        weight = samples / samples.sum()
        spectra = torch.stack([moments.spectra[s] / moments.samples[s] for s in topographies])
        average = torch.einsum("s,sfcd->fcd", weight.to(spectra.dtype), spectra)
        mean = weight @ torch.stack(list(topographies.values()))
        matched = {self._unseen: _matched(average, mean)}
        for s, cross_spectra in zip(topographies, spectra, strict=True):
            if moments.samples[s] >= LEAST * RATE:
                matched[s] = _matched(cross_spectra, topographies[s])
        gains = torch.stack([gain for _, gain in matched.values()])
        own = torch.tensor([float(moments.samples.get(s, 0)) for s in matched], dtype=torch.float64)
        common = (own if own.any() else torch.ones_like(own)) @ gains / (own.sum() if own.any() else len(own))
        self.fitted.zero_()
        for subject, (weights, gain) in matched.items():
            # the gain is applied to the response too: what subjects have in common to the sound, the rest to the EEG
            kernel = _kernel(weights * gain / common.clamp(min=0.2 * common.max()))
            self.filters[subject] = (kernel / kernel.norm()).to(self.filters)
            self.fitted[subject] = True
        shape = _kernel(common)
        self.shape.copy_(shape / shape.norm())

    def filtered(self, slow: Tensor, subject: Tensor) -> tuple[Tensor, Tensor]:
        """Courses of EEG at 50 Hz, (B, C, n) to (B, n), and the row of each window's filter, (B,)."""
        row = own_or_mean(subject, self.fitted[:-1])
        kernels = self.filters.index_select(0, row)[:, : slow.shape[1]].to(slow.dtype)
        courses = F.conv1d(
            slow.flatten(0, 1)[None],
            kernels.flip(-1).flatten(0, 1)[:, None],
            padding=TAPS // 2,
            groups=slow.shape[0] * slow.shape[1],
        )
        return courses.view_as(slow).sum(1), row

    @property
    def _unseen(self) -> int:
        return len(self.filters) - 1

    def _evidence(self, windows: Sequence[tuple[Tensor, Tensor, Tensor]]) -> float:
        """Mean cosine of EEG and the response that its sound predicts, in standard errors; 0 for too few windows."""
        found = []
        for eeg, audio, subject in windows:
            ours, theirs = self.eeg_steps(eeg, subject), self.sound_steps(audio)
            nothing = ours.new_zeros(len(eeg), ours.shape[1], 0)
            vectors = [self.join(nothing, side[:, : ours.shape[1]]) for side in (ours, theirs)]
            found.append((vectors[0] * vectors[1]).sum(-1))
        cosine = torch.cat(found) if found else torch.zeros(0)
        if len(cosine) < FEWEST:
            return 0.0
        return float(cosine.mean() / (cosine.std() / len(cosine) ** 0.5).clamp(min=1e-12))

    def _fit_levels(self, features: Sequence[Tensor]) -> None:
        """Level of the bands, and mean and spread of each row."""
        count = sum(len(one) for one in features)
        self.level.copy_(torch.stack([one[:, 2:].mean((1, 2)).sum() for one in features]).sum() / count)
        means = torch.cat([self._adapted(one).mean(2).cpu() for one in features]).double()
        mean = means.mean(0)
        spread = [(self._adapted(one).cpu() - mean[:, None].float()).square().mean(2) for one in features]
        self.offset.copy_(mean[:, None])
        self.spread.copy_(torch.cat(spread).double().mean(0).clamp(min=1e-18).sqrt()[:, None])


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
    def of(cls, windows: Iterable[Slow], channels: int) -> _Moments:
        """Accumulate moments; features are those without adaptation, which suffice for topographies."""
        moments = cls(torch.zeros(()), {}, {}, {}, {})
        window = torch.hann_window(SPECTRUM, periodic=False)
        for eeg, features, subject in windows:
            eeg = F.pad(eeg, (0, 0, 0, channels - eeg.shape[1])).cpu()
            lagged = _lagged(F.pad(features[:, : len(NAMES)], (LAGS - 1, 0)).cpu())
            moments.features = moments.features + _products(lagged, lagged)
            pieces = F.pad(eeg, (0, max(0, SPECTRUM - eeg.shape[2]))).unfold(-1, SPECTRUM, SPECTRUM // 2)
            spectra = torch.fft.rfft((pieces - pieces.mean(-1, keepdim=True)) * window)
            for s in sorted(set(subject.tolist())):
                rows = (subject == s).cpu()
                of = eeg[rows]
                for sums, added in (
                    (moments.cross, _products(of, lagged[rows])),
                    (moments.covariance, _products(of, of)),
                    (moments.spectra, torch.einsum("bckf,bdkf->fcd", spectra[rows], spectra[rows].conj())),
                ):
                    sums[s] = sums.get(s, 0) + added.to(torch.complex128 if added.is_complex() else torch.float64)
                moments.samples[s] = moments.samples.get(s, 0) + of.shape[0] * of.shape[2]
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
        filters = dict.fromkeys(subjects, pooled.T @ first)
        for _ in range(ITERATIONS):
            course = torch.stack([weight[s] * filters[s] @ cross[s] for s in subjects]).sum(0)
            response = torch.linalg.solve(penalised, course)
            topographies = {s: cross[s] @ response for s in subjects}
            for s in subjects:
                direction = whitening[s] @ topographies[s]
                filters[s] = whitening[s].T @ direction / direction.norm().clamp(min=1e-30)
        return topographies


class _Responses:
    """Temporal response functions of filtered EEG: one that all have in common, and each subject's change of it."""

    def __init__(self, filters: MatchedFilters, windows: Sequence[Slow]) -> None:
        self._shape = filters.shape
        self._unseen = len(filters.filters) - 1
        cross, power, samples = dict[int, Tensor](), dict[int, float](), dict[int, int]()
        products = torch.zeros(())
        for course, lagged, row in self._read(filters, windows):
            products = products + _products(lagged, lagged)
            for s in sorted(set(row.tolist())):
                of = course[row == s]
                cross[s] = cross.get(s, 0) + _products(of[:, None], lagged[row == s])[0]
                power[s] = power.get(s, 0.0) + of.square().sum().item()
                samples[s] = samples.get(s, 0) + of.numel()
        self._subjects, total = sorted(cross), sum(samples.values())
        scale = {s: (power[s] / samples[s]) ** -0.5 if power[s] else 0.0 for s in self._subjects}
        self._values, self._vectors = torch.linalg.eigh(products / total)
        average = torch.stack([cross[s] * scale[s] for s in self._subjects]).sum(0) / total
        self._common = [self._solve(average, strength) for strength in STRENGTHS]
        common = torch.stack(self._common).float()
        rest = {s: torch.zeros(len(STRENGTHS), len(average), dtype=torch.float64) for s in self._subjects}
        for course, lagged, row in self._read(filters, windows):
            scales = torch.tensor([scale[s] for s in row.tolist()])
            left = scales[:, None, None] * course[:, None] - common @ lagged
            for s in sorted(set(row.tolist())):
                rest[s] += _products(left[row == s], lagged[row == s])
        self._rest = {s: rest[s] / samples[s] for s in self._subjects}

    def _read(self, filters: MatchedFilters, windows: Iterable[Slow]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Filtered EEG, (B, n), shaped features at all lags, (B, Q, n), and rows of filters, (B,)."""
        for slow, features, subject in windows:
            course, row = filters.filtered(slow, subject)
            wide = F.pad(features, (LAGS - 1 + TAPS // 2, TAPS // 2))
            shaped = F.conv1d(wide.flatten(0, 1)[:, None], self._shape.flip(0)[None, None])
            yield course.cpu(), _lagged(shaped.view(*features.shape[:2], -1).cpu()), row.cpu()

    def _solve(self, target: Tensor, strength: float) -> Tensor:
        """Solve for a response, (Q,)."""
        rotated = self._vectors.T @ target
        return torch.mv(self._vectors, rotated / (self._values.clamp(min=0) + strength))

    def solve(self, components: int) -> Iterable[tuple[float, Tensor, Tensor]]:
        """For each penalty: the penalty, mixing of components by subject, (S + 1, K), and filters, (K, ROWS, taps)."""
        for index, (strength, common) in enumerate(zip(STRENGTHS, self._common, strict=True)):
            # a change of one subject has the data of one
            weaker = strength * len(self._subjects)
            own = torch.stack([common + self._solve(self._rest[s][index], weaker) for s in self._subjects])
            left, values, right = torch.linalg.svd(own, full_matrices=False)
            rank = min(components, len(values))
            basis = right[:rank] * (values[:rank, None] / values[0].clamp(min=1e-30))
            mixing = torch.zeros(self._unseen + 1, components, dtype=torch.float64)
            mixing[self._subjects, :rank] = left[:, :rank]
            mixing[self._unseen, :rank] = torch.linalg.lstsq(basis.T, common[:, None]).solution[:, 0]
            kernels = rearrange(basis, "k (l f) -> k f l", l=LAGS).to(self._shape)
            # "full" convolution with the common gain
            shaped = F.conv1d(
                F.pad(kernels, (TAPS - 1, TAPS - 1)).flatten(0, 1)[:, None], self._shape.flip(0)[None, None]
            )
            sound = torch.zeros(components, ROWS, LAGS + TAPS - 1)
            sound[:rank] = shaped.view(rank, ROWS, -1)
            yield strength, mixing, sound


def _shuffled(batches: Sequence[tuple[Tensor, Tensor, Tensor]]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Batches of EEG, sounds and subjects with the sounds of all permuted."""
    if not batches:
        return []
    sounds = torch.cat([sound for _, sound, _ in batches])
    order = torch.randperm(len(sounds), generator=torch.Generator().manual_seed(0)).to(sounds.device)
    permuted = torch.split(sounds[order], [len(eeg) for eeg, _, _ in batches])
    return [(eeg, sound, subject) for (eeg, _, subject), sound in zip(batches, permuted, strict=True)]


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


def _matched(spectra: Tensor, topography: Tensor) -> tuple[Tensor, Tensor]:
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


def _kernel(response: Tensor) -> Tensor:
    """Filter of TAPS samples, its middle at lag 0, with a frequency response, (..., F)."""
    kernel = torch.fft.irfft(response, SPECTRUM).roll(SPECTRUM // 2, -1)
    kernel = torch.cat([kernel, kernel[..., :1]], dim=-1)
    return kernel * torch.hann_window(TAPS + 2, periodic=False, dtype=kernel.dtype)[1:-1]


def _steps(courses: Tensor) -> Tensor:
    """Courses, (B, K, n), to steps, (B, L, K * STEP)."""
    steps = courses.shape[-1] // STEP
    return rearrange(courses[..., : steps * STEP], "b k (l t) -> b l (k t)", t=STEP)
