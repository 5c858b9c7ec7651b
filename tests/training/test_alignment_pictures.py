"""What a user finds in TensorBoard and in the run's folder about an alignment."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.metrics import Embeddings
from eeg2speech.reporting.tensorboard.alignment_figures import embedding_figures

ROOT = Path(__file__).parents[2]
PARTS = set(TEST_SPLITS)
DRAWN = {"similarity", "cosines", "plane"}


@pytest.fixture(scope="module")
def run(tested_alignment: Path) -> Path:
    return tested_alignment


@pytest.fixture(scope="module")
def events(run: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(run), size_guidance={"images": 0})
    accumulator.Reload()
    return accumulator


def colours(picture):
    pixels = (imread(picture, format="png")[..., :3] * 255).astype(int)
    return len(np.unique(pixels @ (1, 256, 65536)))


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_every_validation_draws_a_picture_that_is_not_blank(events: EventAccumulator, name: str):
    pictures = events.Images(f"val/{name}")
    assert [picture.step for picture in pictures] == [4, 8]
    assert colours(io.BytesIO(pictures[-1].encoded_image_string)) > 50


def test_every_validation_logs_the_gap_between_both_sides(events: EventAccumulator):
    points = events.Scalars("val/modality_gap")
    assert [point.step for point in points] == [4, 8]
    assert all(0 < point.value <= 2 for point in points)


def test_a_test_leaves_all_pictures_as_files_and_in_tensorboard(run: Path, events: EventAccumulator):
    wanted = {(part, name) for part in PARTS for name in DRAWN | {"galleries", "lags"}}
    wanted.add(("unseen_stimulus", "electrodes"))
    files = {file.name: file for file in (run / "pictures").iterdir()}
    assert set(files) == {f"{part}_{name}.png" for part, name in wanted} | {"response.png"}
    assert all(colours(file) > 50 for file in files.values())
    in_board = {tag for tag in events.Tags()["images"] if tag.startswith("test/")}
    assert in_board == {f"test/{part}/{name}" for part, name in wanted} | {"test/response"}


def test_the_projector_has_a_line_of_facts_for_every_vector(run: Path):
    config = (run / "projector_config.pbtxt").read_text()
    for part in PARTS:
        (folder,) = (path.parent for path in run.glob(f"projector/{part}/tensors.tsv"))
        assert f"{folder.relative_to(run)}/tensors.tsv" in config
        words = (folder / "tensors.tsv").read_text().split()
        assert max(len(word) for word in words) <= len("-0.0123")
        vectors = np.loadtxt(folder / "tensors.tsv", delimiter="\t")
        header, *facts = [line.split("\t") for line in (folder / "metadata.tsv").read_text().splitlines()]
        assert header == ["modality", "stimulus", "subject"]
        assert len(facts) == len(vectors)
        assert {fact[0] for fact in facts} == {"EEG", "sound"}
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=0.01)


def two_sided(windows=24, subjects=2, stimuli=3, features=8):
    rng = np.random.default_rng(0)
    number = np.arange(windows)
    sound_of = number // subjects
    sound = rng.standard_normal((windows, features))[sound_of]
    sound = (sound / np.linalg.norm(sound, axis=1, keepdims=True)).astype(np.float32)
    shuffle = rng.permutation(windows)
    count = windows // subjects
    columns = (sound_of, number % subjects, sound_of * stimuli // count, sound_of.astype(float))
    return Embeddings(sound[shuffle], sound[shuffle], *(column[shuffle] for column in columns))


def test_windows_of_a_subject_are_ordered_by_stimulus_and_time():
    figures = embedding_figures(two_sided(), ["a", "b", "c"], ["01", "02"], "SIMULATED EEG, list")
    assert all(figure.get_suptitle().startswith("SIMULATED EEG, list") for figure in figures.values())
    axes = figures["similarity"].axes[0]
    similarity = np.asarray(axes.images[0].get_array())
    assert similarity.shape == (12, 12)
    assert np.allclose(np.diag(similarity), 1)
    assert [line.get_ydata()[0] for line in axes.lines[::2]] == [3.5, 7.5]
