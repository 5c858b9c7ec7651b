from __future__ import annotations

import tracemalloc
import warnings

import mne
import numpy as np
import pytest
from bids_files import volts, write_bids, write_sound

from eeg2speech.data.events import triggers
from eeg2speech.data.events.sound_rules import SoundRule
from eeg2speech.data.events.triggers import recorded_events, trigger_channels, trigger_events
from eeg2speech.data.files.raw import from_mne
from eeg2speech.data.files.recording_files import open_recording
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.readers.files import Files

RATE = 250.0
NAMES = ("Fp1", "Cz")
EVENT = SoundRule(event="^65$", sound="sounds/a.wav")


def status(*pulses, samples=2500, base=0):
    """Codes of a channel, (samples,): a pulse is first sample, last and code."""
    values = np.full(samples, base, np.int64)
    for first, last, code in pulses:
        values[first:last] |= code
    return values


def write_edf(file, codes, name="Status", limits=None, unit="", rate=RATE, per_record=None):
    """EDF or BDF of two electrodes and a status channel, byte by byte, in records of a second."""
    bdf = file.suffix == ".bdf"
    low, high, wide = (-(2**23), 2**23 - 1, 3) if bdf else (-(2**15), 2**15 - 1, 2)
    physical = limits or (low, high)
    per = [round(rate), round(rate), per_record or round(rate)]
    labels, records = [*NAMES, name], len(codes) // per[2]
    fields = [(labels, 16), ([""] * 3, 80), (["uV", "uV", unit], 8)]
    fields += [([-500, -500, physical[0]], 8), ([500, 500, physical[1]], 8)]
    fields += [([low] * 3, 8), ([high] * 3, 8), ([""] * 3, 80), (per, 8), ([""] * 3, 32)]
    text = [(b"\xffBIOSEMI" if bdf else b"0".ljust(8)), b"X X X X".ljust(80), b"Startdate X X X X".ljust(80)]
    text += [b"01.01.25", b"10.00.00", b"1024".ljust(8), (b"24BIT" if bdf else b"").ljust(44)]
    text += [str(records).encode().ljust(8), b"1".ljust(8), b"3".ljust(4)]
    text += [str(value).encode().ljust(size) for values, size in fields for value in values]
    scale = (high - low) / (physical[1] - physical[0])
    digital = np.rint((np.asarray(codes, float) - physical[0]) * scale + low).astype("<i4")
    noise = np.rint(np.random.default_rng(0).normal(0, 1000, (2, records * per[0]))).astype("<i4")
    out = [b"".join(text)]
    for record in range(records):
        for row, count in zip((*noise, digital), per, strict=True):
            part = np.ascontiguousarray(row[record * count : (record + 1) * count])
            out.append(part.view("u1").reshape(-1, 4)[:, :wide].tobytes())
    file.write_bytes(b"".join(out))
    return file


def write_fif(file, channels, rate=RATE, first_samp=0, notes=(), kinds="stim"):
    """FIF of two electrodes and status channels by name."""
    names, samples = [*NAMES, *channels], len(next(iter(channels.values())))
    info = mne.create_info(names, rate, ["eeg", "eeg", *[kinds] * len(channels)])
    data = np.concatenate([volts(2, samples), np.array(list(channels.values()), float)])
    raw = mne.io.RawArray(data, info, first_samp=first_samp, verbose="ERROR")
    if notes:
        raw.set_annotations(mne.Annotations(*zip(*notes, strict=True)))
    raw.save(file, verbose="ERROR", overwrite=True)
    return file


def found(file):
    return [(round(e.onset * RATE, 6), e.name) for e in trigger_events(open_recording(file), file)]


def recorded(file):
    raw = open_recording(file)
    return recorded_events(raw, file, from_mne(raw, lazily=True))


PULSES = ((500, 510, 65), (1000, 1001, 1), (2000, 2020, 200))


