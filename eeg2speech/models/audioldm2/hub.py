"""Finding AudioLDM 2's components: in a folder, in the package, or on the Hugging Face hub without the text stack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eeg2speech.core.cache import check_hub_cache
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded
from eeg2speech.models.audio.audiomae_weights import HUB

TINY = Path(__file__).parents[2] / "assets" / "tiny"
"""The components that come with the package."""
WEIGHTS = {
    "unet": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "vae": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "vocoder": (
        "model.safetensors", "diffusion_pytorch_model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.bin"
    ),
}  # fmt: skip
"""Folders of the networks, and what the files of their weights may be called, the best first."""
SCHEDULER = "scheduler/scheduler_config.json"
CONDITIONER = "conditioner"
"""Folder of the network that makes the UNet's conditions from LOA, where components of this project have one."""
MANIFEST = "manifest.json"
"""Says which sounds components of this project were trained on."""


def find_components(source: str | Path) -> Path:
    """Find the folder with a UNet, an autoencoder, a vocoder and a noise schedule.

    Args:
        source: A folder, the word ``tiny`` for the set that comes with the package, or an id on the Hugging Face hub,
            e.g. ``hf_hub:anhnct/audioldm2_gigaspeech``. Of the latter only these four are downloaded, and old ``.bin``
            weights only where there are no others.

    Returns:
        The folder. Whether it holds everything shows when it is loaded.

    Raises:
        ConfigError: The hub cannot be reached or does not have it.
        DataError: There is no such folder.
    """
    name = str(source)
    if name.startswith(HUB):
        return _download(name.split(":", 1)[1])
    folder = TINY if name == "tiny" else expanded(name)
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; name one with unet, vae, vocoder and scheduler, an id on the hub as "
            "hf_hub:OWNER/NAME, or tiny for the set that comes with the package"
        )
    return folder


def weights_file(folder: Path, part: str) -> Path | None:
    """File with the weights of a network, safetensors rather than ``.bin``; None where there is none."""
    return next((folder / part / name for name in file_names(part) if (folder / part / name).is_file()), None)


def file_names(part: str) -> Sequence[str]:
    """What the file with the weights of a network may be called, the best first."""
    return WEIGHTS.get(part, WEIGHTS["unet"])


def _download(name: str) -> Path:
    files = [f"{part}/{file}" for part, names in WEIGHTS.items() for file in names if file.endswith(".safetensors")]
    configs = ["model_index.json", SCHEDULER, *(f"{part}/config.json" for part in WEIGHTS)]
    folder = _snapshot(name, configs + files)
    lacking = [part for part in WEIGHTS if weights_file(folder, part) is None]  # most repositories hold both formats
    old = [f"{part}/{file}" for part in lacking for file in WEIGHTS[part] if file.endswith(".bin")]
    return _snapshot(name, old) if old else folder


def _snapshot(name: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download  # a third of a second, and not needed for local folders

    check_hub_cache()
    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"hf_hub:{name}: cannot be had from the hub ({reason}); download its folders {', '.join(WEIGHTS)} and "
            "scheduler once where there is a network and name the local folder instead"
        ) from error
