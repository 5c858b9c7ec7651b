from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import TEST_SPLITS, Segment
from eeg2speech.data.loading.splits import Split, assign_splits


def heard(subjects=5, stimuli=10):
    """Everyone hears everything, in two recordings each."""
    segments, subject_of = [], {}
    for subject in range(subjects):
        for run in range(2):
            name = f"sub-{subject:02d}_run-{run}"
            subject_of[name] = f"{subject:02d}"
            segments += [Segment(name, 5.0 * k, 4.0, f"s{k}", 0.0, "listening") for k in range(run, stimuli, 2)]
            segments += [Segment(name, 500 + 5.0 * k, 4.0, f"s{k}", 0.0, "overt") for k in range(run, stimuli, 2)]
    return segments, subject_of


def collect(split, subjects=5, stimuli=10):
    """Subjects and stimuli of each part, and the pairs of the two."""
    segments, subject_of = heard(subjects, stimuli)
    pairs = {}
    for segment, part in zip(segments, assign_splits(split, segments, subject_of), strict=True):
        pairs.setdefault(part, set()).add((subject_of[segment.recording], segment.stimulus))
    return {part: ({s for s, _ in p}, {k for _, k in p}, p) for part, p in pairs.items()}


sizes = {"subjects": st.integers(3, 8), "stimuli": st.integers(4, 30), "seed": st.integers(0, 10**6)}


@given(**sizes, held=st.integers(1, 2), test=st.floats(0.05, 0.4), val=st.floats(0.05, 0.3))
def test_by_both_no_test_list_shares_what_it_holds_out(subjects, stimuli, seed, held, test, val):
    parts = collect(Split("both", test, val, held, seed=seed), subjects, stimuli)
    people, sounds = parts["train"][:2]
    assert not people & parts["unseen_subject"][0]
    assert not people & parts["unseen_both"][0]
    assert not sounds & parts["unseen_stimulus"][1]
    assert not sounds & parts["unseen_both"][1]
    assert not sounds & parts["val"][1]
    # seen, as their names promise
    assert parts["unseen_stimulus"][0] <= people
    assert parts["unseen_subject"][1] <= sounds
    assert parts["val"][0] <= people
    assert parts["unseen_both"][1] == parts["unseen_stimulus"][1]
    assert parts["unseen_both"][0] == parts["unseen_subject"][0]
    assert len(parts["unseen_both"][0]) == held
    assert len(parts["unseen_both"][1]) == max(1, round(test * stimuli))
    assert len(parts["val"][1]) == max(1, round(val * stimuli))


@given(**sizes)
def test_only_validation_sounds_of_test_subjects_are_in_no_part(subjects, stimuli, seed):
    parts = collect(Split(seed=seed), subjects, stimuli)
    pairs = [pair for part in parts.values() for pair in part[2]]
    assert len(pairs) == len(set(pairs)) == subjects * stimuli
    assert parts[None][2] == {(s, k) for s in parts["unseen_subject"][0] for k in parts["val"][1]}


@given(**sizes)
def test_by_stimulus_everyone_is_trained_on(subjects, stimuli, seed):
    parts = collect(Split("stimulus", seed=seed), subjects, stimuli)
    assert parts.keys() == {"train", "val", "unseen_stimulus"}
    assert not parts["train"][1] & parts["unseen_stimulus"][1]
    assert not parts["train"][1] & parts["val"][1]
    assert not parts["val"][1] & parts["unseen_stimulus"][1]
    assert all(len(people) == subjects for people, _, _ in parts.values())


@given(**sizes)
def test_by_subject_every_sound_of_a_new_person_is_tested_on(subjects, stimuli, seed):
    parts = collect(Split("subject", seed=seed), subjects, stimuli)
    assert parts.keys() == {"train", "val", "unseen_subject"}
    assert not (parts["train"][0] | parts["val"][0]) & parts["unseen_subject"][0]
    assert not parts["train"][1] & parts["val"][1]
    assert len(parts["unseen_subject"][1]) == stimuli


