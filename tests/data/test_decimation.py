from __future__ import annotations

import numpy as np
import pytest

from eeg2speech.core.errors import DiskError
from eeg2speech.core.types import Channel, RawRecording, Segment
from eeg2speech.data.preparation import decimation
from eeg2speech.data.preparation.blocks import Blocks
from eeg2speech.data.preparation.decimation import chunked_decimate, whole_factor
from eeg2speech.data.preparation.preprocess import Preprocessing, preprocess

RATE = 8192.0


class Watched:
    """A signal that notes how much of it was asked for at once."""

    def __init__(self, values):
        self.values, self.shape, self.largest = values, values.shape, 0

    def __getitem__(self, part):
        piece = self.values[part]
        self.largest = max(self.largest, piece.size)
        return piece


def thinned(values, factor, breaks=(), scratch=None, rows=None):
    rows = np.arange(values.shape[0]) if rows is None else np.asarray(rows)
    pieces = Blocks.of(values.shape[1], breaks, RATE, RATE / factor)
    with chunked_decimate(values, rows, np.ones(len(rows)), pieces, factor, scratch) as spool:
        return np.array(spool.signal), spool.missing, pieces


def noise(channels=3, samples=100_003, seed=0):
    return np.cumsum(np.random.default_rng(seed).standard_normal((channels, samples)), axis=1)


def test_what_is_low_stays_and_what_would_alias_is_gone():
    time = np.arange(10 * 8192) / RATE
    low, high = np.sin(2 * np.pi * 40 * time), np.sin(2 * np.pi * 480 * time)
    signal, _, _ = thinned(np.stack([low, high]), 16)
    new_time = np.arange(signal.shape[1]) / 512
    middle = slice(20, -20)
    np.testing.assert_allclose(signal[0, middle], np.sin(2 * np.pi * 40 * new_time)[middle], atol=1e-4)
    assert np.abs(signal[1, middle]).max() < 1e-4


@pytest.mark.parametrize("factor", [1, 3, 16])
def test_the_size_of_what_is_read_at_once_changes_nothing(tmp_path, monkeypatch, factor):
    values, breaks = noise(), [30_001, 30_500, 64_000]
    whole, _, _ = thinned(values, factor, breaks)
    monkeypatch.setattr(decimation, "READ", 5000)
    monkeypatch.setattr(decimation, "IN_MEMORY", 0)
    watched = Watched(values)
    parts, _, _ = thinned(watched, factor, breaks, tmp_path / "scratch")
    np.testing.assert_allclose(parts, whole, atol=1e-3 * np.abs(whole).max() * 1e-3)
    assert watched.largest < 5000 + 3 * (25 * factor + 1 + 2 * 411)
    assert not list(tmp_path.iterdir())


def test_pieces_do_not_see_each_other():
    values = noise(1, 20_000)
    changed = values.copy()
    changed[:, 10_000:] += 1e4
    first, _, pieces = thinned(values, 16, [10_000])
    second, _, _ = thinned(changed, 16, [10_000])
    border = pieces.new_starts[1]
    np.testing.assert_array_equal(first[:, :border], second[:, :border])
    np.testing.assert_allclose(second[:, border:] - first[:, border:], 1e4, rtol=1e-5)


def test_only_the_rows_asked_for_are_read_and_offsets_taken_out():
    values = noise(4, 4000) + 1e5
    signal, _, _ = thinned(values, 1, rows=[3, 1])
    np.testing.assert_allclose(signal, (values - values[:, :1])[[3, 1]], atol=1e-4)


def test_missing_samples_are_counted_and_do_not_spread():
    values = noise(2, 32_000)
    values[1, 100:420] = np.nan
    signal, missing, _ = thinned(values, 16)
    np.testing.assert_allclose(missing, [0, 320])
    assert np.isfinite(signal).all()


def test_a_full_disk_is_an_error_and_leaves_no_scratch(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decimation, "IN_MEMORY", 0)
    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(DiskError, match="the disk is full"):
        thinned(noise(), 16, scratch=tmp_path / "scratch")
    assert not list(tmp_path.iterdir())


def test_rates_that_are_low_enough_are_left_alone():
    assert [whole_factor(rate, 50) for rate in (256, 512, 1000, 1024, 2048, 8192, 24000)] == [1, 1, 1, 2, 4, 16, 46]
    assert whole_factor(1024, 150) == 1


def test_segments_and_filters_are_the_same_at_a_high_rate():
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.standard_normal((4, 512 * 20)), axis=1)
    slow -= np.linspace(0, 1, slow.shape[1]) * slow[:, -1:]
    fast = np.stack([np.interp(np.arange(8192 * 20) / 8192, np.arange(512 * 20) / 512, row) for row in slow])
    segment = Segment("r", 3.2, 10.0, "s", 1.0, "listening")
    channels = [Channel(name) for name in ("Fz", "Cz", "Pz", "Oz")]
    settings = Preprocessing(deviation=None, reference="none")
    results = [
        preprocess(RawRecording(1e-6 * values, rate, channels, [segment]), settings, "r")
        for values, rate in ((slow, 512.0), (fast, RATE))
    ]
    (a, _, (first,), *_), (b, _, (second,), *_) = results
    assert a.shape == b.shape == (4, 2000)
    for moved in (first, second):
        assert (moved.onset, moved.duration) == pytest.approx((3.2, 10.0))
    inner = slice(100, -100)
    assert np.abs(a - b)[:, inner].max() < 0.02 * a[:, inner].std()