@pytest.mark.parametrize("base", [0, 1 << 16, (1 << 16) | (1 << 20), -(1 << 23) | (1 << 17)])
@pytest.mark.parametrize("name", ["Status", "TRIGGER", "Trig"])
def test_codes_of_biosemi_are_its_low_bits(tmp_path, base, name):
    file = write_edf(tmp_path / "a.bdf", status(*PULSES, base=base), name)
    assert found(file) == [(500, "65"), (1000, "1"), (2000, "200")]
    (event, *_) = trigger_events(open_recording(file), file)
    assert (event.onset, event.duration, event.columns["channel"]) == (2.0, None, name)
    assert event.where == f"{file}: trigger 1 of channel {name} (65)"


@pytest.mark.parametrize(
    ("limits", "unit"), [(None, ""), ((0, 255), ""), ((-1000, 1000), "uV"), ((0, 255), "mV"), ((-32768, 32767), "n/a")]
)
@pytest.mark.parametrize("name", ["Status", "TRIG", "STI 014"])
def test_codes_of_edf_are_whole_whatever_their_scale(tmp_path, name, limits, unit):
    file = write_edf(tmp_path / "a.edf", status(*PULSES), name, limits, unit)
    assert found(file) == [(500, "65"), (1000, "1"), (2000, "200")]
    assert open_recording(file).get_channel_types() == ["eeg", "eeg", "stim"]  # no electrode


@pytest.mark.parametrize("name", ["Status", "TRIG"])
def test_a_status_channel_of_its_own_rate_keeps_its_times(tmp_path, name):
    file = write_edf(tmp_path / "a.edf", status((1001, 1100, 65), samples=10_000), name, per_record=1000)
    raw = open_recording(file)
    (event,) = trigger_events(raw, file)
    assert event.onset == 1.001
    assert event.sampled
    assert raw.info["sfreq"] == RATE  # that of the electrodes


def test_codes_agree_with_mne_where_its_rules_apply(tmp_path):
    rng = np.random.default_rng(3)
    edges = np.sort(rng.choice(np.arange(20, 4980, 12), 120, replace=False))
    pulses = [(first, first + 5, int(code)) for first, code in zip(edges, rng.integers(1, 256, 120), strict=True)]
    file = write_fif(tmp_path / "a_raw.fif", {"STI 014": status(*pulses, samples=5000)}, first_samp=777)
    raw = open_recording(file)
    expected = mne.find_events(raw, "STI 014", verbose="ERROR")
    assert len(expected) == 120
    assert found(file) == [(sample - 777, str(code)) for sample, _, code in expected]


def test_a_cropped_recording_counts_from_its_own_start(tmp_path):
    file = write_fif(tmp_path / "a_raw.fif", {"STI101": status(*PULSES)}, first_samp=300, notes=[(4.0, 0.0, "tone")])
    raw = mne.io.read_raw_fif(file, verbose="ERROR").crop(1.0)
    assert [(e.onset, e.name) for e in recorded_events(raw, file, from_mne(raw, lazily=True))] == [
        (1.0, "65"), (3.0, "tone"), (3.0, "1"), (7.0, "200")
    ]  # fmt: skip


def test_lines_that_a_channel_composes_are_not_counted_twice(tmp_path):
    lines = {"STI001": status((500, 510, 5)), "STI002": status(), "STI101": status((500, 510, 1)), "STI201": status()}
    file = write_fif(tmp_path / "a_raw.fif", lines)
    assert trigger_channels(open_recording(file)) == ["STI101", "STI201"]
    assert found(file) == [(500, "1")]
    file = write_fif(tmp_path / "b_raw.fif", {"UPPT001": status((10, 20, 3)), "DIN2": status((5, 9, 7))})
    assert found(file) == [(5, "7"), (10, "3")]
    assert [e.columns["channel"] for e in trigger_events(open_recording(file), file)] == ["DIN2", "UPPT001"]


def test_a_sign_of_sixteen_lines_is_no_sign(tmp_path):
    codes = status((500, 510, 5))
    codes[500:510] = -32768 + 5  # STI016 is the sign bit of a Neuromag
    assert found(write_fif(tmp_path / "a_raw.fif", {"STI101": codes})) == [(500, "32773")]
    assert found(write_fif(tmp_path / "b_raw.fif", {"UPPT001": -status((500, 510, 5))})) == [(500, "5")]


