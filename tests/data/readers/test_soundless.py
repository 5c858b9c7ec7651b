from __future__ import annotations

import unicodedata

import numpy as np
import pytest
import soundfile
from bids_files import NAMES, volts, write_bids, write_recording, write_sound, write_tsv

from eeg2speech.cli import main
from eeg2speech.core.errors import DataError
from eeg2speech.core.tables import read_table
from eeg2speech.data.events.sound_rules import SoundRule
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.readers.files import Files
from eeg2speech.data.store.shards import Shard
from eeg2speech.data.store.store import Dropped, Store

BAND = ["--preprocessing.band", "[1,30]"]

NONE = "no sound is assigned to the recording"


def write_brainvision(root, stem, *markers):
    header = write_recording(root / f"{stem}.vhdr", volts(5), NAMES[:5])
    with header.with_suffix(".vmrk").open("a") as stream:
        stream.write("".join(f"\nMk{n}=Stimulus,{what},{at},1,0" for n, (what, at) in enumerate(markers, start=2)))
    return header


def prepared(reader, out):
    """How it went, and what is written down as dropped."""
    summary = prepare_sources(reader.sources(), out, reader.description())
    dropped = read_table(out / "dropped.tsv", Dropped)
    return summary, [(part.recording, part.what, part.name, part.reason) for part in dropped if part.what != "channel"]


def rows(*cells):
    return [{"onset": 1.0, "duration": "n/a", "trial_type": "heard", "stim_file": "b.wav"} | cell for cell in cells]


def events_of(root):
    return root / "sub-01" / "eeg" / "sub-01_task-listening_run-1_events.tsv"


def test_a_slip_in_a_rule_is_named_with_known_events(tmp_path):
    for stem in ("S1", "S2"):
        write_brainvision(tmp_path / "rec", stem, ("S  1", 101), ("S  1", 301), ("S  2", 501))
    write_sound(tmp_path / "rec" / "a.wav", 1.0)
    rules = [SoundRule(event="^Stimulus/S1$", sound="a.wav")]
    summary, dropped = prepared(Files(tmp_path / "rec", sounds=rules), tmp_path / "store")
    assert summary.errors == summary.incomplete == []
    assert [notice.text for notice in summary.notices] == [
        "S1: no rule finds a sound; its events are 'Stimulus/S  1' (2), 'Stimulus/S  2' (1)",
        "S2: no rule finds a sound; its events are 'Stimulus/S  1' (2), 'Stimulus/S  2' (1)",
        "sounds[0] (event: ^Stimulus/S1$) finds nothing in any of the 2 recordings that were read",
    ]
    assert dropped == [(name, "sound", "", "no rule finds one of its events") for name in ("S1", "S2")]


def test_a_rule_that_finds_nothing_anywhere_is_named_alone(tmp_path):
    write_brainvision(tmp_path / "rec", "S1", ("S  1", 101))
    write_brainvision(tmp_path / "rec", "S2", ("S  2", 101))
    write_sound(tmp_path / "rec" / "a.wav", 1.0)
    rules = [SoundRule(event=f"^Stimulus/S  {code}$", sound="a.wav") for code in (1, 2, 3)]
    summary, dropped = prepared(Files(tmp_path / "rec", sounds=rules), tmp_path / "store")
    assert [notice.text for notice in summary.notices] == [
        "sounds[2] (event: ^Stimulus/S  3$) finds nothing in any of the 2 recordings that were read"
    ]
    assert dropped == []


def test_a_path_that_no_rule_fits_is_named(tmp_path):
    root = write_bids(tmp_path / "bids")
    summary, dropped = prepared(Bids(root, sounds=[SoundRule("_task-lstening_", "stimuli/b.wav")]), tmp_path / "store")
    assert "sub-01_task-listening_run-1: no rule fits the path of this recording; kept without a sound" in [
        notice.text for notice in summary.notices
    ]
    assert {reason for _, what, _, reason in dropped if what == "sound"} == {"no rule fits its path"}


def test_rules_without_sounds_are_content_without(tmp_path):
    root = write_bids(tmp_path / "bids", ("01",))
    summary, dropped = prepared(Bids(root, sounds=[SoundRule("_task-other_", condition="rest")]), tmp_path / "store")
    assert [notice.kind for notice in summary.notices] == ["sounds[0] (match: _task-other_)"]
    assert dropped == [("sub-01_task-listening_run-1", "sound", "", NONE)]


