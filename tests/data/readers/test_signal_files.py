from __future__ import annotations

import pytest
from bids_files import volts, write_recording

from eeg2speech.data.files.recording_files import open_recording
from eeg2speech.data.files.signal_files import signal_files


def names(file):
    return [found.name for found in signal_files(file)]


def test_a_brainvision_header_says_which_files_it_needs(tmp_path):
    file = write_recording(tmp_path / "S1.vhdr", volts())
    header = file.with_name("renamed.vhdr")
    file.rename(header)
    assert names(header) == ["renamed.vhdr", "S1.eeg", "S1.vmrk"]
    (tmp_path / "S1.vmrk").rename(tmp_path / "renamed.vmrk")
    assert names(header) == ["renamed.vhdr", "S1.eeg", "renamed.vmrk"]  # where mne looks, too
    header.write_text(header.read_text().replace("DataFile=S1.eeg", "DataFile=../../S1.eeg"))
    assert names(header) == ["renamed.vhdr", "renamed.vmrk"]
    header.unlink()
    header.symlink_to("gone")
    assert names(header) == ["renamed.vhdr", "renamed.vmrk"]


def test_the_signal_of_an_eeglab_file_may_have_an_earlier_name(tmp_path):
    file = write_recording(tmp_path / "S1.set", volts())
    assert names(file) == ["S1.set"]
    (tmp_path / "old.fdt").touch()
    (tmp_path / "S2.set").touch()
    (tmp_path / "S2.fdt").touch()
    assert names(file) == ["S1.set", "old.fdt"]
    (tmp_path / "S1.fdt").touch()
    assert names(file) == ["S1.set", "S1.fdt"]


@pytest.mark.parametrize(
    ("first", "later", "others"),
    [
        ("S1_raw.fif", ["S1_raw-1.fif", "S1_raw-2.fif"], ["S1_raw-x.fif", "S11_raw-1.fif", "S1_raw-1.fif.bak"]),
        ("S1_split-01_meg.fif", ["S1_split-02_meg.fif", "S1_split-03_meg.fif"], ["S1_split-02_eeg.fif"]),
        ("S1.fif.gz", ["S1-1.fif.gz"], ["S1-1.fif"]),
    ],
)  # fmt: skip
def test_later_parts_of_a_fif_file_belong_to_its_first(tmp_path, first, later, others):
    for name in (first, *later, *others):
        (tmp_path / name).write_bytes(b"fif")
    assert names(tmp_path / first) == [first, *later]


def test_parts_are_those_that_mne_writes_and_reads(tmp_path):
    import mne

    raw = mne.io.RawArray(volts(6, 200_000), mne.create_info(6, 100.0, "eeg"), verbose="ERROR")
    for naming in ("neuromag", "bids"):
        raw.save(tmp_path / f"{naming}_eeg.fif", split_size="2MB", split_naming=naming, verbose="ERROR")
    for first in ("neuromag_eeg.fif", "bids_split-01_eeg.fif"):
        opened = open_recording(tmp_path / first)
        assert names(tmp_path / first) == [file.name for file in opened.filenames]
        assert len(opened.filenames) > 1


def test_folders_and_headers_of_other_kinds(tmp_path):
    (tmp_path / "S1.mff").mkdir()
    (tmp_path / "S1.mff" / "signal1.bin").touch()
    (tmp_path / "S1.mff" / "info.xml").symlink_to("gone")
    assert names(tmp_path / "S1.mff") == ["info.xml", "signal1.bin"]
    (tmp_path / "S2.lay").write_text("[FileInfo]\nFile=S2_old.dat\n")
    assert names(tmp_path / "S2.lay") == ["S2.lay", "S2_old.dat"]
    (tmp_path / "S3.edf").touch()
    (tmp_path / "S3.txt").touch()
    assert names(tmp_path / "S3.edf") == ["S3.edf"]
