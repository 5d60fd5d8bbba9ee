"""Which machines a shrinking set gives up first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum

from capt.api import CaptMachine
from capt.controllers.machine.availability import is_available, is_ready
from capt.controllers.names import DELETE_MACHINE_ANNOTATION
from capt.runtime.conditions import find_condition


class Priority(IntEnum):
    """Why a machine goes before others; the lowest goes first."""

    DELETING = 0
    """Somebody has deleted it already: it counts, and is not deleted again."""
    CHOSEN = 1
    """Its annotation `cluster.x-k8s.io/delete-machine` says so."""
    FAILED = 2
    """Terraform cannot make what it asks for."""
    NOT_READY = 3
    """Its infrastructure does not exist yet."""
    NOT_AVAILABLE = 4
    """It is ready, but not for `minReadySeconds` yet."""
    AVAILABLE = 5
    """It works. Of these the newest goes first, as its loss costs least."""


def deletion_order(
    machines: Iterable[CaptMachine], min_ready_seconds: int, now: datetime
) -> list[CaptMachine]:
    """Return the machines in the order in which they are given up; within a priority newest first, then by name."""

    def rank(machine: CaptMachine) -> tuple[int, float, str]:
        created = machine.metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC)
        priority = deletion_priority(machine, min_ready_seconds, now)
        return priority, -created.timestamp(), machine.metadata.name

    return sorted(machines, key=rank)


def deletion_priority(machine: CaptMachine, min_ready_seconds: int, now: datetime) -> Priority:
    """Return why `machine` goes before others."""
    if machine.metadata.deletion_timestamp is not None:
        return Priority.DELETING
    if DELETE_MACHINE_ANNOTATION in machine.metadata.annotations:
        return Priority.CHOSEN
    if not is_ready(machine):
        ready = find_condition(machine.status.conditions, "Ready")
        failed = ready is not None and ready.reason == "WorkspaceError"
        return Priority.FAILED if failed else Priority.NOT_READY
    if not is_available(machine, min_ready_seconds, now):
        return Priority.NOT_AVAILABLE
    return Priority.AVAILABLE
