from __future__ import annotations

import base64
import io
import re

import matplotlib.image
import numpy as np
import pytest

from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError
from eeg2speech.plotting import Row, montage_figure, response_figure, timeline_figure
from eeg2speech.quality.coupling import couple
from eeg2speech.quality.dataset_report import write_report
from eeg2speech.quality.doctor import examine
from tests.data.coupled_stores import coupled_store
from tests.tiny_stores import head_channels


def page_of(store, file, coupling=True):
    report = examine(store)
    if coupling:
        report.add_coupling(couple(store))
    write_report(store, report, file)
    return file.read_text(encoding="utf-8")


def pictures(page):
    """Pictures of the page that are larger than an icon, (height, width, colours) each."""
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", page)
    images = [matplotlib.image.imread(io.BytesIO(base64.b64decode(text))) for text in found]
    return [image for image in images if min(image.shape[:2]) > 180]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    text = page_of(coupled_store(folder / "store", subjects=2, channels=8), folder / "new" / "page.html")
    assert [file.name for file in (folder / "new").iterdir()] == ["page.html"]
    return text


def test_the_page_needs_nothing_but_itself(page):
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"'](?!data:)", page)
    assert len(pictures(page)) == 8  # chance, lag, mean response and two of subjects, electrodes, spectra, recordings
    assert all(np.ptp(image[..., :3]) > 0.5 for image in pictures(page))


def test_the_page_shows_dataset_coupling_and_problems(page):
    for text in ("coupled &lt;made&gt;", "coupling found", "Alpha peak", "Power spectra"):
        assert text in page
    assert "<made>" not in page  # what a file says never becomes markup
    assert "only envelopes" in page  # the problems
    assert "SIMULATED" not in page


def test_simulated_eeg_cannot_be_overlooked(tmp_path):
    page = page_of(coupled_store(tmp_path / "store", simulated=True), tmp_path / "page.html", coupling=False)
    assert "SIMULATED EEG: nobody was recorded" in page
    assert page.count("SIMULATED EEG") >= 5
    assert "Against chance" not in page


def test_a_store_without_positions_has_a_page(tmp_path):
    page = page_of(coupled_store(tmp_path / "store", channels=3, known=False), tmp_path / "page.html")
    assert "3 channels of 1 recordings" in page


def test_the_command_writes_the_page(tmp_path, capsys):
    root = coupled_store(tmp_path / "store").root
    assert main(["doctor", str(root), "--html", str(tmp_path / "page.html")]) == 0
    assert "page.html: written" in capsys.readouterr().err
    assert (tmp_path / "page.html").stat().st_size > 100_000
    (tmp_path / "file").touch()
    assert main(["doctor", str(root), "--coupling", "false", "--html", str(tmp_path / "file" / "page.html")]) == 1
    assert "choose another place" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    store = coupled_store(tmp_path / "store")
    file = tmp_path / "page.html"
    file.write_text("old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mne.Report.save", full)
    with pytest.raises(ConfigError, match="No space left"):
        write_report(store, examine(store), file)
    assert file.read_text() == "old"
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("channels", [1, 4, 128])
def test_any_number_of_electrodes_is_drawn(channels):
    places = np.array([(c.x, c.y, c.z) for c in head_channels(channels)])
    lags = np.linspace(-0.2, 0.6, 41)
    weights = np.sin(10 * lags) * np.linspace(-1, 1, channels)[:, None]
    for figure in (
        montage_figure(places, [c.name for c in head_channels(channels)], "title"),
        response_figure(lags, weights, places, "title"),
        response_figure(lags, np.zeros_like(weights), np.repeat(places[:1], channels, axis=0), "all in one place"),
    ):
        figure.savefig(io.BytesIO(), format="png")


def test_a_timeline_draws_each_condition_in_its_colour():
    rows = [Row("r1", 7200.0, [(0.0, 600.0, "listening"), (700.0, 60.0, "overt")]), Row("r2", 10_000.0, [])]
    figure = timeline_figure(rows, "title")
    figure.savefig(io.BytesIO(), format="png")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["listening: 0.17 h", "overt: 0.02 h", "EEG: 4.78 h"]
    assert figure.axes[0].get_xlabel() == "hours of EEG"
