from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from spaces import comparison, embeddings

from eeg2speech.metrics import Comparison, Retrieval, retrieval_report
from eeg2speech.metrics.retrieval import gallery_curves


def rows(compared, **kwargs):
    return {(r.direction, r.gallery, r.subject): r for r in retrieval_report(compared, **({"samples": 50} | kwargs))}


def tensors(points):
    return [torch.from_numpy(x) for x in vars(points).values()]


def fed(points, cuts):
    metric = Retrieval()
    for part in zip(*(x.tensor_split(cuts) for x in tensors(points)), strict=True):
        metric.update(*part)
    return metric


@pytest.fixture
def listeners():
    return embeddings(np.random.default_rng(0), signal=0.6)


def test_it_equals_a_loop(listeners):
    compared = listeners.compare()
    found = rows(compared)["eeg_to_sound", None, None].figures
    ranks = []
    for row in range(len(listeners.key)):
        by_key = {k: listeners.eeg[row] @ listeners.sound[i] for i, k in enumerate(listeners.key)}
        ranks.append(1 + sum(value > by_key[listeners.key[row]] for value in by_key.values()))
    assert found["top1"].value == pytest.approx(np.mean(np.array(ranks) == 1))
    assert found["top10"].value == pytest.approx(np.mean(np.array(ranks) <= 10))
    assert found["mrr"].value == pytest.approx(np.mean(1 / np.array(ranks)))
    assert found["median_rank"].value == np.median(ranks)
    assert found["top10"].chance == pytest.approx(10 / 24)
    assert found["top1"].low <= found["top1"].value <= found["top1"].high


def test_a_perfect_model(listeners):
    for row in rows(replace(listeners, eeg=listeners.sound).compare()).values():
        assert row.figures["top1"].value == row.figures["mrr"].value == pytest.approx(1)
        assert row.figures["median_rank"].value == 1


def test_a_constant_model_is_at_chance(listeners):
    eeg, sound = (np.broadcast_to(side[:1], side.shape) for side in (listeners.eeg, listeners.sound))
    for row in rows(replace(listeners, eeg=eeg, sound=sound).compare(), galleries=(5,)).values():
        for figure in row.figures.values():
            assert figure.value == pytest.approx(figure.chance, rel=1e-12)


def test_a_random_model_is_near_chance():
    points = embeddings(np.random.default_rng(1), subjects=8, stories=10, sounds=10, width=64)
    for row in rows(points.compare()).values():
        if row.subject is None:
            figure = row.figures["top10"]
            assert figure.value == pytest.approx(figure.chance, abs=0.06)


def test_a_diverged_model_is_at_chance(listeners):
    broken = np.full_like(listeners.eeg, np.nan)
    found = rows(replace(listeners, eeg=broken).compare())["eeg_to_sound", None, None].figures["top1"]
    assert found.value == pytest.approx(found.chance)


def test_each_subject_and_each_gallery_that_fits_has_its_row(listeners):
    found = rows(listeners.compare(), galleries=(5, 24, 25))
    assert {gallery for _, gallery, _ in found} == {None, 5, 24}
    assert {subject for _, _, subject in found} == {None, "0", "1", "2"}
    mean = np.mean([found["sound_to_eeg", None, str(s)].figures["top1"].value for s in range(3)])
    assert found["sound_to_eeg", None, None].figures["top1"].value == pytest.approx(mean)
    whole, largest = (found["eeg_to_sound", g, None].figures["mrr"].value for g in (None, 24))
    assert whole == pytest.approx(largest)


def test_a_sound_presented_twice_is_not_its_own_rival():
    compared = comparison([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], target=[0, 0, 1])
    found = rows(compared)["sound_to_eeg", None, None]
    assert found.figures["top1"].value == 1
    assert found.size == pytest.approx((2 + 2 + 3) / 3)


@pytest.mark.parametrize("cuts", [[], [1], [10, 11, 50]])
def test_it_does_not_depend_on_the_batching(listeners, cuts):
    got = {name: value.item() for name, value in fed(listeners, cuts).compute().items()}
    whole = rows(listeners.compare())
    assert got["top1"] == pytest.approx(whole["eeg_to_sound", None, None].figures["top1"].value)
    assert got["sound_to_eeg_mrr"] == pytest.approx(whole["sound_to_eeg", None, None].figures["mrr"].value)


def test_the_order_of_windows_does_not_matter(listeners):
    order = np.random.default_rng(0).permutation(len(listeners.key))
    mixed = type(listeners)(*(x[order] for x in vars(listeners).values()))
    for row, other in zip(retrieval_report(listeners.compare()), retrieval_report(mixed.compare()), strict=True):
        for name, figure in row.figures.items():
            assert figure.value == pytest.approx(other.figures[name].value)
            assert figure.low == pytest.approx(other.figures[name].low)


