from __future__ import annotations

import pytest
import torch
from networks import first_channels

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.models.eeg.subject import Covariances, Whitening

SUBJECTS, C = 4, 6


def make_eeg(subject, windows=8, channels=C, referenced=False):
    """Windows of a subject whose channels are mixed in its own way, about as large as scaled EEG."""
    generator = torch.Generator().manual_seed(subject)
    mixing = torch.randn(channels, channels, generator=generator)
    eeg = mixing @ torch.randn(windows, channels, 200, generator=generator)
    return eeg - eeg.mean(1, keepdim=True) if referenced else eeg


def covariance(eeg):
    flat = eeg.double().transpose(0, 1).flatten(1)
    return flat @ flat.T / flat.shape[1]


def index(eeg, subject):
    return torch.full((len(eeg),), subject)


def make_whitening(training=(0, 1, 2), **settings):
    whitening = Whitening(SUBJECTS, C, **settings)
    for subject in training:
        whitening.fit(subject, covariance(make_eeg(subject)), training=True)
    return whitening.eval()


def test_before_any_fit_nothing_is_changed():
    eeg = make_eeg(0)
    assert torch.equal(Whitening(SUBJECTS, C)(eeg, index(eeg, 0)), eeg)


def test_covariances_equal_a_loop_and_do_not_depend_on_the_batching():
    eeg = torch.cat([make_eeg(0), make_eeg(1)])
    subject, mask = torch.arange(16) % 2, first_channels(16, C, [C] * 8 + [4] * 4 + [3] * 4)
    covariances = Covariances(SUBJECTS, C)
    for batch in torch.arange(16).split(5):
        covariances.add(eeg[batch], subject[batch], mask[batch])
    for who in range(2):
        for i in range(C):
            for j in range(C):
                rows = [w for w in range(16) if subject[w] == who and mask[w, i] and mask[w, j]]
                expected = sum((eeg[w, i].double() * eeg[w, j]).mean() for w in rows) / len(rows)
                assert covariances.mean(who)[i, j].item() == pytest.approx(float(expected))
    assert (covariances.mean(3) == 0).all()


def test_covariances_leave_out_what_stands_in_channels_that_do_not_exist():
    eeg, mask = make_eeg(0), first_channels(8, C, [4] * 8)
    covariances = Covariances(SUBJECTS, C)
    covariances.add(eeg.masked_fill(~mask[..., None], float("nan")), index(eeg, 0), mask)
    torch.testing.assert_close(covariances.mean(0)[:4, :4], covariance(eeg[:, :4]))
    assert (covariances.mean(0)[4:] == 0).all()


