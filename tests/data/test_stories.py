from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.core.errors import ConfigError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.sampler import KeyedBatchSampler
from eeg2speech.data.loading.stories import Stories

windows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=80)


def blocks(order, length):
    return order[: len(order) // length * length].reshape(-1, length)


@given(windows, st.integers(1, 6), st.integers(0, 9))
def test_every_window_stands_once_and_all_but_the_rest_of_a_stimulus_in_a_block_of_it(listed, length, seed):
    stimulus, sound = np.array(listed).T
    order = Stories(stimulus, sound, length).order(seed)
    assert sorted(order) == list(range(len(listed)))
    pure = sum(len(set(stimulus[block])) == 1 for block in blocks(order, length))
    assert pure >= sum(count // length for count in np.bincount(stimulus))
    np.testing.assert_array_equal(order, Stories(stimulus, sound, length).order(seed))


def test_a_block_holds_different_sounds_though_several_people_heard_each():
    stimulus, sound, _ = np.indices((5, 12, 7)).reshape(3, -1)
    shuffled = np.random.default_rng(0).permutation(len(stimulus))
    stimulus, sound = stimulus[shuffled], sound[shuffled]
    stories = Stories(stimulus, sound, 8)
    for block in blocks(stories.order(1), 8)[: 5 * (12 * 7 // 8)]:
        if len(set(stimulus[block])) == 1:
            assert len(set(sound[block])) == 8
    assert not np.array_equal(stories.order(1), stories.order(2))


@given(st.integers(1, 3), st.integers(0, 3))
def test_ranks_share_the_blocks_of_an_epoch(world, epoch):
    stimulus = np.repeat(np.arange(6), 12)
    stories = Stories(stimulus, np.tile(np.arange(12), 6), 4)
    shown = []
    for rank in range(world):
        sampler = KeyedBatchSampler(72, 8, 3, True, rank, world, stories)
        sampler.set_epoch(epoch)
        batches = [[index for index, _ in batch] for batch in sampler]
        assert len(batches) == len(sampler) == 72 // (8 * world)
        for batch in batches:
            assert all(len(set(stimulus[block])) == 1 for block in np.reshape(batch, (-1, 4)))
        shown += [index for batch in batches for index in batch]
        sampler.start = 1
        assert [[index for index, _ in batch] for batch in sampler] == batches[1:]
    assert len(shown) == len(set(shown))


def test_training_batches_hold_stories_and_evaluation_does_not(tiny_store):
    made = EEGAudioDataModule(tiny_store, window=0.64, hop=0.32, batch_size=8, hard_negatives=4)
    made.setup()
    named = [window.segment.stimulus for window in made.datasets["train"].windows]
    per_stimulus = np.unique(named, return_counts=True)[1]
    seen = [block.tolist() for batch in made.train_dataloader() for block in batch["stimulus"].reshape(-1, 4)]
    dropped = len(named) // 4 - len(seen)
    assert sum(len(set(block)) == 1 for block in seen) >= sum(per_stimulus // 4) - dropped
    assert made.val_dataloader().batch_sampler.stories is None
    alone = EEGAudioDataModule(tiny_store, window=0.64, hop=0.32, batch_size=8)
    alone.setup()
    assert len(alone.train_dataloader()) == len(made.train_dataloader())


@pytest.mark.parametrize("story", [0, 3])
def test_a_batch_is_a_whole_number_of_stories(tiny_store, story):
    with pytest.raises(ConfigError, match=f"hard_negatives={story}.*data.hard_negatives"):
        EEGAudioDataModule(tiny_store, batch_size=8, hard_negatives=story)
