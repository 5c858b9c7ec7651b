from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Segment
from eeg2speech.data.preparation.rejection import bad_stretches, learned_limits, without


def noise(channels=8, seconds=200, rate=100, seed=0):
    """Noise of ten microvolts that is smooth in time, as filtered EEG is."""
    white = np.random.default_rng(seed).normal(size=(channels, seconds * rate + 9))
    smooth = np.stack([np.convolve(row, np.ones(10) / np.sqrt(10), "valid") for row in white])
    return (10 * smooth).astype(np.float32)


def segment(onset, duration, offset=0.0, text=""):
    return Segment("r", onset, duration, "s", offset, "listening", "a", text)


def test_loud_seconds_are_found_where_enough_channels_are_loud():
    eeg = np.zeros((4, 1000), np.float32)
    eeg[:2, 250] = 200  # two of four channels
    eeg[0, 730] = 200  # one
    assert bad_stretches(eeg, [(0, 1000)], 100.0, 150.0, 0.25) == [(200, 300)]
    assert bad_stretches(eeg, [(0, 1000)], 100.0, 150.0, 0.0) == [(200, 300), (700, 800)]
    assert bad_stretches(eeg, [(0, 1000)], 100.0, 150.0, 0.5) == []
    assert bad_stretches(eeg, [(0, 1000)], 100.0, 250.0, 0.0) == []


def test_neighbouring_stretches_are_joined_and_windows_never_cross_a_break():
    eeg = np.zeros((1, 1000), np.float32)
    eeg[0, [150, 210]] = 200
    assert bad_stretches(eeg, [(0, 1000)], 100.0, 150.0, 0.0) == [(100, 300)]
    eeg[0, :] = 0
    eeg[0, 430:] = 1000  # a step at a break is no amplitude within a window
    assert bad_stretches(eeg, [(0, 430), (430, 1000)], 100.0, 150.0, 0.0) == []
    eeg[0, 429] = 500
    assert bad_stretches(eeg, [(0, 430), (430, 1000)], 100.0, 150.0, 0.0) == [(330, 430)]
    eeg[0, 470] = 500
    assert bad_stretches(eeg, [(0, 430), (430, 480), (480, 1000)], 100.0, 150.0, 0.0) == [(330, 480)]


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=5),
    spikes=st.lists(st.integers(0, 10**6), max_size=8),
    share=st.sampled_from([0.0, 0.3, 0.9]),
)
@settings(deadline=None)
def test_stretches_cover_every_spike_and_are_apart(lengths, spikes, share):
    starts = np.cumsum([0, *lengths]).tolist()
    eeg = np.zeros((2, starts[-1]), np.float32)
    for spike in spikes:
        eeg[:, spike % starts[-1]] = 300
    found = bad_stretches(eeg, list(pairwise(starts)), 100.0, 200.0, share)
    assert all(0 <= first < end <= starts[-1] for first, end in found)
    assert all(end < first for (_, end), (first, _) in pairwise(found))
    for at in np.flatnonzero(eeg[0]):
        piece = np.searchsorted(starts, at, "right") - 1
        if np.ptp(eeg[0, starts[piece] : starts[piece + 1]]) > 0:
            assert any(first <= at < end for first, end in found)


def reference_limit(windows):
    """One channel's threshold by the slow loop over candidates and folds."""
    amplitudes = np.ptp(windows, axis=1)
    fold = np.arange(len(windows)) % 5
    errors = []
    for candidate in np.sort(amplitudes):
        error = 0.0
        for held_out in range(5):
            kept = windows[(fold != held_out) & (amplitudes <= max(candidate, amplitudes[fold != held_out].min()))]
            difference = kept.mean(axis=0) - np.median(windows[fold == held_out], axis=0)
            error += np.sqrt((difference**2).mean())
        errors.append(error)
    return np.sort(amplitudes)[np.argmin(errors)]


