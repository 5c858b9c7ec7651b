"""Published recordings, from the command line to what doctor says of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from eeg2speech.cli import main
from eeg2speech.data.store.store import Store

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("EEG2SPEECH_REAL_DATA" not in os.environ, reason="no real data"),
]
SPARRKULEE = ["--published=true", "--preprocessing.upsample=true"]


@pytest.fixture
def published():
    return Path(os.environ["EEG2SPEECH_REAL_DATA"])


def examined(store, capsys):
    capsys.readouterr()
    status = main(["doctor", str(store), "--json", "true"])
    return status, json.loads(capsys.readouterr().out)


def test_a_bids_dataset_and_an_eeglab_file(published, tmp_path, capsys):
    assert main(["prepare", "bids", str(published / "formats/tiny_bids"), str(tmp_path / "bids")]) == 0
    assert main(["prepare", "files", str(published / "formats/eeglab"), str(tmp_path / "eeglab")]) == 0
    for name, channels in (("bids", 64), ("eeglab", 32)):
        status, report = examined(tmp_path / name, capsys)
        assert status == 0, report["problems"]
        (recording,) = Store(tmp_path / name).recordings
        assert recording.channels >= channels - 4
        assert report["facts"]["rate"] == 100


def test_coupling_is_found_in_listeners_unless_sound_is_shifted(published, tmp_path, capsys):
    root, out = published / "sparrkulee_truncated", tmp_path / "store"
    assert main(["prepare", "sparrkulee", str(root), str(out), *SPARRKULEE]) == 0
    status, report = examined(out, capsys)
    assert status == 0
    subjects = report["coupling"]["subjects"]
    assert {one["subject"]: one["verdict"] for one in subjects} == dict.fromkeys(("027", "031"), "coupling found")
    for one in [*subjects, *report["coupling"]["overall"]]:
        assert one["lag"] is None or 0 <= one["lag"] <= 0.3
    (file,) = (out / "envelopes").glob("*.npy")
    envelope = np.load(file)
    np.save(file, np.roll(envelope, 30 * 100))
    _, report = examined(out, capsys)
    assert all(one["verdict"] == "no coupling found" for one in report["coupling"]["subjects"])
    assert any("no coupling of EEG and sound" in text for _, text in report["problems"])


def test_raw_recordings_that_were_not_downloaded_are_told_in_one_line(published, tmp_path, capsys):
    assert main(["prepare", "sparrkulee", str(published / "sparrkulee_truncated"), str(tmp_path / "store")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert "published" in line


def test_imagined_phonemes(published, tmp_path, capsys):
    command = ["prepare", "feis", str(published / "feis"), str(tmp_path / "store"), "--subjects=[01]"]
    assert main(command) == 0
    status, report = examined(tmp_path / "store", capsys)
    assert status == 0
    assert report["facts"]["conditions"]["rest"]["segments"] == 160
