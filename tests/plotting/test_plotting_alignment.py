from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from eeg2speech.plotting import (
    Curve,
    cosine_figure,
    gallery_figure,
    importance_topomap,
    lag_figure,
    plane_figure,
    similarity_figure,
)
from tests.tiny_stores import head_channels


def render(figure):
    """Draw it, which is when warnings come, and return how many colours it has."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    stream.seek(0)
    pixels = (imread(stream)[..., :3] * 255).astype(int)
    return len(np.unique(pixels @ (1, 256, 65536)))


def curve(x):
    x = np.array(x, float)
    value = 1 / (1 + np.abs(x))
    return Curve(x, value, value - 0.1, value + 0.1, 0.05 + 0 * x, 0.02 + 0 * x, 0.12 + 0 * x)


def sides(windows=30, sounds=10, features=12, seed=0):
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal((sounds, features))
    heard = np.arange(windows) % sounds
    eeg = sound[heard] + rng.standard_normal((windows, features))
    return eeg, sound, heard, [f"story{i // 2}" for i in range(sounds)]


def labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_a_similarity_marks_retrieved_sounds_and_borders_of_stimuli():
    similarity = np.eye(6)
    similarity[2, 4] = 2
    figure = similarity_figure(similarity, np.array([0, 0, 0, 3, 3, 5]), "SIMULATED EEG")
    assert render(figure) > 50
    axes = figure.axes[0]
    assert np.array_equal(axes.images[0].get_array(), similarity)
    right, wrong = (np.asarray(points.get_offsets()).tolist() for points in axes.collections[:2])
    assert right == [[i, i] for i in (0, 1, 3, 4, 5)]
    assert wrong == [[4, 2]]
    assert [line.get_ydata()[0] for line in axes.lines[::2]] == [2.5, 4.5]
    assert labels(figure) == ["right sound found: 5", "another sound found: 1"]
    assert figure.get_suptitle() == "SIMULATED EEG"


@pytest.mark.parametrize("similarity", [np.ones((1, 1)), np.zeros((5, 5)), np.full((3, 3), -np.inf)])
def test_similarities_of_one_window_or_of_a_diverged_model_are_drawn(similarity):
    assert render(similarity_figure(similarity, np.zeros(len(similarity), int), "")) > 20


def test_accuracy_stands_beside_chance_and_permutations_at_every_size():
    curves = {"top-1": curve([2, 5, 10, 85]), "top-5": curve([10, 85]), "top-10": curve([85])}
    figure = gallery_figure(curves, "title")
    assert render(figure) > 50
    assert [axes.get_title() for axes in figure.axes] == list(curves)
    for axes, drawn in zip(figure.axes, curves.values(), strict=True):
        chance, model = axes.lines
        assert np.array_equal(chance.get_ydata(), drawn.chance)
        assert np.array_equal(model.get_xdata(), drawn.x)
        assert np.array_equal(model.get_ydata(), drawn.value)
        assert axes.get_xticklabels()[-1].get_text() == "85"
    assert "permutations within stimuli, 95 %" in labels(figure)


def test_sizes_that_would_touch_are_not_all_written():
    figure = gallery_figure({"top-1": curve([2, 5, 10, 20, 50, 100, 200, 293])}, "")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["2", "5", "10", "20", "50", "100", "293"]


def test_a_lag_curve_marks_zero():
    drawn = curve(np.linspace(-0.5, 0.5, 11))
    figure = lag_figure(drawn, "title")
    assert render(figure) > 50
    zero, chance, model = figure.axes[0].lines
    assert list(zero.get_xdata()) == [0, 0]
    assert np.array_equal(chance.get_ydata(), drawn.chance)
    assert np.array_equal(model.get_ydata(), drawn.value)
    assert figure.axes[0].get_ylim()[0] == 0


def test_a_lag_curve_without_any_number_is_drawn():
    nothing = np.full(3, np.nan)
    assert render(lag_figure(Curve(np.arange(3.0), *[nothing] * 6), "")) > 10


def test_cosines_are_densities_with_their_medians():
    rng = np.random.default_rng(0)
    cosines = {"others": rng.normal(0, 0.1, 5000), "own": np.append(rng.normal(0.4, 0.1, 200), -np.inf)}
    figure = cosine_figure(cosines, "")
    assert render(figure) > 50
    axes = figure.axes[0]
    for patch in axes.patches:
        heights, edges, _ = patch.get_data()
        assert (heights * np.diff(edges)).sum() == pytest.approx(1)
    medians = [line.get_xdata()[0] for line in axes.lines]
    assert medians == pytest.approx([np.median(cosines["others"]), np.median(cosines["own"][:-1])])


@pytest.mark.parametrize("values", [[], [-np.inf], [0.3]])
def test_cosines_of_hardly_any_pair_are_drawn(values):
    assert render(cosine_figure({"own": np.array(values)}, "")) > 10


def test_the_plane_connects_windows_with_their_sounds():
    eeg, sound, heard, stimuli = sides()
    figure = plane_figure(eeg, sound, heard, stimuli, "title", lines=5)
    assert render(figure) > 50
    axes = figure.axes[0]
    drawn = [np.asarray(points.get_offsets()) for points in axes.collections]
    windows = np.concatenate([p for p in drawn[::2] if len(p) == 6])
    sounds = np.concatenate([p for p in drawn[1::2] if len(p) == 2])
    assert len(windows) == 30
    assert len(sounds) == 10
    assert len(axes.lines) == 5
    for line in axes.lines:
        (x0, x1), (y0, y1) = line.get_data()
        assert (np.abs(windows - [x0, y0]).max(1) < 1e-9).any()
        assert (np.abs(sounds - [x1, y1]).max(1) < 1e-9).any()
    assert labels(figure) == [*(f"story{i}" for i in range(5)), "EEG window", "sound"]
    assert "% of the variance" in axes.get_xlabel()


def test_more_stimuli_than_colours_share_grey():
    eeg, sound, heard, _ = sides(windows=40, sounds=20)
    figure = plane_figure(eeg, sound, heard, [f"s{i:02d}" for i in range(20)], "")
    assert render(figure) > 50
    assert labels(figure)[0] == "other stimuli"
    assert len(labels(figure)) == 1 + 8 + 2


def test_identical_embeddings_give_a_message():
    figure = plane_figure(np.ones((5, 4)), np.ones((2, 4)), np.array([0, 0, 1, 1, 1]), ["a", "b"], "")
    render(figure)
    assert "too few" in figure.axes[0].texts[0].get_text()


def test_electrodes_that_may_not_matter_stand_in_brackets():
    positions = np.array([[c.x, c.y, c.z] for c in head_channels(8)])
    drop = np.linspace(-0.02, 0.1, 8)
    figure = importance_topomap(drop, drop - 0.05, positions, list("abcdefgh"), "title")
    assert render(figure) > 50
    assert [text.get_text() for text in figure.axes[0].texts] == ["(a)", "(b)", "(c)", "(d)", "(e)", "f", "g", "h"]
    low, high = figure.axes[0].images[0].get_clim()
    assert -low == high == 0.1
