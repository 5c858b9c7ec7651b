from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from eeg2speech.core.errors import ConfigError
from eeg2speech.losses import InfoNCE, SigLIP

LOSSES = {"infonce": InfoNCE, "siglip": SigLIP}
each_loss = pytest.mark.parametrize("name", LOSSES)
KEYS = {"none": None, "unique": [4, 2, 9, 7, 5, 1, 0], "shared": [3, 1, 1, 0, 3, 2, 3], "one sound": [5] * 7}
each_key = pytest.mark.parametrize("key", KEYS)


def embeddings(count=7, width=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(2, count, width, generator=generator, dtype=dtype), dim=-1)


def as_key(key):
    return None if key is None else torch.tensor(key)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def slow_infonce(eeg, sound, key, scale):
    total, count = 0.0, len(eeg)
    for queries, candidates in ((eeg, sound), (sound, eeg)):
        for i in range(count):
            terms = [math.exp(scale * dot(queries[i], candidates[j])) for j in range(count)]
            positives = [j for j in range(count) if key[j] == key[i]]
            total -= sum(math.log(terms[j] / sum(terms)) for j in positives) / len(positives)
    return total / (2 * count)


def slow_siglip(eeg, sound, key, scale, bias):
    total = 0.0
    for i in range(len(eeg)):
        for j in range(len(eeg)):
            logit = scale * dot(eeg[i], sound[j]) + bias
            total += math.log1p(math.exp(-logit if key[i] == key[j] else logit))
    return total / len(eeg)


@each_key
@pytest.mark.parametrize("scale", [1.0, 14.3, 99.0])
@each_loss
def test_it_equals_a_loop(name, key, scale):
    eeg, sound = embeddings()
    loss = LOSSES[name]().double()
    loss.log_scale.data.fill_(math.log(scale))
    numbers = (eeg.tolist(), sound.tolist(), KEYS[key] or list(range(7)), scale)
    expected = slow_infonce(*numbers) if name == "infonce" else slow_siglip(*numbers, bias=-10.0)
    assert loss(eeg, sound, as_key(KEYS[key])).item() == pytest.approx(expected, abs=1e-10)


def gradients(loss, eeg, sound, key, autocast=False):
    eeg, sound = eeg.clone().requires_grad_(), sound.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(eeg, sound, key)
    value.backward()
    return [value.detach(), eeg.grad, sound.grad, *(p.grad for p in loss.parameters())]


