from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import KINDS

from eeg2speech.models.eeg.patches import Masked, choose, draw_noise, pad_channels, patchify, unpatchify

sizes = st.integers(1, 5)
CPU = torch.device("cpu")
ratios = st.floats(0.01, 0.99)
each_kind = pytest.mark.parametrize("kind", KINDS)


@given(batch=sizes, channels=st.integers(1, 11), steps=sizes, electrodes=sizes, samples=sizes)
def test_unpatchify_undoes_patchify(batch, channels, steps, electrodes, samples):
    eeg = torch.randn(batch, channels, steps * samples)
    patches = patchify(eeg, (electrodes, samples))
    assert patches.shape == (batch, -(-channels // electrodes), steps, electrodes * samples)
    assert torch.equal(unpatchify(patches, (electrodes, samples), channels), eeg)


def test_a_patch_holds_neighbouring_electrodes_and_samples():
    eeg = torch.arange(5 * 6.0).view(1, 5, 6)  # channel c, sample t: 6 c + t
    patches = patchify(eeg, (2, 3))
    assert patches[0, 1, 1].tolist() == [15, 16, 17, 21, 22, 23]
    assert patches[0, 2, 0].tolist() == [24, 25, 26, 0, 0, 0]  # there is no sixth electrode


@given(length=st.integers(1, 12), electrodes=sizes, dim=st.integers(0, 2))
def test_padding_appends_zeros_along_one_dimension(length, electrodes, dim):
    shape = [2, 3, 4]
    shape[dim] = length
    x = torch.randn(shape)
    padded = pad_channels(x, electrodes, dim)
    assert padded.shape[dim] % electrodes == 0
    assert 0 <= padded.shape[dim] - length < electrodes
    assert torch.equal(padded.narrow(dim, 0, length), x)
    assert (padded.narrow(dim, length, padded.shape[dim] - length) == 0).all()


def mask(shape, ratio, kind="random", seeds=None, exists=None):
    seeds = list(range(shape[0])) if seeds is None else seeds
    return choose(draw_noise(shape, kind, seeds, CPU), ratio, exists)


def groups_that_exist(counts, groups, steps):
    return (torch.arange(groups) < torch.tensor(counts)[:, None]).repeat_interleave(steps, dim=1)


def indices(masked, window):
    """Visible and hidden indices of a window, without filling, in their order."""
    both = ((masked.visible, masked.visible_exists), (masked.hidden, masked.hidden_exists))
    return tuple((i[window] if e is None else i[window][e[window]]).tolist() for i, e in both)


def shown(patches, ratio):
    """How many of so many patches stay visible."""
    return min(patches - 1, max(1, round(patches * (1 - ratio))))


@given(ratio=ratios, groups=st.integers(1, 6), steps=st.integers(2, 9), kind=st.sampled_from(KINDS))
def test_the_ratio_is_exact_and_patches_are_visible_or_hidden(ratio, groups, steps, kind):
    masked = mask((2, groups, steps), ratio, kind)
    for window in range(2):
        visible, hidden = indices(masked, window)
        assert sorted(visible + hidden) == list(range(groups * steps))
        assert len(visible) == shown(groups * steps, ratio)


@given(ratio=ratios, counts=st.lists(st.integers(0, 6), min_size=1, max_size=4), steps=st.integers(2, 9))
def test_of_a_ragged_batch_every_window_hides_its_own_share(ratio, counts, steps):
    exists = groups_that_exist(counts, 6, steps)
    masked = mask((len(counts), 6, steps), ratio, exists=exists)
    for window, count in enumerate(counts):
        visible, hidden = indices(masked, window)
        assert sorted(visible + hidden) == list(range(count * steps))
        assert len(visible) == (shown(count * steps, ratio) if count else 0)
        assert len(set(masked.hidden[window].tolist())) == masked.hidden.shape[1]  # filling repeats no index


@given(
    seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True),
    counts=st.lists(st.integers(1, 6), min_size=4, max_size=4),
    ratio=st.one_of(ratios, st.sampled_from([0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9])),
    kind=st.sampled_from(KINDS),
)
def test_a_mask_depends_on_the_seed_alone(seeds, counts, ratio, kind):
    """Not on the batch, nor on windows in it that have more electrodes, and shuffling windows shuffles masks."""
    together = mask((len(seeds), 6, 5), ratio, kind, seeds, groups_that_exist(counts[: len(seeds)], 6, 5))
    for window, (seed, count) in enumerate(zip(seeds, counts, strict=False)):
        alone = mask((1, count, 5), ratio, kind, [seed])
        assert indices(together, window) == indices(alone, 0)


@each_kind
def test_seeds_and_draws_give_different_masks(kind):
    masked = mask((2, 6, 10), 0.5, kind)
    assert indices(masked, 0) != indices(masked, 1)
    first = choose(draw_noise((2, 6, 10), kind, None, CPU), 0.5, None)
    second = choose(draw_noise((2, 6, 10), kind, None, CPU), 0.5, None)
    assert not torch.equal(first.hidden, second.hidden)
    torch.manual_seed(7)
    first = draw_noise((2, 6, 10), kind, None, CPU)
    torch.manual_seed(7)
    assert torch.equal(draw_noise((2, 6, 10), kind, None, CPU), first)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("kind", "axis"), [("electrodes", 1), ("time", 0)])
def test_blocks_are_hidden_whole(kind, axis, ragged):
    """All but the one in which the exact share is reached."""
    groups, steps, windows = 8, 20, 300
    exists = groups_that_exist([8] * windows, groups, steps) if ragged else None
    masked = mask((windows, groups, steps), 0.6, kind, exists=exists)
    for window in range(windows):
        grid = torch.zeros(groups * steps)
        grid[indices(masked, window)[1]] = 1
        share = grid.view(groups, steps).mean(axis)
        assert ((share > 0) & (share < 1)).sum() <= 1


def test_random_masks_hide_every_patch_equally_often():
    masked = mask((4000, 3, 4), 0.75)
    often = torch.bincount(masked.hidden.flatten(), minlength=12) / 4000
    assert (often - 0.75).abs().max() < 0.03


@each_kind
def test_hidden_patches_are_in_random_order(kind):
    """So that the first of them, which is what a step may predict, are a fair sample."""
    masked = mask((4000, 3, 4), 0.75, kind).first_hidden(0.5)
    often = torch.bincount(masked.hidden.flatten(), minlength=12) / masked.hidden.numel()
    assert (often - 1 / 12).abs().max() < 0.01


@pytest.mark.parametrize(("share", "count"), [(1.0, 9), (0.5, 4), (0.01, 1)])
def test_a_share_of_the_hidden(share, count):
    masked = mask((2, 3, 4), 0.75)
    part = masked.first_hidden(share)
    assert torch.equal(part.hidden, masked.hidden[:, :count])
    assert torch.equal(part.visible, masked.visible)
    assert part.hidden_exists is None


@pytest.mark.parametrize("ratio", [0.3, 0.8])
def test_a_share_of_the_hidden_leaves_no_window_out(ratio):
    """Windows with many electrodes beside some with few."""
    exists = groups_that_exist([1, 8, 4], 8, 10)
    part = mask((3, 8, 10), ratio, exists=exists).first_hidden(0.5)
    assert isinstance(part, Masked)
    for window, count in enumerate([10, 80, 40]):
        hidden = indices(part, window)[1]
        assert len(hidden) >= (count - shown(count, ratio)) // 2
