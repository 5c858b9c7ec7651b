from __future__ import annotations

import mne
import numpy as np
import pytest

from eeg2speech.core.errors import DataError
from eeg2speech.data.electrodes.montage import (
    electrode_positions,
    order_by_position,
    positions_by_name,
    read_locs,
    spherical_spline,
)
from tests.data.readers.feis_files import LOCS

CAP32 = mne.channels.make_standard_montage("biosemi32").ch_names


def mean_distance(positions, order, run):
    distances = []
    for first in range(0, len(order) - run + 1, run):
        places = positions[order[first : first + run]]
        pairs = np.linalg.norm(places[:, None] - places[None], axis=-1)
        distances.append(pairs[np.triu_indices(run, 1)].mean())
    return np.mean(distances)


def test_positions_are_head_coordinates_in_metres():
    fz, cz, t7, t8, oz = electrode_positions(["Fz", "Cz", "T7", "T8", "Oz"])
    assert t7[0] < -0.06 < 0.06 < t8[0]
    assert fz[1] > 0.05 > -0.05 > oz[1]
    assert 0.09 < cz[2] < 0.15


def test_names_match_in_any_case_and_old_names_are_understood():
    np.testing.assert_array_equal(
        electrode_positions(["T3", "t4", "T5", "T6", "FP1"]), electrode_positions(["T7", "T8", "P7", "P8", "Fp1"])
    )


@pytest.mark.parametrize("spelt", ["EEG T7-REF", "t7.", " T 7", "T3", "EEG T3-LE", "T7-M2"])
def test_spellings_of_a_name_have_its_position(spelt):
    np.testing.assert_array_equal(electrode_positions([spelt, "Cz"]), electrode_positions(["T7", "Cz"]))


def test_earlobes_mastoids_and_tp9_are_three_places():
    a1, m1, tp9 = electrode_positions(["A1", "M1", "TP9"], "standard_1005")
    assert min(np.linalg.norm(one - other) for one, other in ((a1, m1), (m1, tp9), (a1, tp9))) > 0.015


def inputs(banks):
    return [f"{bank}{number}" for bank in banks for number in range(1, 33)]


@pytest.mark.parametrize("montage", ["standard_1005", "standard_1020", "biosemi64", "easycap-M1"])
def test_inputs_of_an_amplifier_are_no_electrodes_of_another_cap(montage):
    assert positions_by_name(inputs("ABCD")[:100], "standard_1005") == {}
    ten_twenty = ["Fp1", "Fpz", "C3", "C4", "F3", "A1", "O1"]
    assert positions_by_name(ten_twenty, "biosemi128") == {}
    assert {"C3", "C4", "F3"} <= positions_by_name(ten_twenty, montage).keys()
    with pytest.raises(
        DataError, match=r"'A1' is not in standard_1020; it is an input of an amplifier; choose the mon"
    ):
        electrode_positions(["A1"], among=inputs("AB"))


def test_further_electrodes_beside_inputs_keep_their_place():
    assert list(positions_by_name([*inputs("AB"), "Cz"], "standard_1005")) == ["Cz"]


@pytest.mark.parametrize(
    ("cap", "banks", "known"),
    [
        ("biosemi16", "A", {"A1": "Fp1", "A8": "Cz", "A16": "O2"}),
        ("biosemi32", "A", {"A1": "Fp1", "A13": "Pz", "A32": "Cz"}),
        ("biosemi64", "AB", {"A1": "Fp1", "A29": "Oz", "B1": "Fpz", "B16": "Cz", "B32": "O2"}),
    ],
)
def test_inputs_are_the_electrodes_that_their_cap_has_there(cap, banks, known):
    found = positions_by_name(inputs(banks), cap)
    for name, electrode in known.items():
        assert found[name] == positions_by_name([electrode], cap)[electrode]


