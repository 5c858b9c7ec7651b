"""A file that would run code where it is unpickled, handed to everything that reads a file."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eeg2speech.checkpoints.exports import read_export
from eeg2speech.checkpoints.parts import export_part, read_checkpoint, read_data, read_part
from eeg2speech.cli import main
from eeg2speech.core.errors import Eeg2SpeechError
from eeg2speech.data.files.matlab import read_mat
from eeg2speech.data.files.sounds import read_npz
from eeg2speech.data.readers import sparrkulee, vlaai
from eeg2speech.data.store.store import Store
from eeg2speech.models import SpectrogramViT
from eeg2speech.models.audio.audiomae import read_audiomae
from eeg2speech.models.audio.cached import ContentCache
from eeg2speech.models.audioldm2.components import load_components
from eeg2speech.training.atomic_checkpoint_io import AtomicCheckpointIO
from tests.tiny_stores import write_store

ROOT = Path(__file__).parents[2]
MAEEG = f"--config={ROOT / 'configs/maeeg.yaml'}"
ALIGNMENT = [f"--config={ROOT / 'configs/alignment.yaml'}", f"--config={ROOT / 'tests/conf/tiny_alignment.yaml'}"]
DIFFUSION = [f"--config={ROOT / 'configs/diffusion.yaml'}", f"--config={ROOT / 'tests/conf/tiny_diffusion.yaml'}"]


class Bomb:
    """Makes a folder where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def checkpoint(bomb: Bomb, file: Path) -> Path:
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "hyper_parameters": bomb}, file)
    return file


def legacy(bomb: Bomb, file: Path) -> Path:
    content = {"state_dict": {"weight": torch.zeros(2)}, "callbacks": bomb}
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file


def plain(bomb: Bomb, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(bomb))
    return file


