"""What a CAPTCluster says about itself, and what it has to tell its Cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from capt.api import CAPTCluster, CAPTClusterStatus, Condition, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.cluster.failure_domains import failure_domains
from capt.controllers.cluster.plan import Observation, Plan
from capt.controllers.cluster.stages import VPC, VPC_READY, Stage, assess_vpc
from capt.controllers.manifest import to_manifest
from capt.controllers.parent_cluster import News, domains_by_name
from capt.controllers.wording import listed
from capt.runtime.conditions import find_condition, set_condition

READY: Final = "Ready"
VPC_CREATING: Final = "VPCCreating"
VPC_FAILED: Final = "VPCFailed"
WAITING_FOR_CLUSTER: Final = "WaitingForCluster"
PAUSED: Final = "Paused"

EventOf = tuple[Literal["Normal", "Warning"], str, str]
"""Type, reason and message of an event."""

# which of the VPC's conditions holds at each stage; exactly these, so that they never contradict one another
_HOLDS: Final = {
    Stage.READY: VPC_READY,
    Stage.CREATING: VPC_CREATING,
    Stage.TIMED_OUT: VPC_FAILED,
    Stage.FAILED: VPC_FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is to be told.

    Attributes:
        status: The new status, whole.
        news: What the Cluster is told; None when there is nothing to tell.
        event: An event, if there is a new phase.
        recheck: Seconds after which the same facts would be judged differently; None if time changes nothing.
    """

    status: CAPTClusterStatus
    news: News | None = None
    event: EventOf | None = None
    recheck: float | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """One condition, short of what is the same for all."""

    type: str
    holds: bool
    reason: str
    message: str


def report(seen: Observation, plan: Plan) -> Report:
    """Return what there is to say when the plan has been carried out."""
    return _report(seen, assess_vpc(seen, plan))


def failed(seen: Observation, reason: str, message: str) -> Report:
    """Return what there is to say when somebody has to do something before it can go on."""
    return _report(seen, VPC(stage=Stage.FAILED, reason=reason, message=message))


def waiting_for_cluster(cluster: CAPTCluster, reason: str, message: str, now: datetime) -> Report:
    """Return the status while no Cluster owns the object, or its Cluster cannot be seen (contract rule B7).

    What was said before stays: a Cluster that is not there for a moment, in a move or a restore, changes nothing.
    """
    old = cluster.status
    conditions = _without(old.conditions, PAUSED)
    conditions = _with(cluster, conditions, now, _Line(WAITING_FOR_CLUSTER, True, reason, message))
    if find_condition(conditions, READY) is None:
        conditions = _with(cluster, conditions, now, _Line(READY, False, WAITING_FOR_CLUSTER, message))
    values = {
        **dict(old),
        "observed_generation": cluster.metadata.generation,
        "conditions": conditions,
    }
    known = find_condition(old.conditions, WAITING_FOR_CLUSTER) is not None
    return Report(
        status=CAPTClusterStatus.model_validate(values),
        event=None if known else ("Normal", WAITING_FOR_CLUSTER, message),
    )


def paused(cluster: CAPTCluster, now: datetime) -> CAPTClusterStatus:
    """Return the status under pause: as it was, and condition Paused (contract rule A10)."""
    line = _Line(PAUSED, True, PAUSED, "nothing is done while this is paused")
    conditions = _with(cluster, cluster.status.conditions, now, line)
    return cluster.status.model_copy(update={"conditions": conditions})


def deleting(
    cluster: CAPTCluster, apply: WorkspaceTemplateApply | None, users: tuple[str, ...], now: datetime
) -> Report:
    """Return the status of a CAPTCluster that is being deleted.

    Args:
        cluster: The CAPTCluster.
        apply: The WorkspaceTemplateApply of its VPC, while there is one.
        users: Control planes that stand in the VPC and have to go first.
        now: The time.
    """
    if users:
        reason, message = (
            "WaitingForControlPlane",
            f"waits for the control plane to be gone: {listed(users, 5)}",
        )
    else:
        reason = "Deleting"
        name = names.vpc_apply_name(cluster.metadata.name)
        message = f"waits for WorkspaceTemplateApply {name} and the VPC to be gone"
        ready = find_condition(apply.status.conditions, READY) if apply is not None else None
        if apply is not None and apply.metadata.deletion_timestamp is not None and ready is not None:
            message = f"{message}: {ready.message}" if ready.status == "False" else message
    lines = [_Line(kind, False, reason, message) for kind in (READY, VPC_READY, VPC_CREATING)]
    conditions = _with(cluster, cluster.status.conditions, now, *lines)
    values = {
        **dict(cluster.status),
        "observed_generation": cluster.metadata.generation,
        "ready": False,
        "conditions": _without(conditions, PAUSED),
    }
    old = find_condition(cluster.status.conditions, READY)
    return Report(
        status=CAPTClusterStatus.model_validate(values),
        event=("Normal", reason, message) if old is None or old.reason != reason else None,
    )


