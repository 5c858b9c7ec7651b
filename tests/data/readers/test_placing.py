"""Places of electrodes: measured or standard, and never both without a warning."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest
from bids_files import volts, write_recording

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel
from eeg2speech.data.electrodes.montage import electrode_positions, places_of
from eeg2speech.data.files.placing import placed_by_name
from eeg2speech.data.readers.files import Files

NAMES = ["Fp1", "Fp2", "F3", "Fz", "F4", "T7", "C3", "Cz", "C4", "T8", "P3", "Pz", "P4", "O1", "Oz", "O2"]
STANDARD = electrode_positions(NAMES, "standard_1005")
FILE = Path("a.edf")
INPUTS = [f"{bank}{number}" for bank in "ABCD" for number in range(1, 33)]


def turned(places):
    """The same head, larger, turned by ten degrees and moved by a centimetre."""
    c, s = np.cos(np.pi / 18), np.sin(np.pi / 18)
    return 1.15 * places @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + 0.01


def channels(names, places=None, kind="eeg"):
    places = np.full((len(names), 3), np.nan) if places is None else places
    return [Channel(name, kind, *place) for name, place in zip(names, np.asarray(places).tolist(), strict=True)]


def test_measured_positions_of_all_electrodes_stay(caplog):
    given = turned(STANDARD)
    np.testing.assert_array_equal(places_of(placed_by_name(channels(NAMES, given), "standard_1005", FILE)), given)
    assert caplog.messages == []


def test_electrodes_without_any_position_take_standard_ones(caplog):
    np.testing.assert_array_equal(places_of(placed_by_name(channels(NAMES), "standard_1005", FILE)), STANDARD)
    assert caplog.messages == []


def test_some_missing_positions_are_fitted_to_the_measured_ones_and_said(caplog):
    given = turned(STANDARD)
    given[[5, 12]] = np.nan
    found = places_of(placed_by_name(channels(NAMES, given), "standard_1005", FILE))
    np.testing.assert_allclose(found, turned(STANDARD), atol=1e-9)
    said = (
        "gives no positions for 2 of its 16 electrodes (T7, P4); they get those of standard_1005, fitted to the others"
    )
    assert caplog.messages == [f"a.edf: {said}"]


def test_few_measured_positions_are_dropped_and_said(caplog):
    given = turned(STANDARD)
    given[5:] = np.nan
    found = places_of(placed_by_name(channels(NAMES, given), "standard_1005", FILE))
    np.testing.assert_array_equal(found, STANDARD)
    assert caplog.messages == [
        "a.edf: gives positions for only 5 of its 16 electrodes; all get those of standard_1005 by name"
    ]


def test_measured_positions_of_names_that_no_montage_has_are_kept(caplog):
    names = [f"E{number}" for number in range(1, 12)] + ["Cz"]
    given = np.vstack([turned(STANDARD)[:5], np.full((7, 3), np.nan)])
    found = places_of(placed_by_name(channels(names, given), "standard_1005", FILE))
    np.testing.assert_array_equal(found[:5], given[:5])
    assert np.isnan(found[5:]).all()
    assert "no position is known for E6, E7" in caplog.text


def test_positions_that_cannot_be_right_are_replaced_and_said(caplog):
    found = places_of(placed_by_name(channels(NAMES, 1000 * STANDARD), "standard_1005", FILE))
    np.testing.assert_array_equal(found, STANDARD)
    assert "a.edf: positions in the file lie 1" in caplog.messages[0]
    assert caplog.messages[0].endswith("so they look like millimetres; they are not used")


def test_other_channels_are_left_alone():
    eyes = channels(["Fp1"], kind="eog")
    assert placed_by_name(eyes, "standard_1005", FILE) == eyes
    with pytest.raises(DataError, match="montage 'cap' is not built in"):
        placed_by_name(eyes, "cap", FILE)


@pytest.mark.parametrize("banks", [1, 2, 4])
def test_inputs_without_a_place_make_it_ask_for_the_cap(caplog, banks):
    names = INPUTS[: 32 * banks]
    found = places_of(placed_by_name(channels(names), "standard_1005", FILE))
    assert np.isnan(found).all()  # A1 is no earlobe, C3 is not C3 of the 10-20 system
    (line,) = caplog.messages
    assert "no position is known for A1, A2, A3" in line
    assert "choose the montage of the cap, such as biosemi128" in line


def test_inputs_are_placed_by_the_montage_of_their_cap(caplog):
    found = places_of(placed_by_name(channels(INPUTS), "biosemi128", FILE))
    np.testing.assert_array_equal(found, electrode_positions(INPUTS, "biosemi128"))
    found = places_of(placed_by_name(channels(INPUTS[:64]), "biosemi64", FILE))
    cap = mne.channels.make_standard_montage("biosemi64").ch_names
    np.testing.assert_array_equal(found, electrode_positions(cap, "biosemi64"))
    assert caplog.messages == []


def test_files_of_an_amplifier_are_never_placed_as_10_20(tmp_path, caplog):
    names = [*INPUTS[:6], "EXG1"]
    write_recording(tmp_path / "a.bdf", volts(7), names)
    raw = Files(tmp_path, leave_out=["exg1"]).sources()[0].load()
    assert [channel.name for channel in raw.channels] == names[:6]
    assert np.isnan(places_of(raw.channels)).all()
    assert "has no channel" not in caplog.text
    placed = Files(tmp_path, leave_out=["EXG1"], montage="biosemi32").sources()[0].load()
    expected = electrode_positions(["Fp1", "AF3", "F7", "F3", "FC1", "FC5"], "biosemi32")
    np.testing.assert_array_equal(places_of(placed.channels), expected)


def test_decorated_names_of_files_are_placed(tmp_path, caplog):
    names = ["EEG FP1-REF", "Fc5.", "EEG T3-LE", "C4-M1", "A1", "OZ"]
    write_recording(tmp_path / "a.edf", volts(6), names)
    raw = Files(tmp_path).sources()[0].load()
    expected = electrode_positions(["Fp1", "FC5", "T7", "C4", "A1", "Oz"], "standard_1005")
    np.testing.assert_array_equal(places_of(raw.channels), expected)
    assert caplog.messages == []
