from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError, DataError, DiskError
from eeg2speech.core.types import Source
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.store.store import Store
from tests.data.made_sources import content, description, load, source
from tests.data.readers.feis_files import write_feis


@pytest.mark.parametrize("jobs", [1, 2])
def test_recordings_are_prepared_and_the_store_does_not_depend_on_jobs(tmp_path, jobs):
    sources = [source(f"sub-{n:02d}", n, {f"s{n % 2}": 300 + n % 2, "extra": 250}) for n in range(4)]
    assert prepare_sources(sources, tmp_path / "store", description(), jobs=jobs).errors == []
    store = Store(tmp_path / "store")
    assert [r.recording for r in store.recordings] == [s.recording for s in sources]
    assert store.rate == 100
    assert store.description.settings["preprocessing.band"] == [0.5, 40.0]
    assert [r.samples for r in store.recordings] == [500] * 4
    assert len(store.audio("extra")) == 16000
    prepare_sources(sources, tmp_path / "other", description(), jobs=1)
    assert content(tmp_path / "store") == content(tmp_path / "other")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["other", "store"]


def load_from(file):
    return load(file.read_text(), 0, {"s1": 300})


def test_relative_paths_start_where_the_call_is_made(tmp_path, monkeypatch):
    for day in ("monday", "tuesday"):  # the worker processes of the first call are kept for the second
        (tmp_path / day).mkdir()
        monkeypatch.chdir(tmp_path / day)
        names = [f"{day}-{n}" for n in range(2)]
        for name in names:
            Path(name).write_text(name)
        sources = [Source(n, "S01", "", "", (Path(n),), partial(load_from, Path(n))) for n in names]
        assert prepare_sources(sources, Path("store"), description(), jobs=2).errors == []
        assert [r.recording for r in Store(tmp_path / day / "store").recordings] == names


