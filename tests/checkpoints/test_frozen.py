"""Weights that are not trained are on the disk once, whatever the number of checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from eeg2speech.checkpoints import frozen
from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import main
from eeg2speech.core.errors import DataError
from eeg2speech.tasks import AlignmentTask

CONFIG = ["--config", "configs/alignment.yaml", "--config", "tests/conf/tiny_alignment.yaml"]
CONFIG += ["--model.init_args.audio.init_args.trainable=false"]


@pytest.fixture(scope="module")
def run(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frozen") / "run"
    assert main(["fit", *CONFIG, "--data.store", str(tiny_store), "--run", str(folder)]) == 0
    return folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def aside(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("frozen-*"))


def test_checkpoints_share_one_file_and_read_as_whole(run: Path):
    (file,) = aside(run)
    for name in ("best.ckpt", "last.ckpt"):
        bare = torch.load(run / "checkpoints" / name, weights_only=True)
        whole = read_checkpoint(run / "checkpoints" / name)
        assert bare[frozen.FILE] == file.name
        assert not any(key.startswith("aligner.audio.") for key in bare["state_dict"])
        assert any(key.startswith("aligner.audio.") for key in whole["state_dict"])
        task = AlignmentTask.load_from_checkpoint(run / "checkpoints" / name, map_location="cpu")
        state = task.state_dict()
        assert all(torch.equal(state[key], value) for key, value in whole["state_dict"].items())


def test_a_run_resumes_and_is_tested_with_them(copied: Path, tiny_store: Path):
    common = [*CONFIG, "--data.store", str(tiny_store), "--run", str(copied)]
    assert main(["fit", *common, "--ckpt_path", "last", "--trainer.max_steps", "16"]) == 0
    assert len(aside(copied)) == 1
    (state,) = [
        value
        for key, value in read_checkpoint(copied / "checkpoints/last.ckpt")["callbacks"].items()
        if key.startswith("ModelCheckpoint")
    ]
    assert state["best_model_path"] == str(copied / "checkpoints/best.ckpt")  # although the folder was moved
    assert main(["validate", *common, "--ckpt_path", "best"]) == 0


def test_a_checkpoint_without_its_file_says_what_to_do(copied: Path):
    (file,) = aside(copied)
    file.unlink()
    with pytest.raises(DataError, match=rf"{file.name}: cannot be read .*keep both in one folder"):
        read_checkpoint(copied / "checkpoints/best.ckpt")


def test_a_damaged_file_is_noticed(copied: Path):
    (file,) = aside(copied)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_checkpoint(copied / "checkpoints/best.ckpt")


@pytest.mark.parametrize("name", ["../frozen-0123456789abcdef.safetensors", "/etc/passwd", 3])
def test_no_other_file_is_read(name: object, tmp_path: Path):
    torch.save({"state_dict": {}, frozen.FILE: name}, tmp_path / "a.ckpt")
    with pytest.raises(DataError, match="is not the name of a file that a run writes"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_weights_that_changed_get_a_file_of_their_own(tmp_path: Path):
    weight = torch.zeros(3)
    writer = frozen.FrozenWeights()
    content = {"state_dict": {"a": weight, "b": torch.ones(1)}, frozen.NAMES: ["a"]}
    first = writer.without_frozen(content, tmp_path)
    assert writer.without_frozen(content, tmp_path) == first
    weight += 1
    second = writer.without_frozen(content, tmp_path)
    assert first[frozen.FILE] != second[frozen.FILE]
    assert list(second["state_dict"]) == ["b"]
    for written, value in ((first, 0.0), (second, 1.0)):
        whole = frozen.with_frozen({**written}, tmp_path / "a.ckpt")
        assert whole["state_dict"]["a"].tolist() == [value] * 3
