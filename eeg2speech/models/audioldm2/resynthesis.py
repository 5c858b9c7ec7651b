"""Resynthesis of sounds from their own LOA tokens: an upper bound for what can be generated from EEG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eeg2speech.audio import Waveform
from eeg2speech.audio.stitching import Stitcher
from eeg2speech.checkpoints.exports import read_config
from eeg2speech.checkpoints.parts import read_part
from eeg2speech.core.seeding import mix, name_key
from eeg2speech.models.audio.encoder import AudioEncoder
from eeg2speech.models.audio.loa import BLOCKS
from eeg2speech.models.audioldm2.condition import Condition
from eeg2speech.models.audioldm2.files import OWN_AUDIO, find_components
from eeg2speech.models.audioldm2.sampling import Sampler
from eeg2speech.models.audioldm2.speech import SpeechDiffusion
from eeg2speech.models.registry import encoder_class
from eeg2speech.models.weights import HUB

PUBLISHED = "hf_hub:gaunernst/vit_base_patch16_1024_128.audiomae_as2m"
"""AudioMAE's weights, on which AudioLDM 2 was trained."""
SILENCE = 1e-4
"""Root mean square below which a sound counts as silence."""


class Resynthesis:
    """Generates sounds from their own LOA tokens, window by window.

    Args:
        model: Generates the sounds; its EEG side is not used.
        sampler: Solver of the diffusion.
        samples: Of a window of sound.
        overlap: Of windows, in samples; they are cross-faded over it.
        seed: Of the noise.
        batch_size: Windows generated at once.
    """

    def __init__(
        self, model: SpeechDiffusion, sampler: Sampler, samples: int, overlap: int, seed: int = 0, batch_size: int = 8
    ) -> None:
        self.model, self.sampler, self.samples = model, sampler, samples
        self.overlap, self.seed, self.batch_size = overlap, seed, batch_size

    def generate(
        self, name: str, wave: Waveform, starts: Sequence[int], advance: Callable[[int], object]
    ) -> dict[str, Waveform]:
        """Resynthesise a sound.

        Args:
            name: Of the sound; its noise depends on it.
            wave: At 16 kHz, (samples,).
            starts: First samples of the windows.
            advance: Called with the number of windows of each finished batch.

        Returns:
            ``loa``, generated from the LOA of the sound, and ``roundtrip``, reconstructed by autoencoder and vocoder
            alone; each of the length of the sound and, in every window, of its level.
        """
        padded = np.pad(wave, (0, max(0, self.samples - len(wave))))
        stitchers = {kind: Stitcher(self.overlap, match=False) for kind in ("loa", "roundtrip")}
        pieces: dict[str, list[Waveform]] = {kind: [] for kind in stitchers}
        for first in range(0, len(starts), self.batch_size):
            chosen = starts[first : first + self.batch_size]
            windows = np.stack([padded[start : start + self.samples] for start in chosen])
            seeds = [mix(self.seed, name_key(name), start) for start in chosen]
            with torch.inference_mode():
                audio = torch.from_numpy(windows).to(self.model.device)
                loa = self.model.loa_of_sound(audio)
                latents = self.sampler.sample(self.model, Condition(loa), loa.shape[1], seeds)
                made = {"loa": self.model.waveform(latents), "roundtrip": self.model.round_trip(audio)}
            for kind, sound in made.items():
                for start, window, one in zip(chosen, windows, sound.float().cpu().numpy(), strict=True):
                    pieces[kind].append(stitchers[kind].add(as_loud(one, window), start))
            advance(len(chosen))
        return {
            kind: np.concatenate([*pieces[kind], stitcher.finish()])[: len(wave)]
            for kind, stitcher in stitchers.items()
        }


def as_loud(made: Waveform, window: Waveform) -> Waveform:
    """Scale a generated window, (samples,), to the root mean square of the original one; silence stays silent."""
    level, wanted = (float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) for wave in (made, window))
    if wanted < SILENCE or not level > 0:
        return np.zeros_like(made)
    return np.asarray(made * (wanted / level), np.float32)


def choose_audio(components: str | Path, weights: str | None) -> tuple[dict[str, Any], str | None]:
    """Choose the audio encoder that LOA comes from.

    Args:
        components: See ``SpeechDiffusion``.
        weights: AudioMAE's as hub id, folder or file, a run of ``configs/audiomae.yaml``, or the export of a registered
            audio encoder; None for the encoder in the folder of the components, else AudioMAE from the hub.

    Returns:
        Its class and config, and its weights; None for those of the components.

    Raises:
        DataError: The weights are damaged, or the class is not registered.
    """
    own = find_components(components) / OWN_AUDIO
    if weights is None and not own.is_dir():
        weights = PUBLISHED
    source = own if weights is None else Path(weights)
    if weights is not None and (weights.startswith(HUB) or not _is_run(source)):
        return {"class": "AudioMAE", "config": {"blocks": list(BLOCKS)}}, weights
    described, _, _ = read_part(source, "encoder")
    if issubclass(encoder_class(described, str(source)), AudioEncoder):
        return described, weights
    # a run of configs/audiomae.yaml holds the ViTEncoder inside a SpectrogramViT
    sizes = {
        key: value for key, value in described["config"].items() if key in ("width", "depth", "heads", "mlp_ratio")
    }
    return {"class": "SpectrogramViT", "config": sizes}, weights


def _is_run(source: Path) -> bool:
    """Whether weights are those of a run of this project, not of AudioMAE."""
    if not source.is_dir():
        return source.suffix == ".ckpt"
    try:
        config = read_config(source)
    except (OSError, ValueError):
        return False
    return "part" in config or "parts" in config
