"""What a deployment says about itself.

`Available` and `Progressing` carry the reasons of apps/v1, so that what people know of Deployments holds
here too; `Ready` is True when every machine is up to date and available, and nothing else exists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from capt.api import CaptMachineDeploymentStatus, Condition
from capt.controllers.machine_deployment.observation import Observation
from capt.controllers.machine_deployment.progress import remaining
from capt.controllers.wording import counted
from capt.runtime.conditions import find_condition, set_condition

_COMPLETE: Final = "NewReplicaSetAvailable"
_PAUSED: Final = "DeploymentPaused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What acting on a plan brought.

    Attributes:
        changed: A set was made or written, so what was observed of it no longer holds.
        collided: The name of the new set is taken by something that is not a set of this template.
        failure: Why a set could not be written; empty when all went well.
    """

    changed: bool = False
    collided: bool = False
    failure: str = ""


def deployment_status(observation: Observation, outcome: Outcome) -> CaptMachineDeploymentStatus:
    """Return the whole status of a deployment that is not being deleted."""
    deployment, sets, new = observation.deployment, observation.sets, observation.new
    replicas = sum(each.status.replicas for each in sets)
    available = sum(each.status.available_replicas for each in sets)
    collisions = (deployment.status.collision_count or 0) + outcome.collided
    status = CaptMachineDeploymentStatus(
        observed_generation=deployment.metadata.generation,
        selector=str(observation.selector),
        replicas=replicas,
        updated_replicas=new.status.replicas if new is not None else 0,
        ready_replicas=sum(each.status.ready_replicas for each in sets),
        available_replicas=available,
        unavailable_replicas=max(max(observation.desired, replicas) - available, 0),
        collision_count=collisions or None,
    )
    failure = outcome.failure or _set_failure(observation)
    conditions = tuple(each for each in deployment.status.conditions if each.type != "ReplicaFailure")
    complete = is_complete(observation, status, outcome)
    for condition in _conditions(
        observation, status, complete=complete, changed=outcome.changed, failure=failure
    ):
        conditions = set_condition(conditions, condition)
    return status.model_copy(update={"conditions": conditions})


def deleting_status(observation: Observation) -> CaptMachineDeploymentStatus:
    """Return the whole status of a deployment that is being deleted."""
    machines = counted(sum(len(each) for each in observation.machines.values()), "machine")
    status = deployment_status(observation, Outcome())
    message = f"waits for {counted(len(observation.sets), 'set')} with {machines} to be gone"
    conditions = set_condition(
        observation.deployment.status.conditions,
        _condition(observation, "Ready", "False", "Deleting", message),
    )
    return status.model_copy(update={"conditions": conditions})


def is_complete(observation: Observation, status: CaptMachineDeploymentStatus, outcome: Outcome) -> bool:
    """Tell whether every machine is up to date and available, and no other is left."""
    new = observation.new
    return (
        new is not None
        and not outcome.changed
        # counts of a set that has not seen its latest spec describe machines of the spec before
        and new.status.observed_generation == new.metadata.generation
        and status.updated_replicas == observation.desired
        and status.replicas == observation.desired
        and status.available_replicas == observation.desired
    )


def _conditions(
    observation: Observation,
    status: CaptMachineDeploymentStatus,
    *,
    complete: bool,
    changed: bool,
    failure: str,
) -> Iterable[Condition]:
    yield _available(observation, status)
    yield _progressing(observation, status, complete=complete, changed=changed, failure=failure)
    if failure:
        yield _condition(observation, "ReplicaFailure", "True", "FailedCreate", failure)
    yield _ready(observation, status, complete=complete, failure=failure)


def _available(observation: Observation, status: CaptMachineDeploymentStatus) -> Condition:
    _, max_unavailable = observation.fenceposts
    needed = observation.desired - max_unavailable
    message = f"{counted(status.available_replicas, 'machine')} available, {needed} must be"
    if status.available_replicas >= needed:
        return _condition(observation, "Available", "True", "MinimumReplicasAvailable", message)
    return _condition(observation, "Available", "False", "MinimumReplicasUnavailable", message)