def test_caps_with_numbers_are_placed_by_them():
    found = positions_by_name(inputs("ABCD"), "biosemi128")
    assert len(found) == 128
    assert found["A1"][2] > 0.13  # Cz
    padded = positions_by_name([f"E{number:03d}" for number in range(1, 129)], "GSN-HydroCel-128")
    plain = positions_by_name([f"E{number}" for number in range(1, 129)], "GSN-HydroCel-128")
    assert list(padded.values()) == list(plain.values())
    assert len(plain) == 128


def test_an_unknown_name_is_named_with_its_file_and_close_matches():
    with pytest.raises(DataError, match=r"a\.edf: electrode 'FzC' is not in standard_1020.*FCz") as error:
        electrode_positions(["Cz", "FzC"], source="a.edf")
    assert "\n" not in str(error.value)


def test_an_unknown_montage_is_an_error():
    with pytest.raises(DataError, match="montage 'cap' is not built in"):
        electrode_positions(["Cz"], montage="cap")


def test_locs_agree_with_the_standard_montage(tmp_path):
    file = tmp_path / "cap.locs"
    file.write_text(LOCS)
    places = read_locs(file)
    standard = electrode_positions(list(places))
    assert np.linalg.norm(np.array(list(places.values())) - standard, axis=1).mean() < 0.015


@pytest.mark.parametrize("content", [None, "", "not a table\n", "1 a b c\n"])
def test_damaged_locs_name_the_file(tmp_path, content):
    file = tmp_path / "cap.locs"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DataError, match=r"cap\.locs"):
        read_locs(file)


@pytest.mark.parametrize("cap", ["biosemi32", "biosemi64", "easycap-M1", "GSN-HydroCel-128"])
@pytest.mark.parametrize("run", [2, 4, 8])
def test_consecutive_electrodes_are_neighbours(cap, run):
    names = mne.channels.make_standard_montage(cap).ch_names
    positions = electrode_positions(names, cap)
    order = order_by_position(positions)
    assert sorted(order) == list(range(len(names)))
    rng = np.random.default_rng(0)
    random = np.mean([mean_distance(positions, rng.permutation(len(names)), run) for _ in range(20)])
    assert mean_distance(positions, order, run) < 0.65 * random
    assert mean_distance(positions, order, run) < 1.01 * mean_distance(positions, np.arange(len(names)), run)


def test_order_is_that_of_no_file_unknown_positions_last():
    positions = electrode_positions(CAP32)
    places = positions[order_by_position(positions)]
    shuffle = np.random.default_rng(1).permutation(32)
    np.testing.assert_allclose(positions[shuffle][order_by_position(positions[shuffle])], places)
    positions[[3, 10]] = np.nan
    assert order_by_position(positions)[-2:].tolist() == [3, 10]


@pytest.mark.parametrize("visible", [3, 4, 16, 31])
def test_spline_keeps_visible_electrodes_and_constants(visible):
    positions = electrode_positions(CAP32)
    rows = np.random.default_rng(2).permutation(32)[:visible]
    matrix = spherical_spline(positions, rows)
    np.testing.assert_array_equal(matrix[rows], np.eye(visible))
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=0.02)
    mask = np.zeros(32, bool)
    mask[rows] = True
    np.testing.assert_array_equal(spherical_spline(positions, mask), spherical_spline(positions, np.sort(rows)))


def test_spline_beats_the_mean_on_a_smooth_field():
    positions = electrode_positions(CAP32)
    field = positions @ [1.0, 2.0, 0.5] + 30 * positions[:, 0] * positions[:, 1]
    hidden, visible = np.arange(0, 32, 4), np.setdiff1d(np.arange(32), np.arange(0, 32, 4))
    error = spherical_spline(positions, visible)[hidden] @ field[visible] - field[hidden]
    assert (error**2).mean() < 0.1 * field.var()


def test_spline_refuses_what_it_cannot_do():
    positions = electrode_positions(CAP32)
    with pytest.raises(DataError, match="need 3 visible electrodes, got 2"):
        spherical_spline(positions, [0, 1])
    positions[5] = np.nan
    with pytest.raises(DataError, match="position"):
        spherical_spline(positions, range(10))
