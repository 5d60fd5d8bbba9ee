"""Which changes of a fleet's status are told at once, and which may gather for a while.

Every machine that comes up changes the counts of its set and of its deployment. Told one by one, they cost
two writes per machine, each of which every watcher gets. So while a fleet is far from its goal, counts are
told in steps of a quarter of it, and what is smaller after some seconds. Everything else is told at once: a
condition that turns, a new generation, the last step, on which rollouts that go one by one hang, and each
machine that works no longer: a rollout goes by these counts, and must not take away what only seems to be there.
"""

from __future__ import annotations

from typing import Final

from capt.api import CaptMachineDeploymentStatus, CaptMachineSetStatus
from capt.runtime import Key
from capt.runtime.clock import Clock

PATIENCE: Final = 10.0
"""Seconds for which a small change of counts may be held back."""

_STEPS: Final = 4
_LAST: Final = 1

_Status = CaptMachineDeploymentStatus | CaptMachineSetStatus


def is_news(old: _Status, new: _Status, desired: int) -> bool:
    """Tell whether a status differs enough from the one told last to be told at once.

    Args:
        old: What was told last.
        new: What is true now.
        desired: How many machines there should be.
    """
    step = desired // _STEPS
    if step <= 1 or _shape(old) != _shape(new):
        return True
    if new.ready_replicas < old.ready_replicas or new.available_replicas < old.available_replicas:
        return True
    before, after = _counts(old), _counts(new)
    if max(abs(was - now) for was, now in zip(before, after, strict=True)) >= step:
        return True
    return all(abs(desired - count) <= _LAST for count in after)


class Discretion:
    """Remembers since when something small has been held back, for each object.

    What it forgets in a restart is told a little earlier or later, nothing else.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[Key, float] = {}

    def hold_back(self, key: Key, old: _Status, new: _Status, *, desired: int) -> float:
        """Return for how many seconds a status may still be held back; 0 when it is to be told now, and counts as told.

        Args:
            key: The object.
            old: What was told last.
            new: What is true now.
            desired: How many machines there should be.
        """
        if new != old and not is_news(old, new, desired):
            now = self._clock.monotonic()
            seconds = self._since.setdefault(key, now) + PATIENCE - now
            if seconds > 0:
                return seconds
        self.forget(key)
        return 0.0

    def forget(self, key: Key) -> None:
        """Take note that an object is gone."""
        self._since.pop(key, None)


def _shape(status: _Status) -> tuple[object, ...]:
    conditions = tuple((each.type, each.status, each.reason) for each in status.conditions)
    return (status.observed_generation, status.selector, conditions)


def _counts(status: _Status) -> tuple[int, ...]:
    counts = (status.replicas, status.ready_replicas, status.available_replicas)
    return (*counts, status.updated_replicas) if isinstance(status, CaptMachineDeploymentStatus) else counts
