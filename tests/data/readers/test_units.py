"""Units in headers and in channels.tsv, and the volts that they make."""

from __future__ import annotations

import warnings

import mne
import numpy as np
import pytest
from bids_files import volts, write_bids, write_recording, write_tsv

from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError
from eeg2speech.data.files.units import volts_of
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.readers.files import Files
from eeg2speech.data.store.store import Store
from eeg2speech.quality.doctor import examine

NAMES = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
EVERYTHING = (slice(None), slice(None))
STEM = "sub-01_task-listening_run-1"


def signal(samples=1000):
    return volts(len(NAMES), samples, seed=1)


def edf(file, numbers, unit, bdf=False):
    """EDF or BDF whose header spells the unit in any way; the numbers stand in the file as they are."""
    file.parent.mkdir(parents=True, exist_ok=True)
    C, samples = numbers.shape
    width, digital = (3, 2**23 - 1) if bdf else (2, 2**15 - 1)
    limit = 10 ** np.ceil(np.log10(np.abs(numbers).max()))
    units = [unit] * C if isinstance(unit, str | bytes) else unit
    cell = lambda value, size: (value if isinstance(value, bytes) else str(value).encode("latin-1")).ljust(size)  # noqa: E731
    head = (b"\xffBIOSEMI" if bdf else cell("0", 8)) + cell("X", 80) + cell("X", 80) + cell("01.01.25", 8)
    head += (
        cell("10.00.00", 8) + cell(256 * (C + 1), 8) + cell("", 44) + cell(samples // 100, 8) + cell(1, 8) + cell(C, 4)
    )
    head += b"".join(cell(name, 16) for name in NAMES[:C]) + cell("", 80 * C) + b"".join(cell(u, 8) for u in units)
    for number in (-limit, limit, -digital, digital):
        head += cell(f"{number:.7g}", 8) * C
    head += cell("", 80 * C) + cell(100, 8) * C + cell("", 32 * C)
    steps = np.round(numbers / limit * digital).astype("<i4").reshape(C, -1, 100).swapaxes(0, 1)
    file.write_bytes(head + steps.reshape(-1, 1).view("u1").reshape(-1, 4)[:, :width].tobytes())
    return file


def brainvision(file, unit):
    """A BrainVision file whose microvolts are spelt in another way."""
    write_recording(file, signal(), NAMES)
    text = file.read_text(encoding="utf-8")
    assert "µV" in text
    file.write_text(text.replace("µV", unit), encoding="utf-8")
    return file


def load(root, **options):
    (source,) = Files(root, **options).sources()
    return np.asarray(source.load().eeg[EVERYTHING])


def bids(root, unit, numbers, said):
    """A BIDS dataset of one EDF recording and its channels.tsv."""
    edf(root / "sub-01" / "eeg" / f"{STEM}_eeg.edf", numbers, unit)
    rows = [{"name": name, "type": "EEG", "units": said} for name in NAMES]
    write_tsv(root / "sub-01" / "eeg" / f"{STEM}_channels.tsv", rows)
    return root


def load_bids(root, **options):
    (source,) = Bids(root, **options).sources()
    return np.asarray(source.load().eeg[EVERYTHING])


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("uV", 1e-6), ("µV", 1e-6), ("μV", 1e-6), ("Âµ V", 1e-6), ("Î¼V", 1e-6), ("UV", 1e-6), ("microvolts", 1e-6),
        ("mV", 1e-3), ("millivolt", 1e-3), ("nV", 1e-9), ("V", 1.0), ("Volt", 1.0), ("MV", None), ("", None),
        (".V", None), ("n/a", None), ("fT", None), ("uV/m", None),
    ],
)  # fmt: skip
def test_units_are_known_however_they_are_spelt(unit, factor):
    assert volts_of(unit) == factor


@pytest.mark.parametrize("bdf", [False, True])
@pytest.mark.parametrize(
    ("unit", "per_volt"),
    [("uV", 1e6), (b"\xb5V", 1e6), ("UV", 1e6), ("microV", 1e6), ("mV", 1e3), ("nV", 1e9), ("V", 1), ("Volt", 1)],
)
def test_edf_and_bdf_give_volts_in_every_unit(tmp_path, caplog, unit, per_volt, bdf):
    edf(tmp_path / ("a.bdf" if bdf else "a.edf"), per_volt * signal(), unit, bdf)
    np.testing.assert_allclose(load(tmp_path), signal(), atol=4e-9)
    assert caplog.messages == []


@pytest.mark.parametrize("unit", ["µV", "μV", "uV", "microV", ""])
def test_brainvision_gives_volts_however_microvolts_are_spelt(tmp_path, caplog, unit):
    brainvision(tmp_path / "a.vhdr", unit)
    np.testing.assert_allclose(load(tmp_path), signal(), atol=4e-9)
    assert caplog.messages == []


@pytest.mark.parametrize("unit", ["", ".V", "?"])
def test_a_missing_unit_comes_from_channels_tsv(tmp_path, caplog, unit):
    root = bids(tmp_path / "bids", unit, 1e6 * signal(), "µV")
    np.testing.assert_allclose(load_bids(root), signal(), atol=4e-9)
    root = bids(tmp_path / "other", unit, 1e3 * signal(), "mV")
    np.testing.assert_allclose(load_bids(root), signal(), atol=4e-9)
    assert caplog.messages == []


@pytest.mark.parametrize(("unit", "said"), [("", "n/a"), (".V", ""), ("?", "?")])
def test_a_unit_that_nobody_knows_is_said(tmp_path, caplog, unit, said):
    root = bids(tmp_path / "bids", unit, signal(), said)
    np.testing.assert_allclose(load_bids(root), signal(), atol=4e-9)
    (line,) = caplog.messages
    assert f"the unit of 6 channels is unknown (the file states {unit!r}); their values are treated as volts" in line


