import math

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.simulation.background import alpha, ongoing
from eeg2speech.data.simulation.evoked import evoke, make_listener
from eeg2speech.data.simulation.features import FEATURES, mel_power, speech_features
from eeg2speech.data.simulation.head import make_head, montage_names
from eeg2speech.data.simulation.simulator import Simulation, demo_sources
from eeg2speech.data.simulation.speech import Speech, read_speech

NULL = float("-inf")
QUIET = {"blinks": 0.0, "line": 0.0, "sensor": 0.0}


def babble(seed, count=3, seconds=3.0):
    """Noise in syllables, so that features and responses have something to follow."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * 16_000)
    sounds = {}
    for number in range(count):
        beat = np.repeat(rng.uniform(0, 0.2, samples // 3200 + 1), 3200)[:samples]
        sounds[f"s{number}"] = Speech((beat * rng.standard_normal(samples)).astype(np.float32), f"text {number}")
    return sounds


def record(speech, subject=0, **settings):
    settings = {"subjects": subject + 1, "channels": 8, **settings}
    return demo_sources(speech, Simulation(**settings))[subject].load()


def band_power(eeg, rate=200.0):
    return sosfiltfilt(butter(4, [0.5, 30], "band", fs=rate, output="sos"), eeg, axis=1).var(axis=1).mean()


def test_a_recording_is_what_a_reader_yields():
    speech = babble(0)
    recording = record(speech, subject=1)
    assert recording.rate == 200.0
    assert recording.eeg.dtype == np.float32
    assert recording.eeg.shape[0] == len(recording.channels) == 8
    assert recording.eeg.std() == pytest.approx(13e-6, rel=0.5)  # volts
    assert sorted(segment.stimulus for segment in recording.segments) == sorted(speech)
    end = 0.0
    for segment in recording.segments:
        assert segment.recording == "sub-02"
        assert segment.condition == "listening"
        assert segment.text == speech[segment.stimulus].text
        assert segment.onset * 100 == pytest.approx(round(segment.onset * 100), abs=1e-9)
        assert segment.duration == len(speech[segment.stimulus].wave) / 16_000
        assert end == 0.0 or 1.0 <= segment.onset - end <= 2.01
        end = segment.onset + segment.duration
    assert end < recording.eeg.shape[1] / recording.rate
    wave, rate = recording.stimuli["s1"]()
    assert rate == 16_000
    np.testing.assert_array_equal(wave, speech["s1"].wave)


def test_order_differs_between_subjects():
    speech = babble(0, count=8, seconds=0.5)
    sources = demo_sources(speech, Simulation(subjects=4, channels=8, snr=NULL))
    orders = {tuple(segment.stimulus for segment in source.load().segments) for source in sources}
    assert len(orders) == 4


def test_the_same_seed_repeats_every_bit_whoever_else_listens():
    speech = babble(0)
    alone = record(speech, subject=1).eeg
    among_others = demo_sources(speech, Simulation(subjects=5, channels=8))[1].load().eeg
    np.testing.assert_array_equal(alone, among_others)
    assert not np.array_equal(alone, record(speech, subject=0).eeg)
    other = record(speech, subject=1, seed=1).eeg
    assert other.shape != alone.shape or not np.array_equal(other, alone)


def test_the_null_does_not_depend_on_the_sound():
    one, another = babble(0), babble(1)
    np.testing.assert_array_equal(record(one, snr=NULL).eeg, record(another, snr=NULL).eeg)
    assert not np.array_equal(record(one, snr=-30.0).eeg, record(another, snr=-30.0).eeg)


@pytest.mark.parametrize("snr", [-20.0, 0.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_snr_is_the_power_ratio_asked_for(snr, seed):
    speech = babble(0, count=4, seconds=5.0)
    background = record(speech, snr=NULL, seed=seed, **QUIET).eeg
    evoked = record(speech, snr=snr, seed=seed, **QUIET).eeg - background
    assert 10 * math.log10(band_power(evoked) / band_power(background)) == pytest.approx(snr, abs=1.0)


def test_snr_leaves_out_blinks_line_and_sensor_noise():
    speech = babble(0)
    clean = record(speech, snr=-10.0, **QUIET).eeg - record(speech, snr=NULL, **QUIET).eeg
    noisy = record(speech, snr=-10.0).eeg - record(speech, snr=NULL).eeg
    np.testing.assert_allclose(noisy, clean, atol=1e-10)


def test_a_loud_response_tells_the_envelope_and_the_null_does_not():
    speech = read_speech(first=4)
    assert envelope_correlation(speech, 0.0) > 0.5
    assert abs(envelope_correlation(speech, NULL)) < 0.15


def envelope_correlation(speech, snr):
    """Correlation on the last passage heard of a ridge decoder, fitted on the others, that looks 0 to 400 ms ahead."""
    recording = record(speech, snr=snr, channels=16)
    band = butter(2, [0.5, 10], "band", fs=100, output="sos")
    eeg = sosfiltfilt(band, recording.eeg[:, ::2] * 1e6, axis=1)
    ahead = np.concatenate([np.roll(eeg, -lag, axis=1) for lag in range(0, 40, 4)])
    pieces = []
    for segment in recording.segments:
        envelope = sosfiltfilt(band, (mel_power(speech[segment.stimulus].wave) ** 0.3).mean(axis=0))
        start = round(segment.onset * 100)
        pieces.append((ahead[:, start : start + len(envelope)], envelope))
    inputs = np.concatenate([piece for piece, _ in pieces[:-1]], axis=1)
    targets = np.concatenate([envelope for _, envelope in pieces[:-1]])
    covariance = inputs @ inputs.T
    ridge = 0.01 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    weights = np.linalg.solve(covariance + ridge, inputs @ targets)
    return float(np.corrcoef(weights @ pieces[-1][0], pieces[-1][1])[0, 1])


def test_a_click_evokes_p1_n1_p2_at_the_vertex():
    head = make_head(("Cz", "Fz", "Pz", "T7", "T8", "Oz", "Fp1", "Fp2"))
    features = np.zeros((len(FEATURES), 300), np.float32)
    features[0, 100] = 1.0  # the envelope alone
    courses = []
    for subject in range(12):
        listener = make_listener(head, np.random.default_rng(subject), np.random.default_rng(0))
        courses.append(evoke(listener, features, 200.0)[0])
    mean = np.mean(courses, axis=0)[200:]  # from the click on, 5 ms a sample
    assert mean.argmin() * 5 == pytest.approx(100, abs=20)
    assert mean[: mean.argmin()].argmax() * 5 == pytest.approx(50, abs=20)
    assert mean.argmax() * 5 == pytest.approx(190, abs=30)


def test_the_response_never_precedes_the_sound():
    head = make_head(("Cz", "Fz", "Pz", "T7", "T8", "Oz", "Fp1", "Fp2"))
    features = np.zeros((len(FEATURES), 400), np.float32)
    features[:, 200] = 1.0
    course = evoke(make_listener(head, np.random.default_rng(0), np.random.default_rng(0)), features, 100.0)
    assert np.abs(course[:, :200]).max() < 1e-4 * np.abs(course).max()
    assert np.abs(course[:, 261:]).max() < 1e-4 * np.abs(course).max()


def test_background_falls_with_frequency_and_alpha_is_occipital():
    head = make_head(("Fp1", "Fp2", "F3", "F4", "Cz", "O1", "Oz", "O2"))
    noise = ongoing(head, np.random.default_rng(0), 60_000, 200.0)
    frequency = np.fft.rfftfreq(400, 1 / 200)
    power = np.square(np.abs(np.fft.rfft(noise.reshape(8, -1, 400), axis=2))).mean(axis=(0, 1))
    used = (frequency >= 2) & (frequency <= 40)
    slope = np.polyfit(np.log10(frequency[used]), np.log10(power[used]), 1)[0]
    assert -1.6 < slope < -0.8
    strength = alpha(head, np.random.default_rng(0), 60_000, 200.0).std(axis=1)
    assert strength[5:].mean() > 1.5 * strength[:4].mean()


def test_electrodes_lie_on_the_head():
    recording = record(babble(0), snr=NULL, channels=64)
    positions = np.array([(c.x, c.y, c.z) for c in recording.channels])
    radius = np.linalg.norm(positions - make_head(Simulation(channels=64).electrodes).centre, axis=1)
    assert radius.min() > 0.07
    assert radius.max() < 0.12
    names = [c.name for c in recording.channels]
    assert positions[names.index("T8"), 0] > 0.06
    assert positions[names.index("Fp1"), 1] > 0.06
    assert positions[names.index("Cz"), 2] > 0.08


def test_fewer_channels_are_a_subset_that_covers_the_head():
    previous = set()
    for count in (8, 16, 32, 64):
        chosen = set(Simulation(channels=count).electrodes)
        assert len(chosen) == count
        assert previous < chosen
        previous = chosen
    assert {"Fz", "Oz", "T7", "T8"} <= set(Simulation(channels=8).electrodes)
    assert set(Simulation(channels=64).electrodes) <= set(montage_names())


def test_named_electrodes_keep_their_order():
    names = ["Oz", "Cz", "Fpz", "T7", "T8", "P3", "P4", "F3"]
    assert [c.name for c in record(babble(0), snr=NULL, channels=names).channels] == names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 4}, "channels=4 .*between 8 and 64"),
        ({"channels": ["Fz", "Cz"]}, "at least 8"),
        ({"channels": ["Fz", "Cz", "Pz", "Oz", "C3", "C4", "T7", "Qz"]}, "'Qz'.*did you mean"),
        ({"channels": ["Fz", "Cz", "Pz", "Oz", "C3", "C4", "T7", "Fz"]}, "'Fz'.*twice"),
        ({"subjects": 0}, "subjects=0"),
        ({"snr": float("nan")}, "snr=nan"),
        ({"snr": float("inf")}, "snr=inf"),
        ({"rate": 128.5}, "rate=128.5"),
        ({"rate": 50.0}, "rate=50"),
        ({"line_frequency": 100.0}, "line_frequency=100"),
        ({"background": 0.0}, "background=0"),
        ({"blinks": -1.0}, "blinks=-1"),
        ({"passages": -1}, "passages=-1"),
    ],
)
def test_settings_that_cannot_be_simulated_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Simulation(**settings)


def test_more_passages_than_there_are_is_refused():
    with pytest.raises(ConfigError, match=r"passages=9.*there are 3"):
        demo_sources(babble(0), Simulation(passages=9))


def test_silent_sounds_cannot_have_an_snr():
    silence = {"a": Speech(np.zeros(32_000, np.float32), "")}
    with pytest.raises(DataError, match="silent"):
        record(silence)
    assert np.isfinite(record(silence, snr=NULL).eeg).all()


def test_features_are_zero_in_silence_and_do_not_look_ahead():
    sounds = {name: sound.wave for name, sound in babble(0).items()}
    sounds["late"] = np.concatenate([np.zeros(16_000, np.float32), sounds["s0"]])
    features = speech_features(sounds)
    assert {rows.shape[0] for rows in features.values()} == {len(FEATURES)}
    assert features["s0"].shape[1] == 300
    assert np.abs(features["late"][:, :97]).max() < 1e-3
    np.testing.assert_allclose(np.concatenate(list(features.values()), axis=1).std(axis=1), 1, rtol=1e-3)