@each_loss
@given(count=st.integers(1, 12), chunk=st.integers(1, 14), sounds=st.integers(0, 12), seed=st.integers(0, 999))
def test_chunks_change_neither_value_nor_gradients(name, count, chunk, sounds, seed):
    generator = torch.Generator().manual_seed(seed)
    key = torch.randint(sounds, (count,), generator=generator) if sounds else None
    pair = embeddings(count, seed=seed)
    whole = gradients(LOSSES[name]().double(), *pair, key)
    for one, other in zip(whole, gradients(LOSSES[name](chunk=chunk).double(), *pair, key), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@each_loss
def test_chunks_keep_no_similarities_for_the_backward_pass(name):
    def largest(chunk):
        sizes = []
        eeg, sound = embeddings(64, 4)
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
            LOSSES[name](chunk=chunk)(eeg.requires_grad_(), sound)
        return max(sizes)

    assert largest(None) == 64 * 64
    assert largest(8) <= 64 * 8


@each_key
@each_loss
def test_the_order_of_pairs_does_not_matter(name, key):
    eeg, sound = embeddings()
    order = torch.randperm(7)
    key = as_key(KEYS[key])
    loss = LOSSES[name]()
    permuted = loss(eeg[order], sound[order], None if key is None else key[order])
    torch.testing.assert_close(permuted, loss(eeg, sound, key))
    if key is None:
        assert (loss(eeg, sound[order]) - loss(eeg, sound)).abs() > 0.01


@each_loss
def test_gradients_pass_a_numerical_check(name):
    loss, key = LOSSES[name]().double(), as_key(KEYS["shared"])
    eeg, sound = embeddings()

    def value(eeg, sound, *parameters):
        return torch.func.functional_call(loss, dict(zip(names, parameters, strict=True)), (eeg, sound, key))

    names, parameters = zip(*loss.named_parameters(), strict=True)
    loss.eval()  # in training the temperature is moved in place
    assert torch.autograd.gradcheck(value, (eeg.requires_grad_(), sound.requires_grad_(), *parameters))


def test_perfect_embeddings_of_shared_sounds_reach_the_least_loss():
    sounds, key = torch.eye(3, dtype=torch.float64).repeat(2, 1), torch.tensor([0, 1, 2, 0, 1, 2])
    infonce, siglip = InfoNCE(0.01).double(), SigLIP(30, -15).double()
    assert infonce(sounds, sounds, key).item() == pytest.approx(math.log(2))  # the entropy of two positives
    assert siglip(sounds, sounds, key) < 1e-5 < siglip(sounds, sounds)  # without keys half of the yes are no


def test_the_temperature_stays_within_its_limits_and_can_leave_them():
    eeg, sound = embeddings(64, 3, dtype=torch.float32)
    for start, pair, limit in ((0.0101, (eeg, eeg), 100.0), (0.99, (eeg, sound), 1.0)):
        loss = InfoNCE(start)
        optimizer = torch.optim.SGD(loss.parameters(), lr=1e3)
        loss(*pair).backward()
        optimizer.step()  # far beyond
        assert not 1 <= loss.log_scale.exp() <= 100
        assert loss.scale.item() == pytest.approx(limit)
        saved = loss.state_dict()["log_scale"].clone()
        evaluated = loss.eval()(*pair)
        assert torch.equal(loss.log_scale, saved)  # evaluation leaves it alone but computes with the limit
        torch.testing.assert_close(loss.train()(*pair), evaluated)
        assert loss.log_scale.exp().item() == pytest.approx(limit)
        away = (eeg, -eeg) if limit == 100 else (eeg, eeg)
        optimizer.zero_grad()
        loss(*away).backward()
        optimizer.param_groups[0]["lr"] = 1e-3
        optimizer.step()
        assert 1 < loss.scale < 100 * (1 - 1e-6)  # one step is enough to come back


def test_two_losses_may_be_added_before_the_backward_pass():
    loss = InfoNCE(0.01)
    first, second = embeddings(seed=0), embeddings(seed=1)
    (loss(*first) + loss(*second)).backward()
    together = loss.log_scale.grad.clone()
    loss.zero_grad()
    loss(*first).backward()
    loss(*second).backward()
    torch.testing.assert_close(loss.log_scale.grad, together)


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("key", ["none", "shared"])
@each_loss
def test_bfloat16_autocast_computes_in_float32(name, key, chunk):
    loss, key = LOSSES[name](chunk=chunk), as_key(KEYS[key])
    pair = embeddings(dtype=torch.float32)
    found = gradients(loss, *pair, key, autocast=True)
    assert found[0].dtype == torch.float32
    for one, other in zip(found, gradients(LOSSES[name](chunk=chunk), *pair, key), strict=True):
        assert torch.equal(one, other)
    rounded = [x.bfloat16() for x in pair]  # as a projection under autocast returns them
    assert torch.equal(loss(*rounded, key), loss(*(x.float() for x in rounded), key))


@each_loss
def test_hopeless_and_perfect_pairs_give_finite_losses(name):
    eeg, _ = embeddings(16, dtype=torch.float32)
    loss = LOSSES[name](chunk=5)
    loss.log_scale.data.fill_(math.log(100))
    for other in (eeg, -eeg):
        assert all(x.isfinite().all() for x in gradients(loss, eeg, other, None))


def test_the_loss_of_chance_is_the_log_of_the_batch():
    eeg = torch.ones(32, 4) / 2
    assert InfoNCE()(eeg, eeg).item() == pytest.approx(math.log(32), rel=1e-5)


@each_loss
def test_the_state_dict_round_trip_keeps_the_temperature(name):
    loss, again = LOSSES[name](), LOSSES[name]()
    loss.log_scale.data.fill_(1.5)
    again.load_state_dict(loss.state_dict())
    assert again.scale == loss.scale == pytest.approx(math.exp(1.5))
    assert all(p.ndim == 1 for p in loss.parameters())  # no weight decay, and FSDP takes no scalars


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InfoNCE(temperature=0.0), "temperature=0.0 is not between 0.01 and 1"),
        (lambda: InfoNCE(chunk=0), "chunk=0 needs at least one row"),
        (lambda: SigLIP(chunk=-1), "chunk=-1 needs at least one row"),
        (lambda: SigLIP(scale=0.0), "scale=0.0 is not positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@each_loss
@pytest.mark.parametrize("shapes", [((4, 3), (5, 3), None), ((4, 3), (4, 3), (3,)), ((4, 2, 3), (4, 2, 3), None)])
def test_shapes_that_do_not_go_together_are_refused(name, shapes):
    eeg, sound, key = (None if shape is None else torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="have shapes"):
        LOSSES[name]()(eeg, sound, key)


@each_loss
def test_gradients_are_the_same_every_time_with_several_threads(name):
    key = torch.randint(0, 8, (64,), generator=torch.Generator().manual_seed(0))  # several heard each sound
    eeg, sound = embeddings(64, 1280, dtype=torch.float32)
    threads, found = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        for _ in range(20):
            leaves = [eeg.clone().requires_grad_(), sound.clone().requires_grad_()]
            LOSSES[name]()(*leaves, key).backward()
            found.add(b"".join(leaf.grad.numpy().tobytes() for leaf in leaves))
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1
