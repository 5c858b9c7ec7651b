from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset

from eeg2speech.core.errors import ConfigError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.sampler import KeyedBatchSampler, ResumableLoader, StimulusBlocks

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
shapes = {"size": st.integers(1, 60), "batch_size": st.integers(1, 9), "world": st.integers(1, 4)}


class Keys(Dataset):
    """Returns the keys it is asked for, whole batches at once."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitems__(self, keys):
        return list(keys)


def as_is(batch):
    return batch


def ranks(world, **settings):
    return [KeyedBatchSampler(rank=rank, world=world, **settings) for rank in range(world)]


def indices(batches):
    return [index for batch in batches for index, _ in batch]


@given(**shapes, seed=st.integers(-5, 5), epoch=st.integers(0, 3))
def test_training_is_equally_long_everywhere_and_repeats_no_window(size, batch_size, world, seed, epoch):
    samplers = ranks(world, size=size, batch_size=batch_size, seed=seed)
    for sampler in samplers:
        sampler.set_epoch(epoch)
    batches = [list(sampler) for sampler in samplers]
    assert {len(own) for own in batches} == {len(samplers[0])} == {size // (batch_size * world)}
    assert all(len(batch) == batch_size for own in batches for batch in own)
    shown = indices(itertools.chain(*batches))
    assert len(shown) == len(set(shown)) > size - batch_size * world
    assert set(shown) <= set(range(size))


@given(**shapes)
def test_evaluation_shows_every_window_exactly_once_over_all_ranks(size, batch_size, world):
    samplers = ranks(world, size=size, batch_size=batch_size, seed=0, shuffle=False)
    batches = [list(sampler) for sampler in samplers]
    assert [len(own) for own in batches] == [len(sampler) for sampler in samplers]
    assert all(0 < len(batch) <= batch_size for own in batches for batch in own)
    assert sorted(indices(itertools.chain(*batches))) == list(range(size))


def test_evaluation_is_the_same_in_every_epoch():
    sampler = KeyedBatchSampler(10, 3, seed=0, shuffle=False)
    first = list(sampler)
    sampler.set_epoch(5)
    assert list(sampler) == first
    assert indices(first) == list(range(10))


def test_an_epoch_is_a_function_of_seed_and_epoch():
    def epoch(number, seed=0):
        sampler = KeyedBatchSampler(100, 5, seed)
        sampler.set_epoch(number)
        return list(sampler)

    assert epoch(1) == epoch(1)
    assert epoch(0) != epoch(1)
    assert indices(epoch(0)) != indices(epoch(1))
    assert indices(epoch(0)) != indices(epoch(0, seed=1))
    assert indices(epoch(0)) != list(range(100))


def test_every_window_has_a_seed_of_its_own_in_every_epoch():
    sampler = KeyedBatchSampler(50, 5, seed=0)
    seeds = set()
    for epoch in range(4):
        sampler.set_epoch(epoch)
        seeds |= {seed for batch in sampler for _, seed in batch}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_seed_of_a_window_depends_on_no_batch_or_rank():
    alone = dict(key for batch in KeyedBatchSampler(24, 4, seed=7) for key in batch)
    for sampler in ranks(3, size=24, batch_size=2, seed=7):
        assert all(alone[index] == seed for batch in sampler for index, seed in batch)


@given(start=st.integers(0, 8))
def test_start_skips_batches(start):
    sampler = KeyedBatchSampler(40, 5, seed=1)
    whole = list(sampler)
    sampler.start = start
    assert list(sampler) == whole[start:]
    assert len(sampler) == 8


def loader(size=40, workers=0, **settings):
    sampler = KeyedBatchSampler(size, 5, seed=1, **settings)
    return ResumableLoader(
        Keys(size), batch_sampler=sampler, collate_fn=as_is, num_workers=workers, persistent_workers=workers > 0
    )


def epochs(made, first, last):
    """Batches of the epochs from ``first`` to before ``last``, with the epoch set after ``iter`` as Lightning does."""
    batches = []
    for epoch in range(first, last):
        iterator = iter(made)
        made.batch_sampler.set_epoch(epoch)
        batches.append(list(iterator))
    return batches


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_goes_on_and_later_ones_are_whole(workers):
    whole = epochs(loader(), 0, 4)
    first = loader(workers=workers)
    assert epochs(first, 0, 1) == whole[:1]
    iterator = iter(first)
    first.batch_sampler.set_epoch(1)
    begun = [next(iterator) for _ in range(3)]
    state = first.state_dict()
    assert begun == whole[1][:3]
    assert state == {"batches": 3}

    resumed = loader(workers=workers)
    resumed.load_state_dict(state)
    assert epochs(resumed, 1, 4) == [whole[1][3:], *whole[2:]]


@pytest.mark.parametrize("workers", [0, 2])
def test_stopping_twice_in_an_epoch(workers):
    whole = epochs(loader(), 0, 1)[0]
    made = loader(workers=workers)
    made.load_state_dict({"batches": 2})
    iterator = iter(made)
    assert [next(iterator) for _ in range(3)] == whole[2:5]
    assert made.state_dict() == {"batches": 5}
    again = loader(workers=workers)
    again.load_state_dict(made.state_dict())
    assert list(again) == whole[5:]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iteration_that_was_left_does_not_shorten_the_next(workers):
    made = loader(workers=workers)
    whole = epochs(loader(), 0, 1)[0]
    for _ in range(2):
        iterator = iter(made)
        assert [next(iterator) for _ in range(3)] == whole[:3]
        iterator.close()
    assert list(made) == whole
    made.load_state_dict({"batches": 6})
    next(iter(made))
    assert list(made) == whole


def test_a_state_from_an_epochs_end_starts_the_next_one():
    made = loader()
    whole = epochs(made, 0, 2)
    assert made.state_dict() == {"batches": 8}
    resumed = loader()
    resumed.load_state_dict(made.state_dict())
    assert epochs(resumed, 1, 2) == whole[1:]


def test_the_state_is_the_same_on_every_rank():
    states = []
    for rank in range(2):
        made = loader(rank=rank, world=2)
        iterator = iter(made)
        next(iterator)
        states.append(made.state_dict())
        assert len(made) == 4
    assert states[0] == states[1]


windows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=80)


def blocks(order, length):
    return order[: len(order) // length * length].reshape(-1, length)


@given(windows, st.integers(1, 6), st.integers(0, 9))
def test_every_window_stands_once_in_a_block_of_its_stimulus(listed, length, seed):
    stimulus, sound = np.array(listed).T
    order = StimulusBlocks(stimulus, sound, length).order(seed)
    assert sorted(order) == list(range(len(listed)))
    pure = sum(len(set(stimulus[block])) == 1 for block in blocks(order, length))
    assert pure >= sum(count // length for count in np.bincount(stimulus))
    np.testing.assert_array_equal(order, StimulusBlocks(stimulus, sound, length).order(seed))


def test_a_block_holds_different_sounds_though_several_people_heard_each():
    stimulus, sound, _ = np.indices((5, 12, 7)).reshape(3, -1)
    shuffled = np.random.default_rng(0).permutation(len(stimulus))
    stimulus, sound = stimulus[shuffled], sound[shuffled]
    grouping = StimulusBlocks(stimulus, sound, 8)
    for block in blocks(grouping.order(1), 8)[: 5 * (12 * 7 // 8)]:
        if len(set(stimulus[block])) == 1:
            assert len(set(sound[block])) == 8
    assert not np.array_equal(grouping.order(1), grouping.order(2))


@given(st.integers(1, 3), st.integers(0, 3))
def test_ranks_share_the_blocks_of_an_epoch(world, epoch):
    stimulus = np.repeat(np.arange(6), 12)
    grouping = StimulusBlocks(stimulus, np.tile(np.arange(12), 6), 4)
    shown = []
    for rank in range(world):
        sampler = KeyedBatchSampler(72, 8, 3, True, rank, world, grouping)
        sampler.set_epoch(epoch)
        batches = [[index for index, _ in batch] for batch in sampler]
        assert len(batches) == len(sampler) == 72 // (8 * world)
        for batch in batches:
            assert all(len(set(stimulus[block])) == 1 for block in np.reshape(batch, (-1, 4)))
        shown += [index for batch in batches for index in batch]
        sampler.start = 1
        assert [[index for index, _ in batch] for batch in sampler] == batches[1:]
    assert len(shown) == len(set(shown))


def test_training_batches_hold_stimulus_blocks_and_evaluation_does_not(tiny_store):
    made = EEGAudioDataModule(tiny_store, window=0.64, hop=0.32, batch_size=8, hard_negatives=4)
    made.setup()
    named = [window.segment.stimulus for window in made.datasets["train"].windows]
    per_stimulus = np.unique(named, return_counts=True)[1]
    seen = [block.tolist() for batch in made.train_dataloader() for block in batch["stimulus"].reshape(-1, 4)]
    dropped = len(named) // 4 - len(seen)
    assert sum(len(set(block)) == 1 for block in seen) >= sum(per_stimulus // 4) - dropped
    assert made.val_dataloader().batch_sampler.blocks is None
    alone = EEGAudioDataModule(tiny_store, window=0.64, hop=0.32, batch_size=8)
    alone.setup()
    assert len(alone.train_dataloader()) == len(made.train_dataloader())


@pytest.mark.parametrize("length", [0, 3])
def test_a_batch_is_a_whole_number_of_stimulus_blocks(tiny_store, length):
    with pytest.raises(ConfigError, match=f"hard_negatives={length}.*data.hard_negatives"):
        EEGAudioDataModule(tiny_store, batch_size=8, hard_negatives=length)
