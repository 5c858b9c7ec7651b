from __future__ import annotations

import pytest

from eeg2speech.checkpoints.training_record import (
    KEY,
    Material,
    TrainingRecord,
    merged,
    read_records,
    seen_before,
)
from eeg2speech.core.errors import DataError

TRAINED = Material({"h1": "s1", "h2": "s2"}, {"A/01": "01", "A/02": "02"}, {"r1": "01", "r2": "02"})
VALIDATED = Material({"h3": "s3"}, {"A/01": "01"}, {"r1": "01"})


def record(learned="pairs", trained=TRAINED, **data):
    return TrainingRecord("AlignmentTask", learned, trained, VALIDATED, data)


def material(sounds, subjects, recordings=()):
    return Material(
        {h: f"its {h}" for h in sounds}, {f"A/{s}": s for s in subjects}, {r: f"of {r}" for r in recordings}
    )


@pytest.mark.parametrize(
    ("part", "sounds", "subjects"),
    [
        ("unseen_stimulus", ("its h1",), ()),
        ("unseen_subject", (), ("01",)),
        ("unseen_both", ("its h1",), ("01",)),
        ("val", ("its h1",), ()),
    ],
)
def test_each_list_is_checked_for_what_it_calls_new(part, sounds, subjects):
    seen = seen_before([record()], part, material(["h1", "h9"], ["01", "09"]), "pairs")
    assert (seen.sounds, seen.subjects) == (sounds, subjects)
    assert seen.trained
    assert seen.stages == ("AlignmentTask",)


def test_validation_on_new_subjects_is_checked_for_subjects():
    seen = seen_before([record()], "val", material(["h1"], ["01"]), "pairs", new_subjects=True)
    assert (seen.sounds, seen.subjects) == ((), ("01",))


def test_a_subject_under_another_label_is_known_by_recordings():
    seen = seen_before([record()], "unseen_subject", material(["h9"], ["x"], ["r2"]), "pairs")
    assert seen.subjects == ("of r2",)


def test_nothing_in_common_is_unseen_and_has_no_words():
    seen = seen_before([record()], "unseen_both", material(["h9"], ["09"], ["r9"]), "pairs")
    assert not seen.trained
    assert seen.text == ""
    assert not seen.stages


def test_the_union_over_all_trainings_counts():
    other = record("sound", Material({"h9": "s9"}))
    seen = seen_before([record(), other], "unseen_stimulus", material(["h1", "h9", "h8"], ["01"]), "pairs")
    assert seen.sounds == ("its h1", "its h9")
    assert seen.text == "2 of 3 sounds trained on (its h1, its h9)"


def test_unlabelled_eeg_is_reported_apart_for_later_stages_only():
    records, listed = [record("eeg")], material(["h1"], ["01"])
    later = seen_before(records, "unseen_both", listed, "pairs")
    assert not later.trained
    assert later.unlabelled == ("01", "its h1")
    assert seen_before(records, "unseen_both", listed, "eeg").trained
    elsewhere = seen_before(records, "unseen_stimulus", material(["h1"], ["09"]), "pairs")
    assert elsewhere.unlabelled == ()  # the sound was heard, but by none of these subjects


def test_sounds_that_checkpoints_were_chosen_on_are_reported():
    seen = seen_before([record()], "unseen_stimulus", material(["h3"], ["09"]), "pairs")
    assert not seen.trained
    assert seen.validated == ("its h3",)


def test_a_training_without_a_record_leaves_no_list_unseen():
    seen = seen_before([record(trained=Material(), unknown=True)], "unseen_both", material(["h9"], ["09"]), "pairs")
    assert not seen.trained
    assert seen.text == "no record of what AlignmentTask was trained on"


def test_long_lists_of_names_are_cut():
    many = [f"h{k}" for k in range(9)]
    seen = seen_before([record(trained=Material({h: h for h in many}))], "unseen_stimulus", material(many, []), "pairs")
    assert seen.text.endswith("(its h0, its h1, its h2, its h3, its h4 and 4 more)")


def test_a_record_survives_plain_values_and_is_kept_once():
    one = record(split={"seed": 3})
    again = read_records({KEY: [one.to_dict()]}, "x.ckpt")
    assert again == [one]
    assert merged([one, *again, record()]) == [one, record()]
    assert read_records({}, "x.ckpt") is None


@pytest.mark.parametrize("damaged", [[{"stage": "x"}], [3], 5, [{"stage": "x", "learned": "eeg", "trained": {"a": 1}}]])
def test_a_damaged_record_is_named(damaged):
    with pytest.raises(DataError, match=r"x\.ckpt: damaged record"):
        read_records({KEY: damaged}, "x.ckpt")
