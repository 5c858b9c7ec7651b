from __future__ import annotations

import json
import os
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from eeg2speech.checkpoints.parts import (
    FORMAT,
    FORMAT_KEY,
    canonical,
    canonical_state,
    export_part,
    load_into,
    read_checkpoint,
    read_part,
)
from eeg2speech.core.errors import DataError
from eeg2speech.models import ViTEncoder

CONFIG = {"width": 16, "depth": 1, "heads": 2}


def make_encoder(seed=0):
    torch.manual_seed(seed)
    return ViTEncoder(**CONFIG)


def make_checkpoint(file, encoder=None, prefix="autoencoder.encoder."):
    """What a run writes, as far as this module looks at it."""
    encoder = encoder or make_encoder()
    state = {prefix + name: value for name, value in encoder.state_dict().items()}
    content = {
        "state_dict": state | {"autoencoder.decoder.head.weight": torch.zeros(3)},
        "parts": {"encoder": {"prefix": prefix, "class": "ViTEncoder", "config": encoder.config}},
        "global_step": 40,
        "epoch": 2,
        "pytorch-lightning_version": "2.6.0",
    }
    torch.save(content, file)
    return file


def files(folder):
    return sorted(file.name for file in folder.iterdir())


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[k], second[k]) and first[k].dtype == second[k].dtype for k in first
    )


@pytest.mark.parametrize(
    ("wrapped", "plain"),
    [
        ("autoencoder.encoder.blocks.norm.weight", "autoencoder.encoder.blocks.norm.weight"),
        ("_orig_mod.encoder.weight", "encoder.weight"),
        ("encoder._orig_mod.blocks.0.weight", "encoder.blocks.0.weight"),
        ("module.encoder.module.weight", "encoder.weight"),
        ("_fsdp_wrapped_module.a._checkpoint_wrapped_module.b", "a.b"),
        ("module._orig_mod.a", "a"),
        ("a.submodule.b", "a.submodule.b"),
        ("my_orig_mod.a", "my_orig_mod.a"),
        ("encoder.module", "encoder.module"),
    ],
)
def test_names_lose_what_wrappers_add_and_nothing_else(wrapped, plain):
    assert canonical(wrapped) == plain
    assert canonical(plain) == plain
    assert list(canonical_state({wrapped: torch.zeros(1)})) == [plain]


def test_compiled_modules_have_canonical_names():
    encoder = make_encoder()
    names = list(encoder.state_dict())
    encoder.blocks = torch.compile(encoder.blocks, backend="eager")
    assert list(encoder.state_dict()) != names
    assert list(canonical_state(encoder.state_dict())) == names


@pytest.mark.parametrize("prefix", ["autoencoder.encoder.", "encoder.", "autoencoder._orig_mod.encoder."])
def test_a_part_is_read_out_of_a_checkpoint(tmp_path, prefix):
    encoder = make_encoder()
    file = make_checkpoint(tmp_path / "a.ckpt", encoder, prefix)
    content = torch.load(file)
    content["parts"]["encoder"]["prefix"] = canonical(prefix)
    torch.save(content, file)
    described, weights, provenance = read_part(file, "encoder")
    assert described == {"class": "ViTEncoder", "config": encoder.config}
    assert same(weights, encoder.state_dict())
    assert provenance == {"checkpoint": "a.ckpt", "global_step": 40, "epoch": 2, "lightning": "2.6.0"}


def spoil(file, how):
    content = file.read_bytes()
    if how == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "text":
        file.write_text("not a checkpoint\n")
    elif how == "missing":
        file.unlink()
    elif how == "a list":
        torch.save([torch.zeros(2)], file)
    elif how == "only weights":
        torch.save({"weight": torch.zeros(2)}, file)
    elif how == "nonsense":
        torch.save({"state_dict": 3}, file)
    elif how == "safetensors":
        save_file({"weight": torch.zeros(2)}, file)


