"""How far the VPC of a CAPTCluster is: the stages of seed 003, as a pure function of what was observed.

In the order in which a VPC passes through them: creation, apply watch, VPC id, final check. A timeout reports that a
stage takes longer than it should; it ends nothing, and a late success clears it. A failure needs a person; it is
cleared when what failed succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from capt.api import CAPTCluster, Condition, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.child_apply import BAD_CONFIGURATION, NEEDS_PERSON, Keep
from capt.controllers.cluster.plan import Blocked, Observation, Plan
from capt.runtime.conditions import find_condition

VPC_CREATION_TIMEOUT: Final = timedelta(minutes=15)
"""For a VPC that has never been there, from the first look at it (seed 003)."""

WORKSPACE_READY_TIMEOUT: Final = timedelta(minutes=15)
"""For a VPC that has been there, from when its Workspace was no longer ready (seed 003)."""

SECRET_TIMEOUT: Final = timedelta(minutes=5)
"""For the VPC's id to be found once Terraform has applied the template (seed 003)."""

SECRET_RETRY: Final = 10.0
"""Seconds between looks at the connection secret: Secrets are not watched, so that their contents are in no cache."""

VPC_ID_OUTPUT: Final = "vpc_id"
"""The output of the template that holds the VPC's id."""

VPC_READY: Final = "VPCReady"

_UNDER_WAY: Final = "Applying"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """What is said while Terraform is at work: in time, and when it takes too long."""

    reason: str
    timeout: str
    lacks: str
    limit: timedelta


_CREATION: Final = _Wait(
    reason="VPCCreating",
    timeout="VPCCreationTimeout",
    lacks="has not been created",
    limit=VPC_CREATION_TIMEOUT,
)
_LOOKUP: Final = _Wait(
    reason="VPCValidating",
    timeout="VPCValidationTimeout",
    lacks="has not been found",
    limit=VPC_CREATION_TIMEOUT,
)
_CHANGE: Final = _Wait(
    reason="VPCUpdating",
    timeout="WorkspaceReadyTimeout",
    lacks="has not been ready",
    limit=WORKSPACE_READY_TIMEOUT,
)


class Stage(StrEnum):
    """Where a VPC is."""

    CREATING = "Creating"
    """Terraform is at it, or something is waited for."""
    READY = "Ready"
    """It can be used."""
    TIMED_OUT = "TimedOut"
    """It takes longer than it should; work goes on."""
    FAILED = "Failed"
    """Somebody has to do something about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VPC:
    """What is known of a VPC.

    Attributes:
        stage: Where it is.
        reason: The same as one CamelCase word, one of seed 003's where it has one.
        message: The same for people.
        vpc_id: Its id, once it is known.
        recheck: Seconds after which the same facts would be judged differently; None if time changes nothing.
    """

    stage: Stage
    reason: str
    message: str
    vpc_id: str | None = None
    recheck: float | None = None


def assess_vpc(seen: Observation, plan: Plan) -> VPC:
    """Return where the VPC is.

    Args:
        seen: What was observed before anything was done.
        plan: What was done about it.
    """
    cluster = seen.cluster
    if cluster.spec.template_ref is None:
        existing = cluster.spec.existing_vpc_id
        return VPC(
            stage=Stage.READY,
            reason="ExistingVPCUsed",
            message=f"uses the existing VPC {existing}; existingVpcTemplateRef would check it",
            vpc_id=existing,
        )
    if isinstance(plan, Blocked):
        if plan.terminal:
            return _failed(plan.reason, plan.message)
        return _creating(seen, plan.message)
    if not isinstance(plan, Keep) or seen.apply is None:
        return _creating(seen, _under_way(cluster))
    return _of_apply(seen, seen.apply)


def needs_secret(seen: Observation) -> bool:
    """Tell whether the VPC's id can only be found in the connection secret."""
    apply = seen.apply
    return (
        seen.cluster.spec.template_ref is not None
        and apply is not None
        and _is_applied(apply)
        and not _text(apply.status.outputs.get(VPC_ID_OUTPUT))
    )


