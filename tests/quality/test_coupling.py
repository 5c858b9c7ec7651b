from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from eeg2speech.core.types import Channel, Segment
from eeg2speech.data.store.store import Description, Store
from eeg2speech.data.store.writer import StoreWriter
from eeg2speech.quality.coupling import couple, problems
from eeg2speech.quality.decoding import compact, reconstruct, response
from eeg2speech.quality.envelope import envelope, stimulus_envelope
from eeg2speech.quality.timeline import Timeline, choose, fold_pieces, lay_out
from tests.data.coupled_stores import background, coupled_store
from tests.data.stores import make_store, segment


def noise_line(seed, samples=3000, channels=4, folds=5):
    """EEG and envelope that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    eeg = background(channels, samples, rng).astype(np.float32)
    fold = (np.arange(samples) * folds // samples).astype(np.int8)
    loud = background(1, samples, rng)[0].astype(np.float32)
    return Timeline(eeg, loud, fold, tuple("abcd"[:channels]), samples / 50, folds)


def test_eeg_that_follows_the_sound_is_found_with_its_lag(tmp_path):
    found = couple(coupled_store(tmp_path / "store", subjects=2))
    assert [one.verdict for one in found.subjects] == ["coupling found"] * 2
    (overall,) = found.overall
    assert overall.verdict == "coupling found"
    assert overall.lag == pytest.approx(0.15, abs=0.03)
    one = found.subjects[0]
    assert one.r > one.null_99 > one.null_95 > one.null_mean
    assert one.p == pytest.approx(1 / 1001)
    assert one.minutes == pytest.approx(4 * 19 / 60, abs=0.02)  # a second of each is left out
    assert len(one.channels) == len(one.response) == 6
    assert problems(found, simulated=False) == []


@pytest.mark.parametrize("stimuli", [1, 2, 5])
def test_folds_by_stimulus_or_by_place_in_the_sound(tmp_path, stimuli):
    found = couple(coupled_store(tmp_path / "store", stimuli=stimuli, seconds=120 / stimuli))
    assert found.overall[0].verdict == "coupling found"


def test_eeg_of_other_moments_is_not_coupled(tmp_path):
    found = couple(coupled_store(tmp_path / "store", moved=9.0, seconds=25.0, subjects=2))
    assert [one.verdict for one in found.overall] == ["no coupling found"]
    (text,) = [text for text in problems(found, simulated=False) if text.startswith("listening")]
    assert "no coupling of EEG and sound" in text


def test_p_is_calibrated_on_noise(tmp_path):
    p = []
    for seed in range(40):
        p += [
            one.p for one in couple(coupled_store(tmp_path / str(seed), strength=0.0, channels=3, seed=seed)).subjects
        ]
    assert sum(value <= 0.05 for value in p) <= 6  # 2 are expected, more than 6 in 1 of 300 runs
    assert 0.35 < np.mean(p) < 0.65


@pytest.mark.parametrize(("moved", "side"), [(0.4, "before"), (-0.3, "after")])
def test_a_wrong_onset_shows_as_an_unusual_lag(tmp_path, moved, side):
    found = couple(coupled_store(tmp_path / "store", strength=1.0, moved=moved, seconds=40.0))
    assert found.overall[0].lag == pytest.approx(0.15 - moved, abs=0.02)
    assert any(f"ms {side} the sound, where" in text for text in problems(found, simulated=False))


def test_too_little_sound_gives_no_verdict(tmp_path):
    found = couple(coupled_store(tmp_path / "store", strength=5.0, seconds=7.0))
    assert [one.verdict for one in found.subjects] == ["not enough sound to tell"]
    assert found.subjects[0].r is None
    assert found.overall == []


def test_imagined_speech_and_segments_without_a_sound_are_not_looked_at(tmp_path):
    assert couple(coupled_store(tmp_path / "a", condition="imagined")).subjects == []
    segments = [segment(onset=5.0, duration=60.0, stimulus="lost")]
    (one,) = couple(make_store(tmp_path / "b", {"r": ("01", np.ones((2, 7000)), segments)})).subjects
    assert one.verdict == "not enough sound to tell"


def test_overt_speech_comes_with_a_warning_about_muscles_unless_simulated(tmp_path):
    found = couple(coupled_store(tmp_path / "store", condition="overt"))
    assert found.overall[0].condition == "overt"
    assert any("muscles" in text for text in problems(found, simulated=False))
    assert not any("muscles" in text for text in problems(found, simulated=True))


def test_channels_are_matched_by_name(tmp_path):
    r = []
    for scrambled in (False, True):
        store = coupled_store(tmp_path / str(scrambled), subjects=2, strength=0.4, scrambled=scrambled)
        store.recordings = [replace(row, subject="00") for row in store.recordings]  # two recordings of one subject
        r.append(couple(store).subjects[0].r)
    assert r[0] == pytest.approx(r[1], abs=1e-3)


def test_the_same_store_gives_the_same_numbers(tmp_path):
    store = coupled_store(tmp_path / "store", strength=0.1)
    assert couple(store) == couple(store)


def test_no_more_than_the_asked_minutes_are_used(tmp_path):
    store = coupled_store(tmp_path / "store", seconds=40.0)
    steps = []
    (one,) = couple(store, 1.0, lambda: steps.append(1)).subjects
    assert 0.8 < one.minutes <= 1.0  # some is lost between folds
    assert one.pieces >= 2  # of several segments, not the first one only
    assert steps == [1]


def test_short_segments_leave_their_share_to_long_ones():
    segments = [segment(onset=100.0 * k, duration=d) for k, d in enumerate((5.0, 100.0, 100.0))]
    kept = choose(segments, 125.0)
    assert [s.duration for s in kept] == [5.0, 60.0, 60.0]
    assert [s.onset for s in kept] == [0.0, 101.0, 201.0]
    assert [s.offset for s in kept] == [0.0, 1.0, 1.0]
    many = [segment(onset=10.0 * k, duration=2.0, stimulus=str(k)) for k in range(100)]
    assert sum(s.duration for s in choose(many, 60.0)) == pytest.approx(60.0)


def test_a_stimulus_is_in_one_fold_and_its_blocks_are_separated():
    pieces = fold_pieces([segment(stimulus=f"s{k % 7}", onset=10.0 * k, duration=8.0) for k in range(20)])
    folds = {}
    for piece in pieces:
        assert folds.setdefault(piece.stimulus, piece.fold) == piece.fold
    assert set(folds.values()) == set(range(5))
    blocks = fold_pieces(
        [segment(onset=3.0, duration=100.0, offset=0.0), segment(onset=200.0, duration=50.0, offset=50.0)]
    )
    for one in blocks:
        for other in blocks:
            if one.fold != other.fold:
                gap = max(one.offset, other.offset) - min(one.offset + one.duration, other.offset + other.duration)
                assert gap >= 1.0 - 1e-9


def test_a_shift_equals_shifting_the_envelope():
    line = noise_line(0)
    shifted = replace(line, envelope=np.roll(line.envelope, 700))
    lags = range(0, 21, 2)
    np.testing.assert_allclose(
        reconstruct(line, lags, np.array([700, 1400])), reconstruct(shifted, lags, np.array([0, 700])), atol=1e-4
    )


def test_reconstruction_equals_a_slow_loop(monkeypatch):
    monkeypatch.setattr("eeg2speech.quality.decoding.STRENGTHS", (0.1,))
    line, lags = noise_line(3, samples=400, channels=2), (0, 2, 4)
    total = 0.0
    for fold in range(5):
        xx, xy = np.zeros((6, 6)), np.zeros(6)
        for other in range(5):
            own = np.where(line.fold == other, line.eeg, 0).astype(float)
            rows = np.concatenate([np.roll(own, -lag, axis=1) for lag in lags])
            if other == fold:
                tested, loud = rows, line.envelope * (line.fold == fold)
            else:
                xx += rows @ rows.T
                xy += rows @ line.envelope
        weights = np.linalg.solve(xx + 0.1 * np.trace(xx) / 6 * np.eye(6), xy)
        guess = weights @ tested
        total += guess @ line.envelope / np.sqrt(guess @ guess * (loud @ loud)) / 5
    assert reconstruct(line, lags, np.array([0]))[0] == pytest.approx(total, abs=1e-3)


def test_the_response_is_found_again():
    rng = np.random.default_rng(0)
    line = noise_line(1)
    line.envelope = rng.standard_normal(3000).astype(np.float32)
    line.eeg = np.stack([np.roll(line.envelope, 5), -2 * np.roll(line.envelope, 8)])
    weights = response(line, range(-10, 20), ridge=0.01)
    assert [int(np.abs(row).argmax()) for row in weights] == [15, 18]
    np.testing.assert_allclose([weights[0, 15], weights[1, 18]], [1.0, -2.0], rtol=0.1)


def test_components_keep_what_many_channels_share():
    rng = np.random.default_rng(0)
    eeg = (rng.standard_normal((100, 3)) @ rng.standard_normal((3, 500))).astype(np.float32)
    assert compact(eeg).shape == (64, 500)
    assert np.square(compact(eeg)).sum() == pytest.approx(np.square(eeg).sum(), rel=1e-3)
    assert compact(eeg[:10]) is not None
    np.testing.assert_array_equal(compact(eeg[:10]), eeg[:10])


def test_the_envelope_of_a_long_sound_equals_that_in_one_piece(tmp_path):
    rng = np.random.default_rng(0)
    wave = (0.2 * rng.standard_normal(16_000 * 130 + 77)).astype(np.float32).clip(-1, 1)
    writer = StoreWriter(tmp_path / "store", Description("s", "", "", "", False, 100.0))
    writer.add_audio("s", wave)
    writer.add("r", "01", "", "", np.ones((1, 100), np.float32), [Channel("Cz")], [segment(duration=1.0)], {})
    store = Store(writer.finish())
    np.testing.assert_allclose(stimulus_envelope(store, "s"), envelope(wave), rtol=2e-3)
    store.description.rate = 50.0
    slower = stimulus_envelope(store, "s")
    assert len(slower) == -(-len(envelope(wave)) // 2)
    assert stimulus_envelope(store, "missing") is None


def test_an_envelope_rises_with_the_sound():
    wave = np.zeros(16_000, np.float32)
    wave[8000:8800] = 0.5 * np.sin(2 * np.pi * 500 * np.arange(800) / 16_000)
    loud = envelope(wave)
    assert len(loud) == 100
    assert 50 <= loud.argmax() <= 55
    assert loud[:45].max() < 1e-3 < loud[52]


def test_a_damaged_file_costs_one_subject_only(tmp_path):
    store = coupled_store(tmp_path / "store", subjects=2)
    (store.root / "eeg" / "sub-00.npy").write_bytes(b"nothing")
    damaged, whole = couple(store).subjects
    assert "sub-00.npy" in damaged.problem
    assert damaged.verdict == "not enough sound to tell"
    assert whole.verdict == "coupling found"
    assert any("could not be measured" in text for text in problems(couple(store), simulated=False))


def test_nothing_in_common_is_no_timeline(tmp_path):
    store = coupled_store(tmp_path / "store", subjects=2)
    for channels in (store.channels("sub-01"),):
        channels[:] = [replace(channel, name=f"other {channel.name}") for channel in channels]
    pieces = fold_pieces(store.segments)
    assert lay_out(store, pieces, lambda stimulus: stimulus_envelope(store, stimulus)) is None


@pytest.mark.real
def test_eeg_of_sparrkulee_is_coupled_only_at_the_true_alignment(tmp_path):
    folder = os.environ.get("EEG2SPEECH_REAL_DATA")
    if not folder:
        pytest.skip("EEG2SPEECH_REAL_DATA is not set")
    root = Path(folder) / "sparrkulee_truncated" / "derivatives"
    loud = resample_poly(np.load(root / "stimuli" / "audiobook_7_5_-_envelope.npy")[:, 0], 25, 16, padtype="line")
    for shift, limits in ((0, (0.0, 0.02)), (4000, (0.05, 1.0))):
        writer = StoreWriter(tmp_path / str(shift), Description("SparrKULee", "", "", "", False, 100.0))
        writer.add_envelope("audiobook_7_5", np.roll(loud, shift).astype(np.float32))
        for file in sorted(root.glob("eeg/*/*/*.npy")):
            eeg = resample_poly(np.load(file), 25, 16, axis=1).astype(np.float32)
            name = file.name.split("_")[0]
            heard = [Segment(name, 0.0, 119.0, "audiobook_7_5", 0.0, "listening")]
            writer.add(name, name, "", "", eeg, [Channel(f"E{k}") for k in range(64)], heard, {})
        found = couple(Store(writer.finish()))
        # sub-031 alone is below 0.01; two minutes of sub-027 are too little
        assert limits[0] <= found.overall[0].p <= limits[1]
        assert (found.subjects[1].verdict == "coupling found") is (shift == 0)