@given(**sizes, by=st.sampled_from(["stimulus", "subject", "both"]), held=st.integers(1, 2))
def test_validation_subjects_take_the_place_of_validation_sounds(subjects, stimuli, seed, by, held):
    assume(subjects > held + 1)
    parts = collect(Split(by, test_subjects=1, val_subjects=held, seed=seed), subjects, stimuli)
    people, sounds = parts["train"][:2]
    assert len(parts["val"][0]) == held
    assert not parts["val"][0] & people
    assert parts["val"][1] == sounds
    tested = {s for part in TEST_SPLITS if part in parts for s in parts[part][0]}
    assert not parts["val"][0] & tested


def test_subjects_are_held_out_by_name():
    parts = collect(Split("both", test_subjects=["01", "03"], val_subjects=["04"]))
    assert parts["unseen_subject"][0] == {"01", "03"}
    assert parts["val"][0] == {"04"}
    assert parts["train"][0] == {"00", "02"}


@pytest.mark.parametrize("seed", range(20))
def test_subjects_that_are_named_are_not_drawn(seed):
    parts = collect(Split("both", test_subjects=1, val_subjects=["00", "01", "02"], seed=seed))
    assert parts["val"][0] == {"00", "01", "02"}
    assert parts["unseen_subject"][0] < {"03", "04"}


def test_the_seed_decides_and_nothing_else():
    assert collect(Split(seed=3)) == collect(Split(seed=3))
    held = [collect(Split(seed=seed))["unseen_both"] for seed in range(20)]
    assert len({tuple(people) for people, _, _ in held}) >= 4
    assert len({tuple(sorted(sounds)) for _, sounds, _ in held}) > 10
    segments, subject_of = heard()
    there = dict(zip(segments, assign_splits(Split(), segments, subject_of), strict=True))
    back = segments[::-1]
    assert dict(zip(back, assign_splits(Split(), back, subject_of), strict=True)) == there


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test_subjects": ["09"]}, r"subject '09' is not in the data, which has 00, .*\(data.split.test_subjects\)"),
        ({"val_subjects": ["x"]}, r"subject 'x' .*\(data.split.val_subjects\)"),
        ({"test_subjects": ["01"], "val_subjects": ["01"]}, "subject '01' is in both"),
        ({"test_subjects": 6}, r"test_subjects=6, but the data has 5 subjects \(data.split.test_subjects\)"),
        ({"test_subjects": 3, "val_subjects": 3}, "val_subjects=3"),
        ({"test_subjects": -1}, "test_subjects=-1"),
        ({"test_subjects": 5}, "leaves train empty"),
        ({"test_subjects": 0}, "leaves unseen_subject empty"),
        ({"test_subjects": []}, "leaves unseen_subject empty"),
        ({"test": 0.0}, "leaves unseen_stimulus empty"),
        ({"val": 0.0}, "leaves val empty"),
        ({"test": 0.95}, "leaves train empty"),
        ({"test": 1.0}, r"test=1.0 is not a share between 0 and 1 \(data.split.test\)"),
        ({"val": -0.1}, r"val=-0.1 is not a share between 0 and 1 \(data.split.val\)"),
        ({"val": float("nan")}, "val=nan is not a share"),
    ],
)
def test_splits_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        collect(Split("both", **settings))


def test_too_few_stimuli_are_refused():
    with pytest.raises(ConfigError, match=r"leaves train empty: 5 subjects, 2 stimuli.*change data.split"):
        collect(Split(), stimuli=2)


def test_overlapping_segments_may_not_fall_into_different_parts():
    names = [f"s{i}" for i in range(10)]
    apart = [Segment("r", 10.0 * i, 10.0, name, 0.0, "listening") for i, name in enumerate(names)]
    split = Split(by="stimulus", test=0.3, val=0.2)
    assert len(assign_splits(split, apart, {"r": "1"})) == 10
    close = [Segment("r", 8.0 * i, 10.0, name, 0.0, "listening") for i, name in enumerate(names)]
    with pytest.raises(ConfigError, match="overlap"):
        assign_splits(split, close, {"r": "1"})
