"""The examples of docs/pages/extending.md and extending-data.md do what the page says of them, as they stand there."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import mne
import numpy as np
import pytest
import soundfile
import torch

from eeg2speech.checkpoints.parts import read_part
from eeg2speech.cli import main
from eeg2speech.core.errors import DataError
from eeg2speech.data.store.store import Store
from eeg2speech.models.rebuild import rebuild_aligner
from tests.docs.blocks import ROOT, blocks, write_files
from tests.inference.recordings import make_raw, prepare_store

PAGE, DATA = ROOT / "docs/pages/extending.md", ROOT / "docs/pages/extending-data.md"
MODULES = ("my_encoder", "my_steps", "my_loss", "my_dataset")
NAMES = ["Fp1", "Fp2", "C3", "C4", "T7", "T8", "O1", "O2"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of both pages, to be in and to import from."""
    for page in (PAGE, DATA):
        write_files(page, tmp_path)
    for name in ("configs", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name, None)


def fit(stage: str, overlay: str, store: Path) -> int:
    tiny = {"maeeg": "tests/conf/tiny.yaml", "alignment": "tests/conf/tiny_alignment.yaml"}[stage]
    given = ["--config", f"configs/{stage}.yaml", "--config", tiny, "--config", overlay]
    return main(["fit", *given, f"--run=runs/my_{stage}", "--data.store", str(store), "--trainer.max_steps", "4"])


def test_an_own_encoder_passes_stage_1_and_comes_back(place: Path, tiny_store: Path) -> None:
    assert fit("maeeg", "my_encoder.yaml", tiny_store) == 0
    described = json.loads((place / "runs/my_maeeg/encoder/config.json").read_text())
    assert described["config"]["hidden"] == 64
    encoder = runpy.run_path(written(place, unnamed("my_encoder")))["encoder"]
    assert encoder.width == 16  # of tests/conf/tiny.yaml: what the overlay does not name stays
    assert torch.isfinite(encoder(torch.randn(2, 8, 64), 0.1 * torch.randn(2, 8, 3))).all()


def test_an_own_encoder_passes_stage_2_and_is_refused_later(place: Path, tiny_store: Path) -> None:
    assert fit("alignment", "my_encoder.yaml", tiny_store) == 0
    described, weights, _ = read_part(Path("runs/my_alignment/aligner"), "aligner")
    with pytest.raises(DataError, match="class 'NetworkViTEncoder'; this eeg2speech builds ViTEncoder"):
        rebuild_aligner(described, weights, "runs/my_alignment/aligner")  # what load_aligner and stage 3 do


def test_a_network_of_ones_own_is_the_eeg_side_of_stage_2(place: Path) -> None:
    store = prepare_store(place / "stores/waves")
    assert fit("alignment", "my_steps.yaml", store) == 0
    text = unnamed("my_steps").replace("runs/my_steps", "runs/my_alignment")
    aligner = runpy.run_path(written(place, text))["aligner"]
    assert aligner.aligner.encoder.width == 32
    vectors = aligner.embed_raw(make_raw(1), "sub-01").vectors
    assert np.isfinite(vectors).all()
    sys.modules.pop("my_steps")
    assert np.array_equal(runpy.run_path(written(place, text))["aligner"].embed_raw(make_raw(1), "sub-01"), vectors)


def test_a_loss_of_ones_own_trains_stage_2(place: Path, tiny_store: Path) -> None:
    assert fit("alignment", "my_loss.yaml", tiny_store) == 0
    loss = runpy.run_path("my_loss.py")["HardestMargin"](margin=0.3)
    unit = torch.eye(3)
    assert loss(unit, unit) == 0
    assert loss(unit, unit.roll(1, 0)) == pytest.approx(2 * 1.3)  # each is one cosine and a margin off, both ways
    same = loss(unit[[0, 0, 1]], unit[[0, 0, 1]], torch.tensor([5, 5, 6]))
    assert same == 0


def test_a_folder_of_files_is_prepared_by_rules(place: Path) -> None:
    root = place / "recordings"
    rng = np.random.default_rng(0)
    info = mne.create_info(NAMES, 250.0, "eeg")
    write_sound(root / "sounds/wolf.wav", rng)
    for subject in ("S01", "S02"):
        raw = mne.io.RawArray(1e-5 * rng.standard_normal((8, 2500)), info, verbose="ERROR")
        raw.set_annotations(mne.Annotations([1.0], [8.0], ["story/wolf"]))
        (root / subject).mkdir()
        raw.save(root / subject / "run1.fif", verbose="ERROR", overwrite=True)
    assert main(["prepare", "files", str(root), "stores/mine", "--config", "mine.yaml"]) == 0
    store = Store(place / "stores/mine")
    assert store.subjects == ["S01", "S02"]
    assert [round(segment.onset, 3) for segment in store.segments] == [1.0, 1.0]
    assert len(store.stimuli) == 1


def test_a_reader_of_ones_own_prepares_a_store(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for subject in ("S01", "S02"):
        for run in ("run1", "run2"):
            write_sound(place / f"mylab/{subject}/{run}.wav", np.random.default_rng(int(run[-1])))
            np.save(place / f"mylab/{subject}/{run}.npy", 10 * rng.standard_normal((8, 2500)))
    monkeypatch.setattr(sys, "argv", ["my_dataset.py", "mylab", "stores/mylab"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path("my_dataset.py", run_name="__main__")
    assert left.value.code == 0
    store = Store(place / "stores/mylab")
    assert store.subjects == ["S01", "S02"]
    assert store.stimuli == ["run1", "run2"]
    assert store.description.license == "CC BY 4.0"
    assert {segment.duration for segment in store.segments} == {10.0}


def unnamed(module: str) -> str:
    """The Python block of the page that imports a module and is no file."""
    found = [block.text for block in blocks("python") if block.page == PAGE and block.file is None]
    (text,) = (text for text in found if f"import {module}" in text or f"from {module}" in text)
    return text


def written(place: Path, text: str) -> str:
    (place / "block.py").write_text(text)
    return "block.py"


def write_sound(file: Path, rng: np.random.Generator) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, 0.1 * rng.standard_normal(160_000), 16_000)
