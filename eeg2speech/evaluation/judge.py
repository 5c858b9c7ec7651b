"""The spaces in which generated speech is judged: an audio encoder of its own, and log mel spectrograms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.audio.mel import HOP, LogMel, level
from eeg2speech.checkpoints.parts import read_part
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models.audio.encoder import STEP, SpectrogramViT
from eeg2speech.models.weights import fingerprint

if TYPE_CHECKING:  # diffusers takes seconds to import
    from eeg2speech.models.audioldm2.speech import SpeechDiffusion

PACKAGED = Path(__file__).parents[1] / "assets" / "judge"
"""Encoder of a run of ``configs/audiomae.yaml`` with another seed than that of the tiny components."""
ENCODER, LOG_MEL = "audio_encoder", "log_mel"
SPACES = (ENCODER, LOG_MEL)
"""Spaces of identification; the verdict rests on the first."""

Floats = NDArray[np.float32]


class AudioJudge:
    """Embeds sounds for the evaluation of generated speech.

    No loss, no choice of a setting and no reranking of clips may use this encoder, or clips could be identified by what
    they were optimised for. The one that comes with the package was trained on the synthetic voice of the embedded
    data; for other speech, train one on sounds like those of the test (``configs/audiomae.yaml``).

    Args:
        encoder: ``encoder`` folder of a run of ``configs/audiomae.yaml``; None: the one that comes with the package.
        device: Where it computes.

    Raises:
        DataError: The folder is missing or damaged, or its encoder is not one of spectrograms.
    """

    def __init__(self, encoder: Path | None = None, device: str | torch.device = "cpu") -> None:
        self._folder = folder = PACKAGED if encoder is None else encoder
        config = read_part(folder, "encoder")[0].get("config", {})
        try:
            settings = {name: config[name] for name in ("width", "depth", "heads", "mlp_ratio")}
        except KeyError as error:
            raise DataError(
                f"{folder}: an encoder without {error}; name the encoder folder of a run of configs/audiomae.yaml "
                "(EvaluateSpeech.judge)"
            ) from error
        self.device = torch.device(device)
        self._encoder = SpectrogramViT(folder, **settings).eval().to(self.device)
        self._mel = LogMel().to(self.device)

    def check_independent(self, model: SpeechDiffusion) -> None:
        """Check that the encoder is not the one whose tokens condition a model.

        Raises:
            ConfigError: It is.
        """
        if fingerprint({"audio": self._encoder}) == model.audio_fingerprint:
            raise ConfigError(
                f"{self._folder}: the audio encoder of the model itself, whose tokens it was trained to follow; name "
                "one that has no part in the model (EvaluateSpeech.judge)"
            )

    @torch.no_grad()
    def tokens(self, audio: Tensor) -> dict[str, Floats]:
        """Tokens of waveforms, (B, S), in each of ``SPACES``, (B, L, F, D).

        All are brought to one level first, since the level of generated speech is arbitrary.
        """
        sound = level(audio.to(self.device).float())
        mel = rearrange(self._mel(sound), "b (l t) m -> b l t m", t=STEP // HOP)
        found = {ENCODER: self._encoder(sound), LOG_MEL: mel}
        return {space: tokens.float().cpu().numpy() for space, tokens in found.items()}
