from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import detrend

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Channel, RawRecording, Segment
from eeg2speech.data.electrodes.montage import electrode_positions
from eeg2speech.data.preparation.filtering import filter_blocks
from eeg2speech.data.preparation.preprocess import Preprocessing, preprocess

NAMES = ["Fz", "F3", "F4", "Cz", "C3", "C4", "Pz", "P3", "P4", "Oz"]


def segment(onset, duration):
    return Segment("r", onset, duration, "s", 0.0, "listening")


def recording(eeg, rate=256.0, segments=(), breaks=(), names=NAMES):
    """A recording of a signal in microvolts."""
    places = electrode_positions(names[: len(eeg)]).tolist()
    channels = [Channel(name, "eeg", *place) for name, place in zip(names, places, strict=False)]
    return RawRecording(np.asarray(eeg) * 1e-6, rate, channels, list(segments), list(breaks))


def noise(seconds=20, rate=256.0, channels=10, seed=0):
    """Sources that spread over the scalp and a little noise of each sensor, in microvolts."""
    rng = np.random.default_rng(seed)
    places = electrode_positions(NAMES[:channels])
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    sources = np.exp(-((distance / 0.06) ** 2)) @ rng.normal(size=(channels, int(seconds * rate)))
    return 20 * sources + rng.normal(size=sources.shape)


def sine(hertz, seconds, rate, amplitude=10.0):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


KEEP = Preprocessing(reference="none", deviation=None)


def test_output_is_float32_microvolts_at_the_new_rate():
    eeg, channels, *_ = preprocess(recording(noise()), Preprocessing(), "r")
    assert eeg.dtype == np.float32
    assert eeg.shape == (10, 2000)
    assert 1 < np.median(eeg.std(axis=1)) < 100
    assert [channel.name for channel in channels] == NAMES
    assert {channel.status for channel in channels} == {"good"}
    np.testing.assert_allclose(eeg.mean(axis=0), 0, atol=1e-4)


def test_the_band_is_kept_without_delay_and_the_rest_removed():
    hertz = [10.0, 0.05, 50.0, 60.0, 90.0]
    signal = np.stack([sine(h, 40, 256.0) for h in hertz]) + 4000.0
    eeg, *_ = preprocess(recording(signal), KEEP, "r")
    middle = slice(500, -500)
    np.testing.assert_allclose(eeg[0, middle], sine(10.0, 40, 100.0)[middle], atol=0.3)
    assert np.abs(eeg[1:, middle]).max() < 0.3


@pytest.mark.parametrize("samples", [2, 3, 50, 1001])
def test_trends_are_taken_out_as_by_least_squares(samples):
    eeg = 4000 + np.random.default_rng(0).normal(size=(3, 2, samples)) + np.arange(samples)
    np.testing.assert_allclose(filter_blocks(eeg, 100.0, 100.0, (None, None), None), detrend(eeg), atol=1e-8)
    assert not filter_blocks(eeg[..., :1], 100.0, 100.0, (None, None), None).any()


def test_each_piece_is_prepared_by_itself():
    signal = noise(6)
    whole, *_ = preprocess(recording(signal, breaks=[512, 1000]), KEEP, "r")
    signal[:, 512:] *= 1000
    other, *_ = preprocess(recording(signal, breaks=[512, 1000]), KEEP, "r")
    np.testing.assert_array_equal(whole[:, :200], other[:, :200])
    assert not np.allclose(whole[:, 200:], other[:, 200:])


def test_short_epochs_have_no_artefact_at_their_borders():
    """One-second epochs equal the same seconds cut from the continuous signal, up to their linear trend."""
    rng = np.random.default_rng(0)
    hertz = np.fft.rfftfreq(200 * 256, 1 / 256)
    shape = np.where(hertz > 0.1, 1 / np.maximum(hertz, 0.1), 0)
    signal = np.fft.irfft(shape * np.exp(2j * np.pi * rng.random((10, hertz.size))))
    signal *= 20 / signal.std()
    settings = replace(KEEP, band=(None, 40.0))
    continuous, *_ = preprocess(recording(signal), settings, "r")
    epochs, *_ = preprocess(recording(signal, breaks=list(range(256, 200 * 256, 256))), KEEP, "r")
    assert epochs.shape == continuous.shape

    def detrended(eeg):
        pieces = eeg.reshape(10, 200, 100).astype(float)
        basis = np.linalg.qr(np.stack([np.ones(100), np.arange(100.0)], axis=1))[0]
        return pieces - pieces @ basis @ basis.T

    error = detrended(epochs) - detrended(continuous)
    for border in (slice(0, 2), slice(-2, None)):
        assert (error[..., border] ** 2).mean() < 0.02 * detrended(continuous).var()


