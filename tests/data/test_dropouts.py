from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eeg2speech.core.types import Channel, RawRecording, Segment
from eeg2speech.data.preparation import decimation
from eeg2speech.data.preparation.dropouts import between_dropouts, find_dropouts
from eeg2speech.data.preparation.preprocess import DROPOUT, FILLED_IN, Preprocessing, preprocess

SETTINGS = Preprocessing(reference="none", deviation=None)


def noise(rate=250.0, seconds=20.0, channels=10, seed=0):
    """Drifting volts on an offset of some millivolts."""
    eeg = np.cumsum(np.random.default_rng(seed).normal(0, 1e-6, (channels, round(seconds * rate))), axis=1)
    return eeg - np.linspace(0, 1, eeg.shape[1]) * eeg[:, -1:] + 4e-3


def hold(eeg, first, stop):
    eeg[:, first:stop] = eeg[:, first - 1, None]


def zero(eeg, first, stop):
    eeg[:, first:stop] = 0


def lose(eeg, first, stop):
    eeg[:, first:stop] = np.nan


def prepared(eeg, rate=250.0, segments=None, breaks=(), gaps=(), **options):
    channels = [Channel(f"c{n}") for n in range(len(eeg))]
    whole = [Segment("r", 0.0, eeg.shape[1] / rate, "s", 1.0, "listening")]
    raw = RawRecording(eeg, rate, channels, whole if segments is None else segments, list(breaks), gaps=gaps)
    return preprocess(raw, Preprocessing(reference="none", deviation=None, **options), "r")


@pytest.mark.parametrize("drop", [hold, zero, lose])
def test_dropouts_are_found_to_the_sample(drop):
    eeg = noise()
    for first, stop in ((500, 510), (1000, 1400), (4990, 5000)):
        drop(eeg, first, stop)
    assert find_dropouts(eeg, 250.0) == [(500, 510), (1000, 1400), (4990, 5000)]
    drop(eeg[:9], 2000, 2100)  # one channel goes on
    assert len(find_dropouts(eeg, 250.0)) == 3


def test_how_short_a_dropout_may_be():
    eeg = noise()
    hold(eeg, 500, 502)  # 8 ms
    zero(eeg, 700, 701)
    lose(eeg, 800, 801)
    eeg[:, [0, -1]] = 0  # as in epochs that start or end at zero by definition
    assert find_dropouts(eeg, 250.0) == [(700, 701), (800, 801)]
    assert find_dropouts(eeg[:7], 250.0) == [(800, 801)]
    hold(eeg, 500, 503)
    assert (500, 503) in find_dropouts(eeg, 250.0)


def test_a_channel_in_coarse_steps_drops_out_only_where_missing():
    steps = 0.5e-6 * np.round(noise(channels=1, seed=3) / 2e-6)
    pair = np.repeat(steps, 2, axis=0)
    assert len(find_dropouts(pair, 250.0)) > 100  # two that stand still together are a dropout
    assert find_dropouts(steps, 250.0) == []
    assert prepared(steps).lost == {}
    lose(steps, 700, 705)
    assert find_dropouts(steps, 250.0) == [(700, 705)]
    assert prepared(steps).lost == pytest.approx({FILLED_IN: 0.02})


def test_a_value_held_from_the_start_was_never_measured():
    eeg = noise()
    eeg[:, :50] = eeg[:, :1]
    assert find_dropouts(eeg, 250.0) == [(0, 50)]
    assert find_dropouts(eeg, 250.0, begins=False) == [(1, 50)]


@pytest.mark.parametrize("drop", [hold, zero, lose])
@pytest.mark.parametrize("rate", [250.0, 2048.0])
def test_short_dropouts_become_a_line(drop, rate):
    clean = noise(rate)
    eeg, line = clean.copy(), clean.copy()
    first, stop = round(10 * rate), round(10.045 * rate)
    drop(eeg, first, stop)
    line[:, first - 1 : stop + 1] = np.linspace(clean[:, first - 1], clean[:, stop], stop - first + 2).T
    made, expected = prepared(eeg, rate), prepared(line, rate)
    np.testing.assert_allclose(made.eeg, expected.eeg, atol=1e-3)
    assert made.segments == expected.segments
    assert made.blocks == [(0, 2000)]
    assert made.lost == pytest.approx({FILLED_IN: (stop - first) / rate})
    assert {channel.status for channel in made.channels} == {"good"}


