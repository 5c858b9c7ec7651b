from __future__ import annotations

import mne
import numpy as np
import pytest

from eeg2speech.core.errors import DataError
from eeg2speech.core.tables import read_table, write_table
from eeg2speech.core.types import Channel
from eeg2speech.data.electrodes.montage import check_positions, electrode_positions, fault_of_positions, warn_of_mixture
from eeg2speech.data.files.raw import from_array, from_mne
from eeg2speech.data.preparation.preprocess import Preprocessing, preprocess
from eeg2speech.data.store.store import StoredChannel
from eeg2speech.quality.doctor import examine
from tests.data.coupled_stores import coupled_store

NAMES = mne.channels.make_standard_montage("biosemi32").ch_names
PLACES = electrode_positions(NAMES)


@pytest.mark.parametrize("cap", ["biosemi16", "biosemi256", "easycap-M1", "GSN-HydroCel-128", "standard_1005"])
def test_positions_of_caps_are_possible(cap):
    kind = "colin27_1005" if cap == "standard_1005" and cap not in mne.channels.get_builtin_montages() else cap
    names = mne.channels.make_standard_montage(kind).ch_names
    assert fault_of_positions(names, electrode_positions(names, cap)) == ""


@pytest.mark.parametrize(
    ("positions", "fault"),
    [
        (1000 * PLACES, r"lie \d+ m from the middle of the head on average.*they look like millimetres"),
        (100 * PLACES, r"lie 1\d\.?\d* m from .*they look like centimetres"),
        (
            PLACES / np.linalg.norm(PLACES, axis=1, keepdims=True),
            r"lie 1 m from .*look like directions without a length",
        ),
        (0.001 * PLACES, r"lie 0\.000\d+ m from"),
        (np.zeros((32, 3)), r"lie 0 m from"),
        (np.full((32, 3), 0.06), r"are the same for all 32 electrodes"),
        (np.where(np.arange(32)[:, None] == 3, 5 * PLACES, PLACES), r"hold F3 0\.\d+ m from the middle of the head"),
    ],
)
def test_positions_that_cannot_be_metres_are_named(positions, fault):
    channels = [Channel(name, "eeg", *place) for name, place in zip(NAMES, positions.tolist(), strict=True)]
    with pytest.raises(DataError, match=f"^r: positions of its electrodes {fault}"):
        check_positions(channels, "r")
    some = [*channels[:6], *(Channel(name) for name in NAMES[6:])]  # the others are unknown
    if "all 32" not in fault:
        with pytest.raises(DataError, match=r"^r: positions of its electrodes"):
            check_positions(some, "r")


def test_coordinates_inside_the_head_and_unknown_ones_pass():
    check_positions([Channel("LA1", "seeg", 0.001, 0.002, 0.003), Channel("LA2", "seeg", 0.001, 0.002, 0.003)], "r")
    check_positions([Channel("Fp1"), Channel("Cz")], "r")


def noise(channels=32, samples=2000):
    return np.random.default_rng(0).normal(0, 2e-5, (channels, samples))


def test_recordings_of_every_kind_are_checked_before_they_are_prepared():
    settings = Preprocessing(notch=None)
    preprocess(from_array(noise(), 200.0, NAMES, PLACES), settings, "r")
    with pytest.raises(DataError, match=r"^r: .*they look like millimetres; give metres"):
        preprocess(from_array(noise(), 200.0, NAMES, 1000 * PLACES), settings, "r")
    raw = mne.io.RawArray(noise(), mne.create_info(NAMES, 200.0, "eeg"), verbose="ERROR")
    digitised = mne.channels.make_dig_montage(dict(zip(NAMES, 1000 * PLACES, strict=True)), coord_frame="head")
    raw.set_montage(digitised, verbose="ERROR")
    with pytest.raises(DataError, match="they look like millimetres"):
        preprocess(from_mne(raw), settings, "r")


def test_doctor_says_of_a_store_what_preparation_would(tmp_path):
    store = coupled_store(tmp_path / "store", channels=8)
    file = store.root / "channels.tsv"
    rows = read_table(file, StoredChannel)
    millimetres = [StoredChannel(**{**vars(r), "x": 1000 * r.x, "y": 1000 * r.y, "z": 1000 * r.z}) for r in rows]
    assert not [p for p in examine(store).problems if "positions" in p.text]
    write_table(file, StoredChannel, millimetres)
    texts = [p.text for p in examine(type(store)(store.root)).problems if "positions" in p.text]
    assert texts
    assert all("they look like millimetres" in text for text in texts)


def test_positions_from_several_sources_are_said(caplog):
    warn_of_mixture("r", 8, 0, 0)
    warn_of_mixture("r", 0, 8, 0)
    assert caplog.messages == []
    warn_of_mixture("r", 5, 0, 3)
    assert caplog.messages[0].startswith("r: positions of 5 electrodes are its own, of 0 those of training, of 3 those")
