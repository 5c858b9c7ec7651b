from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from feis_files import HEADER, feis_table, write_feis

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.readers import feis
from eeg2speech.data.readers.feis import ELECTRODES, Feis

real = pytest.mark.real


@pytest.fixture
def root(tmp_path):
    return write_feis(tmp_path / "feis", phases=("thinking", "stimuli"))


def rewrite(root, table, participant="01", phase="thinking"):
    """Replace a phase's zip by a table."""
    folder = root / "data_eeg" / participant
    (folder / f"{phase}.zip").unlink()
    (folder / f"{phase}.csv").write_text(table)
    return folder / f"{phase}.csv"


def load(root, **kwargs):
    (source,) = Feis(root, phases=["thinking"], subjects=["01"], **kwargs).sources()
    return source.load()


def test_one_source_per_participant_and_phase(root):
    sources = Feis(root).sources()
    assert [source.recording for source in sources] == [
        "sub-01_phase-stimuli",
        "sub-01_phase-thinking",
        "sub-02_phase-stimuli",
        "sub-02_phase-thinking",
    ]
    assert sources[0].subject == "01"
    assert sources[0].run == "stimuli"
    names = {file.name for file in sources[0].inputs}
    assert names == {"stimuli.zip", "Standard-10-20-Cap14.locs", "goose.wav", "s.wav"}


def test_a_recording_holds_volts_epochs_labels_and_sounds(root):
    raw = load(root)
    assert raw.rate == 256
    assert raw.eeg.shape == (14, 768)
    assert raw.eeg[0].mean() == pytest.approx(4200e-6, rel=0.02)
    table = feis_table(["goose", "s", "goose"], seed=0).splitlines()
    assert raw.eeg[2, 300] == pytest.approx(float(table[301].split(",")[4]) * 1e-6)
    assert raw.breaks == [256, 512]
    assert [channel.name for channel in raw.channels] == list(ELECTRODES)
    assert raw.channels[4].x < -0.07  # T7 is left
    assert [s.label for s in raw.segments] == ["goose", "s", "goose"]
    assert [s.stimulus for s in raw.segments] == ["01_goose", "01_s", "01_goose"]
    assert [(s.onset, s.duration, s.offset) for s in raw.segments] == [(0, 1, 0), (1, 1, 0), (2, 1, 0)]
    assert {s.condition for s in raw.segments} == {"imagined"}
    assert {name: file.name for name, file in raw.stimuli.items()} == {"01_goose": "goose.wav", "01_s": "s.wav"}


def test_columns_are_found_by_name(root):
    expected = load(root).eeg
    rows = [line.split(",") for line in feis_table(["goose", "s", "goose"], seed=0).splitlines()]
    order = [0, 18, 17, 16, *range(15, 0, -1)]
    rewrite(root, "\n".join(",".join(row[i] for i in order) for row in rows) + "\n")
    np.testing.assert_array_equal(load(root).eeg, expected)


def test_a_participant_without_sounds_keeps_the_stimuli_but_has_no_file(root):
    (source,) = Feis(root, phases=["thinking"], subjects=["2"]).sources()
    raw = source.load()
    assert {s.stimulus for s in raw.segments} == {"02_goose", "02_s"}
    assert not raw.stimuli


@pytest.mark.parametrize(("phase", "condition"), [("stimuli", "listening"), ("speaking", "overt"), ("resting", "rest")])
def test_conditions_by_phase(tmp_path, phase, condition):
    root = write_feis(tmp_path / "feis", phases=(phase,), labels=("s",))
    assert Feis(root).sources()[0].load().segments[0].condition == condition


def test_unzipped_tables_a_folder_above_and_missing_positions_are_fine(tmp_path):
    root = write_feis(tmp_path / "download" / "feis-1.0")
    rewrite(root, feis_table(["s"]))
    (root / "Standard-10-20-Cap14.locs").unlink()
    raw = load(tmp_path / "download")
    assert raw.eeg.shape == (14, 256)
    assert np.isfinite([channel.z for channel in raw.channels]).all()


def test_a_requested_phase_that_one_participant_lacks_fails(root):
    (root / "data_eeg" / "02" / "thinking.zip").unlink()
    first, second = Feis(root, phases=["thinking"]).sources()
    assert first.load().lost == []
    with pytest.raises(DataError, match=r"02: no thinking\.zip or thinking\.csv; download it"):
        second.load()
    assert [s.subject for s in Feis(root).sources() if s.run == "thinking"] == ["01"]


@pytest.mark.parametrize(
    ("local", "central", "value", "message"),
    [(8, 10, 99, "is of a kind that is not supported"), (6, 8, 1, "is encrypted, which is not supported")],
)
def test_zips_of_other_kinds_are_not_called_damaged(root, local, central, value, message):
    table = root / "data_eeg" / "02" / "thinking.zip"
    with zipfile.ZipFile(table, "w") as archive:
        archive.writestr("thinking.csv", "Time:256Hz")
    content = bytearray(table.read_bytes())
    content[content.find(b"PK\x03\x04") + local] = content[content.find(b"PK\x01\x02") + central] = value
    table.write_bytes(content)  # packed by another method, or encrypted
    with pytest.raises(DataError, match=rf"thinking\.zip: {message}"):
        Feis(root, phases=["thinking"]).sources()[1].load()