def test_events_without_a_number_that_a_rule_asks_for_are_counted(tmp_path, caplog):
    events = [cell | {"start": start} for cell, start in zip(rows({}, {}, {}), ("0.5", "n/a", "n/a"), strict=True)]
    root = write_bids(tmp_path / "bids", ("01",), events=events)
    rules = [SoundRule(event="heard", sound="stimuli/b.wav", offset="{start}")]
    raw = Bids(root, sounds=rules).sources()[0].load()
    assert [s.offset for s in raw.segments] == [0.5]
    assert [(lost.what, lost.name) for lost in raw.lost] == [("segment", "2 events")]
    assert "2 events lack a number that their rule needs (the first: " in caplog.text


@pytest.mark.parametrize(("rules", "status"), [("[]", 0), ('[{event: "S  1", sound: a.wav}]', 1)])
def test_missing_markers_are_named_and_cost_where_they_are_needed(tmp_path, capsys, caplog, rules, status):
    write_brainvision(tmp_path / "rec", "S1", ("S  1", 101)).with_suffix(".vmrk").unlink()
    write_sound(tmp_path / "rec" / "a.wav", 1.0)
    (tmp_path / "mine.yaml").write_text(f"sounds: {rules}\n")
    command = ["prepare", "files", str(tmp_path / "rec"), str(tmp_path / "s"), "--config", str(tmp_path / "mine.yaml")]
    assert main([*command, *BAND]) == status
    said = capsys.readouterr()
    assert "S1.vhdr: its markers, S1.vmrk, are missing; read without them" in caplog.text
    assert ("1 of 1 recordings lack something whose file is missing (S1)" in said.err) == bool(status)
    assert "1 segments, 0 of them with a sound" in said.out
    assert Store(tmp_path / "s").subjects == ["S1"]


@pytest.mark.parametrize(
    ("text", "reason", "incomplete"),
    [
        ("onset\tduration\tstim_file\n", "its events.tsv has no rows", []),
        ("", "its events.tsv is empty", ["sub-01_task-listening_run-1"]),
        ("onset\tduration\tstim_file\n1\t2\tn/a\n", "stim_file names no sound", []),
        ("onset\tduration\tstim_file\n1\t2\tface.png\n", "stim_file names no sound", []),
        ("onset\tduration\ttrial_type\n1\t2\tblink\n", NONE, []),  # nothing says that there should be one
    ],
)
def test_tables_without_sounds_are_named(tmp_path, text, reason, incomplete):
    root = write_bids(tmp_path / "bids", ("01",))
    events_of(root).write_text(text)
    summary, dropped = prepared(Bids(root), tmp_path / "store")
    name = "sub-01_task-listening_run-1"
    assert dropped == [(name, "sound", "", reason)]
    assert summary.incomplete == incomplete
    assert [name in notice.text for notice in summary.notices] == [True] * (reason != NONE)


def test_what_is_incomplete_is_said_until_the_dataset_is_complete(tmp_path):
    root = write_bids(tmp_path / "bids", ("01",))
    whole = events_of(root).read_text()
    events_of(root).write_text("")
    name = "sub-01_task-listening_run-1"
    for _ in range(2):
        summary, dropped = prepared(Bids(root), tmp_path / "store")
        assert summary.incomplete == [name]
        assert dropped == [(name, "sound", "", "its events.tsv is empty")]
    events_of(root).write_text(whole)
    summary, dropped = prepared(Bids(root), tmp_path / "store")
    assert list(summary.again) == [name]
    assert summary.incomplete == dropped == []


def test_rules_of_unread_recordings_are_not_said_to_find_nothing(tmp_path):
    for stem in ("S1", "S2"):
        write_brainvision(tmp_path / "rec", stem, ("S  1", 101))
    write_sound(tmp_path / "rec" / "a.wav", 1.0)
    rules = [SoundRule(match=stem, event="S  1", sound="a.wav") for stem in ("S1", "S2", "S3")]
    reader = Files(tmp_path / "rec", sounds=rules)
    shards = [
        prepare_sources(reader.sources(), tmp_path / "a", reader.description(), shard=Shard(number, 2))
        for number in (1, 2)
    ]
    assert [shard.notices for shard in shards] == [[], []]
    summary, _ = prepared(reader, tmp_path / "b")
    assert [notice.kind for notice in summary.notices] == ["sounds[2] (match: S3, event: S  1)"]
    write_brainvision(tmp_path / "rec", "S4", ("S  1", 101))
    summary, _ = prepared(reader, tmp_path / "b")
    assert [notice.text for notice in summary.notices] == [
        "S4: no rule fits the path of this recording; kept without a sound"
    ]


def test_channels_without_rows_keep_the_types_of_the_recording(tmp_path, caplog):
    root = write_bids(tmp_path / "bids", ("01",))
    table = events_of(root).with_name("sub-01_task-listening_run-1_channels.tsv")
    table.write_text("name\ttype\tunits\n")
    assert len(Bids(root).sources()[0].load().channels) == len(NAMES)
    assert f"{table}: has no rows; the types of channels are those of the recording" in caplog.messages


