from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from capt.api import APIEndpoint
from capt.controllers.control_plane.endpoint import RefusedEndpoint
from capt.controllers.control_plane.phases import (
    Observation,
    Obstacle,
    Phase,
    Progress,
    Timeouts,
    Work,
    transition,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ENDPOINT = APIEndpoint(host="a.example.com", port=443)
APPLYING = Progress(work=Work.APPLYING, reason="WaitingForWorkspace", message="applies", since=NOW)
WAITING = replace(APPLYING, work=Work.WAITING, reason="WorkspaceTemplateNotFound", message="no template")
BROKEN = replace(APPLYING, work=Work.FAILED, reason="WorkspaceError", message="no quota")
DONE = replace(APPLYING, work=Work.DONE, reason="Ready", done_since=NOW, has_secret=True, endpoint=ENDPOINT)


def seen(was: Phase | None = Phase.CREATING, **fields: Any) -> Observation:
    """Return an observation at noon."""
    return replace(Observation(now=NOW, was=was, initialized=False, unready_since=NOW), **fields)


@pytest.mark.parametrize("was", [None, *Phase])
@pytest.mark.parametrize(
    ("fields", "phase", "reason", "terminal"),
    [
        ({}, "Creating", "Creating", False),
        ({"waiting_for_vpc": "no VPC"}, "Creating", "WaitingForVPC", False),
        (
            {"obstacle": Obstacle(reason="WorkspaceDeleting", message="m")},
            "Creating",
            "WorkspaceDeleting",
            False,
        ),
        (
            {"obstacle": Obstacle(reason="ApplyConflict", message="m", needs_person=True)},
            "Failed",
            "ApplyConflict",
            True,
        ),
        ({"progress": WAITING}, "Creating", "WorkspaceTemplateNotFound", False),
        ({"progress": BROKEN}, "Failed", "WorkspaceError", True),
        ({"progress": replace(DONE, has_secret=False)}, "Creating", "WaitingForSecret", False),
        ({"progress": replace(DONE, has_secret=False), "initialized": True}, "Ready", "Ready", False),
        (
            {"progress": replace(DONE, endpoint=RefusedEndpoint(problem="p"))},
            "Failed",
            "EndpointUpdateFailed",
            True,
        ),
        (
            {"progress": DONE, "update_error": "forbidden", "update_refused": True},
            "Failed",
            "EndpointUpdateFailed",
            True,
        ),
        ({"progress": DONE}, "Ready", "Ready", False),
    ],
)
def test_the_phase_follows_from_what_is_seen(
    was: Phase | None, fields: dict[str, Any], phase: str, reason: str, terminal: bool
) -> None:
    """Whatever the phase was, the same facts give the same phase: nothing is a dead end, Failed included."""
    verdict = transition(seen(was, **fields))
    assert (verdict.phase, verdict.reason, verdict.terminal) == (phase, reason, terminal)


@pytest.mark.parametrize(
    ("was", "phase", "reason"),
    [
        (None, "Failed", "EndpointUpdateFailed"),
        (Phase.CREATING, "Failed", "EndpointUpdateFailed"),
        (Phase.FAILED, "Failed", "EndpointUpdateFailed"),
        (Phase.READY, "Ready", "Ready"),
    ],
)
def test_an_error_that_passes_is_not_terminal(was: Phase | None, phase: str, reason: str) -> None:
    """Seeds 003, 004: while the endpoint cannot be written it is EndpointUpdateFailed; what was Ready stays Ready."""
    verdict = transition(seen(was, progress=DONE, update_error="no answer"))
    assert (verdict.phase, verdict.reason, verdict.terminal) == (phase, reason, False)


@pytest.mark.parametrize(
    ("was", "phase"),
    [(None, "Creating"), (Phase.CREATING, "Creating"), (Phase.FAILED, "Creating"), (Phase.READY, "Ready")],
)
def test_what_is_ready_stays_so_while_it_is_changed(was: Phase | None, phase: str) -> None:
    """A control plane that serves does not go back to Creating because Terraform works on it."""
    verdict = transition(seen(was, progress=APPLYING, initialized=was is Phase.READY))
    assert verdict.phase == phase
    assert bool(verdict.changing) is (was is Phase.READY)


@pytest.mark.parametrize(
    ("fields", "minutes", "reason"),
    [
        ({"waiting_for_vpc": "no VPC"}, 15, "VPCReadyTimeout"),
        ({"progress": APPLYING}, 30, "ControlPlaneTimeout"),
        ({"progress": WAITING}, 30, "ControlPlaneTimeout"),
        ({"progress": replace(DONE, has_secret=False)}, 5, "SecretTimeout"),
    ],
)
@pytest.mark.parametrize("own", [None, 2])
def test_timeouts(fields: dict[str, Any], minutes: int, reason: str, own: int | None) -> None:
    """Seed 003: 30, 15 and 5 minutes, or the spec's; up to the last second it is Creating, then Failed, not terminal."""
    limit = timedelta(minutes=own or minutes)
    timeouts = Timeouts() if own is None else Timeouts(control_plane=limit, vpc=limit, secret=limit)
    before = transition(seen(**fields, now=NOW + limit - timedelta(seconds=1), timeouts=timeouts))
    assert (before.phase, before.recheck) == (Phase.CREATING, 1.0)
    after = transition(seen(**fields, now=NOW + limit, timeouts=timeouts))
    assert (after.phase, after.reason, after.terminal) == (Phase.FAILED, reason, False)
    assert after.recheck is None


@pytest.mark.parametrize("reason", ["VPCReadyTimeout", "ControlPlaneTimeout", "SecretTimeout"])
def test_late_is_not_too_late(reason: str) -> None:
    """A timeout ends when what was waited for comes, however late."""
    late = NOW + timedelta(days=1)
    verdict = transition(seen(Phase.FAILED, progress=DONE, now=late))
    assert (verdict.phase, reason != verdict.reason) == (Phase.READY, True)


def test_the_control_planes_time_does_not_begin_with_the_vpcs() -> None:
    """The 30 minutes begin when the WorkspaceTemplateApply is made, after the VPC is there."""
    made = replace(APPLYING, since=NOW + timedelta(minutes=14))
    verdict = transition(seen(progress=made, now=NOW + timedelta(minutes=31)))
    assert verdict.phase is Phase.CREATING


def test_a_control_plane_that_is_made_again_has_its_time_again() -> None:
    """The time of one that was ready begins when it ceased to be, not when it was first made."""
    old = replace(WAITING, since=NOW - timedelta(days=30))
    verdict = transition(seen(Phase.CREATING, progress=old, initialized=True))
    assert verdict.phase is Phase.CREATING
