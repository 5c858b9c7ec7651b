from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from japaneeg_files import SENTENCES, write_japaneeg

from eeg2speech.core.errors import DataError
from eeg2speech.data.readers.japaneeg import JapanEeg


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_japaneeg(tmp_path_factory.mktemp("japan") / "ds007808")


def load(root, **kwargs):
    (source,) = JapanEeg(root, **kwargs).sources()
    return source.load()


def test_sentences_read_aloud_are_found_in_the_sound_of_their_run(root):
    (source,) = JapanEeg(root, subjects=[1], sessions=[20230829], tasks=["speechopen"], runs=[1]).sources()
    assert source.recording == "sub-01_ses-20230829_task-speechopen_acq-pangolin_run-01"
    assert (source.subject, source.session, source.run) == ("01", "20230829", "01")
    raw = source.load()
    assert Counter(channel.type for channel in raw.channels) == {"eeg": 6, "eog": 1}
    assert [(s.onset, s.duration, s.offset, s.condition, s.text) for s in raw.segments] == [
        (1.0, 2.5, 3.0, "overt", SENTENCES[0]),
        (6.0, 2.5, 8.0, "overt", SENTENCES[1]),
    ]
    (stimulus,) = raw.stimuli
    assert stimulus == f"sub-01_ses-20230829_beh_{source.recording}_recording-vocal_beh"
    assert "recording-vocal_beh.wav" in str(source.inputs[-1])


def test_imagined_sentences_have_text_but_no_sound(root, caplog):
    raw = load(root, tasks=["listeningcovert"])
    assert [(s.onset, s.condition, bool(s.stimulus), s.text) for s in raw.segments] == [
        (1.0, "listening", True, SENTENCES[0]),
        (3.5, "imagined", False, SENTENCES[0]),
        (6.0, "listening", True, SENTENCES[1]),
        (8.5, "imagined", False, SENTENCES[1]),
    ]
    assert np.isnan([channel.x for channel in raw.channels]).all()
    assert "no place is known for EEG001" in caplog.text


def test_a_download_without_sounds_keeps_what_was_said(tmp_path):
    root = write_japaneeg(tmp_path / "ds007602", tasks=("speechopen",))
    for file in root.rglob("*.wav"):
        file.unlink()
    with pytest.raises(DataError, match=r"_events\.tsv: line 2: sound .*recording-vocal_beh\.wav is missing"):
        load(root)
    raw = load(root, sound=False)
    assert [(s.stimulus, s.text) for s in raw.segments] == [("", SENTENCES[0]), ("", SENTENCES[1])]
    assert not raw.stimuli
