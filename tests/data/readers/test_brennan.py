from __future__ import annotations

import pickle
from contextlib import suppress

import numpy as np
import pytest
from brennan_files import ELECTRODES, PART, RATE, WORDS, alice_signal, onset, write_brennan, write_proc
from hypothesis import given, settings
from hypothesis import strategies as st

from eeg2speech.core.errors import DataError
from eeg2speech.data.readers import brennan
from eeg2speech.data.readers.brennan import Brennan


def load(root, **options):
    (source,) = Brennan(root, **options).sources()
    return pickle.loads(pickle.dumps(source.load))()


@pytest.mark.parametrize("release", [1, 2])
def test_both_releases_give_volts_positions_and_a_segment_per_part(tmp_path, release):
    root = write_brennan(tmp_path / "alice", release=release)
    raw = load(root)
    assert raw.rate == RATE
    assert [channel.name for channel in raw.channels] == ELECTRODES
    np.testing.assert_allclose(raw.eeg[0:60, 100:200], 1e-6 * alice_signal(3, 0)[:60, 100:200], rtol=1e-5)
    assert np.isfinite([[c.x, c.y, c.z] for c in raw.channels]).all()
    assert [c.name for c in raw.channels if c.status == "bad"] == ["5", "14"]
    assert [s.onset for s in raw.segments] == pytest.approx([onset(1), onset(2), onset(3)])
    assert [s.duration for s in raw.segments] == pytest.approx([PART] * 3)
    assert {(s.offset, s.condition, s.text) for s in raw.segments} == {(0.0, "listening", " ".join(WORDS))}
    assert {name: file.name[-5:] for name, file in raw.stimuli.items()} == {
        f"alice_0{part}": f"{part}.wav" for part in (1, 2, 3)
    }


@pytest.mark.parametrize(
    ("number", "centimetres"),  # of the dataset's easycapM10-acti61_elec.sfp, on a sphere of 9 cm
    [
        *(("1", (0, 3.517, 8.285)), ("12", (7.227, -4.172, 3.371)), ("22", (6.786, 4.752, -3.517))),
        *(("25", (6.346, -5.325, -3.517)), ("29", (-6.346, -5.325, -3.517)), ("33", (0, 0, 9))),
        *(("36", (5.337, 3.466, 6.364)), ("45", (-2.588, 5.814, 6.364)), ("61", (-3.371, 8.345, 0))),
    ],
)
def test_electrodes_are_where_the_cap_of_the_dataset_has_them(number, centimetres):
    places = brennan.cap_positions()
    assert list(places) == [str(k) for k in range(1, 62)]
    direction = (np.array(places[number]) - np.array(brennan.HEAD_CENTRE)) / brennan.RADIUS
    np.testing.assert_allclose(9 * direction, centimetres, atol=2e-3)


def test_participants_are_found_by_number_or_name_with_inputs(tmp_path):
    root = write_brennan(tmp_path / "alice", subjects=("S01", "S10", "S02"))
    assert [s.recording for s in Brennan(root).sources()] == ["S01", "S02", "S10"]
    assert [s.subject for s in Brennan(root, subjects=[10, "S01", "sub-02"]).sources()] == ["S01", "S02", "S10"]
    names = [file.name for file in Brennan(root, subjects=[2]).sources()[0].inputs]
    assert names[:5] == ["S02.vhdr", "S02.eeg", "S02.vmrk", "S02.mat", "AliceChapterOne-EEG.csv"]
    with pytest.raises(DataError, match="no participant '7'; it holds S01, S02, S10"):
        Brennan(root, subjects=[7]).sources()


def test_the_table_of_words_decides_whatever_column_it_adds(tmp_path):
    root = write_brennan(tmp_path / "alice")
    write_proc(root / "proc" / "S01.mat", shift=0.25, extra=True)
    assert load(root).segments[1].onset == pytest.approx(onset(2) + 0.25)


def test_participants_without_the_first_part_are_numbered_again(tmp_path):
    root = write_brennan(tmp_path / "alice", subjects=("S34",))
    write_proc(root / "proc" / "S34.mat", first=2, renumber=1)
    raw = load(root)
    assert [(s.stimulus, s.onset) for s in raw.segments] == [
        ("alice_02", pytest.approx(onset(2))),
        ("alice_03", pytest.approx(onset(3))),
    ]


def test_a_sound_that_began_before_the_recording_is_entered_later(tmp_path):
    root = write_brennan(tmp_path / "alice")
    write_proc(root / "proc" / "S01.mat", shift=-2.5)
    first = load(root).segments[0]
    assert (first.onset, first.offset, first.duration) == pytest.approx((0.0, 0.5, PART - 0.5))
    assert first.text == " ".join(WORDS[1:])