def test_labels_without_sounds_are_named_unless_they_are_rest(root, caplog):
    wavs = root / "data_wav" / "01" / "wavs"
    gone = sorted(wavs.glob("*.wav"))[0]
    gone.unlink()
    (raw,) = [s.load() for s in Feis(root, phases=["thinking"], subjects=["01"]).sources()]
    assert [(lost.what, lost.name, lost.missing) for lost in raw.lost] == [("segment", gone.stem, True)]
    for wav in wavs.glob("*.wav"):
        wav.unlink()
    (raw,) = [s.load() for s in Feis(root, phases=["thinking"], subjects=["01"]).sources()]
    assert [(lost.what, lost.missing) for lost in raw.lost] == [("sound", False)]
    assert "sub-01_phase-thinking: data_wav has no sound of" in caplog.text


def test_selections_that_find_nothing_say_so(root, tmp_path):
    with pytest.raises(ConfigError, match="'thinkin' is unknown; choose from stimuli"):
        Feis(root, phases=["thinkin"]).sources()
    with pytest.raises(DataError, match="no participant '07'; it holds 01, 02"):
        Feis(root, subjects=["07"]).sources()
    with pytest.raises(DataError, match="holds no data_eeg with tables of the phases"):
        Feis(root, phases=["speaking"]).sources()
    with pytest.raises(DataError, match="no such folder"):
        Feis(tmp_path / "nowhere").sources()
    with pytest.raises(DataError, match="holds no data_eeg"):
        Feis(root / "data_wav").sources()


@pytest.mark.parametrize("keep", [100, 0.3, 0.9, 0.999])
def test_a_zip_cut_short_names_the_file(root, keep):
    file = root / "data_eeg" / "01" / "thinking.zip"
    content = file.read_bytes()
    file.write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    with pytest.raises(DataError, match=r"01/thinking\.zip: cut short or damaged"):
        load(root)


def test_damage_inside_a_zip_is_found(root):
    file = root / "data_eeg" / "01" / "thinking.zip"
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"01/thinking\.zip"):
        load(root)


def test_zips_without_the_table_or_with_a_bomb_are_refused(root, monkeypatch):
    monkeypatch.setattr(feis, "LARGEST", 1000)
    with pytest.raises(DataError, match=r"thinking\.zip: thinking/thinking\.csv unpacks to"):
        load(root)
    with zipfile.ZipFile(root / "data_eeg" / "01" / "thinking.zip", "w") as archive:
        archive.writestr("speaking.csv", HEADER)
    with pytest.raises(DataError, match=r"thinking\.zip: holds no thinking\.csv"):
        load(root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",AF4,", ",AF5,", "no column AF4"),
        (",Epoch,", ",Trial,", "no column Epoch"),
        ("Time:256Hz", "Time:128Hz", "sampled at 128 Hz"),
        ("Time:256Hz", "Time", "first column is 'Time'"),
    ],
)
def test_headers_that_are_not_feis(root, old, new, message):
    rewrite(root, feis_table(["s"]).replace(old, new))
    with pytest.raises(DataError, match=rf"thinking\.csv: {message}"):
        load(root)


def test_damaged_rows_are_named_by_line(root):
    lines = feis_table(["s"]).splitlines()
    cells = lines[9].split(",")
    cells[5] = "12x"
    file = rewrite(root, "\n".join([*lines[:9], ",".join(cells), *lines[10:]]))
    with pytest.raises(DataError, match=r"thinking\.csv: line 10: '12x' is not a number"):
        load(root)
    file.write_text("\n".join([*lines[:9], "1,2,3", *lines[10:]]))
    with pytest.raises(DataError, match=r"thinking\.csv: line 10: too few cells"):
        load(root)
    file.write_text(HEADER + "\n")
    with pytest.raises(DataError, match="holds no samples"):
        load(root)
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match=r"thinking\.csv"):
        load(root)
    file.write_text("")
    with pytest.raises(DataError, match="first column is ''"):
        load(root)


@real
@pytest.mark.skipif("EEG2SPEECH_REAL_DATA" not in os.environ, reason="no real data")
def test_published_feis_is_read():
    sources = Feis(Path(os.environ["EEG2SPEECH_REAL_DATA"]) / "feis", phases=["articulators"]).sources()
    start = time.perf_counter()
    raw = sources[0].load()
    assert time.perf_counter() - start < 2  # 0.2 to 0.4 s on one busy core
    assert raw.eeg.shape == (14, 40960)
    assert len(raw.segments) == 160
    assert len({s.label for s in raw.segments}) == len(raw.stimuli) == 16
    assert 3e-3 < np.median(raw.eeg) < 6e-3
