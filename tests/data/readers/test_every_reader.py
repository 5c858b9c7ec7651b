"""Every dataset of `eeg2speech prepare`: files in its layout, prepared, examined and trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_reader import CASES

from eeg2speech.cli import main
from eeg2speech.data.readers import READERS
from eeg2speech.data.store.store import Store

ROOT = Path(__file__).parents[3]
TRAINED_ON = "bids edf"
"""The case that is always trained on; the others only where slow tests are run."""


def test_no_reader_is_left_out():
    assert {reader for reader, _, _ in CASES.values()} == set(READERS)


def prepared(case, folder, capsys):
    """Files of a dataset, and their store."""
    reader, write, options = CASES[case]
    root, store = write(folder / "raw"), folder / "store"
    # the files hold noise, in which electrodes stand out by chance
    given = [*options, "--preprocessing.deviation=null", "--preprocessing.flat=null"]
    assert main(["prepare", reader, str(root), str(store), *given]) == 0, capsys.readouterr().err
    return store


@pytest.mark.parametrize("case", CASES)
def test_it_is_prepared_and_examined(tmp_path, capsys, case):
    store = prepared(case, tmp_path, capsys)
    assert main(["doctor", str(store), "--coupling=false"]) == 0, capsys.readouterr().out
    found, reader = Store(store), CASES[case][0]
    assert found.recordings
    assert found.segments
    if reader != "files":
        heard = {segment.stimulus for segment in found.segments} - {""}
        assert heard
        for stimulus in heard:
            sound = found.audio_file(stimulus)
            assert reader == "feis" or sound.is_file() or found.envelope(stimulus) is not None


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=() if name == TRAINED_ON else pytest.mark.slow) for name in CASES]
)
def test_its_coupling_is_measured_and_it_is_trained_on(tmp_path, monkeypatch, capsys, case):
    store = prepared(case, tmp_path, capsys)
    assert main(["doctor", str(store)]) == 0, capsys.readouterr().out
    found = Store(store)
    monkeypatch.chdir(tmp_path)
    by = "subject" if len(found.subjects) > 2 else "stimulus"
    split = ["--data.split.by", by] + (["--data.split.val_subjects", "1"] if by == "subject" else [])
    configs = ["--config", str(ROOT / "configs/maeeg.yaml"), "--config", str(ROOT / "tests/conf/tiny.yaml")]
    small = ["--data.store", str(store), "--data.batch_size", "2", "--trainer.max_steps", "1"]
    small += ["--trainer.val_check_interval", "1", "--trainer.callbacks", "[]", "--trainer.limit_val_batches", "1"]
    assert main(["fit", *configs, *small, *split]) == 0, capsys.readouterr().err
