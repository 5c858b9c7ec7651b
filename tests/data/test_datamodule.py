from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stores import make_store, noise, segment

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.loading.windows import Augment

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
PARTS = ("train", "val", *TEST_SPLITS)


def data(store, **settings):
    made = EEGAudioDataModule(store, **{"window": 0.96, "batch_size": 4} | settings)
    made.setup()
    return made


def read(loader):
    return list(loader)


def indices(batches):
    return [index for batch in batches for index in batch["index"].tolist()]


def on_rank(made, rank, world):
    made.trainer = SimpleNamespace(global_rank=rank, world_size=world)
    return made


def test_no_window_of_a_part_touches_another(tiny_store):
    """What is held out is held out to the last sample."""
    made = data(tiny_store)
    taken = {recording.recording: np.full(recording.samples, "", object) for recording in made.store.recordings}
    assert list(made.datasets) == list(PARTS)
    for part, dataset in made.datasets.items():
        for window in dataset.windows:
            samples = taken[window.segment.recording][window.start : window.start + made.samples]
            assert len(samples) == made.samples
            assert set(samples) <= {"", part}
            samples[:] = part


def test_the_three_test_lists_hold_out_what_they_say(tiny_store):
    made = data(tiny_store)
    seen = {name: set() for name in PARTS}
    for part in PARTS:
        for batch in made.batches(part):
            seen[part] |= set(zip(batch["subject"].tolist(), batch["stimulus"].tolist(), strict=True))
    people, sounds = ({pair[side] for pair in seen["train"]} for side in (0, 1))
    assert all(s in people and k not in sounds for s, k in seen["unseen_stimulus"])
    assert all(s not in people and k in sounds for s, k in seen["unseen_subject"])
    assert all(s not in people and k not in sounds for s, k in seen["unseen_both"])
    assert all(s in people and k not in sounds for s, k in seen["val"])
    assert not {k for _, k in seen["val"]} & {k for _, k in seen["unseen_stimulus"]}


def test_loaders_read_what_they_should(tiny_store):
    made = data(tiny_store, hop=0.32)
    train = indices(read(made.train_dataloader()))
    assert len(train) == len(set(train)) == len(made.datasets["train"]) // 4 * 4
    assert train != sorted(train)
    assert indices(read(made.val_dataloader())) == list(range(len(made.datasets["val"])))
    tests = made.test_dataloader()
    assert made.test_splits == list(TEST_SPLITS)
    assert len(tests) == len(made.predict_dataloader()) == 3
    for part, loader in zip(TEST_SPLITS, tests, strict=True):
        assert indices(read(loader)) == list(range(len(made.datasets[part])))
    starts = [window.start for window in made.datasets["train"].windows[:3]]
    assert np.diff(starts).tolist() == [32, 32]
    starts = [window.start for window in made.datasets["val"].windows[:3]]
    assert np.diff(starts).tolist() == [96, 96]  # evaluation windows never overlap


@pytest.mark.parametrize("by", ["stimulus", "subject"])
def test_a_split_by_one_has_one_test_list(tiny_store, by):
    made = data(tiny_store, split=Split(by))
    assert made.test_splits == [f"unseen_{by}"]
    assert len(made.test_dataloader()) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_read_the_same(ragged_store, workers):
    alone = data(ragged_store, audio=True, augment=Augment(0.2, 0.2, 0.3, 0.5), seed=3)
    made = data(ragged_store, audio=True, augment=Augment(0.2, 0.2, 0.3, 0.5), seed=3, workers=workers)
    for first, second in zip(read(alone.train_dataloader()), read(made.train_dataloader()), strict=True):
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_evaluation_covers_every_window_once_over_ranks(tiny_store):
    made = data(tiny_store)
    loaders = []
    for rank in range(3):
        on_rank(made, rank, 3)
        loaders.append([made.val_dataloader(), *made.test_dataloader()])
    for part, own in zip(("val", *TEST_SPLITS), zip(*loaders, strict=True), strict=True):
        shown = [index for loader in own for index in indices(loader)]
        assert sorted(shown) == list(range(len(made.datasets[part])))


def test_ranks_train_on_different_windows(tiny_store):
    made = data(tiny_store)
    first, second = (indices(read(on_rank(made, rank, 2).train_dataloader())) for rank in range(2))
    assert not set(first) & set(second)
    assert len(first) == len(second)


