from __future__ import annotations

from capt.controllers.machine_set.deletion_order import deletion_order
from capt.controllers.names import DELETE_MACHINE_ANNOTATION
from tests.support.machines import NOW, machine

CHOSEN = {"annotations": {DELETE_MACHINE_ANNOTATION: ""}}


def order(*machines, min_ready_seconds: int = 0) -> list[str]:
    return [each.metadata.name for each in deletion_order(machines, min_ready_seconds, NOW)]


def test_worse_machines_go_before_better_ones():
    """Deleted, chosen, failed, not ready, not yet available, available: in this order."""
    machines = [
        machine("available", ready=100),
        machine("fresh", ready=5),
        machine("waiting"),
        machine("failed", failing="Error: no"),
        machine("chosen", ready=100, metadata=CHOSEN),
        machine("deleting", ready=100, deleting=True),
    ]
    expected = ["deleting", "chosen", "failed", "waiting", "fresh", "available"]
    assert order(*machines, min_ready_seconds=30) == expected


def test_of_equals_the_newest_goes_first_then_by_name():
    """The loss of the newest costs least; equal ages are decided by name, so that the answer never wavers."""
    machines = [
        machine("old", ready=1, age=900),
        machine("b", ready=1, age=10),
        machine("a", ready=1, age=10),
    ]
    assert order(*machines) == ["a", "b", "old"]


def test_readiness_of_another_spec_does_not_count():
    """A machine whose current spec has not been seen by its controller is not ready."""
    stale = machine("stale", ready=100, age=900, metadata={"generation": 2})
    assert order(machine("ok", ready=100, age=10), stale) == ["stale", "ok"]