def test_learned_limits_equal_the_slow_loop():
    eeg = noise(3, 70)
    eeg[1, 1000:1100] *= 8
    windows = eeg.reshape(3, 70, 100).astype(float)
    expected = [reference_limit(channel) for channel in windows]
    np.testing.assert_allclose(learned_limits(eeg, [(0, 7000)], 100.0), expected, rtol=1e-6)


def test_learned_limits_follow_the_channel_and_part_bursts_from_the_rest():
    eeg = noise()
    eeg[3] *= 4
    loud = np.zeros(200, bool)
    loud[[20, 77, 150]] = True
    for second in np.flatnonzero(loud):
        eeg[:, second * 100 : second * 100 + 100] *= 8
    limits = learned_limits(eeg, [(0, 20000)], 100.0)
    assert limits[3] / np.median(limits) == pytest.approx(4, rel=0.35)
    found = np.zeros(200, bool)
    for first, end in bad_stretches(eeg, [(0, 20000)], 100.0, "auto", 0.5):
        found[first // 100 : end // 100] = True
    np.testing.assert_array_equal(found, loud)


def test_scaling_the_signal_scales_what_is_learned():
    eeg = noise()
    np.testing.assert_allclose(
        learned_limits(eeg * 7, [(0, 20000)], 100.0), 7 * learned_limits(eeg, [(0, 20000)], 100.0), rtol=1e-5
    )


def test_too_little_to_learn_from_is_an_error():
    with pytest.raises(DataError, match=r"^49 uninterrupted seconds are too few .*reject.* give microvolts"):
        bad_stretches(noise(2, 49), [(0, 4900)], 100.0, "auto", 0.2)
    starts = list(range(0, 10001, 80))
    with pytest.raises(DataError, match=r"^0 uninterrupted seconds"):
        bad_stretches(noise(2, 100), list(pairwise(starts)), 100.0, "auto", 0.2)


def test_parts_keep_their_sound():
    parts = without([segment(10.0, 5.0, 2.0, "what was said")], [(1100, 1200)], 100.0)
    assert [(part.onset, part.duration, part.offset) for part in parts] == [(10.0, 1.0, 2.0), (12.0, 3.0, 4.0)]
    assert [(part.label, part.text) for part in parts] == [("a", ""), ("a", "")]


def test_whole_segments_stay_as_they_are_and_short_parts_are_dropped():
    whole = segment(0.0, 0.5, text="word")
    assert without([whole], [(100, 200)], 100.0, shortest=3.0) == [whole]
    parts = without([segment(0.0, 6.0)], [(100, 200)], 100.0, shortest=3.0)
    assert [(part.onset, part.duration) for part in parts] == [(2.0, 4.0)]
    assert without([segment(1.2, 0.5)], [(100, 200)], 100.0) == []


@st.composite
def scenes(draw):
    borders = sorted(draw(st.sets(st.integers(0, 2000), max_size=10)))
    stretches = list(zip(borders[::2], borders[1::2], strict=False))
    times = st.floats(0, 20, allow_nan=False)
    segments = [
        segment(onset, draw(st.floats(0.01, 8)), draw(times)) for onset in draw(st.lists(times, min_size=1, max_size=4))
    ]
    return segments, stretches


@given(scenes())
@settings(deadline=None)
def test_cutting_loses_the_bad_stretches_and_nothing_else(scene):
    segments, stretches = scene
    for whole in segments:
        parts = without([whole], stretches, 100.0)
        end = whole.onset + whole.duration
        for part in parts:
            assert part.duration > 0
            assert whole.onset - 1e-9 <= part.onset
            assert part.onset + part.duration <= end + 1e-9
            assert part.offset - part.onset == pytest.approx(whole.offset - whole.onset, abs=1e-9)
            for first, last in stretches:
                assert min(part.onset + part.duration, last / 100) - max(part.onset, first / 100) < 1e-9
        lost = sum(max(min(end, last / 100) - max(whole.onset, first / 100), 0) for first, last in stretches)
        assert sum(part.duration for part in parts) == pytest.approx(whole.duration - lost, abs=1e-9)