def test_only_training_windows_are_augmented(tiny_store):
    augment = Augment(channel_dropout=0.5, flip=0.5)
    plain, made = data(tiny_store), data(tiny_store, augment=augment)
    for part, loaders in (("val", [d.val_dataloader() for d in (plain, made)]), ("train", None)):
        if loaders is None:
            loaders = [d.train_dataloader() for d in (plain, made)]
        same = [torch.equal(a["eeg"], b["eeg"]) for a, b in zip(*map(read, loaders), strict=True)]
        assert all(same) if part == "val" else not any(same)
    for batch in made.batches("train"):  # read outside of training, as they are
        assert not (batch["eeg"] == 0).all(-1).any()


def test_batches_are_evenly_spread(tiny_store):
    made = data(tiny_store)
    count = len(made.datasets["train"])
    assert indices(made.batches("train")) == list(range(count))
    few = indices(made.batches("train", most=6))
    assert few == [i * count // 6 for i in range(6)]
    assert [len(b["index"]) for b in made.batches("train", most=6)] == [4, 2]
    assert indices(made.batches("train", most=10**6)) == list(range(count))


def test_scaled_training_data_has_unit_spread_whatever_the_subject(tiny_store):
    made = data(tiny_store)
    for part in ("train", "val", "unseen_subject"):
        eeg = torch.cat([batch["eeg"] for batch in made.batches(part)])
        deviation = eeg.sub(eeg.median()).abs().median() * 1.4826
        assert 0.5 < deviation < 2 if part == "unseen_subject" else 0.8 < deviation < 1.25


def test_the_scale_knows_nothing_of_what_is_held_out(tmp_path):
    """Neither a held-out subject nor held-out stretches of a seen one; `recording` looks at all of it."""

    def store(name, loud):
        eeg = {f"r{s}": noise(4, 2500, s) for s in range(4)}
        for recording, stretch in loud:
            eeg[recording][:, stretch] *= 50
        rows = {r: (r, eeg[r], [segment(r, 5.0 * k, 4.0, f"s{k}") for k in range(5)]) for r in eeg}
        make_store(tmp_path / name, rows)
        return tmp_path / name

    plain = data(store("plain", []))
    tested = [(w.segment.recording, slice(w.start, w.start + 96)) for p in PARTS[1:] for w in plain.datasets[p].windows]
    spoilt = store("spoilt", tested)
    for name, scaling in data(spoilt).scalings.items():
        assert np.array_equal(scaling.spread, plain.scalings[name].spread)
        assert np.array_equal(scaling.centre, plain.scalings[name].centre)
    before, after = (data(s, scaling="recording").scalings for s in (tmp_path / "plain", spoilt))
    assert all((after[name].spread > before[name].spread).all() for name in before)


def test_names_of_channels_are_in_the_order_of_the_batch(ragged_store):
    made = data(ragged_store)
    batch = next(iter(made.batches("unseen_subject")))
    recording = int(batch["recording"][0])
    places = {
        channel.name: (channel.x, channel.y, channel.z) for channel in made.store.channels(f"sub-{recording:02d}")
    }
    names = made.channel_names(recording)
    assert len(names) == len(places)
    for place, name in enumerate(names):
        np.testing.assert_allclose(batch["positions"][0, place], places[name], atol=1e-6)


def test_conditions_choose_segments(tmp_path):
    rows = {}
    for s in range(4):
        segments = [segment(f"r{s}", 5.0 * k, 4.0, f"s{k}") for k in range(6)]
        segments += [segment(f"r{s}", 5.0 * k, 4.0, f"s{k}", condition="overt") for k in range(6, 12)]
        rows[f"r{s}"] = (f"{s}", noise(4, 6000, s), segments)
    make_store(tmp_path / "store", rows)
    made = data(tmp_path / "store", conditions=["overt"])
    conditions = {window.segment.condition for dataset in made.datasets.values() for window in dataset.windows}
    assert conditions == {"overt"}
    with pytest.raises(
        ConfigError, match=r"no segment with conditions=\['imagined'\], it has \['listening', 'overt'\]"
    ):
        data(tmp_path / "store", conditions=["imagined"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 4.2}, r"window=4.2 s is longer than the longest segment .*, 4 s \(data.window\)"),
        ({"window": 0.965}, r"window=0.965 s is not a whole number of 10 ms samples \(data.window\)"),
        ({"window": 0.0}, r"window=0.0 must be above 0 \(data.window\)"),
        ({"window": -1.0}, r"window=-1.0 must be above 0 \(data.window\)"),
        ({"window": float("nan")}, r"window=nan must be above 0 \(data.window\)"),
        ({"hop": 0.0}, r"hop=0.0 must be above 0 \(data.hop\)"),
        ({"hop": -0.5}, r"hop=-0.5 must be above 0 \(data.hop\)"),
        ({"batch_size": 0}, r"batch_size=0 must be a whole number of 1 or more \(data.batch_size\)"),
        ({"clamp": 0.0}, r"clamp=0.0 must be above 0 \(data.clamp\)"),
        ({"split": Split(test_subjects=["x"])}, "subject 'x' is not in the data"),
        ({"split": Split(test=0.0)}, "leaves unseen_stimulus empty"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tiny_store, settings, message):
    with pytest.raises(ConfigError, match=message):
        data(tiny_store, **settings)


def test_more_windows_per_batch_than_there_are_is_refused(tiny_store):
    made = data(tiny_store, batch_size=1000)
    with pytest.raises(
        ConfigError, match=r"training windows do not fill a batch of 1000 .*\(data.batch_size, data.hop\)"
    ):
        made.train_dataloader()
    assert len(read(made.val_dataloader())) == 1


def test_fewer_evaluation_windows_than_devices_are_refused_on_all_of_them(tiny_store):
    """One that had nothing to do would leave the others waiting."""
    made = data(tiny_store, window=4.0)
    for rank in range(8):
        with pytest.raises(ConfigError, match=r"unseen_stimulus has 6 windows for 8 devices; use fewer"):
            on_rank(made, rank, 8).test_dataloader()


def test_a_part_without_a_segment_long_enough_is_refused(tmp_path):
    rows = {
        f"r{s}": (f"{s}", noise(4, 3000, s), [segment(f"r{s}", 5.0 * k, 4.0 if s else 1.0, f"s{k}") for k in range(6)])
        for s in range(4)
    }
    make_store(tmp_path / "store", rows)
    with pytest.raises(ConfigError, match=r"unseen_subject has no segment as long as window=2.0 s"):
        data(tmp_path / "store", window=2.0, split=Split(test_subjects=["0"]))


def test_a_store_at_another_rate_is_refused(tmp_path):
    make_store(tmp_path / "store", {"r": ("1", noise(2, 500), [segment()])}, rate=128)
    with pytest.raises(ConfigError, match=r"EEG at 128 Hz, the models work at 100 Hz; prepare it with"):
        data(tmp_path / "store")


def test_no_store_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match="eeg2speech prepare"):
        data(tmp_path / "nothing")


