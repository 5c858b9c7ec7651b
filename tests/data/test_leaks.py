"""Leaks planted on purpose, and what fewer pairs leave as it was."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from stores import make_store, noise, segment

from eeg2speech.audio import read_audio
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split


def data(store: Path, **settings) -> EEGAudioDataModule:
    made = EEGAudioDataModule(store, **{"window": 0.96, "batch_size": 4} | settings)
    made.setup()
    return made


def stimuli(made: EEGAudioDataModule, part: str) -> set[str]:
    return {window.segment.stimulus for window in made.datasets[part].windows}


@pytest.fixture
def store(tiny_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_store, tmp_path / "store"))


@pytest.mark.parametrize("part", ["val", "unseen_stimulus", "unseen_both"])
@pytest.mark.parametrize("compression", [None, 0.0])
def test_a_sound_of_training_under_another_name_is_refused(store: Path, part: str, compression: float | None):
    made = data(store)
    (known, *_), (new, *_) = sorted(stimuli(made, "train")), sorted(stimuli(made, part))
    source, copy = (store / "audio" / f"{name}.flac" for name in (known, new))
    if compression is None:
        shutil.copy(source, copy)
    else:  # the same samples in a file of another size
        wave, rate = soundfile.read(source, dtype="int16")
        soundfile.write(copy, wave, rate, compression_level=compression)
        assert copy.stat().st_size != source.stat().st_size
        np.testing.assert_array_equal(read_audio(source)[0], read_audio(copy)[0])
    with pytest.raises(DataError) as refused:
        data(store)
    message = str(refused.value)
    # the sound of a stimulus that both lists hold is found in the first of them
    assert f"stimulus {new!r} of {'val' if part == 'val' else 'unseen_'}" in message
    assert f"{known!r} of train" in message


def test_the_same_name_across_a_subject_split_is_no_leak(store: Path):
    assert stimuli(data(store, split=Split("subject")), "unseen_subject") >= stimuli(data(store), "train")


def test_two_names_within_training_are_no_leak(store: Path):
    first, second, *_ = sorted(stimuli(data(store), "train"))
    shutil.copy(store / f"audio/{first}.flac", store / f"audio/{second}.flac")
    data(store)


def test_missing_sounds_are_passed_over(store: Path):
    shutil.rmtree(store / "audio")
    data(store)


def test_stretches_of_one_stimulus_that_overlap_are_in_one_part(tmp_path: Path):
    """People who start at different places of a story never carry it over into a test."""
    recordings = {}
    for person in range(4):
        listed = [segment(f"r{person}", 6 * k, 5, f"s{k}", offset=float(person)) for k in range(8)]
        recordings[f"r{person}"] = (f"p{person}", noise(4, 4800, seed=person), listed)
    made = data(make_store(tmp_path / "store", recordings).root)
    held = set().union(*(stimuli(made, part) for part in ("val", "unseen_stimulus", "unseen_both")))
    assert not held & stimuli(made, "train")
    assert not stimuli(made, "val") & stimuli(made, "unseen_stimulus")


def test_fewer_pairs_are_part_of_more_and_leave_the_tests_alone(tiny_store: Path):
    by_share = {share: data(tiny_store, train_fraction=share) for share in (1.0, 0.6, 0.2, 0.001)}
    trained = [stimuli(made, "train") for made in by_share.values()]
    assert [len(kept) for kept in trained] == [5, 3, 1, 1]
    assert all(few <= many for many, few in pairwise(trained))
    whole = by_share.pop(1.0)
    for made in by_share.values():
        for part in ("val", *TEST_SPLITS):
            assert made.datasets[part].windows == whole.datasets[part].windows
    name = whole.store.recordings[0].recording
    assert not np.array_equal(whole.scalings[name].centre, by_share[0.2].scalings[name].centre)


def test_the_seed_of_the_split_decides_which_pairs_are_kept(tiny_store: Path):
    kept = {min(stimuli(data(tiny_store, train_fraction=0.2, split=Split(seed=seed)), "train")) for seed in range(6)}
    assert len(kept) > 1


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, float("nan")])
def test_a_share_is_one(tiny_store: Path, share: float):
    with pytest.raises(ConfigError, match=r"data\.train_fraction"):
        data(tiny_store, train_fraction=share)