def test_bits_that_are_never_low_are_left_out_and_said(tmp_path, caplog):
    file = write_edf(tmp_path / "a.bdf", status(*PULSES, base=0xFF00))
    assert found(file) == [(500, "65"), (1000, "1"), (2000, "200")]
    assert caplog.messages == [f"{file}: bits of channel Status that are never low are left out of its codes (65280)"]


def test_a_code_before_the_first_sample_has_no_onset(tmp_path, caplog):
    file = write_edf(tmp_path / "a.bdf", status((0, 300, 254), *PULSES))
    assert found(file) == [(500, "65"), (1000, "1"), (2000, "200")]
    assert caplog.messages == [f"{file}: channel Status has the code 254 from the first sample on; no event"]


def test_a_trigger_that_is_held_to_the_end_is_an_event(tmp_path):
    assert found(write_edf(tmp_path / "a.bdf", status((2400, 2500, 9)))) == [(2400, "9")]


def test_lines_on_top_of_each_other(tmp_path, caplog):
    file = write_edf(tmp_path / "a.bdf", status((500, 600, 1), (550, 700, 2), (1000, 1010, 5), (1010, 1020, 2)))
    assert found(file) == [(500, "1"), (550, "3"), (1000, "5"), (1010, "2")]
    assert caplog.messages == [
        f"{file}: 1 changes of channel Status only lower lines of the code before (3 to 2); no events"
    ]


def test_codes_that_are_held_until_the_next_are_all_events(tmp_path):
    codes = status()
    for first, code in ((400, 7), (800, 3), (1200, 2), (1600, 6), (2000, 4)):
        codes[first:] = code
    file = write_edf(tmp_path / "a.bdf", codes)
    assert found(file) == [(400, "7"), (800, "3"), (1200, "2"), (1600, "6"), (2000, "4")]


def test_lines_that_switch_one_after_the_other_make_one_event(tmp_path):
    values = status((1000, 1040, 65), (1500, 1501, 1), (2000, 2002, 12), samples=5000)
    values[[999, 1040]] = 64, 1  # on the way up and down
    values[3000:3040] = 8
    values[3020] = 9  # a pulse of another line
    file = write_fif(tmp_path / "a_raw.fif", {"STI101": values}, rate=2000.0)
    events = trigger_events(open_recording(file), file)
    assert [(round(e.onset * 2000), e.name) for e in events] == [
        (1000, "65"), (1500, "1"), (2000, "12"), (3000, "8"), (3020, "9")
    ]  # fmt: skip


def test_a_counter_is_no_trigger_channel(tmp_path, caplog):
    file = write_edf(tmp_path / "a.bdf", np.arange(25_000) % 256, "Marker")
    assert found(file) == []
    assert caplog.messages[-1] == f"{file}: channel Marker changes more than 100 times a second; it holds no triggers"


@pytest.mark.parametrize(
    ("event", "onsets"),
    [("65$", [2.0]), (r"^\d+$", [2.0, 4.0, 4.1, 8.0]), ("65$|^1$", [2.0, 4.0, 4.1]), (r"block|^1$", [4.0, 4.1, 8.0])],
)
def test_a_trigger_yields_to_an_annotation_of_its_sample(tmp_path, event, onsets):
    write_sound(tmp_path / "sounds" / "a.wav", 0.5)
    notes = [(2.0, 0.0, "Stimulus/S 65"), (4.1, 0.0, "1"), (8.004, 0.0, "block 200")]
    file = write_fif(tmp_path / "a_raw.fif", {"STI 014": status(*PULSES)}, notes=notes)
    twins = {e.name: len(e.twins) for e in recorded(file)}
    assert twins == {"Stimulus/S 65": 0, "65": 1, "1": 0, "200": 1, "block 200": 0}
    (source,) = Files(
        tmp_path, pattern="(?P<subject>a)_raw", sounds=[SoundRule(event=event, sound="sounds/a.wav")]
    ).sources()
    found = [segment.onset for segment in source.load().segments]
    assert found == pytest.approx([at + 0.004 * (at == 8.0 and "block" in event) for at in onsets])