def test_a_window_as_long_as_the_segments_is_read_whole(tiny_store):
    made = data(tiny_store, window=4.0, hop=4.0)
    batch = next(iter(made.batches("train")))
    assert batch["eeg"].shape[-1] == 400
    assert all(
        len(dataset.windows) == len({id(w.segment) for w in dataset.windows}) for dataset in made.datasets.values()
    )


def test_setting_up_twice_changes_nothing(tiny_store):
    made = data(tiny_store)
    before = made.datasets["train"]
    made.setup("test")
    assert made.datasets["train"] is before
    assert made.summary()["windows"] == {part: len(made.datasets[part]) for part in PARTS}
    assert made.summary()["simulated"] is True


def test_the_seed_orders_training(tiny_store):
    orders = [indices(read(data(tiny_store, seed=seed).train_dataloader())) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert set(orders[0]) ^ set(orders[2]) <= set(range(len(data(tiny_store).datasets["train"])))


def test_pairs_of_parts_share_no_stimulus_and_subject(ragged_store):
    made = data(ragged_store)
    pairs = {
        part: {(w.segment.recording, w.segment.stimulus) for w in dataset.windows}
        for part, dataset in made.datasets.items()
    }
    for first, second in itertools.combinations(pairs, 2):
        assert not pairs[first] & pairs[second]
