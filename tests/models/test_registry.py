"""An audio encoder of a user goes through export, rebuilding and stage 3 once its class is registered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from audioldm2_tiny import LOA, write_tiny
from einops import rearrange
from networks import make_batch, make_encoder
from torch import Tensor, nn

from eeg2speech.audio.fbank import Fbank
from eeg2speech.checkpoints.exports import Part, write_export
from eeg2speech.checkpoints.parts import load_into, read_part
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models import Aligner, AudioEncoder, CachedAudio, ViTEncoder, register
from eeg2speech.models.audioldm2.rebuild import build_speech, rebuild_speech
from eeg2speech.models.audioldm2.resynthesis import choose_audio
from eeg2speech.models.audioldm2.speech import SpeechDiffusion
from eeg2speech.models.rebuild import rebuild_aligner
from eeg2speech.models.registry import build_encoder, describe, encoder_class


@register
class PatchProjection(AudioEncoder):
    """Projects patches of the spectrogram; frozen."""

    rows = 8
    window = 1.6

    def __init__(self, weights: str | Path | None = None, width: int = LOA) -> None:
        super().__init__()
        self.width, self.config = width, {"width": width}
        self.fbank, self.project = Fbank(), nn.Linear(256, width)
        self.requires_grad_(False).eval()
        if weights is not None:
            self.load(weights)

    def load(self, weights: str | Path) -> None:
        _, state, _ = read_part(Path(weights), "encoder")
        load_into(self, state, str(weights))
        self.source = str(weights)

    def encode(self, audio: Tensor) -> Tensor:
        patches = rearrange(self.fbank(audio), "b (l s) (f e) -> b l f (s e)", s=16, e=16)
        out: Tensor = self.project(patches)
        return out

    def each_block(self, audio: Tensor) -> list[Tensor]:
        return [self.encode(audio)]


def make_audio() -> PatchProjection:
    torch.manual_seed(3)
    return PatchProjection()


def exported(folder: Path) -> Path:
    audio = make_audio()
    return write_export(folder, {"encoder": Part(describe(audio), audio.state_dict())}, {}, {})


def noise(batch: int = 2, steps: int = 4) -> Tensor:
    return 0.1 * torch.randn(batch, 2560 * steps, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cached", [False, True])
def test_an_aligner_with_it_is_rebuilt_from_its_export(tmp_path: Path, cached: bool):
    audio = make_audio()
    aligner = Aligner(
        make_encoder(patch=(4, 16)), CachedAudio(audio, tmp_path / "cache") if cached else audio, 2, 12
    ).eval()
    write_export(tmp_path / "aligner", {"aligner": Part(aligner.description, aligner.state_dict())}, {}, {})
    described, weights, _ = read_part(tmp_path / "aligner", "aligner")
    again = rebuild_aligner(described, weights, "here")
    assert isinstance(again.audio, PatchProjection)
    tolerance = 1e-2 if cached else 1e-6  # the cache keeps half precision
    torch.testing.assert_close(again.embed_sound(noise()), aligner.embed_sound(noise()), atol=tolerance, rtol=tolerance)


def test_stage_3_generates_from_it_and_is_rebuilt(tmp_path: Path):
    components, weights = write_tiny(tmp_path / "components"), exported(tmp_path / "audio")
    aligner = Aligner(make_encoder(), make_audio(), 2, 12, target="loa").eval()
    described_aligner = aligner.description
    model = SpeechDiffusion(components, PatchProjection(weights), aligner).eval()
    described = {
        "class": "SpeechDiffusion",
        "config": {
            "components": str(components), "fingerprint": model.fingerprint, "audio": describe(model.audio),
            "audio_weights": str(weights), "audio_fingerprint": model.audio_fingerprint,
            "aligner": described_aligner, "sampler": {"steps": 2},
        },
    }  # fmt: skip
    own = {name: value for name, value in model.state_dict().items() if name not in model.frozen_names}
    again, _ = rebuild_speech(json.loads(json.dumps(described)), own, "here")
    torch.testing.assert_close(again.loa_of_sound(noise()), make_audio()(noise()))
    eeg, positions = make_batch(2, 12, 64)
    subject = torch.zeros(2, dtype=torch.long)
    with torch.no_grad():
        ours, theirs = (one.condition(one.eeg_steps(eeg, positions, None, subject)).loa for one in (again, model))
    torch.testing.assert_close(ours, theirs)


def test_sounds_are_resynthesised_with_it(tmp_path: Path):
    components, source = write_tiny(tmp_path / "components"), exported(tmp_path / "audio")
    described, weights = choose_audio(components, str(source))
    assert encoder_class(described, "here") is PatchProjection
    model = build_speech(components, described, weights)
    torch.testing.assert_close(model.loa_of_sound(noise()), make_audio()(noise()))
    with pytest.raises(DataError, match="ViTEncoder is not an audio encoder"):
        build_speech(components, describe(make_encoder()), weights)


def test_a_class_that_is_not_registered_is_refused_by_name():
    with pytest.raises(DataError, match=r"here: an encoder of class 'Gone'; .* builds ViTEncoder, .*register"):
        build_encoder({"class": "Gone", "config": {}}, "here")
    with pytest.raises(DataError, match="not settings of PatchProjection"):
        build_encoder({"class": "PatchProjection", "config": {"depth": 3}}, "here")


def test_a_name_is_registered_once():
    assert register(PatchProjection) is PatchProjection
    other = type("ViTEncoder", (ViTEncoder,), {"__module__": __name__})
    with pytest.raises(ConfigError, match=r"ViTEncoder is registered by eeg2speech\.models\.eeg\.encoder"):
        register(other)
    assert encoder_class({"class": "ViTEncoder"}, "here") is ViTEncoder