@pytest.mark.parametrize(
    "how", ["truncated", "empty", "text", "missing", "a list", "only weights", "nonsense", "safetensors"]
)
def test_what_is_no_checkpoint_is_named_in_one_line(tmp_path, how):
    file = make_checkpoint(tmp_path / "a.ckpt")
    spoil(file, how)
    with pytest.raises(DataError, match=r"a\.ckpt: ") as caught:
        read_part(file, "encoder")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_never_escape_as_another_error(tmp_path, seed):
    """Of the pickle, that is: nothing guards the numbers themselves."""
    file = make_checkpoint(tmp_path / "a.ckpt")
    content = bytearray(file.read_bytes())
    start, end = content.index(b"data.pkl"), content.index(b"PK", content.index(b"data.pkl") + 8)
    generator = torch.Generator().manual_seed(seed)
    for place in torch.randint(start + 60, end, (4,), generator=generator).tolist():
        content[place] = int(torch.randint(256, (1,), generator=generator))
    file.write_bytes(content)
    warnings.simplefilter("ignore")  # about pickle protocols that do not exist
    with suppress(DataError):
        read_part(file, "encoder")


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "missing", "only weights", "newer", "older"])
def test_the_good_one_beside_it_is_offered(tmp_path, how):
    for name, step in (("best.ckpt", 30), ("last.ckpt", 20), ("older.ckpt", 10), ("broken.ckpt", 50)):
        torch.save({**torch.load(make_checkpoint(tmp_path / name)), "global_step": step}, tmp_path / name)
    os.truncate(tmp_path / "broken.ckpt", 3000)
    if how in ("newer", "older"):
        version = FORMAT + (1 if how == "newer" else -1)
        torch.save({**torch.load(tmp_path / "last.ckpt"), FORMAT_KEY: version}, tmp_path / "last.ckpt")
    else:
        spoil(tmp_path / "last.ckpt", how)
    with pytest.raises(DataError, match=r"last\.ckpt: .*; best\.ckpt beside it is good \(step 30\)") as caught:
        read_checkpoint(tmp_path / "last.ckpt")
    assert ("update eeg2speech" in str(caught.value)) == (how == "newer")
    assert ("train again with `eeg2speech fit`" in str(caught.value)) == (how == "older")
    for name in ("best.ckpt", "older.ckpt"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError) as caught:
        read_checkpoint(tmp_path / "last.ckpt")
    # a checkpoint of another version needs another program or training, which its own line says
    assert ("no other checkpoint beside it can be read" in str(caught.value)) == (how not in ("newer", "older"))


def test_a_missing_part_is_named_with_those_that_are_there(tmp_path):
    file = make_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(DataError, match=r"a\.ckpt: has no speech; the parts it describes: encoder"):
        read_part(file, "speech")
    torch.save({"state_dict": make_encoder().state_dict()}, file)  # of another program
    with pytest.raises(DataError, match="has no encoder; the parts it describes: none"):
        read_part(file, "encoder")


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_cannot_run_code(tmp_path, legacy):
    mark = tmp_path / "mark"
    content = {"state_dict": {"weight": torch.zeros(2)}, "hyper_parameters": Bomb(mark)}
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(DataError, match="not a readable checkpoint"):
        read_checkpoint(tmp_path / "a.ckpt")
    assert not mark.exists()
    torch.load(tmp_path / "a.ckpt", weights_only=False)
    assert mark.exists()  # the bomb is live


def test_loading_is_all_or_nothing_and_lists_what_does_not_fit():
    target, weights = make_encoder(0), make_encoder(1).state_dict()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    del weights["embedding.bias"]
    weights["extra"] = torch.zeros(1)
    weights["embedding.weight"] = torch.zeros(3, 4)
    with pytest.raises(DataError) as caught:
        load_into(target, weights, "a.ckpt (model.encoder_weights)")
    message = str(caught.value)
    assert message.startswith("a.ckpt (model.encoder_weights): does not fit ViTEncoder; ")
    assert "missing: embedding.bias" in message
    assert "unexpected: extra" in message
    assert "of another shape: embedding.weight (3, 4) instead of (16, 64)" in message
    assert same(target.state_dict(), before)