@pytest.mark.parametrize("rate", [128.0, 250.0, 256.0, 499.907, 1000.0])
def test_segments_stay_on_their_events(rate):
    """Impulses in pieces of awkward lengths are found where the segments say."""
    lengths = [int(2.013 * rate), int(3.337 * rate), int(0.991 * rate), int(2.5 * rate)]
    starts = np.cumsum([0, *lengths])
    signal = np.zeros((2, starts[-1]))
    segments = []
    for start in starts[:-1]:
        at = start + int(0.5 * rate)
        signal[:, at] = 1000.0
        segments.append(segment(at / rate, 0.3))
    settings = replace(KEEP, band=(None, 30.0), notch=None, flat=None)
    eeg, _, moved, *_ = preprocess(recording(signal, rate, segments, starts[1:-1].tolist()), settings, "r")
    assert eeg.shape[1] == sum(round(length * 100 / rate) for length in lengths)
    for new in moved:
        first = round(new.onset * 100)
        assert abs(int(np.argmax(np.abs(eeg[0, first - 20 : first + 20]))) - 20) <= 1
        assert new.duration == pytest.approx(0.3, abs=1e-6)


def test_a_segment_that_fills_a_piece_ends_with_it():
    breaks = [300, 600, 900]
    segments = [segment(first / 256, 300 / 256) for first in (0, *breaks)]
    eeg, _, moved, *_ = preprocess(recording(noise(1200 / 256), segments=segments, breaks=breaks), KEEP, "r")
    assert [new.onset for new in moved] == pytest.approx([0, 1.17, 2.34, 3.51])
    for new, end in zip(moved, [1.17, 2.34, 3.51, 4.68], strict=True):
        assert new.onset + new.duration <= end + 1e-9
        assert new.duration == pytest.approx(300 / 256, abs=0.01)
    assert eeg.shape[1] == 468


@pytest.mark.parametrize(("onset", "duration"), [(-1.0, 1.0), (19.5, 1.0), (3.0, 0.0), (3.0, -1.0)])
def test_a_segment_outside_the_recording_is_an_error(onset, duration):
    with pytest.raises(DataError, match=r"^r: segment at .* does not lie inside the recording of 20 s"):
        preprocess(recording(noise(), segments=[segment(onset, duration)]), KEEP, "r")


def test_bad_channels_are_found_marked_and_interpolated():
    signal = noise()
    clean, *_ = preprocess(recording(signal), KEEP, "r")
    broken = signal.copy()
    broken[1] = 4200.0  # flat
    broken[3] *= 100  # deviating
    broken[6, 100:300] = np.nan  # missing for 4 %
    settings = Preprocessing(reference="none", bad=["P4"])
    eeg, channels, *_ = preprocess(recording(broken), settings, "r")
    assert [channel.name for channel in channels if channel.status == "bad"] == ["F3", "Cz", "Pz", "P4"]
    for row in (1, 3, 6, 8):
        assert np.corrcoef(eeg[row], clean[row])[0, 1] > 0.5
        assert 0.2 < eeg[row].std() / clean[row].std() < 2
    np.testing.assert_allclose(eeg[[0, 2, 4]], clean[[0, 2, 4]], atol=1e-3)


def test_bad_channels_are_zero_without_positions_or_when_not_interpolated():
    raw = recording(noise())
    raw.eeg[1] = 0.0
    settings = Preprocessing()
    for unlocated, chosen in [(True, settings), (False, replace(settings, interpolate=False))]:
        if unlocated:
            raw.channels = [Channel(name) for name in NAMES]
        eeg, channels, *_ = preprocess(raw, chosen, "r")
        assert channels[1].status == "bad"
        assert not eeg[1].any()
        np.testing.assert_allclose(np.delete(eeg, 1, axis=0).mean(axis=0), 0, atol=1e-4)


