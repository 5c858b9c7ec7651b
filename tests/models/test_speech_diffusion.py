"""The model of stage 3 on tiny random components: conditions, sampling, caching, adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from audioldm2_tiny import LOA, TEXT, write_tiny

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models import SpectrogramViT, ViTEncoder
from eeg2speech.models.aligner import Aligner
from eeg2speech.models.audio.loa import pool_loa
from eeg2speech.models.audioldm2.condition import Condition
from eeg2speech.models.audioldm2.conditioner import Conditioner
from eeg2speech.models.audioldm2.sampling import Sampler
from eeg2speech.models.audioldm2.speech import SpeechDiffusion
from eeg2speech.models.lora import merge_adapters

STEPS = 4


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("components")
    return {name: write_tiny(root / name, name) for name in ("speech", "general")}


def make(folder: Path, **settings) -> SpeechDiffusion:
    torch.manual_seed(0)
    return SpeechDiffusion(folder, SpectrogramViT(width=LOA, depth=1, heads=2), **settings).eval()


def tokens(count: int = 3) -> torch.Tensor:
    return torch.randn(count, STEPS, 8, LOA, generator=torch.Generator().manual_seed(1))


def condition(*rows: int) -> Condition:
    """Tokens of all windows or of some, without latents."""
    return Condition(tokens()[list(rows)] if rows else tokens())


def test_tokens_of_the_context_width_pass_unchanged():
    made = Conditioner(LOA, LOA)(tokens())
    assert torch.equal(made["encoder_hidden_states"], tokens().flatten(1, 2))
    assert made["control"] is None


def test_the_general_layout_gets_pooled_tokens_and_a_learned_text():
    conditioner = Conditioner(LOA, LOA, second=TEXT, pooled=True)
    made = conditioner(tokens())
    torch.testing.assert_close(made["encoder_hidden_states"], pool_loa(tokens()))
    assert made["encoder_hidden_states_1"].shape == (3, 1, TEXT)


def test_what_is_dropped_leaves_no_trace_and_the_rest_stays():
    conditioner = Conditioner(LOA, LOA, concat_channels=2)
    with torch.no_grad():
        conditioner.null.fill_(0.5)
    dropped = torch.tensor([True, False, True])
    made, other = (
        conditioner(x, dropped) for x in (tokens(), tokens() * torch.tensor([7.0, 1.0, -3.0]).view(3, 1, 1, 1))
    )
    for name in ("encoder_hidden_states", "control"):
        assert torch.equal(made[name], other[name])
    assert (made["encoder_hidden_states"][0] == 0.5).all()
    assert not made["control"][0].any()
    assert made["control"].shape == (3, 2, 4 * STEPS, 16)


def test_control_changes_nothing_until_it_is_trained(folders: dict[str, Path]):
    plain, widened = make(folders["speech"]), make(folders["speech"], concat_channels=3)
    noisy, time = torch.randn(3, *plain.latent_shape(STEPS)), torch.tensor([10, 500, 900])
    with torch.no_grad():
        a, b = (m.predict(noisy, time, m.conditions(tokens(), 3, STEPS)) for m in (plain, widened))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert widened.unet.conv_in.weight.requires_grad
    with pytest.raises(ConfigError, match="concat_channels=3"):
        SpeechDiffusion(
            write_control(folders["speech"]), SpectrogramViT(width=LOA, depth=1, heads=2), concat_channels=3
        )


def write_control(folder: Path) -> Path:
    """Components whose UNet has two channels of control, with their conditioner."""
    other = folder.with_name("control")
    if not other.is_dir():
        model = make(write_tiny(other, "speech"), concat_channels=2)
        merge_adapters(model.unet)
        model.unet.save_pretrained(other / "unet")
        model.conditioner.save_pretrained(other / "conditioner")
    return other


def test_components_may_bring_their_conditioner(folders: dict[str, Path]):
    model = make(write_control(folders["speech"]))
    assert model.conditioner.config.concat_channels == 2
    assert model.waveform(Sampler(steps=2).sample(model, condition(), STEPS, [1, 2, 3])).shape == (
        3,
        STEPS * 2560,
    )
    with pytest.raises(ConfigError, match="belongs to it"):
        SpeechDiffusion(write_control(folders["speech"]), SpectrogramViT(width=32, depth=1, heads=2))


@pytest.mark.parametrize("layout", ["speech", "general"])
@pytest.mark.parametrize(
    "sampler", [Sampler(steps=3), Sampler("ddim", 4, 2.0), Sampler(steps=3, guidance=1.0)], ids=str
)
def test_a_clip_depends_on_its_own_seed_alone(layout: str, sampler: Sampler, folders: dict[str, Path]):
    model = make(folders[layout])
    together = sampler.sample(model, condition(), STEPS, [5, 6, 7])
    alone = sampler.sample(model, condition(1), STEPS, [6])
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-3)
    other = sampler.sample(model, condition(1), STEPS, [8])
    assert not torch.allclose(alone, other, atol=1e-2)


@pytest.mark.parametrize("solver", ["dpm", "ddim"])
def test_a_lower_start_stays_closer_to_the_regression(solver: str, folders: dict[str, Path]):
    model = make(folders["speech"])
    latents = 0.3 * torch.randn(3, *model.latent_shape(STEPS), generator=torch.Generator().manual_seed(2))
    started = Condition(tokens(), latents)

    def distance(start: float) -> float:
        sampled = Sampler(solver, 10, 1.0, start).sample(model, started, STEPS, [1, 2, 3])
        alone = Sampler(solver, 10, 1.0, start).sample(model, Condition(tokens()[1:2], latents[1:2]), STEPS, [2])
        torch.testing.assert_close(sampled[1:2], alone, atol=1e-4, rtol=1e-3)
        return (sampled - latents).square().mean().item()

    distances = [distance(start) for start in (0.1, 0.3, 0.6, 1.0)]
    assert distances == sorted(distances)
    assert distances[0] < 0.2 * distances[-1]
    whole = Sampler(solver, 10, 1.0).sample(model, started, STEPS, [1, 2, 3])
    assert torch.equal(whole, Sampler(solver, 10, 1.0).sample(model, condition(), STEPS, [1, 2, 3]))
    with pytest.raises(ConfigError, match=r"start=0.0005 is below the last of 10 steps"):
        Sampler(solver, 10, 1.0, 0.0005).sample(model, started, STEPS, [1, 2, 3])
    with pytest.raises(ConfigError, match="start=0 must be above 0"):
        Sampler(start=0)


def test_without_a_condition_what_was_said_does_not_matter(folders: dict[str, Path]):
    model, sampler = make(folders["speech"]), Sampler(steps=2, guidance=0.0)
    nothing = sampler.sample(model, None, STEPS, [1, 2, 3])
    torch.testing.assert_close(sampler.sample(model, condition(), STEPS, [1, 2, 3]), nothing, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("target", ["joint", "loa"])
def test_eeg_tells_which_tokens_the_sound_has(target: str, folders: dict[str, Path]):
    torch.manual_seed(0)
    audio = SpectrogramViT(width=LOA, depth=1, heads=2)
    aligner = Aligner(ViTEncoder((4, 16), width=16, depth=1, heads=2), audio, 2, 8, 8, 16, target=target)
    sounds = 0.1 * torch.randn(4, STEPS * 2560)
    if target == "loa":
        aligner.sound_head.fit([audio(sounds)])
    eeg, places = torch.randn(2, 8, 16 * STEPS), 0.09 * torch.randn(2, 8, 3)
    subject = torch.tensor([-1, -1])
    before = aligner.eeg_steps(eeg, places, None, subject)
    model = SpeechDiffusion(folders["speech"], SpectrogramViT(width=LOA, depth=1, heads=2), aligner).eval()
    steps = model.eeg_steps(eeg, places, None, subject)
    loa = model.loa_of_steps(steps)
    assert loa.shape == (2, STEPS, 8, LOA)
    assert (model.readout is None) == (target == "loa")
    assert model.vocode(model.mel_of_steps(steps)).shape == (2, STEPS * 2560)
    torch.testing.assert_close(steps, before)
    assert not [name for name, _ in model.named_parameters() if name.startswith("aligner.audio.")]
    if target == "loa":
        with pytest.raises(ConfigError, match="predicts 128 features"):
            SpeechDiffusion(folders["speech"], SpectrogramViT(width=32, depth=1, heads=2), aligner)


def test_latents_are_kept_by_content(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EEG2SPEECH_CACHE", str(tmp_path))
    fresh, kept = make(folders["speech"]), make(folders["speech"], cache=True)
    sounds = 0.1 * torch.randn(2, 10240, generator=torch.Generator().manual_seed(0))
    first = kept.latents(sounds)
    torch.testing.assert_close(first, fresh.latents(sounds), atol=1e-2, rtol=1e-2)  # kept in half precision
    assert kept.cache is not None
    assert kept.cache.computed == 2
    assert torch.equal(kept.latents(sounds.flip(0)), first.flip(0))
    assert kept.cache.computed == 2
    assert first.shape == (2, *kept.latent_shape(STEPS))


def test_merged_adapters_speak_as_unmerged_ones(folders: dict[str, Path]):
    model = make(folders["speech"])
    with torch.no_grad():
        for name, value in model.unet.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.5)
    before = Sampler(steps=2).sample(model, condition(), STEPS, [1, 2, 3])
    merge_adapters(model.unet)
    torch.testing.assert_close(
        Sampler(steps=2).sample(model, condition(), STEPS, [1, 2, 3]), before, atol=1e-4, rtol=1e-3
    )


def test_activations_computed_twice_give_the_same_gradients(folders: dict[str, Path]):
    found = []
    for checkpointing in (False, True):
        model = make(folders["speech"], trainable="all", checkpointing=checkpointing).train()
        noisy = torch.randn(3, *model.latent_shape(STEPS), generator=torch.Generator().manual_seed(2))
        model.predict(noisy, torch.tensor([1, 2, 3]), model.conditions(tokens(), 3, STEPS)).square().mean().backward()
        found.append([value.grad for value in model.unet.parameters() if value.grad is not None])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_what_a_checkpoint_leaves_out_is_what_others_bring(folders: dict[str, Path]):
    model = make(folders["general"])
    own = model.state_dict().keys() - model.frozen_names
    assert not [name for name in own if name.startswith(("vae.", "vocoder.", "audio."))]
    assert [name for name in own if "lora_" in name]
    assert not [name for name in own if "base_layer" in name]
    with pytest.raises(DataError, match="other components"):
        model.check_fingerprint("0" * 64, "here")


def test_loudness_and_silence(folders: dict[str, Path]):
    model = make(folders["speech"])
    sounds = torch.stack([0.1 * torch.randn(10240), torch.zeros(10240)])
    assert torch.isfinite(model.round_trip(sounds)).all()
    torch.testing.assert_close(model.latents(3 * sounds), model.latents(sounds), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"guidance": -1.0}, {"guidance": float("nan")}])
def test_a_sampler_that_makes_no_sense_is_refused(settings: dict[str, float]):
    with pytest.raises(ConfigError, match="sampler"):
        Sampler(**settings)