def test_eeglab_and_brainvision_scale_their_status_channel_back(tmp_path):
    info = mne.create_info([*NAMES, "Status"], RATE, "eeg")
    data = np.concatenate([volts(2, 2500), status(*PULSES)[None] * 1e-6])
    for suffix in (".set", ".vhdr"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = mne.io.RawArray(data, info, verbose="ERROR")
            mne.export.export_raw(tmp_path / f"a{suffix}", raw, verbose="ERROR")
        assert found(tmp_path / f"a{suffix}") == [(500, "65"), (1000, "1"), (2000, "200")]


@pytest.mark.parametrize("kind", ["stim", "eeg", "misc"])
def test_codes_that_a_converter_scaled_to_volts_are_whole(tmp_path, kind):
    file = write_fif(tmp_path / "a_raw.fif", {"Status": status(*PULSES) * 1e-6}, kinds=kind)
    assert found(file) == [(500, "65"), (1000, "1"), (2000, "200")]
    noise = np.random.default_rng(0).normal(0, 1e-3, 2500)
    assert found(write_fif(tmp_path / "b_raw.fif", {"Status": noise}, kinds=kind)) == []


def test_long_recordings_are_read_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(triggers, "PIECE", 5000)
    pulses = [(first, first + 10, 65) for first in range(4995, 999_000, 5000)]  # across the borders of pieces
    file = write_edf(tmp_path / "a.bdf", status(*pulses, samples=1_000_000))
    raw = open_recording(file)
    tracemalloc.start()
    events = trigger_events(raw, file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [round(e.onset * RATE) for e in events] == [first for first, _, _ in pulses]
    assert peak < 4e6  # all codes at once take 8 MB


@pytest.mark.parametrize("leave_out", [None, ["Status"]])
def test_rules_find_triggers_in_files(tmp_path, leave_out):
    write_sound(tmp_path / "rec" / "sounds" / "a.wav", 1.5)
    write_edf(tmp_path / "rec" / "S1.bdf", status(*PULSES))
    (source,) = Files(tmp_path / "rec", sounds=[EVENT], onset=0.02, leave_out=leave_out).sources()
    raw = source.load()
    assert [(s.onset, s.duration, s.stimulus) for s in raw.segments] == [(2.02, 1.5, "sounds_a")]
    assert [channel.name for channel in raw.channels] == list(NAMES)
    assert raw.rules == {"sounds[0] (event: ^65$)": 1}


def test_bids_takes_triggers_only_where_no_table_has_events(tmp_path):
    root = write_bids(tmp_path / "bids", ("01",), names=(*NAMES, "TRIG"), samples=2500, rate=RATE)
    stem = root / "sub-01" / "eeg" / "sub-01_task-listening_run-1"
    for file in stem.parent.glob("*_eeg.*"):
        file.unlink()
    write_edf(stem.with_name(f"{stem.name}_eeg.edf"), status(*PULSES), "TRIG")
    table = stem.with_name(f"{stem.name}_channels.tsv")
    table.write_text(table.read_text().replace("TRIG\tEEG", "TRIG\tTRIG"))
    write_sound(root / "sounds" / "a.wav", 1.5)
    (source,) = Bids(root, sounds=[EVENT]).sources()
    assert [s.condition for s in source.load().segments] == ["rest"]  # the table is what counts
    stem.with_name(f"{stem.name}_events.tsv").unlink()
    assert [(s.onset, s.stimulus) for s in source.load().segments] == [(2.0, "sounds_a")]


def test_without_rules_for_events_no_status_channel_is_read(tmp_path, monkeypatch):
    write_edf(tmp_path / "S1.bdf", status(*PULSES))
    monkeypatch.setattr(triggers, "trigger_events", lambda *_: pytest.fail("read"))
    (source,) = Files(tmp_path, sounds=[SoundRule(condition="rest", duration=5.0)]).sources()
    assert source.load().segments[0].duration == 5
