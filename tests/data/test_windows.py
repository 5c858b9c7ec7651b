from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stores import make_store, noise, segment, sweep

from eeg2speech.audio import RATE as SOUND
from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel, Recording
from eeg2speech.data.electrodes.montage import order_by_position
from eeg2speech.data.loading.scaling import Scaling
from eeg2speech.data.loading.windows import Augment, Window, WindowDataset, covered_samples, cut_windows
from tests.tiny_stores import head_channels

CLAMP = 20.0


def row(name="r", samples=10_000):
    return Recording(name, "1", "", "", 1, samples, f"eeg/{name}.npy")


def dataset(store, samples=100, hop=50, segments=None, scalings=None, audio=False, augment=None):
    windows = cut_windows(store.segments if segments is None else segments, store.recordings, 100, samples, hop)
    if scalings is None:
        scalings = {r.recording: Scaling(np.zeros(r.channels), np.ones(r.channels)) for r in store.recordings}
    return WindowDataset(store, windows, scalings, samples, CLAMP, audio, augment)


def everything(made, seed=0):
    return made.__getitems__([(index, seed + index) for index in range(len(made))])


def one_recording(root, channels=5, seconds=10, **settings):
    settings = {"onset": 1.0, "duration": 4.0} | settings
    return make_store(root, {"r": ("1", noise(channels, 100 * seconds), [segment(**settings)])})


@given(
    stretches=st.lists(st.tuples(st.floats(0, 60), st.floats(0.01, 20)), min_size=1, max_size=4),
    samples=st.integers(1, 500),
    hop=st.integers(1, 300),
)
def test_windows_lie_inside_their_segment_and_fill_it(stretches, samples, hop):
    segments = [
        segment(onset=onset, duration=duration, stimulus=str(i)) for i, (onset, duration) in enumerate(stretches)
    ]
    windows = cut_windows(segments, [row("other"), row()], 100, samples, hop)
    for part in segments:
        own = [window.start for window in windows if window.segment is part]
        first, stop = round(part.onset * 100), round((part.onset + part.duration) * 100)
        assert own == [first + hop * k for k in range(len(own))]
        assert all(start + samples <= stop for start in own)
        assert len(own) == max(0, (stop - first - samples) // hop + 1)
    for window in windows:
        assert window.recording == 1
        assert window.first <= window.start <= window.last
        assert window.last + samples <= round((window.segment.onset + window.segment.duration) * 100)


@given(
    places=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300)), max_size=12),
    samples=st.integers(1, 80),
)
def test_covered_samples_are_counted_once(places, samples):
    windows = [Window(recording, segment(), start, 0, 0) for recording, start in places]
    expected = {(recording, start + k) for recording, start in places for k in range(samples)}
    assert covered_samples(windows, samples) == len(expected)


def test_windows_end_where_the_recording_ends_and_begin_where_it_begins():
    windows = cut_windows([segment(onset=99.0, duration=4.0)], [row()], 100, 50, 50)
    assert [window.start for window in windows] == [9900, 9950]
    windows = cut_windows([segment(onset=-0.3, duration=1.0)], [row()], 100, 50, 50)
    assert [window.start for window in windows] == [0]


def test_a_window_is_the_stored_signal_scaled_and_clamped(tmp_path):
    store = one_recording(tmp_path / "store")
    eeg = np.load(tmp_path / "store/eeg/r.npy")
    scaling = Scaling(np.arange(5, dtype=np.float32), np.array([1, 2, 0.5, 4, 10], np.float32))
    made = dataset(store, scalings={"r": scaling})
    order = order_by_position(np.array([[c.x, c.y, c.z] for c in head_channels(5)]))
    batch = everything(made)
    assert batch["eeg"].dtype == torch.float32
    assert batch["start"].tolist() == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]
    limited = 0
    for window, start in enumerate((batch["start"] * 100).long().tolist()):
        for place, channel in enumerate(order):
            raw = eeg[channel, start : start + 100]
            expected = np.clip((raw - scaling.centre[channel]) / scaling.spread[channel], -CLAMP, CLAMP)
            np.testing.assert_allclose(batch["eeg"][window, place], expected, rtol=1e-5, atol=1e-5)
            limited += (np.abs(expected) == CLAMP).sum()
    assert limited > 0