def test_starts_are_optional_and_reset_empties_the_state(listeners):
    metric = Retrieval()
    metric.update(*tensors(listeners)[:5])
    assert np.isnan(metric.embeddings().start).all()
    metric.reset()
    metric.update(*(x[:5] for x in tensors(listeners)))
    assert len(metric.embeddings().key) == 5


def test_embeddings_of_other_ranks_are_joined(listeners):
    """As two ranks see it, with the exchange itself replaced."""
    own, other = fed(type(listeners)(*(x[:30] for x in vars(listeners).values())), [7]), Retrieval()
    other.update(*(x[30:] for x in tensors(listeners)))
    states = iter([getattr(other, name)[0] for name in vars(listeners)] * 2)
    own.dist_sync_fn, own.distributed_available_fn = lambda x, group: [x, next(states)], lambda: True
    joined, whole = own.compute(), fed(listeners, []).compute()
    assert [x.item() for x in joined.values()] == pytest.approx([x.item() for x in whole.values()])
    np.testing.assert_array_equal(own.embeddings().key, listeners.key)


def gather(rank, file, queue):
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    points = embeddings(np.random.default_rng(0), signal=0.6)
    metric = Retrieval()
    own = slice(0, 30) if rank == 0 else slice(30, None)  # ranks may hold unequal parts
    metric.update(*(x[own] for x in tensors(points)))
    found = {name: value.item() for name, value in metric.compute().items()}
    queue.put((rank, len(metric.embeddings().key), found))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(listeners, tmp_path):
    context = mp.get_context("spawn")
    queue = context.Queue()
    started = [context.Process(target=gather, args=(rank, tmp_path / "meet", queue)) for rank in range(2)]
    for process in started:
        process.start()
    results = [queue.get(timeout=60) for _ in started]
    for process in started:
        process.join()
    whole = {name: value.item() for name, value in fed(listeners, []).compute().items()}
    for _, count, found in results:
        assert count == 72
        assert found == pytest.approx(whole)


def split_of(sounds=30, stimuli=5, signal=1.0, seed=0):
    rng = np.random.default_rng(seed)
    similarity = rng.standard_normal((sounds, sounds)) + signal * np.eye(sounds)
    number = np.arange(sounds)
    stimulus = number * stimuli // sounds
    return Comparison(similarity.astype(np.float32), number, 0 * number, stimulus, number.astype(float))


def test_each_curve_ends_at_the_whole_gallery_as_reported():
    split = split_of()
    curves = gallery_curves(split, permutations=50)
    assert [point.gallery for point in curves["top1"]] == [2, 5, 10, 20, 30]
    assert [point.gallery for point in curves["top10"]] == [20, 30]
    rows = {row.gallery: row for row in retrieval_report(split, galleries=(20,)) if row.direction == "eeg_to_sound"}
    whole = retrieval_report(split)[0]
    for name, points in curves.items():
        assert points[-1].figure == whole.figures[name]
        at_20 = next(point for point in points if point.gallery == 20)
        assert at_20.figure.value == pytest.approx(rows[20].figures[name].value)
        for point in points:
            assert point.figure.chance == pytest.approx(int(name[3:]) / point.gallery)
            assert point.null.observed == pytest.approx(point.figure.value)
            assert len(point.null.draws) == 50


def test_larger_galleries_are_harder_and_only_signals_beat_permutations():
    strong = gallery_curves(split_of(signal=4), permutations=200)["top1"]
    values = [point.figure.value for point in strong]
    assert values == sorted(values, reverse=True)
    assert all(point.figure.value > point.null.threshold for point in strong)
    none = gallery_curves(split_of(signal=0), permutations=200)["top1"]
    assert all(point.null.p > 0.01 for point in none)


def test_a_gallery_of_one_sound_is_a_single_point():
    curves = gallery_curves(split_of(sounds=1, stimuli=1), permutations=10)
    assert [(point.gallery, point.figure.value) for point in curves["top1"]] == [(1, 1.0)]


def test_single_sounds_are_shuffled_within_the_group_that_is_given():
    split = split_of(stimuli=30)  # every story is one sound
    for group, windows in ((None, 0), (np.zeros(30, np.int64), 30)):
        point = gallery_curves(split, permutations=50, group=group)["top1"][-1]
        assert point.null.windows == windows
        assert (point.null.draws == point.null.observed).all() == (group is None)
