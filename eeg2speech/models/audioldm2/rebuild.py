"""Building models of stage 3 from descriptions, components and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from eeg2speech.checkpoints.parts import load_into
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models.audio.encoder import AudioEncoder, audio_encoder_class
from eeg2speech.models.audioldm2.files import OWN_AUDIO, find_components
from eeg2speech.models.audioldm2.sampling import Sampler
from eeg2speech.models.audioldm2.speech import SpeechDiffusion
from eeg2speech.models.rebuild import build_aligner
from eeg2speech.models.registry import build_encoder


def load_audio_weights(audio: AudioEncoder, weights: str | Path | None, components: str | Path) -> None:
    """Load the weights of an audio encoder; unset: those in the folder of the components.

    Raises:
        ConfigError: No weights are named, and the components have none.
        DataError: They are missing, damaged or of another model.
    """
    if weights is None:
        own = find_components(components) / OWN_AUDIO
        if not own.is_dir():
            raise ConfigError(
                f"{components} contains no audio encoder; name AudioMAE's weights, e.g. "
                "--model.init_args.audio_weights hf_hub:gaunernst/vit_base_patch16_1024_128.audiomae_as2m"
            )
        weights = own
    audio.load(weights)


def rebuild_speech(
    described: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    source: str,
    components: str | Path | None = None,
) -> tuple[SpeechDiffusion, Sampler]:
    """Build a trained model and its sampler, in evaluation mode and without gradients.

    Args:
        described: ``class`` and ``config``, as of the part ``speech`` of a checkpoint.
        weights: By name, without those of the components and the audio encoder.
        source: Where they come from, for error messages.
        components: Where the components are now; unset: where they were in training.

    Raises:
        DataError: The description is of another version, the weights do not fit it, or the components differ.
    """
    config = dict(described.get("config", {}))
    try:
        audio, aligner, sampler = config.pop("audio"), config.pop("aligner"), config.pop("sampler")
        fingerprint, audio_weights = config.pop("fingerprint"), config.pop("audio_weights")
        audio_fingerprint = config.pop("audio_fingerprint", None)
        found = config.pop("components") if components is None else components
        config.pop("components", None)
        model = build_speech(found, audio, audio_weights, source, aligner, config)
        model.check_fingerprint(fingerprint, source, audio_fingerprint)
        if model.mel_regression is not None and not any(name.startswith("mel_regression.") for name in weights):
            raise DataError(f"{source}: of an eeg2speech before 0.2, without a mel regression; train stage 3 again")
        own = {name: value for name, value in model.state_dict().items() if name in model.frozen_names}
        load_into(model, {**own, **weights}, source)
        return model.requires_grad_(False).eval(), Sampler(**sampler)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{source}: describes no model of stage 3 ({error}); use the eeg2speech that wrote it"
        ) from error


def build_speech(
    components: str | Path,
    audio: Mapping[str, Any],
    audio_weights: str | Path | None = None,
    source: str = "model.audio",
    aligner: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> SpeechDiffusion:
    """Build a model with the weights of its components and its audio encoder only.

    Args:
        components: See ``SpeechDiffusion``.
        audio: ``class`` and ``config`` of the audio encoder that LOA comes from.
        audio_weights: See ``load_audio_weights``.
        source: Where the description comes from, for error messages.
        aligner: ``class`` and ``config`` of an aligner, whose weights are random; None to generate from LOA only.
        settings: Further arguments of ``SpeechDiffusion``.

    Raises:
        DataError: The audio encoder is not an ``AudioEncoder``, or its class is not registered.
    """
    audio_encoder_class(audio, source)
    encoder = cast(AudioEncoder, build_encoder(audio, source))
    load_audio_weights(encoder, audio_weights, components)
    made = None if aligner is None else build_aligner(aligner, source)
    chosen = {"trainable": "none"} if settings is None else dict(settings)
    return SpeechDiffusion(components, encoder, made, **chosen).requires_grad_(False).eval()
