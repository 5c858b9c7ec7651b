"""How often a run is shown, and at which step a test stands."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from eeg2speech.core.errors import ConfigError
from eeg2speech.training.steps import Occasions, step_of


def trainer(step: int, total: int = 100_000, fn: str = "fit"):
    return SimpleNamespace(global_step=step, estimated_stepping_batches=total, state=SimpleNamespace(fn=fn))


def shown(occasions: Occasions, steps, total: int = 100_000) -> list[int]:
    return [step for step in steps if occasions.due(trainer(step, total))]


def test_a_long_run_is_shown_as_often_as_was_asked():
    steps = shown(Occasions(10), range(400, 100_001, 400))
    assert len(steps) == 10
    assert (steps[0], steps[-1]) == (400, 100_000)
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps[1:])]
    assert max(gaps) - min(gaps) <= 400


def test_every_validation_of_a_short_run_is_shown():
    assert shown(Occasions(10), (400, 800, 1200), 1200) == [400, 800, 1200]


def test_a_run_that_was_stopped_is_shown_no_more_often():
    steps, occasions = [], Occasions(5)
    for step in range(100, 10_001, 100):
        again = Occasions(5)
        again.load_state_dict(occasions.state_dict())
        occasions = again
        steps += shown(occasions, [step], 10_000)
    assert len(steps) == 5


def test_the_same_validation_may_ask_twice():
    occasions = Occasions(2)
    assert [occasions.due(trainer(step)) for step in (400, 400, 800)] == [True, True, False]


def test_outside_of_training_all_is_shown_unless_nothing_is_wanted():
    assert Occasions(2).due(trainer(0, fn="validate"))
    assert not Occasions(0).due(trainer(0, fn="validate"))
    assert not Occasions(0).due(trainer(400))


@pytest.mark.parametrize("most", [-1, 1])
def test_a_number_without_room_for_first_and_last_is_refused(most: int):
    with pytest.raises(ConfigError, match=f"occasions={most} must be 0, or 2 or more"):
        Occasions(most)


def test_a_test_stands_where_its_checkpoint_does():
    assert step_of(trainer(0), SimpleNamespace(trained_steps=1200)) == 1200
    assert step_of(trainer(300), SimpleNamespace(trained_steps=200)) == 300
    assert step_of(trainer(0), SimpleNamespace()) == 0
