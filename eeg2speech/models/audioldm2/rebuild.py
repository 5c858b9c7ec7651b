"""Building a trained stage-3 model anew from its description and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from eeg2speech.checkpoints.parts import load_into
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models.audio.cached import CachedAudio
from eeg2speech.models.audio.encoder import AudioEncoder
from eeg2speech.models.audioldm2.hub import find_components
from eeg2speech.models.audioldm2.sampling import Sampler
from eeg2speech.models.audioldm2.speech import SpeechDiffusion
from eeg2speech.models.rebuild import build_aligner, build_encoder

OWN_AUDIO = "audiomae"
"""Folder inside components with the audio encoder that their LOA comes from, as a run of ``configs/audiomae.yaml``."""


def describe_audio(audio: AudioEncoder) -> dict[str, Any]:
    """Class and config of an encoder of sound, without a cache around it."""
    inner = audio.encoder if isinstance(audio, CachedAudio) else audio
    return {"class": type(inner).__name__, "config": inner.config}


def give_audio_weights(audio: AudioEncoder, weights: str | Path | None, components: str | Path) -> None:
    """Load an audio encoder's weights; unset: those that come with the components.

    Raises:
        ConfigError: None are named and none come with the components.
        DataError: They are missing, damaged or of another model.
    """
    if weights is None:
        own = find_components(components) / OWN_AUDIO
        if not own.is_dir():
            raise ConfigError(
                f"{components} brings no audio encoder; name AudioMAE's weights, e.g. --model.init_args.audio_weights "
                "hf_hub:gaunernst/vit_base_patch16_1024_128.audiomae_as2m"
            )
        weights = own
    audio.load(weights)


def rebuild_speech(
    described: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    source: str,
    components: str | Path | None = None,
) -> tuple[SpeechDiffusion, Sampler]:
    """Build a model, ready to speak: in evaluation mode, without gradients.

    Args:
        described: ``class`` and ``config``, as a checkpoint's part ``speech`` has them.
        weights: By name, without those that the components and the audio encoder bring.
        source: Where they come from, for error messages.
        components: Where the components are now, if not where they were in training.

    Raises:
        DataError: The description is of another version, the weights do not fit it, or the components are others.
    """
    config = dict(described.get("config", {}))
    try:
        described_audio, aligner, sampler = config.pop("audio"), config.pop("aligner"), config.pop("sampler")
        fingerprint, audio_weights = config.pop("fingerprint"), config.pop("audio_weights")
        audio_fingerprint = config.pop("audio_fingerprint", None)
        found = config.pop("components") if components is None else components
        config.pop("components", None)
        model = sound_only(found, described_audio, audio_weights, source, aligner, config)
        model.check_fingerprint(fingerprint, source, audio_fingerprint)
        own = {name: value for name, value in model.state_dict().items() if name in model.frozen_names}
        load_into(model, {**own, **weights}, source)
        return model.requires_grad_(False).eval(), Sampler(**sampler)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{source}: describes no model of stage 3 ({error}); use the eeg2speech that wrote it"
        ) from error


def sound_only(
    components: str | Path,
    audio: Mapping[str, Any],
    audio_weights: str | Path | None = None,
    source: str = "model.audio",
    aligner: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> SpeechDiffusion:
    """Build a model on top of components as they are; without an aligner it speaks from the LOA of sounds alone.

    Args:
        components: ``tiny``, a folder, or a hub id after ``hf_hub:``.
        audio: ``class`` and ``config`` of the encoder that LOA comes from.
        audio_weights: Its weights; unset: those that come with the components.
        source: Where the description comes from, for error messages.
        aligner: ``class`` and ``config`` of an aligner, whose weights are then random.
        settings: Further arguments of ``SpeechDiffusion``.
    """
    encoder = build_encoder(audio, source)
    if not isinstance(encoder, AudioEncoder):
        raise DataError(f"{source}: describes no encoder of sound")
    give_audio_weights(encoder, audio_weights, components)
    made = None if aligner is None else build_aligner(aligner, source)
    chosen = {"trainable": "none"} if settings is None else dict(settings)
    return SpeechDiffusion(components, encoder, made, **chosen).requires_grad_(False).eval()
