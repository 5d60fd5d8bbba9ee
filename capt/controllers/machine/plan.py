"""What a machine does about its WorkspaceTemplateApply."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from capt.api import CaptMachine, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.child_apply import Create, Keep, Update, bring_up_to_date
from capt.controllers.kinds import MACHINE
from capt.controllers.machine.node_group import NodeGroup
from capt.controllers.machine.variables import machine_variables
from capt.controllers.manifest import to_manifest
from capt.runtime.owners import controller_reference, is_controlled_by

_OWNED_FIELDS: Final = ("templateRef", "variables", "values", "optionalVariables")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A machine and what it depends on, at one moment.

    Attributes:
        machine: The machine.
        apply: The WorkspaceTemplateApply under the name that its own has; None when there is none.
        group: The managed node group that it joins; None for an external group, and for a group itself.
        now: The time of the observation.
    """

    machine: CaptMachine
    apply: WorkspaceTemplateApply | None
    group: NodeGroup | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why a machine cannot go on.

    Attributes:
        reason: One CamelCase word for programs.
        message: The same for people.
    """

    reason: str
    message: str


Plan = Create | Update | Keep | Blocked


def plan_apply(observation: Observation) -> Plan:
    """Decide what to do about the WorkspaceTemplateApply of a machine that is not being deleted.

    A node whose group is not ready stays as it is: nothing is made from inputs that may be missing or
    outdated, and what stands already is left standing.
    """
    machine, apply, group = observation.machine, observation.apply, observation.group
    obstacle = group.obstacle if group is not None else ""
    waiting = Blocked(reason="WaitingForNodeGroup", message=obstacle)
    if apply is None:
        return waiting if obstacle else Create(body=_new_apply(machine, group))
    if not is_controlled_by(apply, machine):
        name = apply.metadata.name
        message = f"WorkspaceTemplateApply {name} exists and does not belong to this machine"
        return Blocked(reason="ApplyConflict", message=message)
    if apply.metadata.deletion_timestamp is not None:
        message = (
            f"WorkspaceTemplateApply {apply.metadata.name} is being deleted; it is made again when it is gone"
        )
        return Blocked(reason="WorkspaceDeleting", message=message)
    change = bring_up_to_date(
        apply, labels=_labels(machine), spec=_wanted_spec(machine, group), owned=_OWNED_FIELDS
    )
    return waiting if obstacle and isinstance(change, Update) else change


def _new_apply(machine: CaptMachine, group: NodeGroup | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": names.apply_name(machine.metadata.name),
        "namespace": machine.metadata.namespace,
        "finalizers": [names.APPLY_FINALIZER],
        "ownerReferences": [controller_reference(MACHINE, machine)],
    }
    if labels := _labels(machine):
        metadata["labels"] = labels
    return {"metadata": metadata, "spec": _wanted_spec(machine, group)}


def _wanted_spec(machine: CaptMachine, group: NodeGroup | None) -> dict[str, Any]:
    wanted = machine_variables(machine, group)
    spec = {
        "templateRef": to_manifest(machine.spec.workspace_template_ref),
        "variables": dict(wanted.variables),
        "values": dict(wanted.values),
    }
    return spec | ({"optionalVariables": list(wanted.optional)} if wanted.optional else {})


def _labels(machine: CaptMachine) -> dict[str, str]:
    cluster = machine.metadata.labels.get(names.CLUSTER_NAME_LABEL)
    return {names.CLUSTER_NAME_LABEL: cluster} if cluster is not None else {}
