from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.metrics import NormalizedMSE


def arrays(seed=0, shape=(12, 5, 8)):
    generator = torch.Generator().manual_seed(seed)
    target = 3 + 2 * torch.randn(shape, generator=generator)
    prediction = target + torch.randn(shape, generator=generator)
    return prediction, target, (torch.rand(shape, generator=generator) < 0.7).float()


def measure(*batches):
    metric = NormalizedMSE()
    for batch in batches:
        metric.update(*batch)
    return metric.compute().item()


def test_it_equals_numpy():
    prediction, target, weight = arrays()
    kept = weight.numpy() > 0
    error = (prediction.numpy() - target.numpy())[kept]
    expected = np.square(error).mean() / target.numpy()[kept].var()
    assert measure((prediction, target, weight)) == pytest.approx(expected, rel=1e-5)


@given(cuts=st.lists(st.integers(1, 11), max_size=4, unique=True).map(sorted))
def test_it_does_not_depend_on_the_batching(cuts):
    whole = arrays()
    edges = [0, *cuts, 12]
    batches = [[x[a:b] for x in whole] for a, b in pairwise(edges)]
    assert measure(*batches) == pytest.approx(measure(whole), rel=1e-12)


def test_predicting_the_mean_is_one_and_the_truth_zero():
    _, target, weight = arrays()
    mean = (target * weight).sum() / weight.sum()
    assert measure((mean.expand_as(target), target, weight)) == pytest.approx(1.0, abs=1e-6)
    assert measure((target, target, weight)) == 0.0
    assert measure((torch.zeros_like(target), target, weight)) > 2  # the level is not forgiven


def test_weight_zero_does_not_count():
    prediction, target, weight = arrays()
    expected = measure((prediction, target, weight))
    prediction[weight == 0], target[weight == 0] = 1e6, -1e6
    assert measure((prediction, target, weight)) == pytest.approx(expected, rel=1e-12)


def test_millions_of_samples_far_from_zero_lose_no_precision():
    generator = torch.Generator().manual_seed(0)
    metric, ones = NormalizedMSE(), torch.ones(250_000)
    for _ in range(8):
        target = 1000 + torch.randn(250_000, generator=generator)
        metric.update(target + 0.5 * torch.randn(250_000, generator=generator), target, ones)
    assert metric.compute().item() == pytest.approx(0.25, rel=5e-3)


def test_ranks_add_up():
    """Each state is a sum, as ``dist_reduce_fx`` says: two ranks' states summed are those of one that saw it all."""
    prediction, target, weight = arrays()
    parts = [NormalizedMSE() for _ in range(2)]
    for rank, part in enumerate(parts):
        part.update(prediction[rank::2], target[rank::2], weight[rank::2])
    both = copy.deepcopy(parts[0])
    for name in ("error", "total", "square", "count"):
        assert both._reductions[name] is not None
        setattr(both, name, getattr(parts[0], name) + getattr(parts[1], name))
    assert both.compute().item() == pytest.approx(measure((prediction, target, weight)), rel=1e-6)


def test_it_starts_anew_after_reset():
    metric = NormalizedMSE()
    metric.update(*arrays(1))
    metric.reset()
    metric.update(*arrays())
    assert metric.compute().item() == pytest.approx(measure(arrays()))