def test_twelve_equal_triggers_serve_where_there_is_no_table(tmp_path):
    root = write_brennan(tmp_path / "alice", parts=12, proc=False)
    raw = load(root)
    assert [s.onset for s in raw.segments] == pytest.approx([onset(part) for part in range(1, 13)])
    assert raw.segments[11].stimulus == "alice_12"


@pytest.mark.parametrize("release", [1, 2])
def test_without_a_table_or_plain_triggers_nothing_is_guessed(tmp_path, release):
    root = write_brennan(tmp_path / "alice", proc=False, release=release)
    with pytest.raises(DataError, match=r"no table S01\.mat with the start of the sound; unzip proc\.zip"):
        load(root)


def test_tables_that_contradict_themselves_or_the_sounds_are_refused(tmp_path):
    root = write_brennan(tmp_path / "alice")
    write_proc(root / "proc" / "S01.mat", renumber=-9)  # parts 10 to 12: there is no sound of theirs
    read = load(root)
    assert [(s.onset, s.stimulus, s.condition) for s in read.segments] == [(0.0, "", "rest")]
    assert {(lost.name, lost.reason) for lost in read.lost} >= {("alice_01", "no onset of its part")}
    table = brennan.read_mat(root / "proc" / "S01.mat", ["proc"])["proc"]["trl"]
    table[:6, 3] = 2  # words of part 1 in part 2
    table[6:, 3] = 2
    brennan_trl(root, table)
    with pytest.raises(DataError, match=r"words of part 2 disagree by 9\.00 s about its onset; leave S01 out"):
        load(root)
    write_proc(root / "proc" / "S01.mat")
    table = brennan.read_mat(root / "proc" / "S01.mat", ["proc"])["proc"]["trl"]
    table[6:12, :2] -= 2 * RATE
    brennan_trl(root, table)
    with pytest.raises(DataError, match=r"part 2 begins at 4\.5 s, before part 1, which begins at 2\.0 s, has ended"):
        load(root)


def brennan_trl(root, table):
    from scipy.io import savemat

    names = np.array(["segment", "tmin", "Order"], object)
    savemat(root / "proc" / "S01.mat", {"proc": {"varnames": names, "trl": table}})


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Brennan(tmp_path / "nowhere").sources()
    with pytest.raises(DataError, match=r"holds no S01\.vhdr or S01\.mat"):
        Brennan(tmp_path).sources()
    root = write_brennan(tmp_path / "alice")
    (root / "audio" / "DownTheRabbitHoleFinal_SoundFile2.wav").unlink()
    with pytest.raises(DataError, match=r"SoundFile2\.wav: missing; unzip audio\.zip"):
        Brennan(root).sources()
    (root / "AliceChapterOne-EEG.csv").write_text("Word,Segment,onset,offset\nAlice,1,zero,1\n")
    with pytest.raises(DataError, match=r"AliceChapterOne-EEG\.csv: line 2: .*'zero'"):
        Brennan(root).sources()
    (root / "AliceChapterOne-EEG.csv").write_text("Word,onset,offset\n")
    with pytest.raises(DataError, match="no column Segment"):
        Brennan(root).sources()


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    return [write_brennan(tmp_path_factory.mktemp("alice") / "alice", release=release) for release in (1, 2)]


@settings(max_examples=15)
@given(keep=st.floats(0, 0.99), which=st.sampled_from([(0, "S01.mat"), (1, "S01.vhdr"), (1, "proc/S01.mat")]))
def test_files_cut_short_anywhere_raise_data_errors_only(releases, keep, which):
    file = releases[which[0]] / which[1]
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    try:
        with suppress(DataError) if file.suffix == ".vhdr" else pytest.raises(DataError, match="S01"):
            load(releases[which[0]])  # only comments may be missing from a header
    finally:
        file.write_bytes(content)


def test_a_signal_cut_short_keeps_the_parts_that_lie_in_it(tmp_path):
    root = write_brennan(tmp_path / "alice")
    file = root / "S01.eeg"
    file.write_bytes(file.read_bytes()[: 62 * 4 * round((onset(2) + 1) * RATE)])
    raw = load(root)
    assert [s.stimulus for s in raw.segments] == ["alice_01", "alice_02"]
    assert raw.segments[1].duration == pytest.approx(1.0)
    assert raw.segments[1].text == " ".join(WORDS[:2])[: len(raw.segments[1].text)]