def test_eeg_positions_and_mask_are_in_the_same_order(tmp_path):
    """Every channel carries its own number, in microvolts and in metres."""
    numbers = np.arange(1, 8)
    channels = [Channel(f"E{n}", "eeg", n / 1000, (n * 3 % 7) / 1000, (n * 5 % 7) / 1000) for n in numbers]
    channels[2] = Channel("E3", "eeg")  # position unknown
    eeg = np.repeat(numbers[:, None], 400, axis=1)
    store = make_store(tmp_path / "store", {"r": ("1", eeg, [segment()], channels)})
    spread = np.ones(7, np.float32)
    spread[4] = 0.0  # E5 is flat
    batch = everything(dataset(store, scalings={"r": Scaling(np.zeros(7, np.float32), spread)}))
    shown = batch["eeg"][0, :, 0].tolist()
    assert sorted(shown) == [0, 1, 2, 3, 4, 6, 7]
    for place, number in enumerate(shown):
        assert bool(batch["channel_mask"][0, place]) == (number != 0)
        expected = 0.0 if number in (0, 3) else number / 1000
        assert batch["positions"][0, place, 0].item() == pytest.approx(expected)
    assert shown[-1] == 3  # an unknown position comes last


def test_montages_of_different_size_are_padded_and_masked(tmp_path):
    counts = {"a": 3, "b": 6, "c": 5}
    store = make_store(
        tmp_path / "store", {n: (n, noise(c, 500, c), [segment(n, stimulus=n)]) for n, c in counts.items()}
    )
    made = dataset(store, samples=400, hop=400)
    batch = everything(made)
    assert batch["eeg"].shape == (3, 6, 400)
    for window, count in enumerate(counts.values()):
        assert batch["channel_mask"][window].tolist() == [True] * count + [False] * (6 - count)
        assert (batch["eeg"][window, count:] == 0).all()
        assert (batch["positions"][window, count:] == 0).all()
        alone = made[(window, 0)]
        assert alone["eeg"].shape == (1, count, 400)
        assert torch.equal(batch["eeg"][window, :count], alone["eeg"][0])
        assert torch.equal(batch["positions"][window, :count], alone["positions"][0])


@pytest.mark.parametrize("value", [5.0, np.nan, np.inf])
def test_a_flat_or_broken_channel_is_masked_and_zero(tmp_path, value):
    eeg = noise(4, 500)
    eeg[1] = value
    store = make_store(tmp_path / "store", {"r": ("1", eeg, [segment()])})
    spread = np.ones(4, np.float32)
    spread[1] = np.nan if value != 5.0 else 0.0
    centre = np.array([0, value, 0, 0], np.float32)
    batch = everything(dataset(store, scalings={"r": Scaling(centre, spread)}))
    flat = ~batch["channel_mask"][0]
    assert flat.sum() == 1
    assert (batch["eeg"][:, flat] == 0).all()
    assert (batch["positions"][:, flat] == 0).all()
    assert batch["eeg"].isfinite().all()


def test_what_a_batch_says_about_its_windows(tmp_path):
    recordings = {
        "x": ("20", noise(3, 500), [segment("x", stimulus="b", label="word"), segment("x", stimulus="c")]),
        "y": ("10", noise(3, 500), [segment("y", stimulus="a", label="noun")]),
    }
    store = make_store(tmp_path / "store", recordings)
    made = dataset(store, samples=400, hop=400)
    batch = made.__getitems__([(2, 7), (0, 2**62), (1, 9)])
    assert [store.subjects[i] for i in batch["subject"]] == ["10", "20", "20"]
    assert [store.stimuli[i] for i in batch["stimulus"]] == ["a", "b", "c"]
    assert [store.labels[i] if i >= 0 else "" for i in batch["label"]] == ["noun", "word", ""]
    assert [store.recordings[i].recording for i in batch["recording"]] == ["y", "x", "x"]
    assert batch["index"].tolist() == [2, 0, 1]
    assert batch["seed"].tolist() == [7, 2**62, 9]
    assert batch["audio"].shape == (3, 0)


@pytest.mark.parametrize(
    ("onset", "offset"), [(1.0, 0.0), (1.0, 2.5), (1.004, 0.0), (1.0049, 0.25), (1.006, 0.0), (0.996, 0.0)]
)
def test_the_sound_of_a_window_is_what_was_heard_then(tmp_path, onset, offset):
    """Also where a segment does not begin on a sample: its first window may begin up to 5 ms before it."""
    wave = sweep()
    store = make_store(
        tmp_path / "store", {"r": ("1", noise(2, 800), [segment(onset=onset, offset=offset)])}, {"s": wave}
    )
    batch = everything(dataset(store, audio=True))
    assert batch["audio"].shape == (7, SOUND)
    padded = np.concatenate([np.zeros(SOUND), wave])
    for sound, start in zip(batch["audio"], batch["start"].tolist(), strict=True):
        first = SOUND + round((start - onset + offset) * SOUND)
        np.testing.assert_allclose(sound, padded[first : first + SOUND], atol=1e-4)


