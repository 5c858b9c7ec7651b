from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
import torch
from audioldm2_tiny import write_tiny

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models.audioldm2.components import load_components
from eeg2speech.models.audioldm2.files import TINY, find_components


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A repository with a text stack, and a way to copy from it as the hub's client does."""
    import huggingface_hub

    repository, local = tmp_path / "repository", tmp_path / "local"
    write_tiny(repository)
    for name in ("text_encoder/model.safetensors", "text_encoder_2/pytorch_model.bin", "language_model/config.json"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("not to be downloaded")

    def download(name, allow_patterns):
        assert name == "somebody/audioldm2"
        for file in [file for file in repository.rglob("*") if file.is_file()]:
            path = str(file.relative_to(repository))
            if any(fnmatch.fnmatch(path, pattern) for pattern in allow_patterns):
                (local / path).parent.mkdir(parents=True, exist_ok=True)
                (local / path).write_bytes(file.read_bytes())
        return str(local)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return repository


def names(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_the_hub_is_asked_for_four_components_and_no_text_stack(hub):
    (hub / "unet" / "diffusion_pytorch_model.bin").write_text("the same weights once more")
    (hub / "vae" / "diffusion_pytorch_model.fp16.safetensors").write_text("and once more")
    folder = find_components("hf_hub:somebody/audioldm2")
    assert names(folder) == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "vocoder/config.json",
        "vocoder/model.safetensors",
    ]
    assert load_components("hf_hub:somebody/audioldm2").fingerprint == load_components(hub).fingerprint


def test_old_weights_come_from_the_hub_where_there_are_no_others(hub):
    expected = load_components(hub).fingerprint
    write_tiny(hub, bin=True)
    (hub / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (hub / "vocoder" / "model.safetensors").unlink()
    loaded = names(find_components("hf_hub:somebody/audioldm2"))
    assert [name for name in loaded if name.endswith((".bin", ".safetensors"))] == [
        "unet/diffusion_pytorch_model.bin",
        "vae/diffusion_pytorch_model.safetensors",
        "vocoder/pytorch_model.bin",
    ]
    assert load_components("hf_hub:somebody/audioldm2").fingerprint == expected


def test_a_hub_out_of_reach_is_named_with_a_way_out(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"hf_hub:somebody/nothing-here: .* name the local folder instead"):
        find_components("hf_hub:somebody/nothing-here")
    with pytest.raises(ConfigError, match=r"hf_hub:no/such/id: "):
        find_components("hf_hub:no/such/id")


def test_folders(tmp_path, monkeypatch):
    assert find_components(tmp_path) == find_components(str(tmp_path)) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert find_components(f"~/{tmp_path.name}") == tmp_path
    with pytest.raises(DataError, match=r"cvssp/audioldm2: no such folder; .* hf_hub:OWNER/NAME, or tiny"):
        find_components("cvssp/audioldm2")


def test_tiny_is_the_set_of_the_package(tmp_path, monkeypatch):
    import eeg2speech

    assert Path(eeg2speech.__file__).parent / "assets" / "tiny" == TINY
    monkeypatch.setattr("eeg2speech.models.audioldm2.files.TINY", write_tiny(tmp_path / "set", vocoder="istft"))
    components = load_components("tiny")
    assert components.source == "tiny"
    assert components.vocoder(torch.zeros(1, 10, 64)).shape == (1, 1600)