def test_sounds_in_formats_that_are_not_read_are_refused(tmp_path):
    root = write_bids(tmp_path / "bids", ("01",), events=rows({"stim_file": "Story.M4A"}))
    with pytest.raises(DataError, match=r"line 2: sounds in the format of 'Story\.M4A' are not supported; convert it"):
        Bids(root).sources()[0].load()


def test_aiff_by_its_short_suffix_is_a_sound(tmp_path):
    root = write_bids(tmp_path / "bids", ("01",), events=rows({"stim_file": "c.aif"}))
    wave = 0.3 * np.sin(np.arange(24_000) / 9)
    soundfile.write(root / "stimuli" / "c.aif", wave, 16_000, format="AIFF")
    prepare_sources(Bids(root).sources(), tmp_path / "store", Bids(root).description())
    store = Store(tmp_path / "store")
    assert [(s.stimulus, s.duration) for s in store.segments] == [("c", 1.5)]
    np.testing.assert_allclose(store.audio("c"), wave, atol=1e-4)


@pytest.mark.parametrize(
    ("there", "written"),
    [
        (unicodedata.normalize("NFD", "élan.wav"), "élan.wav"),
        ("élan.wav", unicodedata.normalize("NFD", "élan.wav")),
        ("Talk/A.WAV", "talk/a.wav"),
        ("talk/a.wav", "talk\\a.wav"),
        ("talk/a.wav", '"talk/a.wav"'),
    ],
)
def test_sounds_are_found_under_the_name_that_they_have(tmp_path, there, written):
    root = write_bids(tmp_path / "bids", ("01",), events=rows({"stim_file": written}))
    write_sound(root / "stimuli" / there, 1.25)
    raw = Bids(root).sources()[0].load()
    assert [s.duration for s in raw.segments] == [1.25]
    ((stimulus, file),) = raw.stimuli.items()
    assert file == root / "stimuli" / there
    assert unicodedata.is_normalized("NFC", stimulus)


def test_two_sounds_that_differ_in_case_are_not_guessed_at(tmp_path):
    root = write_bids(tmp_path / "bids", ("01",), events=rows({"stim_file": "a.wav"}))
    for name in ("A.wav", "A.WAV"):
        write_sound(root / "stimuli" / name, 1.0)
    with pytest.raises(DataError, match=r"a\.wav is missing"):
        Bids(root).sources()[0].load()
    write_sound(root / "stimuli" / "a.wav", 0.5)
    assert Bids(root).sources()[0].load().segments[0].duration == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onset;duration;stim_file\n1;2;b.wav\n", "its columns are separated by ';', which is not supported"),
        ("onset,duration,stim_file\n1,2,b.wav\n", "its columns are separated by ',', which is not supported"),
        ("onset\tonset\tstim_file\n1\t3\tb.wav\n", "column 'onset' occurs twice"),
        ("onset\tduration\tstim_file\n1,5\t2\tb.wav\n", "onset '1,5' is no number of seconds"),
    ],
)
def test_tables_that_are_no_bids_tables_are_refused(tmp_path, text, message):
    root = write_bids(tmp_path / "bids", ("01",))
    events_of(root).write_text(text)
    with pytest.raises(DataError, match=message):
        Bids(root).sources()[0].load()


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_tables_in_another_encoding_are_named_as_such(tmp_path, encoding):
    root = write_bids(tmp_path / "bids", ("01",))
    events_of(root).write_text("onset\tduration\tstim_file\n1\t2\té.wav\n", encoding=encoding)
    with pytest.raises(DataError, match=r"events\.tsv: is no text in UTF-8 .*save it as UTF-8"):
        Bids(root).sources()[0].load()


def test_what_spreadsheets_add_to_a_table_is_taken_off(tmp_path):
    root = write_bids(tmp_path / "bids", ("01",))
    text = '"onset"\t"duration"\t"trial_type"\t"stim_file"\r\n"1.5"\t"2"\t"say ""a"""\t"b.wav"\t\t\r\n'
    events_of(root).write_bytes(text.encode("utf-8-sig"))
    (segment,) = Bids(root).sources()[0].load().segments
    assert (segment.onset, segment.duration, segment.stimulus, segment.label) == (1.5, 2.0, "b", 'say "a"')


def test_the_summary_counts_segments_with_a_sound(tmp_path, capsys):
    root = write_bids(tmp_path / "bids", ("01", "02"))
    write_tsv(events_of(root), rows({}, {"onset": 4}))
    (root / "sub-02" / "eeg" / "sub-02_task-listening_run-1_events.tsv").unlink()
    assert main(["prepare", "bids", str(root), str(tmp_path / "store"), *BAND]) == 0
    assert "3 segments, 2 of them with a sound" in capsys.readouterr().out