def test_long_lists_are_cut():
    with pytest.raises(DataError, match=r"missing: (\S+, ){4}\S+ \.\.\.; use its own settings"):
        load_into(make_encoder(), {}, "a.ckpt")


def test_weights_go_into_wrapped_modules():
    weights = make_encoder(1).state_dict()
    target = make_encoder(0)
    target.blocks = torch.compile(target.blocks, backend="eager")
    load_into(target, weights, "a.ckpt")
    assert same(canonical_state(target.state_dict()), weights)


def test_an_export_is_bit_equal_and_reads_like_the_checkpoint(tmp_path):
    encoder = make_encoder()
    encoder.blocks.bfloat16()  # types survive
    file = make_checkpoint(tmp_path / "a.ckpt", encoder)
    out = export_part(file, tmp_path / "deep" / "encoder")
    assert files(out) == ["config.json", "encoder.safetensors"]
    assert same(load_file(out / "encoder.safetensors"), encoder.state_dict())
    described, weights, provenance = read_part(out, "encoder")
    assert described == read_part(file, "encoder")[0]
    assert same(weights, encoder.state_dict())
    assert provenance["checkpoint"] == "a.ckpt"
    assert provenance["global_step"] == 40
    again = ViTEncoder(**described["config"])
    load_into(again, weights, "export")
    config = json.loads((out / "config.json").read_text())
    assert config["parameters"] == sum(value.numel() for value in encoder.state_dict().values())


def test_an_export_replaces_an_earlier_one(tmp_path):
    for seed in range(2):
        export_part(make_checkpoint(tmp_path / "a.ckpt", make_encoder(seed)), tmp_path / "out")
    assert same(read_part(tmp_path / "out", "encoder")[1], make_encoder(1).state_dict())
    assert files(tmp_path / "out") == ["config.json", "encoder.safetensors"]


def flip_last_byte(file: Path):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda out: (out / "config.json").unlink(),
        lambda out: (out / "encoder.safetensors").unlink(),
        lambda out: (out / "config.json").write_text("{"),
        lambda out: (out / "config.json").write_text("[1, 2]"),
        lambda out: (out / "config.json").write_text('{"class": "ViTEncoder"}'),
        lambda out: os.truncate(out / "encoder.safetensors", 100),
        lambda out: (out / "encoder.safetensors").write_text("not weights"),
        lambda out: flip_last_byte(out / "encoder.safetensors"),
    ],
    ids=["no config", "no weights", "half a config", "a list", "config incomplete", "truncated", "text", "a bit"],
)
def test_a_damaged_export_is_named_in_one_line(tmp_path, damage):
    out = export_part(make_checkpoint(tmp_path / "a.ckpt"), tmp_path / "out")
    damage(out)
    with pytest.raises(DataError, match=r"out: not an exported encoder .*; make one with `eeg2speech export") as caught:
        read_part(out, "encoder")
    assert "\n" not in str(caught.value)


def test_an_export_of_another_part_is_refused(tmp_path):
    out = export_part(make_checkpoint(tmp_path / "a.ckpt"), tmp_path / "out")
    with pytest.raises(DataError, match="not an exported speech"):
        read_part(out, "speech")


def test_a_file_in_place_of_the_export_costs_one_line(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DataError, match="out: "):
        export_part(make_checkpoint(tmp_path / "a.ckpt"), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_reading_leaves_no_tie_to_the_file(tmp_path):
    """A run that goes on writing its checkpoint must not change weights that another one has taken from it."""
    file = make_checkpoint(tmp_path / "a.ckpt")
    target = make_encoder(1)
    load_into(target, read_part(file, "encoder")[1], "a.ckpt")
    expected = {name: value.clone() for name, value in target.state_dict().items()}
    file.write_bytes(bytes(file.stat().st_size))
    assert same(target.state_dict(), expected)
    assert isinstance(target, nn.Module)