def test_fitted_on_its_own_windows_the_covariance_becomes_the_identity():
    whitening = make_whitening(shrinkage=1e-9)
    for subject in range(3):
        eeg = make_eeg(subject)
        white = covariance(whitening(eeg, index(eeg, subject)))
        torch.testing.assert_close(white, torch.eye(C).double(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shrinkage", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("referenced", [False, True])
def test_with_shrinkage_directions_differ_and_mean_variance_is_one(shrinkage, referenced):
    eeg = make_eeg(0, referenced=referenced)
    whitening = Whitening(SUBJECTS, C, shrinkage)
    whitening.fit(0, covariance(eeg))
    white = covariance(whitening(eeg, index(eeg, 0)))
    assert white.diagonal().mean().item() == pytest.approx(1, abs=1e-4)
    values = torch.linalg.eigvalsh(covariance(eeg)).clamp(min=0)
    expected = values / ((1 - shrinkage) * values + shrinkage * values.mean())
    torch.testing.assert_close(torch.linalg.eigvalsh(white), expected / expected.mean(), rtol=0, atol=1e-3)


def test_fitting_again_forgets_the_fit_before():
    whitening = make_whitening(training=(1, 2))
    whitening.fit(0, covariance(make_eeg(3)), training=True)
    whitening.fit(0, covariance(make_eeg(0)))  # now no training subject
    torch.testing.assert_close(whitening.change[[1, 2, 4]], make_whitening(training=(1, 2)).change[[1, 2, 4]])
    torch.testing.assert_close(whitening.change[0], make_whitening().change[0])


def test_the_map_is_symmetric():
    """The inverse root and not any other whitening: channels stay where they are on the head."""
    change = make_whitening().change
    torch.testing.assert_close(change, change.mT)
    assert (change[:3] + torch.eye(C)).diagonal(dim1=1, dim2=2).min() > 0


def test_a_stranger_is_whitened_by_the_mean_covariance_of_training_subjects():
    whitening, eeg = make_whitening(), make_eeg(3)
    mean = torch.stack([covariance(make_eeg(subject)) for subject in range(3)]).mean(0)
    reference = Whitening(SUBJECTS, C)
    reference.fit(0, mean)
    expected = reference(eeg, index(eeg, 0))
    for stranger in (3, -1, 17):
        torch.testing.assert_close(whitening(eeg, index(eeg, stranger)), expected, atol=1e-4, rtol=1e-4)


def test_a_fit_on_the_strangers_own_eeg_changes_nobody_else():
    whitening, eeg = make_whitening(shrinkage=1e-9), make_eeg(3)
    before = whitening.change.clone()
    whitening.fit(3, covariance(eeg))
    white = covariance(whitening(eeg, index(eeg, 3)))
    torch.testing.assert_close(white, torch.eye(C).double(), rtol=0, atol=1e-3)
    assert torch.equal(whitening.change[[0, 1, 2, 4]], before[[0, 1, 2, 4]])


def test_two_heads_that_are_rotated_look_alike_but_for_it():
    eeg = make_eeg(0)
    turned = torch.linalg.qr(torch.randn(C, C, generator=torch.Generator().manual_seed(9)))[0] @ eeg
    whitening = Whitening(SUBJECTS, C)
    whitening.fit(0, covariance(eeg))
    whitening.fit(1, covariance(turned))
    gram = [x.mT @ x for x in (whitening(eeg, index(eeg, 0)), whitening(turned, index(eeg, 1)))]
    torch.testing.assert_close(*gram, atol=1e-3, rtol=1e-3)


def test_channels_that_do_not_exist_neither_give_nor_receive():
    whitening, eeg = make_whitening(), make_eeg(0, windows=2)
    mask = first_channels(2, C, [4, 6])
    expected = whitening(eeg, index(eeg, 0), mask)
    assert (expected[~mask] == 0).all()
    filled = eeg.masked_fill(~mask[..., None], float("nan"))
    assert torch.equal(whitening(filled, index(eeg, 0), mask), expected)


def test_a_subject_with_fewer_channels_is_whitened_exactly():
    eeg = make_eeg(0, channels=4)
    whitening = make_whitening(training=(1, 2), shrinkage=1e-9)
    whitening.fit(0, covariance(eeg), training=True)
    torch.testing.assert_close(covariance(whitening(eeg, index(eeg, 0))), torch.eye(4).double(), rtol=0, atol=1e-3)
    assert whitening.change.isfinite().all()
    padded = torch.zeros(C, C, dtype=torch.float64)
    padded[:4, :4] = covariance(eeg)
    again = make_whitening(training=(1, 2), shrinkage=1e-9)
    again.fit(0, padded, training=True)
    assert torch.equal(again.change, whitening.change)


def test_a_state_dict_remembers_every_fit_and_goes_on():
    whitening, again, eeg = make_whitening(training=(0, 1)), Whitening(SUBJECTS, C), make_eeg(0)
    again.load_state_dict(whitening.state_dict())
    for subject in range(4):
        assert torch.equal(again(eeg, index(eeg, subject)), whitening(eeg, index(eeg, subject)))
    again.fit(2, covariance(make_eeg(2)), training=True)
    torch.testing.assert_close(again.change, make_whitening().change)


def test_gradient_reaches_the_input_and_nothing_is_trained():
    whitening, eeg = make_whitening(), make_eeg(0).requires_grad_()
    whitening(eeg, index(eeg, 0)).sum().backward()
    assert eeg.grad.abs().max() > 0
    assert not list(whitening.parameters())


@pytest.mark.parametrize("covariance", [torch.zeros(C, C), torch.full((C, C), float("nan"))])
def test_a_covariance_of_nothing_is_refused(covariance):
    whitening = make_whitening()
    before = {name: x.clone() for name, x in whitening.state_dict().items()}
    with pytest.raises(DataError, match="covariance of subject 1 is not finite or is all zero"):
        whitening.fit(1, covariance)
    assert all(torch.equal(x, before[name]) for name, x in whitening.state_dict().items())


@pytest.mark.parametrize("shrinkage", [0.0, -1.0, 1.5])
def test_a_shrinkage_outside_its_limits_is_refused(shrinkage):
    with pytest.raises(ConfigError, match=f"shrinkage={shrinkage}"):
        Whitening(SUBJECTS, C, shrinkage)
