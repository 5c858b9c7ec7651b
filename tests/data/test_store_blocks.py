"""Interruptions of recordings in a store: nothing that reads it crosses one."""

from __future__ import annotations

from functools import partial

import mne
import numpy as np
import pytest
from stores import make_store, noise, segment, sweep

from eeg2speech.core.types import RawRecording, Source
from eeg2speech.data.files.raw import from_mne
from eeg2speech.data.loading.scaling import Scaling
from eeg2speech.data.loading.windows import WindowDataset, cut_windows
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.readers.braindecode_datasets import _read
from eeg2speech.data.store.store import Description, Store
from eeg2speech.inference.clips import cut_clips
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.quality.doctor import examine
from eeg2speech.quality.timeline import Piece, lay_out
from tests.tiny_stores import head_channels

PIECES = [(0, 300), (350, 700), (700, 1000)]


def interrupted(root, eeg, segments=None, pieces=PIECES):
    """A store of one recording with pauses."""
    segments = [segment(onset=3.5, duration=3.5)] if segments is None else segments
    store = make_store(root, {"r": ("1", eeg, segments)}, {"s": sweep()})
    lines = ["recording\tfirst\tstop", *(f"r\t{first}\t{stop}" for first, stop in pieces)]
    (root / "pieces.tsv").write_text("\n".join(lines) + "\n")
    return Store(store.root)


def test_pieces_are_written_read_and_kept_when_a_store_grows(tmp_path):
    def source(name, breaks):
        eeg = noise(4, 1000) * 1e-6
        load = lambda: RawRecording(eeg, 100.0, head_channels(4), [segment(name, 0, 3)], breaks)  # noqa: E731
        return Source(name, name, "", "", (), load)

    description = Description("made", "tests", "CC0", "none", simulated=False, rate=100.0)
    settings = Preprocessing(reference="none", deviation=None)
    for sources in ([source("a", [300, 700]), source("b", [])], [source("c", [10])]):
        prepare_sources(sources, tmp_path / "store", description, settings)
    store = Store(tmp_path / "store")
    found = {r.recording: store.blocks(r) for r in store.recordings}
    assert found == {"a": [(0, 300), (300, 700), (700, 1000)], "b": [(0, 1000)], "c": [(0, 10), (10, 1000)]}
    assert [store.block_at(store.recordings[0], sample) for sample in (0, 299, 300, 999)] == [
        (0, 300), (0, 300), (300, 700), (700, 1000),
    ]  # fmt: skip


@pytest.mark.parametrize("lag", [0, 20, 60])
def test_windows_read_later_repeat_the_last_sample_of_a_piece(tmp_path, lag):
    eeg = noise(3, 1000)
    store = interrupted(tmp_path / "s", eeg)
    windows = cut_windows(store.segments, store.recordings, 100, 100, 50)
    plain = {"r": Scaling(np.zeros(3), np.ones(3))}
    data = WindowDataset(store, windows, plain, 100, 1e9, audio=False, lag=lag)
    order = [channel.name for channel in store.channels("r")]
    for window in windows:
        batch = data[windows.index(window), 0]["eeg"][0].numpy()
        inside = np.clip(np.arange(window.start + lag, window.start + lag + 100), 350, 699)
        assert sorted(map(tuple, batch.tolist())) == sorted(map(tuple, eeg[:, inside].tolist()))
    assert len(order) == 3


def test_clips_of_whole_recordings_are_covered_piece_by_piece(tmp_path):
    store = interrupted(tmp_path / "s", noise(3, 1000))
    (clip,), short = cut_clips(store, "recordings", 100, 20)
    assert short == 0
    assert (clip.first, clip.stop) == (0, 1000)
    for first, stop in PIECES:
        own = [start for start in clip.starts if first <= start < stop]
        assert own[0] == first
        assert own[-1] == stop - 100
    assert all(any(first <= start <= stop - 100 for first, stop in PIECES) for start in clip.starts)