def test_sound_that_ends_before_the_window_is_followed_by_silence(tmp_path):
    wave = sweep(seconds=2.0)
    store = make_store(tmp_path / "store", {"r": ("1", noise(2, 500), [segment(offset=0.5)])}, {"s": wave})
    batch = everything(dataset(store, samples=400, hop=400, audio=True))
    np.testing.assert_allclose(batch["audio"][0, :24_000], wave[8_000:], atol=1e-4)
    assert (batch["audio"][0, 24_000:] == 0).all()
    late = dataset(store, segments=[segment(offset=5.0)], samples=400, hop=400, audio=True)
    assert (everything(late)["audio"] == 0).all()


def test_a_missing_sound_is_named_with_what_to_do(tmp_path):
    made = dataset(one_recording(tmp_path / "store", stimulus="gone"), audio=True)
    with pytest.raises(DataError, match=r"gone.flac: missing; leave its segments out \(data.conditions\)"):
        everything(made)
    assert everything(dataset(made.store))["audio"].shape == (7, 0)


ALL = Augment(channel_dropout=0.3, amplitude=0.5, time_shift=0.7, flip=0.5)


def test_augmentation_is_a_function_of_the_seed(tmp_path):
    store = one_recording(tmp_path / "store", seconds=12, duration=10.0)
    plain, changed = everything(dataset(store)), dataset(store, augment=ALL)
    first, again, other = everything(changed), everything(changed), everything(changed, seed=1000)
    assert torch.equal(first["eeg"], again["eeg"])
    assert torch.equal(first["start"], again["start"])
    assert not torch.equal(first["eeg"], other["eeg"])
    assert not torch.equal(first["eeg"], plain["eeg"])
    alone = changed[(3, 3)]
    assert torch.equal(alone["eeg"][0], first["eeg"][3])  # whatever else is in the batch


def test_nothing_changes_without_augmentation(tmp_path):
    store = one_recording(tmp_path / "store")
    plain = everything(dataset(store))
    for made in (dataset(store), dataset(store, augment=Augment())):
        assert torch.equal(everything(made, seed=5)["eeg"], plain["eeg"])
        assert torch.equal(everything(made, seed=5)["start"], plain["start"])


def test_time_shifts_stay_inside_their_segment_and_take_the_sound_along(tmp_path):
    wave = sweep(seconds=4.0)
    store = make_store(tmp_path / "store", {"r": ("1", noise(2, 900), [segment(onset=2.0)])}, {"s": wave})
    made = dataset(store, audio=True, augment=Augment(time_shift=0.7))
    shifts = []
    for seed in range(40):
        batch = everything(made, seed=1000 * seed)
        planned = torch.tensor([window.start / 100 for window in made.windows])
        shifts.append(batch["start"] - planned)
        assert batch["start"].min() >= 2.0
        assert batch["start"].max() + 1.0 <= 6.0
        for sound, eeg, start in zip(batch["audio"], batch["eeg"], batch["start"].tolist(), strict=True):
            first = round((start - 2.0) * SOUND)
            np.testing.assert_allclose(sound, wave[first : first + SOUND], atol=1e-4)
            cut = round(start * 100)
            stored = np.load(tmp_path / "store/eeg/r.npy")[:, cut : cut + 100]
            assert np.array_equal(np.sort(eeg[:, 0]), np.sort(np.clip(stored[:, 0], -CLAMP, CLAMP)))
    shifts = torch.stack(shifts)
    assert shifts.abs().max() == pytest.approx(0.7, abs=0.05)
    assert (shifts < 0).any()
    assert (shifts > 0).any()


@pytest.mark.parametrize(
    ("augment", "check"),
    [
        (Augment(flip=1.0), lambda new, old: torch.equal(new, -old)),
        (Augment(flip=0.5), lambda new, old: torch.equal(new.abs(), old.abs()) and not torch.equal(new, old)),
    ],
    ids=("all turned", "some turned"),
)
def test_each_change_by_itself(tmp_path, augment, check):
    store = one_recording(tmp_path / "store")
    old, new = everything(dataset(store)), everything(dataset(store, augment=augment))
    assert check(new["eeg"], old["eeg"])
    for key in ("positions", "channel_mask", "start"):
        assert torch.equal(new[key], old[key])