def test_short_gaps_are_interpolated_in_time_and_counted(caplog):
    signal = np.stack([sine(2, 20, 256.0), sine(3, 20, 256.0)])
    expected, *_ = preprocess(recording(signal), KEEP, "r")
    signal[0, 1000:1004] = np.nan
    signal[0, 0] = np.inf
    with caplog.at_level(logging.INFO):
        eeg, channels, *_ = preprocess(recording(signal), KEEP, "r")
    assert channels[0].status == "good"
    np.testing.assert_allclose(eeg[:, 50:], expected[:, 50:], atol=0.5)
    assert "r: 5 missing samples interpolated" in caplog.text


@pytest.mark.parametrize("name", ["T7", "t3", "T3", "EEG T7-REF"])
def test_channels_are_bad_under_any_of_their_names(name):
    raw = recording(noise(), names=["Fz", "F3", "F4", "Cz", "C3", "C4", "T7", "P3", "P4", "Oz"])
    _, channels, *_ = preprocess(raw, Preprocessing(bad=[name]), "r")
    assert [channel.name for channel in channels if channel.status == "bad"] == ["T7"]
    with pytest.raises(ConfigError, match=r"preprocessing\.bad='P7' is no channel of r; it has Fz, F3"):
        preprocess(raw, Preprocessing(bad=["P7"]), "r")


def test_a_recording_with_mostly_bad_channels_is_refused():
    signal = noise()
    signal[:6] = 0
    with pytest.raises(DataError, match=r"^r: 6 of 10 channels are flat \(Fz, F3.*they hold no signal"):
        preprocess(recording(signal), Preprocessing(), "r")
    with pytest.raises(DataError, match="10 of 10"):
        preprocess(recording(signal * np.nan), Preprocessing(), "r")


def test_only_eeg_is_kept_and_the_raw_signal_left_alone():
    raw = recording(noise())
    raw.channels[4] = replace(raw.channels[4], type="eog")
    before = raw.eeg.copy()
    eeg, channels, *_ = preprocess(raw, Preprocessing(), "r")
    assert len(channels) == len(eeg) == 9
    np.testing.assert_array_equal(raw.eeg, before)


@pytest.mark.parametrize("samples", [1, 2, 3, 7, 40])
def test_tiny_recordings_and_pieces_pass_or_are_refused(samples):
    signal = noise(3)[:, : samples + 300]
    eeg, *_ = preprocess(recording(signal, breaks=[samples]), KEEP, "r")
    assert np.isfinite(eeg).all()
    if round(samples * 100 / 256) == 0:
        with pytest.raises(DataError, match="too short"):
            preprocess(recording(noise(1)[:, :samples]), KEEP, "r")


def test_equal_rates_are_not_resampled():
    eeg, *_ = preprocess(recording(noise(10, 100.0), 100.0), KEEP, "r")
    assert eeg.shape == (10, 1000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 0.0}, r"preprocessing\.rate=0"),
        ({"band": (0.5, 60.0)}, r"preprocessing\.band=\[0\.5, 60\.0\].*rate=100"),
        ({"band": (10.0, 5.0)}, r"preprocessing\.band=.*ascend"),
        ({"band": (0.0, 5.0)}, r"preprocessing\.band="),
        ({"notch": -50.0}, r"preprocessing\.notch=-50"),
        ({"bad": ["TP9"]}, r"preprocessing\.bad='TP9' is no channel of r"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        preprocess(recording(noise(2)), Preprocessing(**settings), "r")


@pytest.mark.parametrize(
    ("rate", "settings", "message"),
    [
        (64.0, Preprocessing(), r"r: recorded at 64 Hz, .*preprocessing\.rate=100"),
        (64.0, Preprocessing(rate=64.0, band=(1.0, 31.0)), None),
        (120.0, Preprocessing(rate=120.0, band=(0.5, 59.0), notch=50.0), None),
    ],
)
def test_rates_that_do_not_fit(rate, settings, message):
    raw = recording(noise(5, rate), rate)
    if message is None:
        assert np.isfinite(preprocess(raw, settings, "r")[0]).all()
    else:
        with pytest.raises(DataError, match=message):
            preprocess(raw, settings, "r")


def test_recordings_that_contradict_themselves_are_refused():
    raw = recording(noise(2))
    raw.channels[2] = replace(raw.channels[2], name="Fz")
    with pytest.raises(DataError, match="r: channel Fz occurs 2 times"):
        preprocess(raw, KEEP, "r")
    raw.channels.pop()
    with pytest.raises(DataError, match="9 channels"):
        preprocess(raw, KEEP, "r")
    with pytest.raises(DataError, match="r: breaks"):
        preprocess(recording(noise(2), breaks=[300, 200]), KEEP, "r")
