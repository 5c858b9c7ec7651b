import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.tables import read_table
from eeg2speech.data.simulation.embedded import embedded_store
from eeg2speech.data.simulation.simulator import Simulation
from eeg2speech.data.simulation.speech import ASSETS, Sentence, packaged_file, read_speech, timed_sentences
from eeg2speech.data.store.store import Store

SMALL = {"subjects": 2, "channels": 8, "passages": 2}
BUILD = (
    "from eeg2speech.data.simulation.embedded import embedded_store as s; "
    "from eeg2speech.data.simulation.simulator import Simulation as S; "
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EEG2SPEECH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_sentences_are_many_different_and_cover_english():
    rows = read_table(ASSETS / "passages.tsv", Sentence)
    texts = [row.text for row in rows]
    assert len(rows) >= 420
    assert len({text.lower() for text in texts}) == len(texts)
    assert 42 <= len({row.passage for row in rows}) <= 48
    lengths = Counter(len(text.split()) for text in texts)
    assert min(lengths) >= 5
    assert max(lengths) <= 14
    assert sum(text.endswith("?") for text in texts) >= 40
    assert sum(text.endswith("!") for text in texts) >= 20
    letters = Counter(re.sub("[^a-z]", "", " ".join(texts).lower()))
    assert all(letters[letter] >= 10 for letter in "abcdefghijklmnopqrstuvwxyz")
    # spellings that stand for sounds which are rare in English: th, sh, ch, ng, oi, and the middle of "measure"
    every = " ".join(texts).lower()
    for spelling, least in {"th": 300, "sh": 50, "ch": 80, "ng": 100, "oi": 15, "oy": 10, "ow": 50}.items():
        assert every.count(spelling) >= least, spelling
    assert len(re.findall(r"\w*(?:easure|ision|usual|beige|azure)\w*", every)) >= 10


def test_every_passage_is_packaged_with_its_times():
    about = json.loads((ASSETS / "speech.json").read_text(encoding="utf-8"))
    written = [(row.passage, row.sentence, row.text) for row in read_table(ASSETS / "passages.tsv", Sentence)]
    timed = timed_sentences()
    assert [(row.passage, row.sentence, row.text) for row in timed] == written
    files = {file.stem for file in (ASSETS / "speech").glob("*.opus")}
    assert files == {row.passage for row in timed}
    seconds = {name: soundfile.info(packaged_file(name)).duration for name in files}
    assert sum(seconds.values()) == pytest.approx(about["seconds"], abs=0.1)
    assert sum(seconds.values()) >= 22 * 60
    assert sum(packaged_file(name).stat().st_size for name in files) < 8e6
    for before, after in pairwise(timed):
        if before.passage == after.passage:
            assert 0.249 < after.onset - before.onset - before.duration < 0.461
        else:
            assert before.onset + before.duration == pytest.approx(seconds[before.passage], abs=0.011)


def test_packaged_sentences_are_equally_loud_with_silence_between():
    speech = read_speech(first=2)
    assert list(speech) == ["p01", "p02"]
    levels = []
    for row in timed_sentences():
        if row.passage in speech:
            wave = speech[row.passage].wave
            assert row.text in speech[row.passage].text
            start, stop = round(row.onset * 16_000), round((row.onset + row.duration) * 16_000)
            levels.append(np.sqrt(np.square(wave[start:stop]).mean()))
            pause = wave[stop + 800 : stop + 3200]
            assert not len(pause) or np.abs(pause).max() < 0.01
    assert max(levels) < 1.5 * min(levels)
    assert max(np.abs(sound.wave).max() for sound in speech.values()) <= 1.0


def test_own_sounds_are_read_with_their_text(tmp_path):
    tone = np.sin(np.arange(8000) / 10).astype(np.float32) / 2
    soundfile.write(tmp_path / "b.wav", np.stack([tone, tone], axis=1), 8000)
    soundfile.write(tmp_path / "a.flac", tone, 16_000)
    (tmp_path / "a.txt").write_text("Hello\n  there.\n", encoding="utf-8")
    speech = read_speech(tmp_path)
    assert list(speech) == ["a", "b"]
    assert speech["a"].text == "Hello there."
    assert speech["b"].text == ""
    assert speech["b"].wave.shape == (16_000,)
    assert speech["b"].wave.dtype == np.float32


def test_sounds_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read_speech(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no sound file"):
        read_speech(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"a\.wav"):
        read_speech(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), 16_000)
    with pytest.raises(DataError, match="no samples"):
        read_speech(tmp_path)
    soundfile.write(tmp_path / "a.flac", np.zeros(10, np.float32), 16_000)
    with pytest.raises(DataError, match="same stimulus id 'a'"):
        read_speech(tmp_path)


def test_the_store_is_made_once_and_found_again(cache):
    folder = embedded_store(Simulation(**SMALL))
    assert folder.parent == cache
    store = Store(folder)
    assert store.description.simulated
    assert store.description.rate == 100.0
    assert store.subjects == ["sub-01", "sub-02"]
    assert store.stimuli == ["p01", "p02"]
    assert all(segment.text for segment in store.segments)
    assert len(store.audio("p01")) / 16_000 == pytest.approx(soundfile.info(packaged_file("p01")).duration)
    before = (folder / "recordings.tsv").stat().st_mtime_ns
    assert embedded_store(Simulation(**SMALL)) == folder
    assert (folder / "recordings.tsv").stat().st_mtime_ns == before
    assert embedded_store(Simulation(**SMALL, seed=1)) != folder


def test_the_null_store_says_so_in_valid_json(cache):
    folder = embedded_store(Simulation(channels=8, subjects=1, passages=1, snr=float("-inf")))

    def refuse(constant):
        raise AssertionError(constant)

    description = json.loads((folder / "dataset.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert description["settings"]["simulation.snr"] == "-inf"


def test_two_processes_make_one_store(cache):
    command = [sys.executable, "-c", BUILD + f"print(s(S(**{SMALL})))"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    (folder,) = {output for output, _ in outputs}
    assert len(Store(folder.strip()).recordings) == 2
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [folder.strip().split("/")[-1]]


def test_a_killed_simulation_is_taken_up(cache, tmp_path, monkeypatch):
    settings = {"subjects": 8, "channels": 16, "passages": 2}
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD + f"s(S(**{settings}))"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not list(cache.glob("*.partial/eeg/*.npy")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(cache.glob("*.partial")), "the simulation finished before it could be killed"
    store = Store(embedded_store(Simulation(**settings)))
    assert len(store.recordings) == 8
    assert not list(cache.glob("*.partial"))

    monkeypatch.setenv("EEG2SPEECH_CACHE", str(tmp_path / "other"))
    whole = Store(embedded_store(Simulation(**settings)))
    for mine, theirs in zip(store.recordings, whole.recordings, strict=True):
        np.testing.assert_array_equal(store.eeg(mine), whole.eeg(theirs))


def test_a_cache_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EEG2SPEECH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ConfigError, match="EEG2SPEECH_CACHE"):
        embedded_store(Simulation(**SMALL))
