from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from eeg2speech.plotting import Curve, draw_identification, draw_speech


def render(figure):
    """Draw it, which is when warnings come, and return how many colours it has."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    stream.seek(0)
    pixels = (imread(stream)[..., :3] * 255).astype(int)
    return len(np.unique(pixels @ (1, 256, 65536)))


def tone(hertz, seconds=0.96):
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * 16_000)) / 16_000)


def test_a_tone_is_at_its_frequency_and_rows_share_their_colours():
    arms = {"truth": np.stack([tone(1000), tone(4000)]), "eeg": np.stack([tone(2000), tone(500)])}
    figure = draw_speech(arms, ["one", "two"], "SIMULATED EEG")
    assert render(figure) > 50
    panels = [axes for axes in figure.axes if axes.images]
    images = [axes.images[0] for axes in panels]
    assert len({image.get_clim() for image in images}) == 1
    marked = dict(
        zip([label.get_text() for label in panels[0].get_yticklabels()], panels[0].get_yticks(), strict=True)
    )  # fmt: skip
    for image, hertz in zip(images, ("1000", "4000", "2000", "500"), strict=True):
        assert np.asarray(image.get_array()).mean(axis=1).argmax() == pytest.approx(marked[hertz], abs=1)
    assert panels[0].get_title() == "one"
    assert figure.get_suptitle() == "SIMULATED EEG"


def test_the_correlation_with_the_first_row_stands_in_the_others():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((1, 16_000)) * np.linspace(0, 1, 16_000)
    figure = draw_speech({"truth": truth, "louder": 3 * truth, "other": rng.standard_normal((1, 16_000))}, ["a"], "")
    notes = [[text.get_text() for text in axes.texts] for axes in figure.axes if axes.images]
    assert notes[0] == []
    assert notes[1] == ["r = 1.00"]
    assert float(notes[2][0].removeprefix("r = ")) < 0.6


@pytest.mark.parametrize("broken", [np.zeros((1, 16_000)), np.full((1, 16_000), np.nan)])
def test_clips_of_a_diverged_model_are_drawn(broken):
    assert render(draw_speech({"truth": tone(1000, 1.0)[None], "eeg": broken}, ["a"], "")) > 20


def test_identification_stands_beside_chance_and_permutations():
    ways = np.array([2.0, 10.0])
    found = {
        name: Curve(ways, value, value - 0.1, value + 0.1, 1 / ways, 1 / ways - 0.05, 1 / ways + 0.05)
        for name, value in {"eeg": np.array([0.9, 0.7]), "noise": 1 / ways, "single": np.array([np.nan, 0.2])}.items()
    }
    figure = draw_identification(found, "SIMULATED EEG")
    assert render(figure) > 20
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["one of 2", "one of 10"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(legend) == {"eeg", "noise", "single", "chance", "permutations within stimuli, 95 %"}
    bars = sorted({(round(bar.get_y(), 3), round(bar.get_height(), 3)) for bar in axes.patches})
    assert bars == [(0.05, 0.1), (0.45, 0.1)]
