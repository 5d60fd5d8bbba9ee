"""What a set says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from capt.api import CaptMachine, CaptMachineSetStatus, Condition
from capt.controllers.machine.availability import available_at, is_available, is_ready
from capt.controllers.machine_set.plan import MachinePlan, Observation
from capt.controllers.wording import counted, listed
from capt.runtime.conditions import find_condition, set_condition

_SHOWN_FAILURES: Final = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the API server refused to do, so that trying again is of little use before something changes.

    Attributes:
        reason: One CamelCase word, as apps/v1 uses them: `FailedCreate`, `FailedUpdate`, `FailedDelete`.
        message: The server's words.
    """

    reason: str
    message: str


def set_status(observation: Observation, plan: MachinePlan, refusal: Refusal | None) -> CaptMachineSetStatus:
    """Return the whole status of a set.

    Args:
        observation: The set and its machines, before anything was done.
        plan: What was done about it.
        refusal: What could not be done.
    """
    machine_set, seconds = observation.machine_set, observation.machine_set.spec.min_ready_seconds
    machines = _as_decided(observation, plan)
    template_labels = machine_set.spec.template.metadata.labels.items()
    status = CaptMachineSetStatus(
        observed_generation=machine_set.metadata.generation,
        selector=str(observation.selector),
        replicas=len(observation.machines),
        fully_labeled_replicas=sum(
            template_labels <= each.metadata.labels.items() for each in observation.machines
        ),
        ready_replicas=sum(map(is_ready, machines)),
        available_replicas=sum(is_available(each, seconds, observation.now) for each in machines),
    )
    conditions = tuple(each for each in machine_set.status.conditions if each.type != "ReplicaFailure")
    if refusal is not None:
        conditions = set_condition(
            conditions, _condition(observation, "ReplicaFailure", "True", refusal.reason, refusal.message)
        )
    conditions = set_condition(conditions, _ready(observation, status, plan, refusal))
    return status.model_copy(update={"conditions": conditions})


def next_maturity(machines: Sequence[CaptMachine], seconds: int, now: datetime) -> float | None:
    """Return the seconds until the next ready machine becomes available; None when none is on its way."""
    moments = [available_at(each, seconds) for each in machines]
    ahead = [(each - now).total_seconds() for each in moments if each is not None and each > now]
    return min(ahead, default=None)


def _as_decided(observation: Observation, plan: MachinePlan) -> list[CaptMachine]:
    """Return the machines whose observed readiness still holds: not those just given up or changed."""
    touched = {each.metadata.name for each in plan.delete}
    touched |= {name for name, patch in plan.patches.items() if "spec" in patch}
    return [each for each in observation.machines if each.metadata.name not in touched]


def _ready(
    observation: Observation, status: CaptMachineSetStatus, plan: MachinePlan, refusal: Refusal | None
) -> Condition:
    desired = observation.machine_set.spec.replicas
    counts = f"{status.available_replicas} of {desired} machines are available"
    if observation.machine_set.metadata.deletion_timestamp is not None:
        message = f"waits for {counted(len(observation.machines), 'machine')} to be gone"
        return _condition(observation, "Ready", "False", "Deleting", message)
    if refusal is not None:
        return _condition(observation, "Ready", "False", refusal.reason, f"{counts}; {refusal.message}")
    if failures := _failures(observation.machines):
        return _condition(observation, "Ready", "False", "MachinesFailing", f"{counts}; {failures}")
    if status.available_replicas == desired and status.replicas == desired:
        return _condition(observation, "Ready", "True", "MachinesAvailable", counts)
    if status.replicas > desired:
        message = f"{counts}, {status.replicas - desired} more are going"
        return _condition(observation, "Ready", "False", "ScalingDown", message)
    if plan.held:
        message = f"{counts}; {plan.held} are not replaced here but in a newer set"
        return _condition(observation, "Ready", "False", "NotReplacing", message)
    return _condition(observation, "Ready", "False", "WaitingForMachines", counts)


def _failures(machines: Sequence[CaptMachine]) -> str:
    """Return what Terraform said about failing machines, equal words once, the first few of them."""
    by_message: dict[str, list[str]] = {}
    for machine in machines:
        ready = find_condition(machine.status.conditions, "Ready")
        if ready is not None and ready.status != "True" and ready.reason == "WorkspaceError":
            by_message.setdefault(ready.message, []).append(machine.metadata.name)
    shown = [
        f"{listed(names, _SHOWN_FAILURES)}: {message}"
        for message, names in list(by_message.items())[:_SHOWN_FAILURES]
    ]
    more = len(by_message) - len(shown)
    return "; ".join([*shown, f"{more} other errors"] if more else shown)


def _condition(observation: Observation, kind: str, value: str, reason: str, message: str) -> Condition:
    return Condition.model_validate(
        {
            "type": kind,
            "status": value,
            "reason": reason,
            "message": message,
            "last_transition_time": observation.now,
            "observed_generation": observation.machine_set.metadata.generation,
        }
    )
