from __future__ import annotations

import mne
import pytest

from eeg2speech.core.types import Channel
from eeg2speech.data.electrodes.names import (
    are_inputs,
    channel_key,
    contradict,
    electrode_key,
    find_channels,
    match_names,
)

BIOSEMI128 = [f"{bank}{number}" for bank in "ABCD" for number in range(1, 33)]


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("FP1", "Fp1"),
        (" fp1 ", "Fp1"),
        ("Fp 1", "Fp1"),
        ("EEG Fp1-REF", "Fp1"),
        ("EEG Fp1-Ref", "Fp1"),
        ("EEG FP1", "Fp1"),
        ("EEG_Fp1_LE", "Fp1"),
        ("Fp1.", "Fp1"),
        ("Fc5.", "FC5"),
        ("Cz..", "Cz"),
        ("C3-M2", "C3"),
        ("EEG C4-A1", "C4"),
        ("T3", "T7"),
        ("EEG T4-REF", "T8"),
        ("t5", "P7"),
        ("T6.", "P8"),
        ("E001", "E1"),
        ("e12", "E12"),
        ("007", "7"),
    ],
)
def test_spellings_and_synonyms_of_an_electrode_have_one_key(spelt, name):
    assert electrode_key(spelt) == electrode_key(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [("A1", "M1"), ("M1", "TP9"), ("A2", "TP10"), ("P07", "P7"), ("P07", "PO7"), ("Fp1", "Fp2"), ("E10", "E1")],
)
def test_names_of_different_electrodes_have_different_keys(one, other):
    assert electrode_key(one) != electrode_key(other)


def test_depth_electrodes_have_no_synonyms():
    assert channel_key("T3") != channel_key("T7")
    assert channel_key("A1-A2") != channel_key("A1")  # a bipolar derivation
    assert channel_key("EEG LA1-Ref") == channel_key("la1")


def test_the_same_name_goes_before_others_of_its_electrode():
    assert match_names(["T7", "FP1", "Cz"], ["T3", "Fp1", "T7", "Oz"]) == {"T7": "T7", "FP1": "Fp1"}
    assert match_names(["T7"], ["T3"]) == {"T7": "T3"}


def test_names_that_may_mean_several_match_none():
    assert match_names(["FP1"], ["Fp1", "fp1"]) == {}
    assert match_names(["C3-REF", "C3-LE"], ["C3"]) == {}


def test_channels_are_found_by_the_synonyms_of_their_type():
    scalp = [Channel("T3"), Channel("EEG Fp1-REF"), Channel("C3-M2"), Channel("C3-A1")]
    found = find_channels(["T7", "fp1", "C3", "Oz"], scalp)
    assert found == {"T7": ["T3"], "fp1": ["EEG Fp1-REF"], "C3": ["C3-M2", "C3-A1"], "Oz": []}
    assert find_channels(["T7"], [Channel("T3", "seeg")]) == {"T7": []}


@pytest.mark.parametrize(
    ("names", "inputs"),
    [
        (BIOSEMI128, True),
        ([*BIOSEMI128[:64], "EXG1", "EXG2", "Status"], True),
        ([*BIOSEMI128[:32], "Cz"], True),
        ([name.lower() for name in BIOSEMI128], True),
        ([f"E{number}" for number in range(1, 129)], True),
        (mne.channels.make_standard_montage("biosemi64").ch_names, False),
        (["Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2", "A1", "A2"], False),
        (["F3-M2", "C3-M2", "O1-M2", "E1-M2", "E2-M2"], False),  # sleep
        (["A1", "A2", "C3", "C4", "F3"], None),
        ([], None),
    ],
)
def test_inputs_of_an_amplifier_are_told_from_electrodes(names, inputs):
    assert are_inputs(names) is inputs


def test_only_what_is_known_contradicts():
    assert contradict(BIOSEMI128, ["Fp1", "Cz"])
    assert not contradict(BIOSEMI128, ["A1", "A2"])
    assert not contradict(["Fp1"], ["Cz"])
