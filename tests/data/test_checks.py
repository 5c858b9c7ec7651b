"""Data that nothing can be learned from are refused before training, with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.tables import read_table, write_table
from eeg2speech.core.types import Segment
from eeg2speech.data.loading.checks import check_content, keep_sounds
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.store.store import Store
from tests.tiny_stores import write_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Four people who hear eight sounds."""
    return write_store(tmp_path / "store")


def change(store: Path, change: object) -> None:
    rows = read_table(store / "segments.tsv", Segment)
    write_table(store / "segments.tsv", Segment, [change(row) for row in rows])  # type: ignore[operator]


def held_out(store: Path, seed: int) -> set[str]:
    """Stimuli that are not trained on."""
    data = EEGAudioDataModule(store, window=1.0, split=Split(seed=seed))
    data.setup()
    return {w.segment.stimulus for part in ("val", "unseen_stimulus") for w in data.datasets[part].windows}  # type: ignore[index]


def opened(store: Path, **settings: object) -> EEGAudioDataModule:
    data = EEGAudioDataModule(store, window=1.0, batch_size=4, audio=True, **settings)  # type: ignore[arg-type]
    data.setup("fit")
    return data


def test_a_store_without_stimuli_has_no_sound(store: Path):
    change(store, lambda row: replace(row, stimulus=""))
    for split in (Split(), Split("subject", val_subjects=1)):
        with pytest.raises(DataError, match=r"store: no sound for any of its 32 segments; stage 1 can use it"):
            opened(store, split=split)
    data = EEGAudioDataModule(store, window=1.0, split=Split("subject", val_subjects=1))
    data.setup("fit")
    assert len(data.datasets["train"]) > 0


def test_a_store_with_envelopes_only_says_so(store: Path):
    (store / "envelopes").mkdir()
    for stimulus in Store(store).stimuli:
        (store / f"audio/{stimulus}.flac").unlink()
        np.save(store / f"envelopes/{stimulus}.npy", np.ones(400, np.float32))
    with pytest.raises(DataError, match="only envelopes for any of its 32 segments"):
        opened(store)


def test_a_lost_sound_is_named_before_training(store: Path):
    (store / "audio/s3.flac").unlink()
    (store / "audio/s5.flac").unlink()
    with pytest.raises(DataError, match=r"s3.flac: missing, and 1 more sounds; leave its segments out"):
        opened(store)


def test_segments_without_a_sound_are_left_out_and_the_split_stays(store: Path, caplog: pytest.LogCaptureFixture):
    split = Split(seed=next(seed for seed in range(9) if "s0" not in held_out(store, seed)))
    change(store, lambda row: replace(row, stimulus="", condition="rest") if row.stimulus == "s0" else row)
    stage1 = EEGAudioDataModule(store, window=1.0, batch_size=4, split=split)
    stage1.setup("fit")
    with caplog.at_level("INFO"):
        stage2 = opened(store, split=split)
    assert "4 of 31 segments have no sound and are left out" in caplog.text  # one was of no part before
    assert stage2.datasets.keys() == stage1.datasets.keys()
    for part, dataset in stage2.datasets.items():
        segments = {w.segment for w in stage1.datasets[part].windows}
        assert {w.segment for w in dataset.windows} == {s for s in segments if s.stimulus}


def test_a_person_whose_sounds_are_not_there_is_left_out(store: Path):
    change(store, lambda row: replace(row, stimulus=f"own{row.stimulus}") if row.recording == "sub-00" else row)
    data = opened(store, split=Split("stimulus"))
    assert data.subjects_of("train") == ["01", "02", "03"]
    with pytest.raises(ConfigError, match=r"none of the 8 segments of unseen_subject has a sound"):
        opened(store, split=Split("subject", test_subjects=["00"], val_subjects=["01"]))


def test_a_part_that_was_empty_before_may_stay_so():
    segment = Segment("a", 0, 1, "s", 0, "listening")
    assert keep_sounds({"train": [segment], "val": []}, {"s"}) == {"train": [segment], "val": []}


def test_silent_sounds_and_constant_eeg_are_refused(store: Path):
    for file in (store / "audio").glob("*.flac"):
        soundfile.write(file, 1e-5 * np.random.default_rng(len(file.name)).standard_normal(64_000), 16_000)
    with pytest.raises(DataError, match="the sound of 32 training windows is silent"):
        opened(store, split=Split("subject", val_subjects=1))


def test_a_window_with_content_suffices():
    silent = {"eeg": torch.zeros(2, 3, 4), "audio": torch.zeros(2, 5)}
    sound = {"eeg": torch.ones(1, 3, 4), "audio": torch.full((1, 5), -1e-3)}
    check_content([silent, sound], audio=True)  # type: ignore[list-item]
    check_content([{"eeg": torch.ones(1, 3, 4), "audio": torch.zeros(1, 0)}], audio=False)  # type: ignore[list-item]
    with pytest.raises(DataError, match="the EEG of 4 training windows is constant"):
        check_content([silent, silent], audio=False)  # type: ignore[list-item]


def test_different_sounds_are_counted(store: Path):
    data = opened(store, split=Split("stimulus"), hop=1.0)
    stimuli = {w.segment.stimulus for w in data.datasets["train"].windows}
    assert data.sounds_in("train") == 4 * len(stimuli)  # four people hear each; windows of 1 s in sounds of 4 s


@pytest.mark.parametrize(
    ("made", "split", "words"),
    [
        ({"stimuli": 1}, Split(), "one stimulus cannot be divided: hold out subjects, data.split.by=subject"),
        ({"channels": (8,)}, Split(), "one subject cannot be divided: hold out stimuli, data.split.by=stimulus"),
        ({"channels": (8,)}, Split("subject"), "one subject cannot be divided"),
    ],
)
def test_an_empty_part_comes_with_what_would_help(made: dict, split: Split, words: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=f"the split leaves .* empty.*{words}"):
        opened(write_store(tmp_path / "few", **made), split=split)