@pytest.mark.parametrize("drop", [hold, zero, lose])
@pytest.mark.parametrize("rate", [250.0, 2048.0])
def test_long_dropouts_are_cut_out_and_the_sound_goes_on(drop, rate):
    """The recording is prepared as two: what one side holds has no effect on the other."""
    eeg = noise(rate)
    first, stop = round(8 * rate), round(8.5 * rate)
    drop(eeg, first, stop)
    made = prepared(eeg, rate)
    assert made.blocks == [(0, 800), (850, 2000)]
    spans = [(s.onset, s.duration, s.offset) for s in made.segments]
    assert spans == [pytest.approx((0, 8, 1)), pytest.approx((8.5, 11.5, 9.5))]
    assert made.lost == pytest.approx({DROPOUT: 0.5})
    assert not made.eeg[:, 800:850].any()
    np.testing.assert_allclose(made.eeg[:, :800], prepared(eeg[:, :first], rate).eeg, atol=1e-3)
    np.testing.assert_allclose(made.eeg[:, 850:], prepared(eeg[:, stop:], rate).eeg, atol=1e-3)
    other = eeg.copy()
    other[:, stop:] += 0.01
    np.testing.assert_array_equal(made.eeg[:, :800], prepared(other, rate).eeg[:, :800])


def test_many_dropouts_make_no_channel_bad_but_its_own_gaps_do():
    eeg = noise()
    for first in range(100, 4900, 100):
        lose(eeg, first, first + 10)
    made = prepared(eeg)
    assert {channel.status for channel in made.channels} == {"good"}
    assert made.lost == pytest.approx({FILLED_IN: 48 * 0.04})
    eeg[3, 120:180] = np.nan
    assert [channel.status for channel in prepared(eeg).channels].count("bad") == 1


def test_parts_beside_a_dropout_that_are_too_short_go_with_it():
    eeg = noise()
    zero(eeg, 1000, 1100)
    zero(eeg, 1200, 1300)
    made = prepared(eeg)
    assert [(s.onset, s.duration) for s in made.segments] == [pytest.approx((0, 4)), pytest.approx((5.2, 14.8))]
    assert made.lost == pytest.approx({DROPOUT: 1.2})
    assert len(prepared(eeg, shortest=0.1).segments) == 3


def test_a_recording_that_mostly_stands_still_has_no_dropouts():
    eeg = np.zeros((2, 5000))
    eeg[:, 2000:2010] = 1e-4
    made = prepared(eeg, flat=None)
    assert made.lost == {}
    assert made.blocks == [(0, 2000)]
    assert np.abs(made.eeg[:, 790:820]).max() > 10


def test_gaps_that_are_known_are_no_dropouts():
    eeg = noise()
    zero(eeg, 2000, 4800)
    made = prepared(eeg, breaks=[2000, 4800], gaps=[(2000, 4800)], flat=1.0)
    assert made.blocks == [(0, 800), (1920, 2000)]
    assert DROPOUT not in made.lost
    assert [s.offset for s in made.segments] == [1.0]  # the rest is shorter than preprocessing.shortest
    assert {channel.status for channel in made.channels} == {"good"}  # though most of the time is zero


@given(
    first=st.integers(1, 2000),
    lengths=st.lists(st.tuples(st.integers(1, 400), st.integers(1, 900)), min_size=1, max_size=4),
    drop=st.sampled_from([hold, zero, lose]),
    rate=st.sampled_from([500.0, 2048.0]),
)
@settings(max_examples=25)
def test_the_size_of_what_is_read_at_once_does_not_matter(first, lengths, drop, rate):
    eeg, at = noise(rate, 6.0), first
    for length, later in lengths:
        drop(eeg, min(at, 2900), min(at + length, 2950))
        at += length + later
    whole = prepared(eeg, rate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decimation, "READ", 6000)
        parts = prepared(eeg, rate)
    assert whole.lost == parts.lost
    assert whole.blocks == parts.blocks
    assert whole.segments == parts.segments
    for piece in whole.blocks:
        np.testing.assert_allclose(whole.eeg[:, slice(*piece)], parts.eeg[:, slice(*piece)], atol=2e-3)


def test_components_are_fitted_between_dropouts():
    eeg = noise()
    zero(eeg, 1000, 1200)
    hold(eeg, 2000, 2005)
    assert between_dropouts(eeg, 250.0) == [(0, 1000), (1200, 5000)]
    assert np.isnan(eeg[:, 2000:2005]).all()
