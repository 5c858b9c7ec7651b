"""Electrodes of a new recording, found among those of training by any of their names, and placed."""

from __future__ import annotations

from dataclasses import asdict

import mne
import numpy as np
import pytest

from eeg2speech.core.errors import DataError
from eeg2speech.data.electrodes.montage import electrode_positions, places_of
from eeg2speech.data.files.raw import from_array, from_mne
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.inference.training_data import TrainingDataInfo

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "T7", "T8", "P7", "P8", "O1", "O2"]
SPELT = ["FP1", "EEG Fp2-REF", "F3.", " F4", "C3-M2", "c4", "T3", "EEG T4-LE", "T5", "t6", "O1", "o2"]
INPUTS = [f"{bank}{number}" for bank in "ABCD" for number in range(1, 33)]
RATE = 200.0


def trained(*montages, **settings):
    """What a model remembers that was trained on montages: names and positions of each."""
    found = [{"names": list(names), "positions": [list(map(float, p)) for p in places]} for names, places in montages]
    return TrainingDataInfo.from_dict(
        {
            "name": "tests", "simulated": True, "window": 0.64, "lag": 0.0, "clamp": 20.0, "subjects": ["01"],
            "preprocessing": asdict(Preprocessing(notch=None, **settings)), "montages": found,
        },
        "tests",
    )  # fmt: skip


def signal(channels=12, seed=0):
    return np.random.default_rng(seed).normal(0, 2e-5, (channels, 1000))


PLACES = electrode_positions(NAMES)
MODEL = trained((NAMES, PLACES))


@pytest.mark.parametrize("fixed", [True, False])
def test_electrodes_are_those_of_training_under_any_of_their_names(caplog, fixed):
    order = np.random.default_rng(1).permutation(12)
    raw = from_array(signal()[order], RATE, [SPELT[row] for row in order])
    chosen = MODEL.choose_channels(raw, fixed)
    expected = np.arange(12) if fixed else order
    np.testing.assert_array_equal(chosen.eeg, signal()[expected])
    np.testing.assert_array_equal(places_of(chosen.channels), PLACES[expected])
    assert caplog.messages == []


def test_trained_names_may_be_the_old_ones():
    old = trained((SPELT, PLACES))
    chosen = old.choose_channels(from_array(signal(), RATE, NAMES), fixed=True)
    np.testing.assert_array_equal(chosen.eeg, signal())


def test_earlobes_do_not_stand_for_mastoids():
    model = trained(([*NAMES, "M1"], electrode_positions([*NAMES, "M1"])))
    with pytest.raises(DataError, match=r"lacks 1 of the 13 electrodes .*: M1"):
        model.choose_channels(from_array(signal(13), RATE, [*NAMES, "A1"]), fixed=True)


def test_bad_channels_of_training_are_found_under_their_new_names():
    model = trained((NAMES, PLACES), bad=["T7", "Cz"])
    store = model.prepare(from_array(signal(), RATE, SPELT), fixed=True)
    assert [c.name for c in store.channels("recording") if c.status == "bad"] == ["T3"]


def test_inputs_of_an_amplifier_are_not_taken_for_electrodes_of_training():
    few = trained((["A1", "A2", "C3", "C4", *NAMES[:2]], electrode_positions(["A1", "A2", "C3", "C4", *NAMES[:2]])))
    raw = from_array(signal(128), RATE, INPUTS)
    with pytest.raises(DataError, match="lacks 6 of the 6 electrodes"):
        few.choose_channels(raw, fixed=True)
    with pytest.raises(DataError, match="electrode 'A1' is not in standard_1020; it is an input of an amplifier"):
        few.choose_channels(raw, fixed=False)


def test_electrodes_are_not_taken_for_inputs_of_training():
    cap = electrode_positions(INPUTS, "biosemi128")
    model = trained((INPUTS, cap))
    chosen = model.choose_channels(from_array(signal(), RATE, NAMES), fixed=False)
    np.testing.assert_array_equal(places_of(chosen.channels), PLACES)  # C3 is not input C3
    chosen = model.choose_channels(from_array(signal(128), RATE, INPUTS), fixed=False)
    np.testing.assert_array_equal(places_of(chosen.channels), cap)


@pytest.mark.parametrize("fixed", [True, False])
def test_positions_in_millimetres_are_refused(fixed):
    with pytest.raises(DataError, match=r"^recording: positions of its electrodes lie .*they look like millimetres"):
        MODEL.prepare(from_array(signal(), RATE, NAMES, 1000 * PLACES), fixed)
    raw = mne.io.RawArray(signal(), mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    montage = mne.channels.make_dig_montage(dict(zip(NAMES, 1000 * PLACES, strict=True)), coord_frame="head")
    with pytest.raises(DataError, match="they look like millimetres"):
        MODEL.prepare(from_mne(raw.set_montage(montage, verbose="ERROR")), fixed)
    with pytest.raises(DataError, match="are the same for all 12 electrodes"):
        MODEL.prepare(from_array(signal(), RATE, NAMES, np.full((12, 3), 0.05)), fixed)


@pytest.mark.parametrize("fixed", [True, False])
def test_positions_of_recording_and_training_are_not_mixed_without_a_word(caplog, fixed):
    own = 1.001 * PLACES
    own[[3, 7]] = np.nan
    chosen = MODEL.choose_channels(from_array(signal(), RATE, NAMES, own), fixed)
    expected = 1.001 * PLACES
    expected[[3, 7]] = PLACES[[3, 7]]
    np.testing.assert_allclose(places_of(chosen.channels), expected)
    (line,) = caplog.messages
    assert line.startswith("recording: positions of 10 electrodes are its own, of 2 those of training, of 0 those of")


def test_positions_of_training_and_a_standard_head_mix_with_warning(caplog):
    MODEL.choose_channels(from_array(signal(), RATE, [*NAMES[:11], "Oz"]), fixed=False)
    (line,) = caplog.messages
    assert "of 0 electrodes are its own, of 11 those of training, of 1 those of a standard head" in line


@pytest.mark.parametrize("fixed", [True, False])
def test_microvolts_given_as_volts_are_said(caplog, fixed):
    right = MODEL.prepare(from_array(signal(), RATE, NAMES), fixed)
    assert caplog.messages == []
    wrong = MODEL.prepare(from_array(1e6 * signal(), RATE, NAMES), fixed)
    np.testing.assert_allclose(wrong.eeg(wrong.recordings[0]), 1e6 * right.eeg(right.recordings[0]), rtol=1e-4, atol=50)
    (line,) = caplog.messages
    assert line.startswith("recording: median amplitude of")
    assert "µV taken for V, so multiply by 1e-06" in line
    with pytest.raises(DataError, match=r"12 of 12 channels are flat .*V taken for µV, so multiply by 1e\+06"):
        MODEL.prepare(from_array(1e-6 * signal(), RATE, NAMES), fixed)
