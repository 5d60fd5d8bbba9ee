"""Who may hold a lease now: the pure half of leader election.

The timestamps in a Lease are never compared with a clock: clocks differ. A candidate only measures, on its own clock,
how long ago it saw the Lease change last, and takes over when that is longer than the holder's lease duration. So the
argument needs no agreement on time, only clocks that run about equally fast:

* A holder stops leading ``renew_deadline`` after it *sent* the last renewal that the server confirmed.
* The server stored that renewal after it was sent, and a rival saw the change after it was stored; the rival waits
  ``lease_duration``, which is longer, from there.

Every write carries the resourceVersion that its decision was made from, so a decision that is out of date is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """What a Lease says.

    Attributes:
        holder: identity of the holder; "" when it was released.
        duration: whole seconds that the holder asks rivals to wait.
        acquired: when the holder took it, for people.
        transitions: how often the holder changed.
        resource_version: of the Lease object.
    """

    holder: str = ""
    duration: int = 0
    acquired: str = ""
    transitions: int = 0
    resource_version: str = ""

    @classmethod
    def from_object(cls, lease: Mapping[str, Any]) -> LeaseRecord:
        """Read a ``coordination.k8s.io/v1`` Lease."""
        spec = lease.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            duration=spec.get("leaseDurationSeconds") or 0,
            acquired=spec.get("acquireTime") or "",
            transitions=spec.get("leaseTransitions") or 0,
            resource_version=lease["metadata"]["resourceVersion"],
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """A Lease as last seen.

    Attributes:
        record: what it said; ``None`` when there was no Lease.
        changed_at: seconds on the observer's own boot-time clock when it saw the Lease change last.
    """

    record: LeaseRecord | None
    changed_at: float


class Decision(Enum):
    """What to do about a lease."""

    CREATE = auto()
    """There is none: create it, held."""
    TAKE = auto()
    """It is free, or its holder has let it expire."""
    RENEW = auto()
    """It is ours."""
    WAIT = auto()
    """Another holds it."""


def observe(before: Observation | None, record: LeaseRecord | None, now: float) -> Observation:
    """Return the observation after ``record`` was read at ``now``; an unchanged Lease keeps its age."""
    if before is not None and before.record == record:
        return before
    return Observation(record, now)


def decide(observation: Observation, *, identity: str, now: float) -> Decision:
    """Decide what the candidate or holder ``identity`` may do at ``now`` on its boot-time clock."""
    record = observation.record
    if record is None:
        return Decision.CREATE
    if record.holder == identity:
        return Decision.RENEW
    if not record.holder or now >= observation.changed_at + record.duration:
        return Decision.TAKE
    return Decision.WAIT


def held_spec(before: LeaseRecord | None, *, identity: str, duration: int, now: datetime) -> dict[str, Any]:
    """Return the spec of a Lease that ``identity`` takes or renews; the holder's change is a transition."""
    same = before is not None and before.holder == identity
    first = before is None
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": duration,
        "acquireTime": before.acquired if before is not None and same else _micro_time(now),
        "renewTime": _micro_time(now),
        "leaseTransitions": 0 if before is None else before.transitions + (not same and not first),
    }


def released_spec(now: datetime) -> dict[str, Any]:
    """Return the part of the spec that makes a Lease free at once.

    The duration is one second, as client-go writes it, for candidates that look at the duration before the holder.
    """
    return {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time(now)}


def _micro_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
