"""When a machine counts as ready, and when as available."""

from __future__ import annotations

from datetime import datetime, timedelta

from capt.api import CaptMachine
from capt.runtime.conditions import find_condition

# timestamps have whole seconds: what happened within a second is taken to have happened at its end, so that no
# machine counts as available before its time
_PRECISION = timedelta(seconds=1)


def is_ready(machine: CaptMachine) -> bool:
    """Tell whether the infrastructure of a machine's current spec exists, and is to stay."""
    return _ready_since(machine) is not None


def available_at(machine: CaptMachine, min_ready_seconds: int) -> datetime | None:
    """Return when a machine counts, or will count, as available if it stays ready; None when it is not ready."""
    since = _ready_since(machine)
    if since is None or min_ready_seconds == 0:
        return since
    return since + _PRECISION + timedelta(seconds=min_ready_seconds)


def is_available(machine: CaptMachine, min_ready_seconds: int, now: datetime) -> bool:
    """Tell whether a machine has been ready for `min_ready_seconds`."""
    if min_ready_seconds == 0:
        return is_ready(machine)
    moment = available_at(machine, min_ready_seconds)
    return moment is not None and moment <= now


def _ready_since(machine: CaptMachine) -> datetime | None:
    if machine.metadata.deletion_timestamp is not None:
        return None
    ready = find_condition(machine.status.conditions, "Ready")
    if ready is None or ready.status != "True":
        return None
    # a spec that its controller has not seen yet may ask for something else
    if ready.observed_generation != machine.metadata.generation:
        return None
    return ready.last_transition_time