def test_a_gain_answers_for_a_unit_that_nobody_knows(tmp_path, caplog):
    edf(tmp_path / "a.edf", 1e6 * signal(), "")
    with caplog.at_level("INFO"):
        np.testing.assert_allclose(load(tmp_path, gain=1e-6), signal(), atol=4e-9)
    (record,) = [record for record in caplog.records if "is unknown" in record.message]
    assert record.levelname == "INFO"
    assert record.message.endswith(
        "the unit of 6 channels is unknown (the file states ''); their values times the given gain of 1e-06 are volts"
    )


def test_the_unit_of_the_file_goes_before_that_of_the_table(tmp_path, caplog):
    root = bids(tmp_path / "bids", "uV", 1e6 * signal(), "V")
    np.testing.assert_allclose(load_bids(root), signal(), atol=4e-9)
    (line,) = caplog.messages
    assert line.endswith("6 channels are in uV by the file, in V by channels.tsv; the file's unit is used")


def test_channels_may_have_different_units(tmp_path, caplog):
    factors = np.array([1e6, 1e3, 1, 1e6, 1e3, 1])
    numbers = factors[:, None] * signal()
    numbers[[1, 2, 4, 5]] = 0
    edf(tmp_path / "a.edf", numbers, ["uV", "mV", "V"] * 2)
    np.testing.assert_allclose(load(tmp_path)[[0, 3]], signal()[[0, 3]], atol=4e-9)
    assert caplog.messages == []


def test_rows_and_stretches_of_scaled_signals_are_those_of_the_whole(tmp_path):
    edf(tmp_path / "a.edf", 1e9 * signal(), "nV")
    (source,) = Files(tmp_path).sources()
    eeg = source.load().eeg
    assert eeg.shape == (6, 1000)
    whole = eeg[EVERYTHING]
    np.testing.assert_array_equal(eeg[np.array([4, 1]), slice(100, 250)], whole[[4, 1], 100:250])
    np.testing.assert_array_equal(eeg[slice(2, 3), slice(0, 7)], whole[2:3, :7])


def volts_in_eeglab(file):
    """EEGLAB takes microvolts for granted; here stand volts."""
    write_recording(file, 1e-6 * signal(), NAMES)


def microvolts_in_fif(file):
    info = mne.create_info(list(NAMES), 100.0, "eeg")
    mne.io.RawArray(1e6 * signal(), info, verbose="ERROR").save(file, verbose="ERROR")


def volts_as_microvolts(file):
    edf(file, signal(), "uV")


def without_unit(file):
    edf(file, 1e6 * signal(), "")


@pytest.mark.parametrize(
    ("name", "write", "gain", "status"),
    [
        ("a.set", volts_in_eeglab, 1e6, 1),
        ("a_raw.fif", microvolts_in_fif, 1e-6, 0),
        ("a.edf", volts_as_microvolts, 1e6, 1),
        ("a.edf", without_unit, 1e-6, 0),
    ],
)
def test_prepare_says_the_factor_that_its_option_then_takes(tmp_path, caplog, capsys, name, write, gain, status):
    raw, out = tmp_path / "raw", tmp_path / "store"
    raw.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(raw / name)
    prepare = ["prepare", "files", str(raw)]
    assert main([*prepare, str(out)]) == status
    said = caplog.text + capsys.readouterr().err
    caplog.clear()
    assert f"multiply by {gain:g} (in `eeg2speech prepare bids` and `files`: --gain {gain:g}, times any --gain" in said
    assert main([*prepare, str(tmp_path / "right"), "--gain", f"{gain:g}"]) == 0
    assert "multiply" not in caplog.text + capsys.readouterr().err
    store = Store(tmp_path / "right")
    assert store.description.settings["reader.gain"] == gain
    assert 5 < np.asarray(store.eeg(store.recordings[0])).std() < 25
    if status == 0:  # doctor says what prepare said
        (problem,) = [p.text for p in examine(Store(out)).problems if "unit" in p.text]
        assert problem.startswith("subject a")
        assert problem.partition(", where")[2] in said


def test_stores_that_need_no_gain_do_not_mention_it(tmp_path):
    write_recording(tmp_path / "a.edf", signal(), NAMES)
    assert "reader.gain" not in Files(tmp_path).description().settings
    assert "reader.gain" not in Bids(write_bids(tmp_path / "bids", ("01",))).description().settings
    assert Files(tmp_path, gain=1e-6).description().settings["reader.gain"] == 1e-6


@pytest.mark.parametrize("gain", [0.0, -1.0, float("nan"), float("inf")])
def test_a_gain_that_no_unit_needs_is_refused(tmp_path, gain):
    write_recording(tmp_path / "a.edf", signal(), NAMES)
    with pytest.raises(ConfigError, match=r"^gain=\S+ must be above 0"):
        Files(tmp_path, gain=gain).sources()
    with pytest.raises(ConfigError, match=r"^gain=\S+ must be above 0"):
        Bids(write_bids(tmp_path / "bids", ("01",)), gain=gain).sources()


def test_intracranial_units_come_from_channels_tsv_too(tmp_path, caplog):
    root, folder = tmp_path / "bids", tmp_path / "bids" / "sub-01" / "ieeg"
    edf(folder / "sub-01_task-x_ieeg.edf", 1e6 * signal(), "")
    write_tsv(
        folder / "sub-01_task-x_channels.tsv", [{"name": n.lower(), "type": "SEEG", "units": "uV"} for n in NAMES]
    )
    np.testing.assert_allclose(load_bids(root), signal(), atol=4e-9)
    assert caplog.messages == []