def _progressing(
    observation: Observation,
    status: CaptMachineDeploymentStatus,
    *,
    complete: bool,
    changed: bool,
    failure: str,
) -> Condition:
    def progressing(value: str, reason: str, message: str) -> Condition:
        return _condition(observation, "Progressing", value, reason, message)

    counts = _counts(observation, status)
    before = find_condition(observation.deployment.status.conditions, "Progressing")
    reason_before = before.reason if before is not None else ""
    if observation.deployment.spec.paused:
        return progressing("Unknown", _PAUSED, f"the rollout is paused: {counts}")
    # as in apps/v1: a rollout that is complete stays so while machines come, go and fail
    only_new = observation.new is not None and status.replicas == status.updated_replicas
    if complete or (only_new and reason_before == _COMPLETE):
        return progressing("True", _COMPLETE, "the rollout is complete")
    if observation.new is None and failure:
        return progressing("False", "ReplicaSetCreateError", failure)
    if _waits_for_deletions(observation, status):
        return progressing("True", "ReplicaSetUpdated", f"{counts}: OnDelete replaces those that are deleted")
    moves_now = changed or reason_before == _PAUSED
    if not moves_now and remaining(observation) <= 0:
        seconds = observation.deployment.spec.progress_deadline_seconds
        message = f"no progress for more than {seconds} seconds: {counts}"
        return progressing("False", "ProgressDeadlineExceeded", message)
    return progressing("True", "ReplicaSetUpdated", counts)


def _waits_for_deletions(observation: Observation, status: CaptMachineDeploymentStatus) -> bool:
    """Tell whether an OnDelete rollout has nothing to do until somebody deletes an old machine: that has no deadline."""
    on_delete = observation.deployment.spec.strategy.type == "OnDelete"
    return on_delete and status.replicas == status.available_replicas == observation.desired


def _ready(
    observation: Observation, status: CaptMachineDeploymentStatus, *, complete: bool, failure: str
) -> Condition:
    counts = _counts(observation, status)
    if complete:
        return _condition(observation, "Ready", "True", "Complete", counts)
    if failure:
        return _condition(observation, "Ready", "False", "FailedCreate", f"{counts}; {failure}")
    new = observation.new
    of_set = find_condition(new.status.conditions, "Ready") if new is not None else None
    if new is not None and of_set is not None and of_set.reason == "MachinesFailing":
        message = f"{counts}; CaptMachineSet {new.metadata.name}: {of_set.message}"
        return _condition(observation, "Ready", "False", "MachinesFailing", message)
    if observation.deployment.spec.paused:
        return _condition(observation, "Ready", "False", "Paused", f"the rollout is paused: {counts}")
    rolling_out = any(each.status.replicas for each in observation.old)
    reason = "RollingOut" if rolling_out else "WaitingForMachines"
    return _condition(observation, "Ready", "False", reason, counts)


def _counts(observation: Observation, status: CaptMachineDeploymentStatus) -> str:
    text = (
        f"{status.updated_replicas} of {observation.desired} machines are up to date, "
        f"{status.available_replicas} are available"
    )
    old = status.replicas - status.updated_replicas
    return f"{text}, {old} old ones are left" if old > 0 else text


def _set_failure(observation: Observation) -> str:
    if observation.new is None:
        return ""
    failure = find_condition(observation.new.status.conditions, "ReplicaFailure")
    if failure is None or failure.status != "True":
        return ""
    return f"CaptMachineSet {observation.new.metadata.name}: {failure.message}"


def _condition(observation: Observation, kind: str, value: str, reason: str, message: str) -> Condition:
    return Condition.model_validate(
        {
            "type": kind,
            "status": value,
            "reason": reason,
            "message": message,
            "last_transition_time": observation.now,
            "observed_generation": observation.deployment.metadata.generation,
        }
    )