def test_finished_recordings_are_not_read_again(tmp_path):
    prepare_sources([source("sub-01")], tmp_path / "store", description())
    before = content(tmp_path / "store"), (tmp_path / "store" / "recordings.tsv").stat().st_mtime_ns
    assert prepare_sources([source("sub-01", damage="gone")], tmp_path / "store", description()).errors == []
    assert (content(tmp_path / "store"), (tmp_path / "store" / "recordings.tsv").stat().st_mtime_ns) == before
    prepare_sources([source("sub-01", damage="gone"), source("sub-02")], tmp_path / "store", description())
    assert Store(tmp_path / "store").subjects == ["01", "02"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_recording_is_one_line_and_the_others_go_on(tmp_path, jobs):
    missing = tmp_path / "gone.edf"
    sources = [source("sub-01", damage="cut short"), source("sub-02"), source("sub-03", inputs=(missing,))]
    errors = prepare_sources(sources, tmp_path / "store", description(), jobs=jobs).errors
    assert len(errors) == 2
    assert errors[0] == "sub-01.edf: cut short"
    assert errors[1].startswith("sub-03: ")
    assert "gone.edf" in errors[1]
    assert Store(tmp_path / "store").subjects == ["02"]
    prepare_sources([source("sub-01"), source("sub-02")], tmp_path / "store", description())
    assert Store(tmp_path / "store").subjects == ["01", "02"]


def test_nothing_usable_is_an_error_that_names_the_first_cause(tmp_path):
    with pytest.raises(DataError, match=r"no recording could be prepared; sub-01\.edf: cut short"):
        prepare_sources([source("sub-01", damage="cut short")], tmp_path / "store", description())
    with pytest.raises(DataError, match="no recording could be prepared"):
        prepare_sources([], tmp_path / "other", description())
    assert not (tmp_path / "store").exists()


def test_a_stimulus_without_a_usable_sound_fails_its_recording(tmp_path):
    (tmp_path / "s.wav").write_bytes(b"no sound")

    def broken():
        raw = load("sub-02", 0, {"s2": 300})
        raw.stimuli = {"s2": tmp_path / "s.wav"}
        return raw

    sources = [source("sub-01"), Source("sub-02", "02", "", "", (), broken)]
    (error,) = prepare_sources(sources, tmp_path / "store", description()).errors
    assert error.startswith("sub-02: ")
    assert "s.wav" in error
    assert [file.name for file in (tmp_path / "store" / "eeg").iterdir()] == ["sub-01.npy"]


def test_one_sound_under_two_names_is_one_stimulus_later_too(tmp_path):
    sources = [source("sub-01", stimuli={"a": 300, "b": 300, "c": 400})]
    prepare_sources(sources, tmp_path / "store", description())
    sources.append(source("sub-02", stimuli={"0": 300, "c": 400}))
    prepare_sources(sources, tmp_path / "store", description())
    store = Store(tmp_path / "store")
    assert store.stimuli == ["a", "c"]
    assert [s.stimulus for s in store.segments] == ["a", "a", "c", "a", "c"]
    assert sorted(file.name for file in (tmp_path / "store" / "audio").iterdir()) == ["a.flac", "c.flac"]


def test_inputs_are_hashed_relative_to_the_root(tmp_path):
    file = tmp_path / "raw" / "sub-01" / "eeg.edf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"eeg")
    other = tmp_path / "elsewhere.locs"
    other.write_bytes(b"locs")
    prepare_sources([source("sub-01", inputs=(file, other))], tmp_path / "s", description(), root=tmp_path / "raw")
    assert Store(tmp_path / "s").description.inputs == {
        "sub-01/eeg.edf": hashlib.sha256(b"eeg").hexdigest(),
        "elsewhere.locs": hashlib.sha256(b"locs").hexdigest(),
    }


def test_other_settings_are_refused_by_their_name(tmp_path):
    prepare_sources([source("sub-01")], tmp_path / "store", description())
    with pytest.raises(ConfigError, match=r"preprocessing\.notch=50\.0, but this command sets 60\.0"):
        prepare_sources([source("sub-02")], tmp_path / "store", description(), Preprocessing(notch=60.0))


def test_other_settings_are_welcome_as_long_as_nothing_is_finished(tmp_path):
    broken = [source("sub-01", damage="cut short"), source("sub-02", damage="cut short")]
    with pytest.raises(DataError, match="no recording could be prepared"):
        prepare_sources(broken, tmp_path / "store", description())
    sources = [source("sub-01"), source("sub-02", damage="cut short")]
    assert len(prepare_sources(sources, tmp_path / "store", description(), Preprocessing(notch=60.0)).errors) == 1
    assert Store(tmp_path / "store").description.settings["preprocessing.notch"] == 60.0


def test_mistakes_are_found_before_anything_is_read(tmp_path):
    for arguments in ({"jobs": 0}, {"preprocessing": Preprocessing(band=(1.0, 80.0))}):
        with pytest.raises(ConfigError, match=r"jobs=0|preprocessing\.band"):
            prepare_sources([source("sub-01")], tmp_path / "store", description(), **arguments)
    with pytest.raises(DataError, match="sub-01 occurs 2 times"):
        prepare_sources([source("sub-01"), source("sub-01")], tmp_path / "store", description())
    assert not list(tmp_path.iterdir())


def test_a_second_run_on_one_store_is_refused_meanwhile(tmp_path):
    def nested():
        with pytest.raises(ConfigError, match="another run is preparing this store"):
            prepare_sources([source("sub-02")], tmp_path / "store", description())
        return load("sub-01", 0, {})

    assert prepare_sources([Source("sub-01", "01", "", "", (), nested)], tmp_path / "store", description()).errors == []


def full_at(name, folder):
    with (folder / "loaded").open("a") as stream:
        stream.write(f"{name}\n")
    if name == "sub-01" and (folder / "full").exists():
        raise DiskError("store: the disk is full")
    return load(name, 0, {"s1": 300})


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_stops_at_once_and_a_rerun_goes_on(tmp_path, jobs):
    names = [f"sub-{n:02d}" for n in range(4)]
    sources = [Source(name, name, "", "", (), partial(full_at, name, tmp_path)) for name in names]
    (tmp_path / "full").touch()
    with pytest.raises(DiskError, match="disk is full"):
        prepare_sources(sources, tmp_path / "store", description(), jobs=jobs)
    assert not (tmp_path / "store").exists()
    (tmp_path / "full").unlink()
    prepare_sources(sources, tmp_path / "store", description(), jobs=1)
    assert len(Store(tmp_path / "store").recordings) == 4
    if jobs == 1:  # the first was finished and is not read again, the last was never reached
        loaded = (tmp_path / "loaded").read_text().split()
        assert loaded == ["sub-00", "sub-01", "sub-01", "sub-02", "sub-03"]


def test_a_full_disk_while_writing_is_told_from_a_bad_recording(tmp_path, monkeypatch):
    saved = []

    def save(stream, array, **_kwargs):
        saved.append(1)
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        np.lib.format.write_array(stream, array)

    sources = [source(f"sub-{n:02d}") for n in range(4)]
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", save)
        with pytest.raises(DiskError, match="the disk is full"):
            prepare_sources(sources, tmp_path / "store", description())
    assert len(saved) == 2
    prepare_sources(sources, tmp_path / "store", description())
    assert len(Store(tmp_path / "store").recordings) == 4


SLOW = """
import sys, time
sys.path.insert(0, sys.argv[2])
from functools import partial
from pathlib import Path
from tests.data import made_sources as t
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.core.types import Source

def load(name):
    if name == "sub-02":
        Path(sys.argv[1], "ready").touch()
        time.sleep(60)
    return t.load(name, 0, {"s1": 300})

sources = [Source(f"sub-{n:02d}", f"{n:02d}", "", "", (), partial(load, f"sub-{n:02d}")) for n in range(4)]
prepare_sources(sources, Path(sys.argv[1], "store"), t.description())
"""


def test_a_kill_leaves_no_half_store_and_can_be_rerun(tmp_path):
    command = [sys.executable, "-c", SLOW, str(tmp_path), str(Path(__file__).parents[2])]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read().decode()
    process.stderr.close()
    assert not (tmp_path / "store").exists()
    sources = [source("sub-00", damage="read again"), source("sub-01", damage="read again"), source("sub-02")]
    assert prepare_sources(sources, tmp_path / "store", description()).errors == []
    assert len(Store(tmp_path / "store").recordings) == 3
    assert not (tmp_path / "store.partial").exists()


def test_a_worker_that_dies_is_one_line(tmp_path):
    sources = [source("sub-01"), Source("sub-02", "02", "", "", (), partial(os._exit, 1))]
    with pytest.raises(DataError, match="was killed, most likely because memory ran out; lower jobs=2"):
        prepare_sources(sources, tmp_path / "store", description(), jobs=2)


def test_the_command_prepares_feis(tmp_path, capsys):
    root = write_feis(tmp_path / "feis", phases=("thinking", "stimuli"))
    out = tmp_path / "store"
    command = ["prepare", "feis", str(root), str(out), "--phases", "[thinking]", "--preprocessing.band", "[1,30]"]
    assert main(command) == 0
    assert (
        "2 recordings of 2 subjects, 0.00 h of EEG, 14 channels, 6 segments, 3 of them with a sound"
        in capsys.readouterr().out
    )
    store = Store(out)
    assert store.description.name == "FEIS"
    assert store.description.settings["preprocessing.band"] == [1.0, 30.0]
    assert "data_eeg/01/thinking.zip" in store.description.inputs
    assert store.recordings[0].samples == 300
    assert len(store.audio("01_goose")) == 16000
    assert main([*command[:4], "--subjects", "[01]", "--preprocessing.band", "[1,30]"]) == 0  # adds a phase
    assert [r.recording for r in Store(out).recordings] == [
        "sub-01_phase-stimuli",
        "sub-01_phase-thinking",
        "sub-02_phase-thinking",
    ]


def test_the_command_tells_what_failed(tmp_path, capsys):
    root = write_feis(tmp_path / "feis")
    file = root / "data_eeg" / "02" / "thinking.zip"
    file.write_bytes(file.read_bytes()[:500])
    assert main(["prepare", "feis", str(root), str(tmp_path / "store")]) == 1
    captured = capsys.readouterr()
    assert "1 recordings of 1 subjects" in captured.out
    assert "error: sub-02_phase-thinking: " in captured.err
    assert "1 of 2 recordings failed" in captured.err
    assert main(["prepare", "feis", str(tmp_path / "nowhere"), str(tmp_path / "other")]) == 1
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_the_command_simulates_listeners_to_a_folder_of_sounds(tmp_path, capsys):
    root = write_feis(tmp_path / "feis") / "data_wav" / "01" / "wavs"
    command = ["prepare", "demo", str(root), str(tmp_path / "store"), "--simulation.subjects", "2"]
    assert main([*command, "--simulation.channels", "8"]) == 0
    assert "2 simulated recordings of 2 subjects" in capsys.readouterr().out
    store = Store(tmp_path / "store")
    assert store.description.simulated
    assert store.stimuli == ["goose", "s"]
    assert set(store.description.inputs) == {"goose.wav", "s.wav"}
    (root / "s.wav").write_bytes((root / "goose.wav").read_bytes())
    assert main([*command, "--simulation.channels", "8"]) == 1
    assert "simulation.speech" in capsys.readouterr().err


@pytest.mark.real
@pytest.mark.skipif("EEG2SPEECH_REAL_DATA" not in os.environ, reason="no real data")
def test_published_feis_is_prepared(tmp_path):
    root = Path(os.environ["EEG2SPEECH_REAL_DATA"]) / "feis"
    out = tmp_path / "store"
    assert main(["prepare", "feis", str(root), str(out), "--subjects", "[03,05]", "--jobs", "2"]) == 0
    store = Store(out)
    assert [r.samples for r in store.recordings] == [16000, 16000]
    assert json.loads((out / "dataset.json").read_text())["license"] == "ODC-BY 1.0"
    eeg = np.concatenate([store.eeg(r) for r in store.recordings])
    assert 2 < np.median(np.abs(eeg)) < 20
    power = np.median(np.abs(eeg.reshape(28, 160, 100)), axis=(0, 1)) ** 2
    # a linear trend taken out of one second leaves more at its ends: 1.5 in 1/f noise without any filter
    assert power[[0, 1, -2, -1]].mean() < 2 * power[30:70].mean()
