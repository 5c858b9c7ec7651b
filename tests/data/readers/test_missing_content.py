"""Every file of every dataset: not downloaded, touched, and changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from every_reader import CASES

from eeg2speech.core.errors import DataError
from eeg2speech.core.tables import read_table
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.preparation.sounds import sound_files
from eeg2speech.data.readers import READERS
from eeg2speech.data.store import inputs
from eeg2speech.data.store.inputs import check_inputs, named
from eeg2speech.data.store.store import Store

LINK = "../.git/annex/objects/k1/Zq/MD5E-s1--z/MD5E-s1--z"
KINDS = {
    "lfs": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n",
    "annex": "/annex/objects/MD5E-s12345--d41d8cd98f00b204e9800998ecf8427e.bin\n",
    "link": None,
    "link as text": LINK,  # as git checks it out where the file system has no links
}
CASES = {name: case for name, case in CASES.items() if "7.3" not in name}


def readers(case, root):
    name, _, options = CASES[case]
    own = {"cleaned": True} if "--cleaned=true" in options else {}
    own |= {"published": True} if "--published=true" in options else {}
    return READERS[name](root, **own)


def content(source):
    """What is read of a recording, as `prepare` does."""
    check_inputs(named(source.inputs, None))
    raw = source.load()
    heard = {segment.stimulus for segment in raw.segments}
    files = sound_files(raw, heard)
    sounds = [file.read_bytes() for file in files]
    sounds += [
        np.asarray(sound()[0]).tobytes()
        for name, sound in [*sorted(raw.stimuli.items()), *sorted(raw.envelopes.items())]
        if name in heard and not isinstance(sound, Path)
    ]
    signal = np.asarray(raw.eeg[: raw.eeg.shape[0], slice(None)] if not isinstance(raw.eeg, np.ndarray) else raw.eeg)
    return signal.tobytes(), repr(raw.channels), repr(raw.segments), sounds, files


def outcome(case, root, recording):
    """What is read of a recording that is still listed, or the message of its error."""
    try:
        (found,) = (source for source in readers(case, root).sources() if source.recording == recording)
        return content(found), ""
    except DataError as error:
        return None, str(error)


def replaced(file, kind):
    file.unlink()
    if kind == "link":
        file.symlink_to(LINK)
    else:
        file.write_text(KINDS[kind])


SLOWLY = [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@pytest.mark.parametrize("kind", ["in turn", *SLOWLY])
@pytest.mark.parametrize("case", CASES)
def test_a_file_that_was_not_downloaded_is_named_by_every_reader(tmp_path, case, kind):
    CASES[case][1](tmp_path / "whole")
    root = tmp_path / "whole"
    kept = tmp_path / "kept"
    first = readers(case, root).sources()[0]
    before = content(first)
    for number, file in enumerate(sorted(path for path in root.rglob("*") if path.is_file())):
        shutil.move(file, kept)
        os.link(kept, file)
        replaced(file, list(KINDS)[number % len(KINDS)] if kind == "in turn" else kind)
        after, error = outcome(case, root, first.recording)
        if error:
            assert f"{file.name}: not downloaded" in error
            assert str(file) in map(os.path.normpath, [*first.inputs, *before[-1]]), "a file that is read is no input"
        else:
            assert after == before
        file.unlink()
        shutil.move(kept, file)


@pytest.mark.parametrize("case", CASES)
def test_a_store_of_every_reader_follows_its_files(tmp_path, monkeypatch, case):
    CASES[case][1](tmp_path / "raw")

    def prepare():
        reader = readers(case, tmp_path / "raw")
        settings = Preprocessing(upsample=True)
        return prepare_sources(reader.sources(), tmp_path / "store", reader.description(), settings, root=reader.root)

    assert prepare().errors == []
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "_digest", pytest.fail)
        assert prepare().again == {}
    files = {row.file for row in read_table(tmp_path / "store" / "inputs.tsv", inputs.Input)}
    assert files == Store(tmp_path / "store").description.inputs.keys()
    for file in files:
        os.utime(tmp_path / "raw" / file, ns=(1, 1))
    assert prepare().again == {}
    first = read_table(tmp_path / "store" / "inputs.tsv", inputs.Input)[0]
    with (tmp_path / "raw" / first.file).open("ab") as stream:
        stream.write(b"\n")
    assert first.recording in prepare().again