def test_a_dropped_channel_is_missing_from_mask_and_eeg(tmp_path):
    store = one_recording(tmp_path / "store")
    old, new = everything(dataset(store)), everything(dataset(store, augment=Augment(channel_dropout=0.5)))
    kept = new["channel_mask"]
    assert 0.3 < kept.float().mean() < 0.7
    assert torch.equal(new["eeg"][kept], old["eeg"][kept])
    assert (new["eeg"][~kept] == 0).all()
    assert (new["positions"][~kept] == 0).all()


def test_amplitude_scales_whole_windows_within_its_range_and_the_clamp(tmp_path):
    store = make_store(tmp_path / "store", {"r": ("1", noise(3, 3000, scale=8), [segment(duration=30.0)])})
    ones = {"r": Scaling(np.zeros(3), np.ones(3))}
    old = everything(dataset(store, scalings=ones))["eeg"]
    new = everything(dataset(store, scalings=ones, augment=Augment(amplitude=0.4)))["eeg"]
    assert new.abs().max() <= CLAMP
    inside = (new.abs() < CLAMP) & (old.abs() < CLAMP) & (old.abs() > 0.1)
    factors = []
    for window in range(len(new)):
        ratios = (new[window] / old[window])[inside[window]]
        torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios), rtol=1e-4, atol=1e-4)
        factors.append(ratios[0].log().item())
    assert 0.3 < max(factors) <= 0.4
    assert -0.4 <= min(factors) < -0.3


def test_channels_drop_out_at_their_rate(tmp_path):
    store = make_store(tmp_path / "store", {"r": ("1", noise(20, 2000), [segment(duration=20.0)])})
    dropped = (everything(dataset(store, hop=10, augment=Augment(channel_dropout=0.2)))["eeg"] == 0).all(-1)
    assert dropped.float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert (dropped.float().mean(1) < 0.7).all()  # each by itself, never the whole window at once


def test_a_dataset_is_sent_to_workers_without_the_eeg(tmp_path):
    store = one_recording(tmp_path / "store", channels=32, seconds=100)
    made = dataset(store)
    sent = pickle.dumps(made)
    assert len(sent) < 20_000 < (tmp_path / "store/eeg/r.npy").stat().st_size / 50
    back = pickle.loads(sent)
    assert torch.equal(everything(back)["eeg"], everything(made)["eeg"])
    assert pickle.loads(pickle.dumps(back)).windows == made.windows


def test_batches_own_their_memory(tmp_path):
    """Nothing that a model does in place reaches the store or the next batch."""
    made = dataset(one_recording(tmp_path / "store"), audio=False)
    before = np.load(tmp_path / "store/eeg/r.npy")
    first = everything(made)
    kept = first["eeg"].clone()
    first["eeg"].zero_()
    first["positions"].zero_()
    assert torch.equal(everything(made)["eeg"], kept)
    assert everything(made)["positions"].any()
    assert np.array_equal(np.load(tmp_path / "store/eeg/r.npy"), before)


@pytest.mark.parametrize("lag", [13, -20])
def test_with_a_lag_the_eeg_is_read_later_than_the_sound(tmp_path, lag):
    wave = sweep(seconds=4.0)
    store = make_store(
        tmp_path / "store", {"r": ("1", noise(5, 1000), [segment(onset=1.0, offset=0.5, duration=3.0)])}, {"s": wave}
    )
    plain, later = dataset(store, audio=True), dataset(store, audio=True)
    later.lag = lag
    one, other = everything(plain), everything(later)
    torch.testing.assert_close(other["audio"], one["audio"])
    torch.testing.assert_close(other["start"], one["start"])
    assert one["sound_start"].tolist() == pytest.approx([0.5 + 0.5 * k for k in range(5)])
    overlap = 100 - abs(lag)
    ours, theirs = (other["eeg"], one["eeg"]) if lag > 0 else (one["eeg"], other["eeg"])
    torch.testing.assert_close(ours[:, :, :overlap], theirs[:, :, -overlap:])


def test_a_lag_beyond_the_recording_repeats_its_last_sample(tmp_path):
    made = dataset(one_recording(tmp_path / "store", onset=6.0))
    made.lag = 30
    eeg = everything(made)["eeg"][-1]
    assert torch.equal(eeg[:, -30:], eeg[:, -31:-30].expand(-1, 30))
    assert not torch.equal(eeg[:, -32], eeg[:, -31])
