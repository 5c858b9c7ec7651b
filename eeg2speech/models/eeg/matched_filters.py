"""Matched filters beside the network: EEG filtered against the noise, and the response that a sound predicts."""

from __future__ import annotations

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
SILENT = 1e-4
"""Norm of a window's courses that is not distinguished from silence."""
START = 1.5
"""Logit of the weight of the matched filters beside a network that has not been trained."""


class MatchedFilters(nn.Module):
    """Compares EEG with the response that a linear forward model predicts for a sound.

    The response of a subject is a topography times the speech features convolved with a temporal response function
    (TRF). EEG is filtered by the topography and the inverse cross-spectra of the subject's noise, which is the matched
    filter of this response, a beamformer at every frequency. Each subject has a TRF of its own, shrunk towards that of
    all; the TRFs are combinations of K components. A subject without training data has the mean topography, noise and
    TRF. All but the weight of the comparison is fitted by ``fit_matched_filters``.

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
    fitted: Tensor

    def __init__(self, subjects: int, channels: int, components: int) -> None:
        super().__init__()
        self.components = components
        # the last row is for subjects without a fit
        self.register_buffer("filters", torch.zeros(subjects + 1, channels, TAPS))
        self.register_buffer("mixing", torch.zeros(subjects + 1, components))
        self.register_buffer("fitted", torch.zeros(subjects + 1, dtype=torch.bool))
        self.register_buffer("sound", torch.zeros(components, ROWS, LAGS + SPECTRUM))
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
            course, row = self.filtered(self.slow(eeg.float()), subject)
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
        features = F.avg_pool1d((self.adapted(features) - self.offset) / self.spread, 100 // RATE)
        return features - features.mean(-1, keepdim=True)

    def adapted(self, features: Tensor) -> Tensor:
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
    def slow(eeg: Tensor) -> Tensor:
        """EEG at 100 Hz, (B, C, T), at 50 Hz and centred, (B, C, n)."""
        slow = F.avg_pool1d(eeg, 100 // RATE)
        return slow - slow.mean(-1, keepdim=True)

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


def _steps(courses: Tensor) -> Tensor:
    """Courses, (B, K, n), to steps, (B, L, K * STEP)."""
    steps = courses.shape[-1] // STEP
    return rearrange(courses[..., : steps * STEP], "b k (l t) -> b l (k t)", t=STEP)
