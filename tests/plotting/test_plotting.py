from __future__ import annotations

import io

import numpy as np
import pytest

from eeg2speech.plotting import error_topomap, psd_figure, reconstruction_figure
from tests.tiny_stores import head_channels


def render(figure):
    """Draw it, which is when warnings come, and return its size in bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return len(stream.getvalue())


def window(channels, samples=64, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((channels, samples))
    return true, true + 0.3, rng.random((channels, samples)) < 0.6, [f"E{i}" for i in range(channels)]


@pytest.mark.parametrize("channels", [1, 2, 8, 128])
def test_a_reconstruction_of_any_montage_is_drawn(channels):
    true, painted, hidden, names = window(channels)
    figure = reconstruction_figure(true, painted, hidden, names, rate=100, title="simulated EEG")
    assert render(figure) > 10_000
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in figure.axes if axes.images] == ["EEG", "visible", "reconstruction"]
    assert np.array_equal(images[0].get_array(), true)
    assert np.array_equal(np.ma.getmaskarray(images[1].get_array()), hidden)
    assert np.array_equal(images[2].get_array(), painted)
    assert len({image.get_clim() for image in images}) == 1  # colours mean the same in all three
    assert figure.get_suptitle() == "simulated EEG"


@pytest.mark.parametrize("hidden", [False, True])
def test_windows_without_any_signal_or_with_nothing_visible_are_drawn(hidden):
    shape = (4, 64)
    figure = reconstruction_figure(np.zeros(shape), np.zeros(shape), np.full(shape, hidden), list("abcd"), 100, "")
    assert render(figure) > 5000


def test_predictions_are_drawn_only_where_samples_were_hidden():
    true, painted, hidden, names = window(2)
    figure = reconstruction_figure(true, painted, hidden, names, 100, "")
    drawn = figure.axes[-1].lines if figure.axes[-1].lines else figure.axes[3].lines
    assert np.array_equal(np.isnan(drawn[1].get_ydata()), ~hidden[0])
    assert np.array_equal(np.isnan(drawn[3].get_ydata()), ~hidden[1])


def places(count):
    return np.array([[c.x, c.y, c.z] for c in head_channels(count)])


@pytest.mark.parametrize("channels", [4, 14, 64])
def test_an_error_map_is_drawn(channels):
    error = np.linspace(0, 1.5, channels)
    names = [f"E{i}" for i in range(channels)]
    figure = error_topomap(error, places(channels), names, title="NMSE")
    assert render(figure) > 10_000
    assert figure.axes[0].images


def test_channels_without_a_position_or_an_error_are_left_out():
    positions, error = places(10), np.linspace(0, 1, 10)
    positions[[2, 5]] = 0
    error[7] = np.nan  # nothing of it was hidden
    figure = error_topomap(error, positions, list("abcdefghij"), title="")
    render(figure)
    shown = {text.get_text() for text in figure.axes[0].texts}
    assert set("abdegij") == shown & set("abcdefghij") - {"h"}
    assert "c" not in shown
    assert "h" not in shown


def test_too_few_positions_give_a_message():
    figure = error_topomap(np.ones(3), places(3), list("abc"), title="")
    render(figure)
    assert "fewer than four" in figure.axes[0].texts[0].get_text()
    assert render(error_topomap(np.ones(5), np.zeros((5, 3)), list("abcde"), title=""))


@pytest.mark.parametrize("subjects", [0, 1, 20])
def test_spectra_of_any_number_of_subjects_are_drawn(subjects):
    frequencies = np.arange(0, 50, 0.5)
    spectra = {f"{s:02d}": 1 / (1 + frequencies) for s in range(subjects)}
    fits = dict.fromkeys(spectra, (-1.0, 0.0))
    figure = psd_figure(frequencies, spectra, fits, "title", line=50.0)
    assert render(figure) > 5000
    labels = [line.get_label() for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    assert [label.split()[0] for label in labels] == list(spectra)


def test_figures_are_not_kept():
    """pyplot would keep every one of them."""
    import matplotlib.pyplot as plt

    true, painted, hidden, names = window(3)
    reconstruction_figure(true, painted, hidden, names, 100, "")
    error_topomap(np.ones(8), places(8), list("abcdefgh"), "")
    assert not plt.get_fignums()
