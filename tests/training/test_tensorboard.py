"""What a user finds in TensorBoard after stage 1."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eeg2speech.cli import main

ROOT = Path(__file__).parents[2]
FIT = ["fit", "--config", str(ROOT / "configs/maeeg.yaml"), "--config", str(ROOT / "tests/conf/tiny.yaml")]


@pytest.fixture(scope="module")
def events(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> EventAccumulator:
    run = tmp_path_factory.mktemp("tensorboard") / "runs/maeeg"
    assert main([*FIT, "--data.store", str(tiny_store), "--run", str(run)]) == 0
    accumulator = EventAccumulator(str(run))
    accumulator.Reload()
    return accumulator


def test_scalars_are_logged_against_the_step(events: EventAccumulator):
    wanted = {"train/loss", "train/grad_norm", "train/samples_per_s", "val/loss", "val/nmse", "val/baselines/ridge"}
    assert wanted <= set(events.Tags()["scalars"])
    assert any(tag.startswith("lr") for tag in events.Tags()["scalars"])
    assert [point.step for point in events.Scalars("val/baselines/ridge")] == [4, 8]
    assert all(point.value > 0 for point in events.Scalars("train/samples_per_s"))
    assert all(np.isfinite(point.value) for point in events.Scalars("train/grad_norm"))


@pytest.mark.parametrize("tag", ["val/reconstruction", "val/error_topomap"])
def test_every_validation_draws_a_picture_that_is_not_blank(events: EventAccumulator, tag: str):
    pictures = events.Images(tag)
    assert [picture.step for picture in pictures] == [4, 8]
    pixels = matplotlib.image.imread(io.BytesIO(pictures[-1].encoded_image_string), format="png")
    assert pixels.shape[0] > 300
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 100


def test_normalised_targets_train_without_pictures_and_baselines(tiny_store: Path, tmp_path: Path):
    overlay = ["--config", str(ROOT / "configs/maeeg/audiomae.yaml"), "--config", str(ROOT / "tests/conf/tiny.yaml")]
    assert main([*FIT[:3], *overlay, "--data.store", str(tiny_store), "--run", str(tmp_path / "run")]) == 0
    accumulator = EventAccumulator(str(tmp_path / "run"))
    accumulator.Reload()
    assert "val/nmse" in accumulator.Tags()["scalars"]
    assert not accumulator.Tags()["images"]