def _report(seen: Observation, vpc: VPC) -> Report:
    cluster, old = seen.cluster, seen.cluster.status
    domains = failure_domains(seen.apply.status.outputs) if seen.apply is not None else ()
    shaped: Any = (
        [to_manifest(domain) for domain in domains]
        if seen.parent.serves_v1beta2
        else domains_by_name(domains)
    )
    ready = vpc.stage is Stage.READY
    terminal = vpc.stage is Stage.FAILED
    own = cluster.spec.control_plane_endpoint
    endpoint = own if own is not None and own.is_set else seen.parent.endpoint
    values: dict[str, Any] = {
        **dict(old),
        "observed_generation": cluster.metadata.generation,
        "ready": ready,
        # never goes back to false (contract rule A15)
        "initialization": {"provisioned": True} if ready else old.initialization,
        "vpc_id": vpc.vpc_id or old.vpc_id,
        "endpoint": str(endpoint) if endpoint is not None else None,
        "failure_domains": shaped or old.failure_domains,
        "failure_reason": vpc.reason if terminal else None,
        "failure_message": vpc.message if terminal else None,
        "conditions": _conditions(seen, vpc),
        **_of_apply(seen),
    }
    news = News(
        role="infrastructure",
        ready=ready,
        # Cluster API takes it when the infrastructure has been provisioned, not before
        endpoint=own if values["initialization"] is not None else None,
        failure_domains=domains,
        failure_reason=values["failure_reason"],
        failure_message=values["failure_message"],
    )
    return Report(
        status=CAPTClusterStatus.model_validate(values),
        news=news,
        event=_event(cluster, vpc),
        recheck=vpc.recheck,
    )


def _of_apply(seen: Observation) -> dict[str, Any]:
    apply = seen.apply
    if seen.cluster.spec.template_ref is None:
        return {}
    name = names.vpc_apply_name(seen.cluster.metadata.name)
    if apply is None:
        return {"workspace_template_apply_name": name}
    status = apply.status
    return {
        "workspace_template_apply_name": name,
        "vpc_workspace_name": status.workspace_name,
        "workspace_template_status": {
            "ready": status.applied,
            "last_applied_revision": status.last_applied_revision,
            "last_applied_time": status.last_applied_time,
            "last_failed_revision": status.last_failed_revision,
            "last_failure_message": status.last_failure_message,
            "workspace_name": status.workspace_name,
        },
        "outputs": status.outputs,
    }


def _conditions(seen: Observation, vpc: VPC) -> tuple[Condition, ...]:
    cluster = seen.cluster
    conditions = _without(cluster.status.conditions, WAITING_FOR_CLUSTER, PAUSED)
    lines = [
        _Line(READY, vpc.stage is Stage.READY, vpc.reason, vpc.message),
        *(
            _Line(kind, _HOLDS[vpc.stage] == kind, vpc.reason, vpc.message)
            for kind in (VPC_READY, VPC_CREATING, VPC_FAILED)
        ),
    ]
    return _with(cluster, conditions, seen.now, *lines)


def _event(cluster: CAPTCluster, vpc: VPC) -> EventOf | None:
    told = find_condition(cluster.status.conditions, READY)
    wrong = vpc.stage in (Stage.FAILED, Stage.TIMED_OUT)
    if told is not None and told.reason == vpc.reason and (not wrong or told.message == vpc.message):
        return None
    return "Warning" if wrong else "Normal", vpc.reason, vpc.message


def _with(
    cluster: CAPTCluster, conditions: tuple[Condition, ...], now: datetime, *lines: _Line
) -> tuple[Condition, ...]:
    for line in lines:
        new = Condition(
            type=line.type,
            status="True" if line.holds else "False",
            reason=line.reason,
            message=line.message,
            last_transition_time=now,
            observed_generation=cluster.metadata.generation,
        )
        conditions = set_condition(conditions, new)
    return conditions


def _without(conditions: tuple[Condition, ...], *kinds: str) -> tuple[Condition, ...]:
    return tuple(condition for condition in conditions if condition.type not in kinds)
