"""The model of stage 3: AudioLDM 2 conditioned on EEG."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from eeg2speech.audio.mel import BANDS, HOP, LogMel, level
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models.aligner import Aligner
from eeg2speech.models.audio.cached import ContentCache, without_cache
from eeg2speech.models.audio.encoder import STEP, AudioEncoder
from eeg2speech.models.audio.step_regression import StepRegression
from eeg2speech.models.audioldm2.components import load_components
from eeg2speech.models.audioldm2.condition import Condition
from eeg2speech.models.audioldm2.conditioner import BINS, FRAMES, Conditioner
from eeg2speech.models.audioldm2.unet import (
    Trainable,
    choose_trainable,
    context_widths,
    enable_gradient_checkpointing,
    widen_input,
)
from eeg2speech.models.weights import fingerprint

FROZEN = ("vae.", "vocoder.", "audio.")
"""Parts of the model with fixed weights from the components and the audio encoder."""


class SpeechDiffusion(nn.Module):
    """Speech from EEG: AudioLDM 2 with EEG in the place of its text encoders.

    The EEG side of an aligner predicts the LOA tokens of the sound, step by step of 160 ms. From these the UNet
    generates latents, the autoencoder a mel spectrogram and the vocoder a waveform. A linear regression from EEG to mel
    spectrograms, with the same vocoder, is what it is compared with.

    Reference: Liu et al. 2024, AudioLDM 2 (IEEE/ACM TASLP 32, 2871-2883).

    Args:
        components: UNet, autoencoder, vocoder and noise schedule: ``tiny``, a folder, or a hub id after ``hf_hub:``.
        audio: Audio encoder, with its weights, whose tokens are the LOA of a sound; it is frozen.
        aligner: Of stage 2, whose EEG side is used; None to generate from the LOA of sounds only.
        trainable: See ``choose_trainable``.
        rank: Of the adapters.
        concat_channels: See ``Conditioner``; components with such channels keep theirs.
        checkpointing: Recompute activations of the UNet in the backward pass to save memory.
        cache: Keep latents of sounds on disk; see ``ContentCache``.

    Raises:
        ConfigError: Settings do not fit one another.
        DataError: Components are missing or damaged, or do not fit one another.
    """

    def __init__(
        self,
        components: str | Path,
        audio: AudioEncoder,
        aligner: Aligner | None = None,
        trainable: Trainable = "lora",
        rank: int = 8,
        concat_channels: int = 0,
        checkpointing: bool = False,
        cache: bool = False,
    ) -> None:
        super().__init__()
        loaded = load_components(components)
        self.source, self.fingerprint = str(components), loaded.fingerprint
        self.trained_sounds = loaded.trained_sounds
        self.unet, self.vae, self.vocoder, self.scheduler = (
            loaded.unet, loaded.vae, loaded.vocoder, loaded.scheduler
        )  # fmt: skip
        self.audio = audio.requires_grad_(False)
        self.audio_fingerprint = fingerprint({"audio": without_cache(audio)})
        context, second = context_widths(self.unet)
        latent = int(self.vae.config.latent_channels)
        has = int(self.unet.config.in_channels) - latent
        if concat_channels and has and concat_channels != has:
            raise ConfigError(
                f"concat_channels={concat_channels}, but the components {components} have {has} (model.concat_channels)"
            )
        if concat_channels and not has:
            widen_input(self.unet, concat_channels)
        self.conditioner = loaded.conditioner or Conditioner(
            audio.width, context, second, pooled=second is not None, concat_channels=concat_channels, rows=audio.rows
        )
        if self.conditioner.config.width != audio.width or self.conditioner.config.rows != audio.rows:
            raise ConfigError(
                f"LOA tokens of {audio.rows} x {audio.width} (model.audio), but {components} takes "
                f"{self.conditioner.config.rows} x {self.conditioner.config.width}; use the audio encoder that "
                "belongs to it"
            )
        choose_trainable(self.unet, trainable, rank)
        if checkpointing:
            enable_gradient_checkpointing(self.unet)
        self.mel = LogMel()
        self.aligner = aligner
        self.readout: StepRegression | None = None
        self.mel_regression: StepRegression | None = None
        if aligner is not None:
            self._use_eeg_side(aligner)
        self.cache = ContentCache("latents") if cache else None
        self.frozen_names = {
            name for name, value in self.named_parameters()
            if name.startswith(FROZEN) or (name.startswith("unet.") and not value.requires_grad)
        } | {name for name, _ in self.named_buffers() if name.startswith((*FROZEN, "unet."))}  # fmt: skip
        """Names of weights of the components and the audio encoder, which checkpoints leave out."""

    def _use_eeg_side(self, aligner: Aligner) -> None:
        predicts = aligner.config["target"] == "loa"
        for part in ("audio",) if predicts else ("audio", "sound_head"):  # the sound side is not needed
            aligner.register_module(part, None)
        features = aligner.step_features
        if predicts:
            if features != self.audio.rows * self.audio.width:
                raise ConfigError(
                    f"an aligner that predicts {features} features of LOA a step, where model.audio has "
                    f"{self.audio.rows} x {self.audio.width}; use the audio encoder that it was aligned with"
                )
            context = (0, 0)  # predicted tokens contain it
        else:
            context = (1, 4)
            self.readout = StepRegression(features, self.audio.rows * self.audio.width, *context)
        self.mel_regression = StepRegression(features, STEP // HOP * BANDS, *context).requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.mel.window.device

    def latent_shape(self, steps: int) -> tuple[int, int, int]:
        """Shape of the latents of L steps of 160 ms: (8, 4 L, 16)."""
        return int(self.vae.config.latent_channels), steps * FRAMES, BINS

    def eeg_steps(self, eeg: Tensor, positions: Tensor | None, channel_mask: Tensor | None, subject: Tensor) -> Tensor:
        """The aligner's vector for every 160 ms of EEG, (B, L, E); see ``Aligner.eeg_steps``."""
        if self.aligner is None:
            raise ConfigError("this model has no aligner; build it with one to predict from EEG")
        steps: Tensor = self.aligner.eeg_steps(eeg, positions, channel_mask, subject)
        return steps

    def loa_of_steps(self, steps: Tensor) -> Tensor:
        """Predict the LOA tokens of the stimulus from ``eeg_steps``, (B, L, F, D)."""
        if self.readout is None:
            assert self.aligner is not None
            return self.aligner.loa_of_steps(steps)
        out: Tensor = rearrange(self.readout(steps), "b l (f d) -> b l f d", f=self.audio.rows)
        return out

    def mel_of_steps(self, steps: Tensor) -> Tensor:
        """Mel spectrogram of the stimulus by linear regression from ``eeg_steps``, (B, 16 L, 64)."""
        assert self.mel_regression is not None
        frames: Tensor = self.mel_regression(steps)
        return rearrange(frames, "b l (t m) -> b (l t) m", m=BANDS)

    @torch.no_grad()
    def condition(self, steps: Tensor) -> Condition:
        """What speech is generated from, by ``eeg_steps``."""
        return Condition(self.loa_of_steps(steps), self._encode_mel(self.mel_of_steps(steps)))

    def mel_of_sound(self, audio: Tensor) -> Tensor:
        """Log mel spectrograms of sounds at the level that the vocoder takes, (B, S) to (B, S / 160, 64)."""
        spectrum: Tensor = self.mel(level(audio))
        return spectrum

    def loa_of_sound(self, audio: Tensor) -> Tensor:
        """LOA tokens of sounds, (B, S) at 16 kHz to (B, L, F, D)."""
        with torch.no_grad():
            tokens: Tensor = self.audio(audio)
        return tokens

    @torch.no_grad()
    def latents(self, audio: Tensor) -> Tensor:
        """Scaled latents of sounds, (B, S) at 16 kHz to (B, 8, S / 640, 16)."""
        if self.cache is None:
            return self._encode(audio)
        shape = self.latent_shape(audio.shape[-1] // STEP)
        network = hashlib.blake2b(f"{self.fingerprint} {self.cache.precision}".encode()).digest()
        return self.cache.get(audio, network, shape, self._encode)

    def _encode(self, audio: Tensor) -> Tensor:
        return self._encode_mel(self.mel_of_sound(audio))

    def _encode_mel(self, spectrum: Tensor) -> Tensor:
        coded = self.vae.encode(spectrum[:, None].to(self.vae.dtype)).latent_dist.mode()
        latents: Tensor = coded * self.vae.config.scaling_factor
        return latents.float()

    @torch.no_grad()
    def waveform(self, latents: Tensor) -> Tensor:
        """Waveforms of scaled latents, (B, 8, N, 16) to (B, 640 N) at 16 kHz, with a peak of about 0.5."""
        spectrum: Tensor = self.vae.decode((latents / self.vae.config.scaling_factor).to(self.vae.dtype)).sample[:, 0]
        return self.vocode(spectrum)

    @torch.no_grad()
    def vocode(self, spectrum: Tensor) -> Tensor:
        """Waveforms of log mel spectrograms, (B, N, 64) to (B, 160 N) at 16 kHz."""
        sound: Tensor = self.vocoder(spectrum.to(self.vae.dtype)).float()
        return sound[:, : spectrum.shape[1] * HOP]

    def round_trip(self, audio: Tensor) -> Tensor:
        """Reconstruct sounds by autoencoder and vocoder, (B, S) to (B, S): an upper bound for generated sounds."""
        return self.waveform(self.latents(audio))

    def conditions(self, loa: Tensor | None, count: int, steps: int, guided: bool = False) -> dict[str, Any]:
        """Conditions of the UNet; see ``Conditioner.forward``.

        Args:
            loa: Tokens, (B, L, F, D); None for windows without a condition.
            count: Number of windows, B.
            steps: Steps of 160 ms, L.
            guided: Prepend the same windows without a condition, for guidance.
        """
        if loa is None:
            empty = torch.zeros(count, steps, self.audio.rows, self.audio.width, device=self.device)
            loa, dropped = empty, torch.ones(count, dtype=torch.bool, device=self.device)
        elif guided:
            loa = torch.cat([loa] * 2)
            dropped = torch.arange(2 * count, device=loa.device) < count
        else:
            dropped = None
        made: dict[str, Any] = self.conditioner(loa, dropped)
        return made

    def predict(self, noisy: Tensor, time: Tensor, conditions: dict[str, Any]) -> Tensor:
        """Prediction of the UNet for noisy latents, (B, 8, N, 16), at times from 0 to 999, (B,)."""
        arguments = dict(conditions)
        control = arguments.pop("control")
        if control is not None:
            noisy = torch.cat([noisy, control.to(noisy)], dim=1)
        predicted: Tensor = self.unet(noisy, time, **arguments).sample
        return predicted

    def check_fingerprint(self, other: str, source: str, audio: str | None = None) -> None:
        """Refuse weights that were trained with other components or, if its hash is given, another audio encoder.

        Args:
            other: Hash of the components in training.
            source: Where the weights come from, for error messages.
            audio: Hash of the audio encoder in training.

        Raises:
            DataError: They were.
        """
        if other != self.fingerprint:
            raise DataError(
                f"{source}: was trained on top of other components than {self.source} holds now (model.components); "
                "name the folder or hub id that it was trained with"
            )
        if audio not in (None, self.audio_fingerprint):
            raise DataError(
                f"{source}: was trained with another audio encoder than {self.audio.source} holds now "
                "(model.audio_weights); name the one that it was trained with"
            )
