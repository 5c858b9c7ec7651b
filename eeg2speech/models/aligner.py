"""The model of stage 2: EEG and sound in one space."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.core.errors import ConfigError
from eeg2speech.models.audio.cached import CachedAudio, without_cache
from eeg2speech.models.audio.encoder import STEP, AudioEncoder
from eeg2speech.models.audio.loa import LOAScale
from eeg2speech.models.eeg.encoder import ViTEncoder, silence
from eeg2speech.models.eeg.flattening import SpectralFlattening
from eeg2speech.models.eeg.heads import FlatMixing, RowPooling, Similarity, TemporalContext, embed
from eeg2speech.models.eeg.matched_filters import MatchedFilters
from eeg2speech.models.eeg.step_encoder import StepEncoder
from eeg2speech.models.eeg.subject import SubjectLayer, Whitening
from eeg2speech.models.registry import describe

Target = Literal["joint", "loa"]
"""What EEG is aligned with: a space that both sides learn, or the standardised tokens of a frozen audio encoder."""


class Aligner(nn.Module):
    """EEG and sound in one space: an encoder and a head on each side, one vector for every 160 ms.

    With ``target: loa`` the sound side has no trained head: its vectors are the standardised tokens of the audio
    encoder, and those of the EEG predict them, so that AudioLDM 2 can be conditioned on them.

    Reference: Radford et al. 2021, CLIP (arXiv 2103.00020); Defossez et al. 2023 (arXiv 2208.12266) for EEG and speech.

    Args:
        encoder: Encoder of EEG, whose patches or steps last 160 ms. The vectors of a ``StepEncoder`` pass through
            the convolutions of the EEG head as they are: ``width``, ``spatial_pooling`` and ``filters`` are not used.
        audio: Encoder of sound.
        subjects: Number of subjects in the data; each has an index in the subject layer and the whitening.
        channels: Electrodes of the largest montage.
        features: Of a step's vector, E; with ``loa`` always F * D of the audio encoder.
        width: Features of a step inside the heads.
        spatial_pooling: How the electrode groups of a step are combined: ``flat``, a matrix for data with a single
            montage, or ``pooling``, spatial filters by position, for any montage.
        filters: Spatial filters of ``pooling``.
        kernel: Steps covered by a convolution of the EEG head.
        depth: Convolutions of the EEG head.
        dropout: Fraction of features dropped in the EEG head in training.
        similarity: How two windows are compared; see ``heads.embed``.
        centre: Subtract the mean over a window's steps before comparing; not for ``pooled``.
        subject_layer: Mix the channels of each subject with a matrix of its own.
        whitening: Whiten the EEG of each subject first (Euclidean alignment).
        target: ``joint`` or ``loa``.
        spectral_flattening: Filter the EEG first so that its spectrum is flat; fitted on training windows.
        matched_filters: Components of matched filters beside the encoder, see ``MatchedFilters``; 0 for none.

    Raises:
        ConfigError: The sizes do not fit one another, or an audio encoder that is a target is trained.
    """

    def __init__(
        self,
        encoder: ViTEncoder | StepEncoder,
        audio: AudioEncoder,
        subjects: int,
        channels: int,
        features: int = 64,
        width: int = 128,
        spatial_pooling: Literal["flat", "pooling"] = "flat",
        filters: int = 8,
        kernel: int = 5,
        depth: int = 1,
        dropout: float = 0.0,
        similarity: Similarity = "steps",
        centre: bool = True,
        subject_layer: bool = True,
        whitening: bool = False,
        target: Target = "joint",
        spectral_flattening: bool = False,
        matched_filters: int = 0,
    ) -> None:
        super().__init__()
        if encoder.samples != STEP // 160:
            key = f"patch={list(encoder.patch)}" if isinstance(encoder, ViTEncoder) else f"samples={encoder.samples}"
            raise ConfigError(
                f"{key}: a step of EEG is {encoder.samples} samples of 10 ms, one of sound {STEP // 160}; alignment "
                f"needs both to last 160 ms (model.encoder.{key.partition('=')[0]})"
            )
        if kernel % 2 == 0 or kernel < 1:
            raise ConfigError(f"kernel={kernel} is not an odd number of steps (model.kernel)")
        if target == "loa":
            if not audio.frozen:
                raise ConfigError(
                    "target=loa needs an audio encoder that is not trained; set model.audio.init_args.trainable to "
                    "false (AudioMAE: none)"
                )
            features = audio.rows * audio.width
        if matched_filters and (target == "loa" or similarity == "pooled"):
            raise ConfigError(
                f"matched_filters={matched_filters} needs target=joint and a similarity other than pooled; set it "
                "to 0 (model.matched_filters)"
            )
        self.config: dict[str, Any] = {
            "subjects": subjects, "channels": channels, "features": features, "width": width,
            "spatial_pooling": spatial_pooling,
            "filters": filters, "kernel": kernel, "depth": depth, "dropout": dropout, "similarity": similarity,
            "centre": centre, "subject_layer": subject_layer, "whitening": whitening,
            "target": target, "spectral_flattening": spectral_flattening, "matched_filters": matched_filters,
        }  # fmt: skip
        self.similarity, self.centre, self.channels = similarity, centre, channels
        self.encoder, self.audio = encoder, audio
        self.whitening = Whitening(subjects, channels) if whitening else None
        inner: int | None = None
        if isinstance(encoder, StepEncoder):
            encoder.build(channels)
            inner = encoder.subject_channels
        self.mixes_inside = inner is not None
        self.subject_layer = SubjectLayer(subjects, channels if inner is None else inner) if subject_layer else None
        self.flattening = SpectralFlattening() if spectral_flattening else None
        self.matched = MatchedFilters(subjects, channels, matched_filters) if matched_filters else None
        self.eeg_rows: nn.Module
        if isinstance(encoder, StepEncoder):
            self.eeg_rows, width = nn.Identity(), encoder.width
        elif spatial_pooling == "flat":
            self.eeg_rows = FlatMixing(encoder.width, -(-channels // encoder.patch[0]), width)
        else:
            self.eeg_rows = RowPooling(encoder.width, encoder.width, filters, width)
        self.context = TemporalContext(width, kernel, depth, dropout)
        self.eeg_head = nn.Linear(width, features)
        self.sound_head: nn.Linear | LOAScale
        if target == "joint":
            self.sound_head = nn.Linear(audio.rows * audio.width, features)
        else:
            self.sound_head = LOAScale(audio.rows, audio.width)

    def eeg_steps(self, eeg: Tensor, positions: Tensor | None, channel_mask: Tensor | None, subject: Tensor) -> Tensor:
        """One vector for every 160 ms of EEG.

        Args:
            eeg: Scaled EEG, (B, C, T).
            positions: Metres in head coordinates, (B, C, 3).
            channel_mask: True where a channel exists, (B, C); None if all do.
            subject: Index of each window's subject, -1 for an unseen subject, (B,).

        Returns:
            (B, L, E); with matched filters, followed by their values.
        """
        eeg = self.flattened(eeg, channel_mask)
        matched = None if self.matched is None else self.matched.eeg_steps(eeg, subject)
        if self.whitening is not None:
            eeg = self.whitening(eeg, subject, channel_mask)
        inside: Callable[[Tensor], Tensor] | None = None
        if self.subject_layer is not None and self.mixes_inside:
            inside = partial(self.subject_layer, subject=subject)
        elif self.subject_layer is not None:
            eeg = self.subject_layer(eeg, subject, channel_mask)
        encoder = self.encoder
        if isinstance(encoder, StepEncoder):
            tokens = encoder(eeg, positions, channel_mask, inside)
        else:
            tokens = encoder(eeg, positions, channel_mask)
        if isinstance(encoder, ViTEncoder) and isinstance(self.eeg_rows, RowPooling):
            layout = encoder.layout(eeg, positions, channel_mask)
            steps = layout.grid[1]
            codes = rearrange(layout.codes, "b (g l) d -> b g l d", l=steps)[:, :, 0]
            exists = None if layout.exists is None else rearrange(layout.exists, "b (g l) -> b g l", l=steps)[:, :, 0]
            mixed = self.eeg_rows(tokens, codes, exists)
        else:
            mixed = self.eeg_rows(tokens)
        out: Tensor = self.eeg_head(self.context(mixed))
        return out if matched is None else torch.cat([out, matched.to(out.dtype)], dim=-1)

    def flattened(self, eeg: Tensor, channel_mask: Tensor | None) -> Tensor:
        """EEG, (B, C, T), after the spectral flattening, if there is one; channels that do not exist are zero."""
        eeg = silence(eeg, channel_mask)
        return eeg if self.flattening is None else self.flattening(eeg)

    def sound_steps(self, audio: Tensor) -> Tensor:
        """One vector for every 160 ms of sound, (B, S) at 16 kHz to (B, L, E), as of ``eeg_steps``."""
        projected = self.project(self.audio(audio))
        if self.matched is None:
            return projected
        return torch.cat([projected, self.matched.sound_steps(audio).to(projected.dtype)], dim=-1)

    def project(self, tokens: Tensor) -> Tensor:
        """Project tokens of the audio encoder into the space, (B, L, F, D) to (B, L, E)."""
        if isinstance(self.sound_head, nn.Linear):
            tokens = rearrange(tokens, "b l f d -> b l (f d)")
        out: Tensor = self.sound_head(tokens)
        return out

    def loa_of_steps(self, steps: Tensor) -> Tensor:
        """Tokens of the sound in the audio encoder's units, predicted from ``eeg_steps``, (B, L, E).

        Returns:
            (B, L, F, D).

        Raises:
            ConfigError: The aligner was trained for another target.
        """
        if not isinstance(self.sound_head, LOAScale):
            raise ConfigError(
                "an aligner with target=joint predicts no tokens of sound; train one with "
                "configs/alignment/loa.yaml (model.target)"
            )
        return self.sound_head.restore(steps)

    def embed(self, steps: Tensor) -> Tensor:
        """Unit vectors of windows, (B, K), from their steps, (B, L, E)."""
        if self.matched is None:
            return embed(steps, self.similarity, self.centre)
        network, matched = steps[..., : -self.matched.features], steps[..., -self.matched.features :]
        vectors = rearrange(embed(network, self.similarity, self.centre), "b (l e) -> b l e", l=steps.shape[1])
        return self.matched.join(vectors, matched)

    def split_vectors(self, vectors: Tensor) -> dict[str, Tensor]:
        """Unit vectors of each of two kinds of similarity, from those of ``embed_eeg`` or ``embed_sound``, (B, K).

        Returns:
            ``network`` and ``matched_filters``; empty if the network alone is compared.
        """
        if self.matched is None or not bool(self.matched.sound.any()):
            return {}
        steps = rearrange(vectors, "b (l e) -> b l e", e=self.step_features)
        network, matched = steps[..., : -self.matched.features], steps[..., -self.matched.features :]
        parts = {"network": network, "matched_filters": matched}
        return {name: F.normalize(part.flatten(1), dim=-1) for name, part in parts.items()}

    def embed_eeg(self, eeg: Tensor, positions: Tensor | None, channel_mask: Tensor | None, subject: Tensor) -> Tensor:
        """Unit vectors of EEG windows, (B, K), whose dot product with a sound's is their similarity."""
        return self.embed(self.eeg_steps(eeg, positions, channel_mask, subject))

    def embed_sound(self, audio: Tensor) -> Tensor:
        """Unit vectors of sounds, (B, S) at 16 kHz to (B, K)."""
        return self.embed(self.sound_steps(audio))

    @property
    def step_features(self) -> int:
        """Values of a step of ``eeg_steps``, E."""
        return self.eeg_head.out_features + (0 if self.matched is None else self.matched.features)

    @property
    def any_montage(self) -> bool:
        """Whether electrodes are identified by their positions, so that any montage can be used."""
        by_index = [self.config["whitening"], self.config["matched_filters"]]
        by_index.append(self.config["subject_layer"] and not self.mixes_inside)
        if isinstance(self.encoder, StepEncoder):
            return self.encoder.any_montage and not any(by_index)
        by_index.append(self.config["spatial_pooling"] == "flat")
        return not any(by_index) and self.encoder.config["position"] == "electrode"

    @property
    def description(self) -> dict[str, Any]:
        """Class and config of the aligner and of both encoders, in plain values."""
        cached = isinstance(self.audio, CachedAudio)  # its weights have one more prefix
        audio = {**describe(without_cache(self.audio)), "cached": cached}
        config = {**self.config, "encoder": describe(self.encoder), "audio": audio}
        return {"class": type(self).__name__, "config": config}
