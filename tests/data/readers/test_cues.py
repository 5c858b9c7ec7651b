from __future__ import annotations

from pathlib import Path

import pytest
from bids_files import write_sound

from eeg2speech.core.errors import DataError
from eeg2speech.data.events.cues import Cue, pair, stimulus_id


def cue(sound, **changes):
    cell = {"onset": 1.0, "duration": None, "offset": 0.0, "condition": "listening", "label": "", "text": ""}
    return Cue(sound=sound, where="events.tsv: line 2", **(cell | changes))


@pytest.fixture
def sound(tmp_path):
    return write_sound(tmp_path / "stimuli" / "a.wav", 3.0)


def only(tmp_path, given, seconds=10.0):
    (segment,), _ = pair([given], "sub-01", seconds, 100.0, tmp_path)
    return segment


def test_a_segment_that_starts_within_its_sound_ends_with_it(tmp_path, sound):
    assert only(tmp_path, cue(sound, offset=2.0)).duration == pytest.approx(1.0)
    assert only(tmp_path, cue(sound, offset=2.0, duration=5.0)).duration == pytest.approx(1.0)
    assert only(tmp_path, cue(sound, offset=2.0, duration=0.5)).duration == 0.5
    for offset in (3.0, -0.1):
        with pytest.raises(DataError, match=rf"line 2: offset {offset:g} s does not lie in .*a\.wav of 3 s"):
            only(tmp_path, cue(sound, offset=offset))


def test_an_onset_may_be_early_by_rounding_but_no_more(tmp_path, sound):
    assert only(tmp_path, cue(sound, onset=-0.004)).onset == 0.0
    with pytest.raises(DataError, match=r"line 2: onset -0\.02 s does not lie in the recording of 10 s"):
        only(tmp_path, cue(sound, onset=-0.02))
    with pytest.raises(DataError, match="does not lie in the recording"):
        only(tmp_path, cue(sound, onset=9.995))


def test_what_has_neither_sound_nor_duration_is_refused(tmp_path):
    assert only(tmp_path, cue(None, duration=20.0)).duration == 9.0
    with pytest.raises(DataError, match="neither a duration nor a sound"):
        only(tmp_path, cue(None))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("stimuli/a.wav", "a"),
        ("stimuli/x/y.b/c.npz.gz", "x_y.b_c"),
        ("stimuli/.hidden.wav", "_.hidden"),
        ("stimuli/a:b.FLAC", "a_b"),
        ("sub-01/eeg/../beh/s.wav", "sub-01_beh_s"),
    ],
)
def test_ids_are_safe_as_file_names(tmp_path, path, expected):
    file = tmp_path / Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    assert stimulus_id(tmp_path, file) == expected


def test_the_same_name_in_two_formats_gives_two_ids(tmp_path):
    files = [
        write_sound(tmp_path / folder / f"a.{kind}", 1.0) for folder in ("stimuli", "beh") for kind in ("wav", "flac")
    ]
    ids = {stimulus_id(tmp_path, file) for file in files}
    assert len(ids) == 4
    assert all(name.startswith(("a_", "beh_a_")) for name in ids)
