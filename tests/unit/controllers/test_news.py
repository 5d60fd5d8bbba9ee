from __future__ import annotations

import pytest

from capt.api import CaptMachineDeploymentStatus, CaptMachineSetStatus
from capt.controllers.news import PATIENCE, Discretion, is_news
from capt.runtime import Key
from capt.runtime.testing import FakeClock
from tests.support.machines import condition, counts


def set_status(replicas: int, available: int, **fields) -> CaptMachineSetStatus:
    return CaptMachineSetStatus.model_validate({**counts(replicas, available), **fields})


def test_every_change_of_a_small_fleet_is_news():
    """With fewer than eight machines each one counts."""
    assert is_news(set_status(7, 3), set_status(7, 4), 7)


def test_a_large_fleet_far_from_its_goal_is_told_of_in_steps():
    """Single machines of fifty are no news, a quarter of them is."""
    assert not is_news(set_status(50, 10), set_status(50, 21), 50)
    assert is_news(set_status(50, 10), set_status(50, 22), 50)
    assert is_news(set_status(0, 0), set_status(50, 0), 50)


def test_the_last_step_is_told_at_once():
    """A rollout that goes machine by machine hangs on it."""
    assert not is_news(set_status(50, 47), set_status(50, 48), 50)
    assert is_news(set_status(50, 48), set_status(50, 49), 50)
    assert is_news(set_status(51, 50), set_status(51, 51), 50)


def test_machines_that_come_one_by_one_cost_few_writes():
    """Of twenty, each after the other, half a write for each is told by a set: the start, four steps and the last two."""
    told = set_status(0, 0)
    writes = 0
    for available in range(21):
        now = set_status(20, available)
        if is_news(told, now, 20):
            told, writes = now, writes + 1
    assert told == set_status(20, 20)
    assert writes <= 7


@pytest.mark.parametrize("count", ["readyReplicas", "availableReplicas"])
def test_a_machine_that_works_no_longer_is_news(count):
    """A rolling update takes machines away by these counts: they are never told too high for a while."""
    old = set_status(50, 40)
    assert is_news(old, set_status(50, 40, **{count: 39}), 50)
    assert not is_news(old, set_status(50, 40, **{count: 41}), 50)


def test_conditions_and_generations_are_news():
    """What is more than a count is told at once."""
    failing = {"conditions": [condition("Ready", "False", "MachinesFailing")]}
    assert is_news(set_status(50, 10), set_status(50, 11, **failing), 50)
    assert is_news(set_status(50, 10), set_status(50, 11, observedGeneration=2), 50)


def test_updated_machines_count_too():
    """A deployment goes by its updated machines as well."""

    def status(updated: int) -> CaptMachineDeploymentStatus:
        return CaptMachineDeploymentStatus.model_validate({**counts(50), "updatedReplicas": updated})

    assert not is_news(status(10), status(11), 50)
    assert is_news(status(10), status(22), 50)
    assert is_news(status(48), status(49), 50)


async def test_small_news_are_held_back_for_a_while_and_no_longer():
    """The time counts from the first change that was held back, whatever follows; telling starts it anew."""
    clock = FakeClock()
    discretion, key = Discretion(clock), Key("default", "s")

    def held_back(available: int) -> float:
        return discretion.hold_back(key, set_status(50, 10), set_status(50, available), desired=50)

    assert held_back(10) == 0
    assert held_back(11) == PATIENCE
    await clock.advance(PATIENCE - 1)
    assert held_back(12) == 1
    await clock.advance(1)
    assert held_back(13) == 0
    assert held_back(11) == PATIENCE
    assert held_back(30) == 0
