"""Where in its life a control plane is: a pure function of what is seen, of what was told last and of the time.

    Creating ──> Ready <──> Failed
        └───────────────────^

Seed 003's phases. What keeps a control plane from being ready and passes by itself is Creating; what a person
has to mend is Failed; what takes longer than it should is Failed too, but only until it arrives. One that is
Ready stays so while Terraform changes it: it serves, and RollingOut says what happens.

Timeouts need no memory of their own. That of the VPC counts since the condition Ready has been False, that of
the control plane since its WorkspaceTemplateApply was made (or since it ceased to be ready), that of the
secret since Terraform was done; all three are times that the API server keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from capt.api import APIEndpoint
from capt.controllers.control_plane.endpoint import RefusedEndpoint

CONTROL_PLANE_TIMEOUT: Final = timedelta(minutes=30)
VPC_READY_TIMEOUT: Final = timedelta(minutes=15)
SECRET_TIMEOUT: Final = timedelta(minutes=5)

ENDPOINT_UPDATE_FAILED: Final = "EndpointUpdateFailed"


class Phase(StrEnum):
    """The phases of seed 003, and one for the end."""

    CREATING = "Creating"
    READY = "Ready"
    FAILED = "Failed"
    DELETING = "Deleting"


class Work(StrEnum):
    """How far Terraform is with what the spec asks for."""

    APPLYING = "applying"
    WAITING = "waiting"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long things may take before they count as failed (seed 003).

    Attributes:
        control_plane: For making the control plane.
        vpc: For the VPC to become ready.
        secret: For the connection Secret to appear after Terraform is done.
    """

    control_plane: timedelta = CONTROL_PLANE_TIMEOUT
    vpc: timedelta = VPC_READY_TIMEOUT
    secret: timedelta = SECRET_TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why nothing can be done now.

    Attributes:
        reason: One CamelCase word for programs.
        message: The same for people.
        needs_person: Whether it stays until somebody does something about it.
    """

    reason: str
    message: str
    needs_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the WorkspaceTemplateApply is.

    Attributes:
        work: What Terraform is at.
        reason: The same as one CamelCase word.
        message: The same for people.
        since: When the apply was made.
        done_since: When Terraform was done; None while it is not.
        has_secret: Whether the connection Secret is there.
        endpoint: What the outputs say about the endpoint; None where nothing has been looked at.
    """

    work: Work
    reason: str
    message: str
    since: datetime
    done_since: datetime | None = None
    has_secret: bool = False
    endpoint: APIEndpoint | RefusedEndpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the phase follows from.

    Attributes:
        now: The time.
        was: The phase told last; None for a new control plane.
        initialized: Whether it has been usable before.
        unready_since: Since when it has not been ready; for a new control plane, and for one that is, now.
        obstacle: What keeps the WorkspaceTemplateApply from being made or changed.
        waiting_for_vpc: What the VPC lacks, for people; empty when it is ready, or not needed any more.
        progress: How far Terraform is; None without a WorkspaceTemplateApply.
        update_error: Why the endpoint could not be read or written; empty when it could.
        update_refused: Whether the API server refused that for good.
        timeouts: How long things may take.
    """

    now: datetime
    was: Phase | None
    initialized: bool
    unready_since: datetime
    obstacle: Obstacle | None = None
    waiting_for_vpc: str = ""
    progress: Progress | None = None
    update_error: str = ""
    update_refused: bool = False
    timeouts: Timeouts = Timeouts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The phase, and why.

    Attributes:
        phase: The phase.
        reason: One CamelCase word for programs.
        message: The same for people.
        terminal: Whether a person has to do something: the failure fields of the status are set.
        changing: What Terraform changes on a control plane that is Ready; empty when it changes nothing.
        recheck: Seconds after which the same facts would be judged differently; None if time changes nothing.
    """

    phase: Phase
    reason: str
    message: str
    terminal: bool = False
    changing: str = ""
    recheck: float | None = None


def transition(seen: Observation) -> Verdict:
    """Return the phase of a control plane that belongs to a Cluster and is not being deleted."""
    if seen.obstacle is not None:
        return _obstructed(seen.obstacle)
    if seen.waiting_for_vpc:
        return _awaiting(
            seen,
            "WaitingForVPC",
            seen.waiting_for_vpc,
            seen.unready_since + seen.timeouts.vpc,
            "VPCReadyTimeout",
        )
    progress = seen.progress
    if progress is None:
        return Verdict(
            phase=Phase.CREATING, reason="Creating", message="its infrastructure is about to be made"
        )
    match progress.work:
        case Work.FAILED:
            return Verdict(
                phase=Phase.FAILED, reason=progress.reason, message=progress.message, terminal=True
            )
        case Work.DONE:
            return _made(seen, progress)
        case Work.APPLYING if seen.was is Phase.READY:
            return Verdict(
                phase=Phase.READY,
                reason="Ready",
                message="the control plane is ready while it is being changed",
                changing=progress.message,
            )
        case _:
            deadline = max(progress.since, seen.unready_since) + seen.timeouts.control_plane
            return _awaiting(seen, progress.reason, progress.message, deadline, "ControlPlaneTimeout")


def _made(seen: Observation, progress: Progress) -> Verdict:
    """Return the phase of a control plane that Terraform has made."""
    if seen.update_error and seen.was is Phase.READY and not seen.update_refused:
        # seed 003: an error that passes changes nothing in what is said
        return _ready(progress)
    if seen.update_error:
        return Verdict(
            phase=Phase.FAILED,
            reason=ENDPOINT_UPDATE_FAILED,
            message=seen.update_error,
            terminal=seen.update_refused,
        )
    if not progress.has_secret and not seen.initialized:
        since = progress.done_since or seen.now
        message = "waits for the Secret with the outputs of its Workspace"
        return _awaiting(seen, "WaitingForSecret", message, since + seen.timeouts.secret, "SecretTimeout")
    if isinstance(progress.endpoint, RefusedEndpoint):
        message = f"the template's output for the endpoint cannot be used: {progress.endpoint.problem}"
        return Verdict(phase=Phase.FAILED, reason=ENDPOINT_UPDATE_FAILED, message=message, terminal=True)
    return _ready(progress)


def _ready(progress: Progress) -> Verdict:
    message = f"the control plane is ready at {progress.endpoint}"
    return Verdict(phase=Phase.READY, reason="Ready", message=message)


def _obstructed(obstacle: Obstacle) -> Verdict:
    return Verdict(
        phase=Phase.FAILED if obstacle.needs_person else Phase.CREATING,
        reason=obstacle.reason,
        message=obstacle.message,
        terminal=obstacle.needs_person,
    )


def _awaiting(seen: Observation, reason: str, message: str, deadline: datetime, timeout: str) -> Verdict:
    left = (deadline - seen.now).total_seconds()
    if left > 0:
        return Verdict(phase=Phase.CREATING, reason=reason, message=message, recheck=left)
    return Verdict(phase=Phase.FAILED, reason=timeout, message=f"it takes longer than it should: {message}")