def array(bomb: Bomb, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        np.save(stream, np.array([bomb], object), allow_pickle=True)
    return file


def archive(bomb: Bomb, file: Path) -> Path:
    stream = io.BytesIO()
    objects = np.array([bomb], object)
    np.savez(stream, audio=objects, fs=objects, eeg=objects, envelope=objects)
    content = stream.getvalue()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def export(bomb: Bomb, folder: Path) -> Path:
    """Of an encoder, with a pickle in place of its safetensors."""
    plain(bomb, folder / "encoder.safetensors")
    (folder / "config.json").write_text(json.dumps({"class": "ViTEncoder", "config": {}, "parameters": 0}))
    return folder


def components(bomb: Bomb, folder: Path) -> Path:
    """A folder of AudioLDM 2 as torch.save writes it."""
    from audioldm2_tiny import write_tiny

    write_tiny(folder, bin=True)
    for file in folder.glob("**/*.bin"):
        torch.save({"weight": bomb}, file)
    return folder


def spoilt_store(bomb: Bomb, folder: Path) -> Path:
    write_store(folder, channels=(8,), stimuli=1)
    for file in folder.glob("**/*.npy"):
        array(bomb, file)
    array(bomb, folder / "envelopes/s0.npy")
    return folder


def spoilt_cache(bomb: Bomb, folder: Path) -> Path:
    cache = ContentCache("audio", folder)
    cache.get(torch.zeros(1, 16), b"network", (2,), lambda audio: torch.zeros(len(audio), 2))
    for file in folder.glob("**/*.npy"):
        array(bomb, file)
    return folder


def yaml_tag(bomb: Bomb, file: Path) -> Path:
    file.write_text(f"run: !!python/object/apply:os.mkdir ['{bomb.mark}']\nconfig: x\n")
    return file


def class_path(bomb: Bomb, file: Path) -> Path:
    """A checkpoint of plain values whose settings name what no stage takes."""
    popen: dict[str, Any] = {"class_path": "subprocess.Popen", "init_args": {"args": ["mkdir", str(bomb.mark)]}}
    hyper = {
        "encoder": popen, "optimizer": popen, "loss": popen, "_class_path": "subprocess.Popen",
        "_instantiator": "lightning.pytorch.cli.instantiate_module", "args": popen["init_args"]["args"],
    }  # fmt: skip
    torch.save({"state_dict": {}, "hyper_parameters": hyper, "pytorch-lightning_version": "2.6.0"}, file)
    return file


def read_store(folder: Path) -> None:
    store = Store(folder)
    with suppress(Eeg2SpeechError):
        store.envelope("s0")
    store.eeg(store.recordings[0])


def read_cache(folder: Path) -> None:
    made = ContentCache("audio", folder).get(torch.zeros(1, 16), b"network", (2,), lambda audio: torch.ones(1, 2))
    assert made.tolist() == [[1.0, 1.0]]  # computed anew


def command(*words: str) -> Callable[[Path], None]:
    """Runs the command on the file."""

    def run(file: Path) -> None:
        try:
            status = main([word.format(file=file, out=file.parent / "out") for word in words])
        except SystemExit as left:
            status = int(left.code or 0)
        assert status

    return run


CKPT = {name: command(name, MAEEG, "--ckpt_path={file}") for name in ("fit", "validate", "test", "predict")}
STAGE2 = ("fit", *ALIGNMENT, "--run={out}", "--data.store=tiny")
STAGE3 = ("fit", *DIFFUSION, "--run={out}", "--data.store=tiny")
PATHS: dict[str, tuple[Callable[[Bomb, Path], Path], str, Callable[[Path], Any]]] = {
    **{name: (checkpoint, "a.ckpt", run) for name, run in CKPT.items()},
    **{f"{name}, settings": (class_path, "a.ckpt", run) for name, run in CKPT.items() if name != "fit"},
    "checkpoint": (checkpoint, "a.ckpt", read_checkpoint),
    "checkpoint, old format": (legacy, "a.ckpt", read_checkpoint),
    "checkpoint, a bare pickle": (plain, "a.ckpt", read_checkpoint),
    "resume": (checkpoint, "a.ckpt", lambda file: AtomicCheckpointIO().load_checkpoint(file, weights_only=False)),
    "part": (checkpoint, "a.ckpt", lambda file: read_part(file, "encoder")),
    "data": (checkpoint, "a.ckpt", read_data),
    "export": (checkpoint, "a.ckpt", lambda file: export_part(file, file.parent / "out")),
    "export, command": (checkpoint, "a.ckpt", command("export", "{file}", "{out}")),
    "exported folder": (export, "folder", lambda folder: read_export(folder, "encoder")),
    "generate": (checkpoint, "a.ckpt", command("generate", "--ckpt={file}", "--out={out}")),
    "encoder_weights": (checkpoint, "a.ckpt", command(*STAGE2, "--model.init_args.encoder_weights={file}")),
    "audio_weights": (checkpoint, "a.ckpt", command(*STAGE2, "--model.init_args.audio_weights={file}")),
    "aligner": (checkpoint, "a.ckpt", command(*STAGE3, "--model.init_args.aligner={file}")),
    "SpectrogramViT": (checkpoint, "a.ckpt", lambda file: SpectrogramViT(width=16, depth=1, heads=2).load(file)),
    "AudioMAE": (checkpoint, "a.pth", read_audiomae),
    "AudioMAE, safetensors": (plain, "a.safetensors", read_audiomae),
    "components": (components, "audioldm2", load_components),
    "store": (spoilt_store, "store", read_store),
    "cache": (spoilt_cache, "cache", read_cache),
    "sound": (archive, "a.npz", read_npz),
    "sound, packed": (archive, "a.npz.gz", read_npz),
    "SparrKULee": (array, "a.npy", lambda f: sparrkulee.read_published(f, f.parent, "r", "r", "s")),
    "SparrKULee, envelope": (array, "a.npy", sparrkulee.read_envelope),
    "VLAAI": (archive, "a.npz", lambda file: vlaai._read_array(file, "eeg")),
    "MATLAB": (plain, "a.mat", read_mat),
    "configuration": (yaml_tag, "a.yaml", command("fit", "--config={file}")),
    "sweep": (yaml_tag, "a.yaml", command("sweep", "{file}", "{out}")),
}
HARMLESS = ("cache",)
"""Where a damaged file is made anew."""


@pytest.mark.filterwarnings("ignore")  # what libraries say of a file is not at stake
@pytest.mark.parametrize("path", PATHS)
def test_no_file_runs_code(
    path: str, tmp_path: Path, tiny_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    make, name, read = PATHS[path]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").symlink_to(tiny_store)
    mark = tmp_path / "mark"
    file = make(Bomb(mark), tmp_path / name)
    said = ""
    try:
        read(file)
        said = capsys.readouterr().err  # a command reports by itself
        assert said or path in HARMLESS
    except Eeg2SpeechError as error:
        said = str(error)
    assert not mark.exists()
    assert name in said or "os.mkdir" in said or "Popen" in said or path in HARMLESS, said  # it came as far as the file


def test_the_bomb_is_live(tmp_path: Path):
    """Otherwise the tests above show nothing."""
    for index, (make, load) in enumerate(
        [
            (checkpoint, lambda file: torch.load(file, weights_only=False)),
            (legacy, lambda file: torch.load(file, weights_only=False)),
            (plain, lambda file: pickle.loads(file.read_bytes())),
            (array, lambda file: np.load(file, allow_pickle=True)),
            (archive, lambda file: np.load(file, allow_pickle=True)["audio"]),
        ]
    ):
        mark = tmp_path / f"mark{index}"
        load(make(Bomb(mark), tmp_path / f"bomb{index}"))
        assert mark.exists()
