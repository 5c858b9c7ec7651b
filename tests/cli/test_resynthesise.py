"""`eeg2speech resynthesise` on real components with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from eeg2speech.checkpoints.exports import Part, write_export
from eeg2speech.cli import main
from eeg2speech.models import SpectrogramViT
from eeg2speech.models.audioldm2.resynthesis import as_loud
from tests.audioldm2_tiny import LOA, write_tiny


@pytest.fixture(scope="module")
def components(tmp_path_factory) -> Path:
    """Components that bring their own encoder of sound."""
    folder = write_tiny(tmp_path_factory.mktemp("components") / "tiny", vocoder="istft")
    torch.manual_seed(0)
    encoder = SpectrogramViT(width=LOA, depth=1, heads=2).encoder
    described = {"class": "ViTEncoder", "config": encoder.config}
    write_export(folder / "audiomae", {"encoder": Part(described, encoder.state_dict())}, {}, {})
    return folder


def tone(seconds: float, level: float = 0.3, rate: int = 16_000) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * 300 * time) * (0.6 + 0.4 * np.sin(9 * time))).astype(np.float32)


def resynthesise(sound, out, components, *options: str, status=0) -> None:
    words = ["resynthesise", str(sound), "--out", str(out), "--components", str(components), "--steps=2"]
    assert main([*words, "--window=0.64", "--overlap=0.16", *options]) == status


def test_sounds_come_back_as_long_and_as_loud(components, tmp_path, capsys):
    soundfile.write(tmp_path / "long.wav", tone(2.5, rate=22_050), 22_050)
    soundfile.write(tmp_path / "short.wav", tone(0.3), 16_000)
    resynthesise(f"[{tmp_path / 'long.wav'},{tmp_path / 'short.wav'}]", tmp_path / "out", components)
    made = {file.name: soundfile.read(file) for file in (tmp_path / "out").iterdir()}
    assert set(made) == {"long_loa.wav", "long_roundtrip.wav", "short_loa.wav", "short_roundtrip.wav"}
    for name, (wave, rate) in made.items():
        assert rate == 16_000
        assert len(wave) == (40_000 if name.startswith("long") else 4_800)
        assert np.isfinite(wave).all()
        assert 0.02 < np.sqrt(np.mean(wave**2)) < 0.5
    assert "long, short" in capsys.readouterr().out


def test_a_clip_depends_on_its_seed_not_its_batch(components, tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2.0), 16_000)
    waves = []
    for i, options in enumerate((["--batch_size=1"], ["--batch_size=4"], ["--seed=1"])):
        resynthesise(tmp_path / "a.wav", tmp_path / str(i), components, *options)
        waves.append([soundfile.read(tmp_path / str(i) / f"a_{kind}.wav")[0] for kind in ("loa", "roundtrip")])
    assert np.allclose(waves[0], waves[1], atol=1e-4)
    assert not np.allclose(waves[0][0], waves[2][0], atol=1e-3)
    assert np.allclose(waves[0][1], waves[2][1], atol=1e-4)  # nothing is drawn for the round trip


def test_a_folder_of_sounds_is_taken_whole(components, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.flac"):
        soundfile.write(tmp_path / "in" / name, tone(0.64), 16_000)
    resynthesise(tmp_path / "in", tmp_path / "out", components)
    assert len(list((tmp_path / "out").glob("*.wav"))) == 4


def test_silent_clipped_missing_and_doubled_sounds(components, tmp_path, capsys):
    silent, clipped = tmp_path / "silent.wav", tmp_path / "clipped.wav"
    soundfile.write(silent, np.zeros(16_000), 16_000)
    soundfile.write(clipped, np.clip(tone(0.64, 5.0), -1, 1), 16_000)
    resynthesise(silent, tmp_path / "out", components, status=1)
    assert f"{silent}: is silent" in capsys.readouterr().err
    resynthesise(clipped, tmp_path / "out", components)
    assert "of the sound is clipped" in capsys.readouterr().err
    resynthesise(tmp_path / "no.wav", tmp_path / "out", components, status=1)
    assert "no such sound" in capsys.readouterr().err
    resynthesise(f"[{clipped},{clipped}]", tmp_path / "out", components, status=1)
    assert "several sounds are named 'clipped'" in capsys.readouterr().err
    resynthesise(clipped, tmp_path / "out", components, "--window=0.7", status=1)
    assert "multiple of 0.16 s" in capsys.readouterr().err
    resynthesise(clipped, tmp_path / "out", tmp_path / "gone", status=1)
    assert "gone" in capsys.readouterr().err


def test_a_silent_window_stays_silent():
    assert not as_loud(np.full(10, np.nan, np.float32), np.zeros(10, np.float32)).any()
    window = tone(0.1, 0.1)
    assert np.std(as_loud(tone(0.1)[::-1], window)) == pytest.approx(np.std(window), rel=0.05)
