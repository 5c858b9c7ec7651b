"""AudioLDM 2 without its text stack: UNet, autoencoder, vocoder and noise schedule, checked against one another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import torch
from diffusers import AudioLDM2UNet2DConditionModel, AutoencoderKL, DDPMScheduler
from diffusers.utils import logging
from torch.overrides import TorchFunctionMode
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from eeg2speech.audio.mel import BANDS, HOP
from eeg2speech.audio.waveform import RATE
from eeg2speech.checkpoints.parts import load_into
from eeg2speech.core.errors import DataError
from eeg2speech.models.audioldm2.conditioner import Conditioner
from eeg2speech.models.audioldm2.files import (
    CONDITIONER,
    MANIFEST,
    SCHEDULER,
    WEIGHTS,
    file_names,
    find_components,
    read_component,
    weights_file,
)
from eeg2speech.models.audioldm2.unet import context_widths
from eeg2speech.models.audioldm2.vocoder import IstftVocoder
from eeg2speech.models.weights import fingerprint, first_line

SHRINK = 4
"""Mel frames, and mel bands, of a latent."""
_TEXT = ("text_encoder", "text_encoder_2", "language_model", "projection_model")


@dataclass
class Components:
    """The networks of AudioLDM 2 and its noise schedule, in single precision.

    Attributes:
        unet: Predicts the noise, ready to be trained.
        vae: Turns log mel spectrograms into latents and back; frozen.
        vocoder: Turns log mel spectrograms into waveforms; frozen.
        scheduler: The noise schedule of training.
        source: Folder or id, as the user named it.
        fingerprint: SHA-256 over the weights of the networks as they were loaded.
        conditioner: Makes the UNet's conditions from LOA tokens, ready to be trained; None if the components have none.
        trained_sounds: Names of the sounds that the components were trained on, by hash; empty if not stated.
    """

    unet: AudioLDM2UNet2DConditionModel
    vae: AutoencoderKL
    vocoder: SpeechT5HifiGan | IstftVocoder
    scheduler: DDPMScheduler
    source: str
    fingerprint: str
    conditioner: Conditioner | None = None
    trained_sounds: dict[str, str] = field(default_factory=dict)


def load_components(source: str | Path) -> Components:
    """Load the components that ``find_components`` finds; text encoders are ignored.

    Args:
        source: A folder, ``tiny``, or an id on the Hugging Face hub after ``hf_hub:``.

    Raises:
        ConfigError: The hub cannot be reached or does not have it.
        DataError: A component is missing, damaged, of another model, or does not fit the others.
    """
    folder = find_components(source)
    configs = _read_configs(folder)
    # layers with an initialisation of their own must not shift the random numbers of a run
    with _quiet(), torch.random.fork_rng(devices=[]):
        unet = _build(AudioLDM2UNet2DConditionModel, configs["unet"], folder / "unet")
        vae = _build(AutoencoderKL, configs["vae"], folder / "vae")
        vocoder = _build_vocoder(configs["vocoder"], folder / "vocoder")
        scheduler = _build_scheduler(configs["scheduler"], folder / "scheduler")
        conditioner = _build_conditioner(folder / CONDITIONER)
    _check(folder, unet, vae, vocoder, 0 if conditioner is None else conditioner.config.concat_channels)
    networks = {"unet": unet, "vae": vae, "vocoder": vocoder}
    for part, network in networks.items():
        _fill(network, folder, part)
    if conditioner is not None:
        _fill(conditioner, folder, CONDITIONER)
    vae.requires_grad_(False)
    vocoder.requires_grad_(False)
    trained = _trained_sounds(folder / MANIFEST)
    return Components(unet, vae, vocoder, scheduler, str(source), fingerprint(networks), conditioner, trained)


def _read_configs(folder: Path) -> dict[str, dict[str, Any]]:
    """Settings of the four components, after a check that their folders exist."""
    parts = [*WEIGHTS, "scheduler"]
    lacking = [part for part in parts if not (folder / part).is_dir()]
    if lacking:
        text = [part for part in _TEXT if (folder / part).is_dir()] if "unet" in lacking else []
        only = f"it holds {', '.join(text)}, text encoders, and is no AudioLDM 2; " if text else ""
        raise DataError(
            f"{folder}: no folder {', '.join(lacking)}, and {', '.join(parts)} are needed; {only}download them, e.g. "
            "hf_hub:anhnct/audioldm2_gigaspeech"
        )
    files = {part: folder / part / "config.json" for part in WEIGHTS} | {"scheduler": folder / SCHEDULER}
    return {part: _read_config(file) for part, file in files.items()}


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; download the component again") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as settings ({error}); download it again") from error
    if not isinstance(config, dict):
        raise DataError(f"{file}: holds no settings; download it again")
    return config


def _build(cls: Any, config: dict[str, Any], folder: Path) -> Any:
    """A network of diffusers with the settings of a component, without its weights."""
    found = config.get("_class_name", config.get("model_type", "unnamed"))
    if found != cls.__name__:
        raise DataError(f"{folder}: a {found}, where AudioLDM 2 has a {cls.__name__}; use a checkpoint of AudioLDM 2")
    return _built(lambda: cls.from_config(config), cls.__name__, folder)


def _build_vocoder(config: dict[str, Any], folder: Path) -> Any:
    if config.get("_class_name") == IstftVocoder.__name__:
        return _build(IstftVocoder, config, folder)
    found = config.get("model_type", config.get("_class_name", "unnamed"))
    if found != SpeechT5HifiGanConfig.model_type:
        raise DataError(
            f"{folder}: a {found}, where AudioLDM 2 has a {SpeechT5HifiGan.__name__}; use a checkpoint of AudioLDM 2"
        )
    vocoder = _built(lambda: SpeechT5HifiGan(SpeechT5HifiGanConfig.from_dict(config)), "SpeechT5HifiGan", folder)
    hop, rate = prod(vocoder.config.upsample_rates), vocoder.config.sampling_rate
    if (hop, rate) != (HOP, RATE):
        raise DataError(
            f"{folder}: a vocoder of {hop} samples a frame at {rate} Hz, where {HOP} at {RATE} Hz are needed; use the "
            "one of an AudioLDM 2 for 16 kHz"
        )
    return vocoder


def _build_scheduler(config: dict[str, Any], folder: Path) -> Any:
    if "beta_schedule" not in config and "trained_betas" not in config:
        raise DataError(
            f"{folder}: {config.get('_class_name', 'it')} has no beta_schedule; use the scheduler of AudioLDM 2"
        )
    return _built(lambda: DDPMScheduler.from_config(config), "DDPMScheduler", folder)


def _built(build: Callable[[], Any], name: str, folder: Path) -> Any:
    try:
        with _NoInit():
            return build()
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError) as error:
        reason = first_line(error)
        raise DataError(f"{folder}: its settings are not those of a {name} ({reason}); download it again") from error


def _fill(network: Any, folder: Path, part: str) -> None:
    """Load the weights of a network, of any precision, all or nothing."""
    file = weights_file(folder, part)
    if file is None:
        raise DataError(f"{folder / part}: has no weights, i.e. no {' or '.join(file_names(part))}; download them")
    weights = {name: value.float() for name, value in read_component(file).items()}
    load_into(network, weights, str(file), assign=True)
    network.eval()


def _build_conditioner(folder: Path) -> Any:
    """The conditioner; only components of this project have one."""
    return _build(Conditioner, _read_config(folder / "config.json"), folder) if folder.is_dir() else None


def _trained_sounds(manifest: Path) -> dict[str, str]:
    """Names of the training sounds by their hashes; only components of this project list them."""
    heard = _read_config(manifest).get("heard") if manifest.is_file() else None
    return {str(digest): str(name) for name, digest in heard.items()} if isinstance(heard, dict) else {}


def _check(folder: Path, unet: Any, vae: Any, vocoder: Any, control: int) -> None:
    """Refuse components that do not fit one another or the log mel spectrograms."""
    try:
        context_widths(unet)
    except DataError as error:
        raise DataError(f"{folder / 'unet'}: {error}") from None
    latent, shrink = vae.config.latent_channels, 2 ** (len(vae.config.block_out_channels) - 1)
    for part, what, found, needed in (
        ("vae", "scale factor", shrink, SHRINK),
        ("vae", "input channels", vae.config.in_channels, 1),
        ("unet", "input channels", unet.config.in_channels, latent + control),
        ("unet", "output channels", unet.config.out_channels, latent),
        ("vocoder", "mel bins", vocoder.config.model_in_dim, BANDS),
    ):
        if found != needed:
            why = f", by the latent channels of {folder / 'vae'}" if part == "unet" else ""
            raise DataError(
                f"{folder / part}: {found} {what}, where {needed} are needed{why}; use the components of one AudioLDM 2"
            )


class _NoInit(TorchFunctionMode):
    """Skips the random initialisation of weights, which takes seven seconds; they are read from files afterwards."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the warnings of diffusers about settings of other versions."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
