"""What a machine says about itself.

In the ordinary course it is written twice: when the WorkspaceTemplateApply has been made, and when the
infrastructure exists. So the words of the first are known before anything happens, and what an apply goes
through in between without needing anybody's attention does not show here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from capt.api import CaptMachine, CaptMachineStatus, Condition, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.child_apply import Keep, Update
from capt.controllers.machine.node_group import group_name
from capt.controllers.machine.plan import Blocked, Observation, Plan
from capt.controllers.wording import listed
from capt.controllers.workspace import output_text
from capt.runtime.conditions import find_condition, is_true, set_condition

READY: Final = "Ready"
WORKSPACE_ERROR: Final = "WorkspaceError"

# reasons of an apply that stay until somebody corrects template or machine
_FAILURES: Final = frozenset({WORKSPACE_ERROR, "VariablesInvalid"})

# what an apply passes through on the ordinary way, by the reason of its Ready condition
_UNDER_WAY: Final = "Applying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is to be told.

    Attributes:
        status: The new status, whole.
        event: Type, reason and message of an event, if there is news.
    """

    status: CaptMachineStatus
    event: tuple[Literal["Normal", "Warning"], str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Verdict:
    ready: bool
    reason: str
    message: str
    failing: bool = False


def report(observation: Observation, plan: Plan) -> Report:
    """Return the status of a machine that is not being deleted.

    Args:
        observation: What was seen before anything was done.
        plan: What was done about it.
    """
    if isinstance(plan, Blocked):
        verdict = _Verdict(False, plan.reason, plan.message)
    elif isinstance(plan, Keep) and observation.apply is not None:
        verdict = _applied(observation.machine, observation.apply)
    elif isinstance(plan, Update):
        verdict = _not_seen_yet(observation.machine)
    else:
        verdict = _under_way(observation.machine)
    return _report(observation, verdict)


def report_deletion(observation: Observation, nodes: tuple[str, ...]) -> Report:
    """Return the status of a machine that is being deleted.

    Args:
        observation: What was seen.
        nodes: Nodes of the group that have to go before it.
    """
    if nodes:
        message = f"waits for the nodes of this group to be gone: {listed(nodes, 5)}"
        return _report(observation, _Verdict(False, "WaitingForNodes", message))
    message = f"waits for Workspace {_workspace(observation.machine)} and its infrastructure to be gone"
    apply = observation.apply
    failure = ""
    if apply is not None and apply.metadata.deletion_timestamp is not None:
        ready = find_condition(apply.status.conditions, READY)
        words = apply.status.last_failure_message
        if ready is not None and words and words in ready.message:
            failure = ready.message
    verdict = _Verdict(False, "Deleting", failure or message, failing=bool(failure))
    return _report(observation, verdict)


def _applied(machine: CaptMachine, apply: WorkspaceTemplateApply) -> _Verdict:
    """Return what an apply says that has the spec wanted: never ready before it has seen that spec."""
    conditions = apply.status.conditions
    ready, synced = find_condition(conditions, READY), find_condition(conditions, "Synced")
    seen = apply.status.observed_generation == apply.metadata.generation
    if not seen:
        return _not_seen_yet(machine)
    if ready is None or ready.reason == _UNDER_WAY:
        return _under_way(machine)
    if ready.status == "True":
        # Unknown: its template cannot be read now, so nothing says that what stands is not what is wanted
        if synced is not None and synced.status != "False":
            return _Verdict(True, "Provisioned", f"Workspace {_workspace(machine)} is ready")
        return _under_way(machine)
    failing = ready.reason in _FAILURES
    reason = WORKSPACE_ERROR if failing else "WaitingForWorkspace"
    message = ready.message if failing else f"{ready.reason}: {ready.message}"
    return _Verdict(False, reason, message, failing=failing)


def _not_seen_yet(machine: CaptMachine) -> _Verdict:
    """Return what counts until an apply has said what a change of it comes to.

    A machine that was ready for its very spec stays so: the change is not the user's but, say, a newer manager's, which
    fills a field that did not exist before, and mostly comes to nothing. If it does not, the apply says so at once.
    """
    ready = find_condition(machine.status.conditions, READY)
    if (
        ready is not None
        and ready.status == "True"
        and ready.observed_generation == machine.metadata.generation
    ):
        return _Verdict(True, ready.reason, ready.message)
    return _under_way(machine)


def _under_way(machine: CaptMachine) -> _Verdict:
    message = f"waits for Terraform to apply Workspace {_workspace(machine)}"
    return _Verdict(False, "WaitingForWorkspace", message)


def _report(observation: Observation, verdict: _Verdict) -> Report:
    machine = observation.machine
    old = machine.status
    outputs = dict(observation.apply.status.outputs) if observation.apply is not None else {}
    values: dict[str, Any] = {
        "observed_generation": machine.metadata.generation,
        "ready": verdict.ready,
        "instance_id": _instance_id(machine, outputs),
        "private_ip": output_text(outputs.get("private_ip")),
        "node_group_name": group_name(machine, observation.group),
        "workspace_template_apply_name": names.apply_name(machine.metadata.name),
        "workspace_name": _workspace(machine),
        "outputs": outputs,
        "last_transition_time": _transition(old, ready=verdict.ready, now=observation.now),
        "conditions": set_condition(old.conditions, _condition(observation, verdict)),
    }
    return Report(status=CaptMachineStatus.model_validate(values), event=_event(machine, verdict, values))


def _event(
    machine: CaptMachine, verdict: _Verdict, values: dict[str, Any]
) -> tuple[Literal["Normal", "Warning"], str, str] | None:
    before = find_condition(machine.status.conditions, READY)
    if verdict.ready:
        if is_true(machine.status.conditions, READY):
            return None
        what = f"instance {values['instance_id']}" if values["instance_id"] else values["workspace_name"]
        return "Normal", "Ready", f"{what} is ready"
    if verdict.failing and (before is None or before.message != verdict.message):
        return "Warning", WORKSPACE_ERROR, verdict.message
    return None


def _transition(old: CaptMachineStatus, *, ready: bool, now: datetime) -> datetime:
    if old.last_transition_time is not None and old.ready == ready:
        return old.last_transition_time
    return now


def _condition(observation: Observation, verdict: _Verdict) -> Condition:
    return Condition.model_validate(
        {
            "type": READY,
            "status": "True" if verdict.ready else "False",
            "reason": verdict.reason,
            "message": verdict.message,
            "last_transition_time": observation.now,
            "observed_generation": observation.machine.metadata.generation,
        }
    )


def _instance_id(machine: CaptMachine, outputs: dict[str, Any]) -> str | None:
    named = output_text(outputs.get("instance_id"))
    # the id of a group is not that of an instance
    return named or (output_text(outputs.get("id")) if machine.spec.node_group_config is None else None)


def _workspace(machine: CaptMachine) -> str:
    return names.workspace_name(machine.metadata.namespace or "", names.apply_name(machine.metadata.name))
