"""Split of segments into training, validation and test, before windows are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.seeding import mix
from eeg2speech.core.types import TEST_SPLITS, Segment, SplitName


@dataclass
class Split:
    """How segments are split. Windows are never split individually, as windows of one stimulus are similar.

    Validation uses stimuli that are not trained on, of subjects that are, unless ``val_subjects`` is given.

    Attributes:
        by: ``stimulus`` holds out stimuli, ``subject`` subjects, ``both`` each alone and the two together.
        test: Share of the stimuli held out for the test (by stimulus or both).
        val: Share of the stimuli held out for validation.
        test_subjects: Subjects held out for the test (by subject or both): their labels, or their number.
        val_subjects: Subjects held out for validation: their labels, or their number; none by default.
        seed: Seed of the random choice.
    """

    by: Literal["stimulus", "subject", "both"] = "both"
    test: float = 0.2
    val: float = 0.1
    test_subjects: list[str | int] | int = 1
    val_subjects: list[str | int] | int = field(default_factory=list)
    seed: int = 0


def assign_splits(split: Split, segments: Sequence[Segment], subject_of: dict[str, str]) -> list[SplitName | None]:
    """Assign every segment to a split.

    Args:
        split: What is held out.
        segments: Segments to split.
        subject_of: Subject of each recording.

    Returns:
        A split per segment; None for segments that are not used (validation stimuli of test subjects).

    Raises:
        ConfigError: A required split would be empty, a subject is unknown, or segments of different splits overlap.
    """
    subjects = sorted({subject_of[segment.recording] for segment in segments})
    test_subjects, val_subjects = _hold_out_subjects(split, subjects)
    stimuli = sorted({segment.stimulus for segment in segments})
    test_share = split.test if split.by != "subject" else 0.0
    val_share = split.val if not val_subjects else 0.0
    test_stimuli, val_stimuli = _hold_out_stimuli(stimuli, test_share, val_share, split.seed)
    assigned = [
        _split_of(
            subject_of[segment.recording] in test_subjects,
            subject_of[segment.recording] in val_subjects,
            segment.stimulus in test_stimuli,
            segment.stimulus in val_stimuli,
            by_subject=split.by == "subject",
        )
        for segment in segments
    ]
    _check(assigned, split, len(subjects), len(stimuli))
    _check_apart(segments, assigned)
    return assigned


def some_stimuli(segments: Sequence[Segment], share: float, seed: int) -> list[Segment]:
    """Keep the segments of a share of the stimuli, at least of one; a smaller share is part of a larger one.

    Args:
        segments: Training segments.
        share: Share of the stimuli that occur in them.
        seed: Seed of the random choice.

    Raises:
        ConfigError: The share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ConfigError(f"train_fraction={share} is not a share above 0 and up to 1 (data.train_fraction)")
    stimuli = sorted({segment.stimulus for segment in segments})
    order = np.random.default_rng(mix(seed, 3)).permutation(stimuli)
    kept = {str(stimulus) for stimulus in order[: max(1, round(share * len(order)))]}
    return [segment for segment in segments if segment.stimulus in kept]


def _split_of(
    test_subject: bool, val_subject: bool, test_stimulus: bool, val_stimulus: bool, by_subject: bool
) -> SplitName | None:
    if test_subject:
        if test_stimulus:
            return "unseen_both"
        # by subject alone, every stimulus of a test subject is used, as stimuli are not held out
        return None if val_stimulus and not by_subject else "unseen_subject"
    if val_subject:
        return None if test_stimulus else "val"
    if test_stimulus:
        return "unseen_stimulus"
    return "val" if val_stimulus else "train"


def _hold_out_subjects(split: Split, subjects: list[str]) -> tuple[set[str], set[str]]:
    """Subjects held out for the test and for validation."""
    order = [str(s) for s in np.random.default_rng(mix(split.seed, 1)).permutation(subjects)]
    lists = [wanted for wanted in (split.test_subjects, split.val_subjects) if not isinstance(wanted, int)]
    named = {_label(str(name), subjects) for names in lists for name in names}
    test = [] if split.by == "stimulus" else split.test_subjects
    held: list[set[str]] = []
    for key, wanted in (("test_subjects", test), ("val_subjects", split.val_subjects)):
        if isinstance(wanted, int):
            free = [s for s in order if s not in set().union(named, *held)]
            if not 0 <= wanted <= len(free):
                raise ConfigError(f"{key}={wanted}, but the data has {len(subjects)} subjects (data.split.{key})")
            held.append(set(free[:wanted]))
        else:
            names = {_label(str(name), subjects) for name in wanted}
            unknown = sorted(names - set(subjects))
            if unknown:
                raise ConfigError(
                    f"subject {unknown[0]!r} is not in the data, which has {', '.join(subjects)} (data.split.{key})"
                )
            held.append(names)
    if both := held[0] & held[1]:
        raise ConfigError(f"subject {min(both)!r} is in both (data.split.test_subjects, data.split.val_subjects)")
    return held[0], held[1]


def _label(name: str, subjects: Sequence[str]) -> str:
    """Label of a subject: YAML reads 01 as the number 1, and 08 as text."""
    meant = [label for label in subjects if label.isdecimal() and name.isdecimal() and int(label) == int(name)]
    return meant[0] if name not in subjects and len(meant) == 1 else name


def _hold_out_stimuli(stimuli: list[str], test: float, val: float, seed: int) -> tuple[set[str], set[str]]:
    order = [str(s) for s in np.random.default_rng(mix(seed, 2)).permutation(stimuli)]
    for key, share in (("test", test), ("val", val)):
        if not 0 <= share < 1:
            raise ConfigError(f"{key}={share} is not a share between 0 and 1 (data.split.{key})")
    n_test = max(1, round(test * len(order))) if test else 0
    n_val = max(1, round(val * len(order))) if val else 0
    return set(order[:n_test]), set(order[n_test : n_test + n_val])


def _check(assigned: Sequence[SplitName | None], split: Split, subjects: int, stimuli: int) -> None:
    tests: dict[str, tuple[SplitName, ...]] = {"stimulus": ("unseen_stimulus",), "subject": ("unseen_subject",)}
    for name in ("train", "val", *tests.get(split.by, TEST_SPLITS)):
        if name not in assigned:
            remedy = "change data.split"
            if stimuli == 1 and split.by != "subject":
                remedy = "one stimulus cannot be divided: hold out subjects, data.split.by=subject and val_subjects=1"
            elif subjects == 1 and split.by != "stimulus":
                remedy = "one subject cannot be divided: hold out stimuli, data.split.by=stimulus"
            raise ConfigError(
                f"the split leaves {name} empty: {subjects} subjects, {stimuli} stimuli, by={split.by}, "
                f"test={split.test}, val={split.val}, test_subjects={split.test_subjects}, "
                f"val_subjects={split.val_subjects}; {remedy}"
            )


def _check_apart(segments: Sequence[Segment], assigned: Sequence[SplitName | None]) -> None:
    """Refuse overlapping segments of different splits: the same EEG would be trained and tested on."""
    order = sorted(range(len(segments)), key=lambda i: (segments[i].recording, segments[i].onset))
    for one, other in pairwise(order):
        first, second = segments[one], segments[other]
        overlap = first.recording == second.recording and first.onset + first.duration > second.onset + 0.005
        if overlap and assigned[one] != assigned[other]:
            raise ConfigError(
                f"segments at {first.onset:g} s and {second.onset:g} s of {first.recording} overlap, but fall into "
                f"{assigned[one]} and {assigned[other]}; split by subject (data.split.by) or prepare the store "
                "without one of them"
            )
