from __future__ import annotations

import pytest
import torch
from networks import first_channels

from eeg2speech.models.eeg.subject import SubjectLayer


def make_eeg(batch=4, channels=6, samples=20, seed=0):
    return torch.randn(batch, channels, samples, generator=torch.Generator().manual_seed(seed))


def make_layer(known=(0, 1, 3), subjects=5, channels=6, seed=0):
    """A layer that has learned something, also where it must not be used."""
    layer = SubjectLayer(subjects, channels)
    layer.change.data = torch.randn(layer.change.shape, generator=torch.Generator().manual_seed(seed))
    layer.mark_trained(known)
    return layer.eval()


def test_at_the_start_nothing_is_changed():
    layer, eeg = SubjectLayer(5, 6), make_eeg()
    layer.mark_trained(range(3))
    assert torch.equal(layer(eeg, torch.tensor([0, 1, 2, 0])), eeg)
    assert torch.equal(layer.eval()(eeg, torch.tensor([0, 4, 2, -1])), eeg)
    assert torch.equal(SubjectLayer(5, 6).eval()(eeg, torch.arange(4)), eeg)  # nobody known yet


def test_every_window_is_mixed_by_its_own_subject():
    layer, eeg = make_layer(), make_eeg()
    mixed = layer(eeg, torch.tensor([3, 0, 3, 1]))
    for window, subject in enumerate([3, 0, 3, 1]):
        expected = (torch.eye(6) + layer.change[subject]) @ eeg[window]
        torch.testing.assert_close(mixed[window], expected)


@pytest.mark.parametrize("stranger", [2, 4, -1, 5, 99])
def test_a_stranger_gets_the_mean_of_the_known(stranger):
    layer, eeg = make_layer(), make_eeg(1)
    expected = eeg + layer.change[[0, 1, 3]].mean(0) @ eeg
    torch.testing.assert_close(layer(eeg, torch.tensor([stranger])), expected)


def test_channels_that_do_not_exist_neither_give_nor_receive():
    layer, eeg = make_layer(), make_eeg()
    subject, mask = torch.tensor([0, 1, 3, 2]), first_channels(4, 6, [6, 4, 1, 5])
    mask[0, 2] = False
    expected = layer(eeg, subject, mask)
    assert (expected[~mask] == 0).all()
    for filling in (1e6, float("nan")):
        assert torch.equal(layer(eeg.masked_fill(~mask[..., None], filling), subject, mask), expected)
    torch.testing.assert_close(expected[1, :4], layer(eeg[1:2, :4], subject[1:2])[0])


def test_fewer_channels_use_the_first_and_more_are_refused():
    layer, eeg = make_layer(), make_eeg(1)
    mixed = layer(eeg[:, :4], torch.tensor([1]))
    torch.testing.assert_close(mixed, eeg[:, :4] + layer.change[1, :4, :4] @ eeg[:, :4])
    with pytest.raises(ValueError, match=r"7 channels does not fit a layer of channels=6"):
        layer(make_eeg(1, 7), torch.tensor([1]))


def test_gradient_reaches_the_subjects_of_the_batch_and_nobody_else():
    layer = make_layer().train()
    layer.change.data.zero_()
    layer(make_eeg(), torch.tensor([3, 0, 3, 0])).square().sum().backward()
    touched = layer.change.grad.abs().amax((1, 2)) > 0
    assert touched.tolist() == [True, False, False, True, False]


def test_training_a_subject_that_is_not_known_is_an_error():
    layer = make_layer().train()
    with pytest.raises(ValueError, match=r"subjects \[2, 4\] .*; call SubjectLayer\.mark_trained"):
        layer(make_eeg(), torch.tensor([4, 0, 2, 4]))
    with pytest.raises(ValueError, match="not all among the layer's 5"):
        layer.mark_trained([0, 5])
    with pytest.raises(ValueError, match="not all among the layer's 5"):
        layer.mark_trained([-1, 0])


def test_telling_again_replaces_whom_it_knows():
    layer = make_layer()
    layer.mark_trained(iter([2]))
    assert layer.known.tolist() == [False, False, True, False, False]
    layer.mark_trained([])
    assert not layer.known.any()


def test_a_state_dict_remembers_maps_and_whom_they_belong_to():
    layer, again, eeg, subject = make_layer(), SubjectLayer(5, 6).eval(), make_eeg(5), torch.arange(5)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(eeg, subject), layer(eeg, subject))


def test_the_unchanged_part_of_the_signal_is_not_rounded_under_autocast():
    layer, eeg = SubjectLayer(5, 6).eval(), make_eeg()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(eeg, torch.arange(4)), eeg)


def test_gradients_are_the_same_every_time_with_several_threads():
    layer = SubjectLayer(8, 32)
    layer.mark_trained(set(range(8)))
    eeg, weight, subject = torch.randn(64, 32, 320), torch.randn(64, 32, 320), torch.arange(64) % 8
    threads, found = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        for _ in range(20):
            layer.zero_grad()
            (layer(eeg, subject) * weight).sum().backward()
            found.add(layer.change.grad.numpy().tobytes())
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1
