"""What happens to a control plane that is worth an event: a new phase, an upgrade that begins or ends, a lost update."""

from __future__ import annotations

from typing import Literal

from capt.api import CAPTControlPlaneStatus
from capt.controllers.control_plane.phases import ENDPOINT_UPDATE_FAILED, Phase, Verdict
from capt.controllers.control_plane.status import FAILED, ROLLING_OUT
from capt.runtime.conditions import find_condition, is_true

EventOf = tuple[Literal["Normal", "Warning"], str, str]
"""Type, reason and message of an event."""


def events(
    old: CAPTControlPlaneStatus, new: CAPTControlPlaneStatus, verdict: Verdict, problem: str
) -> tuple[EventOf, ...]:
    """Return the events of one reconcile, none when it told nothing new.

    Args:
        old: The status before.
        new: The status after.
        verdict: The phase that the new status tells.
        problem: Why the endpoint could not be written; empty when it could.
    """
    if verdict.phase is Phase.FAILED:
        return (("Warning", verdict.reason, verdict.message),) if _is_news(old, new) else ()
    told: list[EventOf] = []
    if old.phase != new.phase:
        told.append(("Normal", verdict.phase.value, verdict.message))
    before, after = is_true(old.conditions, ROLLING_OUT), is_true(new.conditions, ROLLING_OUT)
    condition = find_condition(new.conditions, ROLLING_OUT)
    if after and not before and condition is not None:
        told.append(("Normal", "RollingOut", condition.message))
    if before and not after:
        told.append(("Normal", "RolledOut", f"version {new.version} runs"))
    if problem:
        told.append(("Warning", ENDPOINT_UPDATE_FAILED, problem))
    return tuple(told)


def _is_news(old: CAPTControlPlaneStatus, new: CAPTControlPlaneStatus) -> bool:
    before, after = find_condition(old.conditions, FAILED), find_condition(new.conditions, FAILED)
    if old.phase != new.phase or before is None or after is None:
        return True
    return (before.reason, before.message) != (after.reason, after.message)
