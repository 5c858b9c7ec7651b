from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.models.eeg.patches import pad_channels, patchify, unpatchify

sizes = st.integers(1, 5)


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