def _of_apply(seen: Observation, apply: WorkspaceTemplateApply) -> VPC:
    ready = find_condition(apply.status.conditions, "Ready")
    current = apply.status.observed_generation == apply.metadata.generation
    if not current or ready is None or ready.reason == _UNDER_WAY:
        return _creating(seen, _under_way(seen.cluster))
    if ready.status == "True":
        if not _is_applied(apply):
            return _creating(seen, _under_way(seen.cluster))
        return _with_id(seen, apply, ready)
    if ready.reason in BAD_CONFIGURATION:
        return _failed(
            "InvalidVPCConfig", f"{ready.reason}: {ready.message}; correct the reference or the template"
        )
    if ready.reason in NEEDS_PERSON and seen.cluster.spec.existing_vpc_id is not None:
        return _failed("InvalidVPCConfig", f"{ready.message}; correct existingVpcId or the template")
    if ready.reason in NEEDS_PERSON:
        reason = "VPCReconciliationFailed" if _provisioned(seen.cluster) else "VPCCreationFailed"
        return _failed(
            reason, f"{ready.message}; correct the template or its variables, Terraform then tries again"
        )
    return _creating(seen, f"{ready.reason}: {ready.message}")


def _with_id(seen: Observation, apply: WorkspaceTemplateApply, ready: Condition) -> VPC:
    vpc_id = _text(apply.status.outputs.get(VPC_ID_OUTPUT)) or _text(seen.secret.get(VPC_ID_OUTPUT))
    existing = seen.cluster.spec.existing_vpc_id
    if existing is not None and vpc_id == existing:
        message = f"uses the existing VPC {existing}, which Terraform has found"
        return VPC(stage=Stage.READY, reason="ExistingVPCUsed", message=message, vpc_id=existing)
    if existing is not None and vpc_id is not None:
        message = f"the template was to look up VPC {existing}, and its output {VPC_ID_OUTPUT!r} is {vpc_id}"
        return _failed("InvalidVPCConfig", f"{message}; correct the template")
    if vpc_id is not None:
        return VPC(stage=Stage.READY, reason="VPCCreated", message=f"VPC {vpc_id} is ready", vpc_id=vpc_id)
    secret = names.vpc_secret_name(seen.cluster.metadata.name)
    missing = (
        f"Terraform has applied the template, but neither its outputs nor Secret {secret} have {VPC_ID_OUTPUT!r}: "
        f"the template needs an output of that name"
    )
    left = _left(ready.last_transition_time, SECRET_TIMEOUT, seen.now)
    if left <= 0:
        return VPC(stage=Stage.TIMED_OUT, reason="SecretTimeout", message=missing, recheck=SECRET_RETRY)
    return VPC(
        stage=Stage.CREATING, reason="WaitingForVPCID", message=missing, recheck=min(left, SECRET_RETRY)
    )


def _creating(seen: Observation, message: str) -> VPC:
    wait = _wait(seen.cluster)
    left = _left(_since(seen), wait.limit, seen.now)
    if left > 0:
        return VPC(stage=Stage.CREATING, reason=wait.reason, message=message, recheck=left)
    minutes = wait.limit // timedelta(minutes=1)
    late = f"the VPC {wait.lacks} for {minutes} minutes, work goes on: {message}"
    return VPC(stage=Stage.TIMED_OUT, reason=wait.timeout, message=late)


def _wait(cluster: CAPTCluster) -> _Wait:
    if _provisioned(cluster):
        return _CHANGE
    return _CREATION if cluster.spec.existing_vpc_id is None else _LOOKUP


def _since(seen: Observation) -> datetime:
    """Return since when the VPC has not been ready; the condition says it, so that a restart does not forget it."""
    ready = find_condition(seen.cluster.status.conditions, VPC_READY)
    return seen.now if ready is None or ready.status == "True" else ready.last_transition_time


def _left(since: datetime, limit: timedelta, now: datetime) -> float:
    return (since + limit - now).total_seconds()


def _failed(reason: str, message: str) -> VPC:
    return VPC(stage=Stage.FAILED, reason=reason, message=message)


def _is_applied(apply: WorkspaceTemplateApply) -> bool:
    """Tell whether Terraform has applied the spec that there is now."""
    ready = find_condition(apply.status.conditions, "Ready")
    synced = find_condition(apply.status.conditions, "Synced")
    return (
        apply.status.observed_generation == apply.metadata.generation
        and ready is not None
        and ready.status == "True"
        # Unknown: its template cannot be read now, so nothing says that what stands is not what is wanted
        and (synced is None or synced.status != "False")
    )


def _provisioned(cluster: CAPTCluster) -> bool:
    initialization = cluster.status.initialization
    return bool(initialization is not None and initialization.provisioned)


def _under_way(cluster: CAPTCluster) -> str:
    return (
        f"waits for Terraform to apply WorkspaceTemplateApply {names.vpc_apply_name(cluster.metadata.name)}"
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