def test_what_is_filtered_before_a_pause_knows_nothing_of_later(tmp_path):
    lines = []
    for level in (0.0, 1e5):
        eeg = noise(3, 1000)
        eeg[:, 700:] += level
        eeg[:, :350] -= level
        store = interrupted(tmp_path / f"s{level:g}", eeg)
        lines.append(lay_out(store, [Piece("r", 3.5, 3.5, "s", 0.0, 0)], lambda _: noise(1, 1000)[0]))
    np.testing.assert_array_equal(lines[0].eeg, lines[1].eeg)


def test_doctor_judges_what_was_recorded_and_says_what_was_not(tmp_path):
    eeg = noise(4, 1000)
    eeg[:, 200:] = 0  # nothing was recorded in most of the time
    store = interrupted(tmp_path / "s", eeg, [segment(onset=0, duration=2)], [(0, 200)])
    rows = ["r\ttime\t\t8\tdropouts of all channels", "r\tfilled\t\t0.04\tshort dropouts of all channels, filled"]
    (store.root / "dropped.tsv").write_text("\n".join(["recording\twhat\tname\tseconds\treason", *rows]) + "\n")
    report = examine(Store(store.root))
    texts = [problem.text for problem in report.problems]
    assert "8 s of 1 recordings are cut out of segments (dropouts of all channels); see dropped.tsv" in texts
    assert "0.04 s of 1 recordings are filled in (short dropouts of all channels, filled); see dropped.tsv" in texts
    assert not any("is flat" in text for text in texts)
    assert report.facts.amplitude["1"] > 5


def paused(samples=4000, rate=250.0):
    """Concatenated recordings with a skip, whose EEG of 4 channels jumps at each interruption."""
    eeg = np.random.default_rng(0).normal(0, 1e-5, (4, samples))
    eeg[:, 2000:] += 5e-3
    raw = mne.io.RawArray(eeg, mne.create_info(["Fz", "Cz", "Pz", "Oz"], rate, "eeg"), verbose="ERROR")
    notes = mne.Annotations([4.0, 8.0], [2.0, 0.0], ["BAD_ACQ_SKIP", "EDGE boundary"])
    return raw.set_annotations(notes)


@pytest.mark.parametrize("crop", [0.0, 1.0])
def test_windows_of_a_model_lie_between_interruptions_at_their_times(crop):
    raw = paused().crop(crop, None)
    settings = Preprocessing(reference="none", deviation=None)
    trained = TrainingDataInfo("x", False, 1.0, 0.1, 20.0, settings, ("01",), ())
    data = trained.windows(from_mne(raw), fixed=False)
    starts = [float(data[index, 0]["sound_start"]) for index in range(len(data))]
    expected = [*np.arange(crop, 4.0), 6.0, 7.0, *np.arange(8.0, 16.0)]
    assert starts == pytest.approx([start - crop for start in expected])
    assert all(float(data[index, 0]["eeg"].abs().max()) < 15 for index in range(len(data)))


def test_a_cut_of_known_length_moves_no_window_of_a_model():
    raw = paused()
    raw.set_annotations(mne.Annotations([7.998], [5.0], ["boundary"]))
    trained = TrainingDataInfo("x", False, 1.0, 0.0, 20.0, Preprocessing(deviation=None), ("01",), ())
    data = trained.windows(from_mne(raw), fixed=False)
    starts = [float(data[index, 0]["sound_start"]) for index in range(len(data))]
    assert starts == pytest.approx(np.arange(16.0))


def test_recordings_of_braindecode_are_rest_between_interruptions(tmp_path):
    source = Source("r", "r", "", "", (), partial(_read, paused(), "r", ("eeg",)))
    description = Description("made", "tests", "CC0", "none", simulated=False, rate=100.0)
    prepare_sources([source], tmp_path / "s", description, Preprocessing(deviation=None))
    spans = [(s.onset, s.duration) for s in Store(tmp_path / "s").segments]
    assert spans == [pytest.approx(span) for span in ((0, 4), (6, 2), (8, 8))]
