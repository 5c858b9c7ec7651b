"""The files of AudioLDM 2's components: in a folder, in the package, or on the hub without the text encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from eeg2speech.core.errors import DataError
from eeg2speech.core.paths import expanded
from eeg2speech.models.weights import HUB, from_hub, read_weights

TINY = Path(__file__).parents[2] / "assets" / "tiny"
"""The components in the package."""
WEIGHTS = {
    "unet": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "vae": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "vocoder": (
        "model.safetensors", "diffusion_pytorch_model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.bin"
    ),
}  # fmt: skip
"""Folders of the networks, and possible names of the files with their weights, the preferred first."""
SCHEDULER = "scheduler/scheduler_config.json"
CONDITIONER = "conditioner"
"""Folder of the network that makes the UNet's conditions from LOA; only components of this project have one."""
MANIFEST = "manifest.json"
"""File with the sounds that components of this project were trained on."""
OWN_AUDIO = "audiomae"
"""Folder inside components with the audio encoder that their LOA comes from, as a run of ``configs/audiomae.yaml``."""
_GAIN = {".weight_g": ".weight_v", ".parametrizations.weight.original0": ".parametrizations.weight.original1"}
"""Suffixes of the names of a normalised weight's length and direction, in two versions of torch."""
_OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""Names of the parts of an autoencoder's attention in diffusers before 0.13, and since."""


def find_components(source: str | Path) -> Path:
    """Find the folder with a UNet, an autoencoder, a vocoder and a noise schedule.

    Args:
        source: A folder, the word ``tiny`` for the set that comes with the package, or an id on the Hugging Face hub,
            e.g. ``hf_hub:anhnct/audioldm2_gigaspeech``. From the hub only these four are downloaded, with ``.bin``
            weights where there are no safetensors.

    Returns:
        The folder; its content is checked when it is loaded.

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
    """File with the weights of a network, safetensors rather than ``.bin``; None if there is none."""
    return next((folder / part / name for name in file_names(part) if (folder / part / name).is_file()), None)


def file_names(part: str) -> Sequence[str]:
    """Possible names of the file with the weights of a network, the preferred first."""
    return WEIGHTS.get(part, WEIGHTS["unet"])


def _download(name: str) -> Path:
    files = [f"{part}/{file}" for part, names in WEIGHTS.items() for file in names if file.endswith(".safetensors")]
    configs = ["model_index.json", SCHEDULER, *(f"{part}/config.json" for part in WEIGHTS)]
    folder = _snapshot(name, configs + files)
    lacking = [part for part in WEIGHTS if weights_file(folder, part) is None]  # most repositories hold both formats
    old = [f"{part}/{file}" for part in lacking for file in WEIGHTS[part] if file.endswith(".bin")]
    return _snapshot(name, old) if old else folder


def _snapshot(name: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download  # takes a third of a second, and local folders do not need it

    remedy = (
        f"download its folders {', '.join(WEIGHTS)} and scheduler once where there is a network and name the local "
        "folder instead"
    )
    return from_hub(f"hf_hub:{name}", lambda: snapshot_download(name, allow_patterns=list(patterns)), remedy)


def read_component(file: Path) -> dict[str, Tensor]:
    """Read the weights of a network under the names that current libraries give them.

    Weight normalisation is multiplied out: vocoders are published with it, and transformers 5 would replace such
    weights by random ones.

    Raises:
        DataError: See ``read_weights``.
    """
    weights = {}
    for name, value in _without_weight_norm(read_weights(file)).items():
        for old, new in _OLD_ATTENTION.items():
            name = name.replace(old, new)
        weights[name] = value
    return weights


def _without_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    plain = dict(state)
    for name in state:
        for gain, direction in _GAIN.items():
            if name.endswith(gain):
                stem = name.removesuffix(gain)
                length, vector = plain.pop(name).double(), plain.pop(stem + direction).double()
                kept = [d for d in range(vector.dim()) if length.shape[d] > 1] or [0]
                norm = vector.norm(dim=[d for d in range(vector.dim()) if d not in kept], keepdim=True)
                plain[f"{stem}.weight"] = (length * vector / norm).to(state[name].dtype)
    return plain
