"""What there is at one moment: a deployment, its sets, their machines, the Workspaces behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capt.api import (
    CaptMachine,
    CaptMachineDeployment,
    CaptMachineSet,
    Condition,
    ObjectMeta,
    Workspace,
    WorkspaceCondition,
)
from capt.runtime import find_condition, is_true


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Everything that the demo looks at, as the API server told it last."""

    deployments: Sequence[CaptMachineDeployment] = ()
    sets: Sequence[CaptMachineSet] = ()
    machines: Sequence[CaptMachine] = ()
    workspaces: Sequence[Workspace] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return not (self.deployments or self.sets or self.machines or self.workspaces)

    @property
    def available(self) -> int:
        """How many machines are ready and not on their way out."""
        return sum(is_available(machine) for machine in self.machines)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        depth: 0 for a deployment, 1 for a set, 2 for a machine, 3 for a Workspace.
        kind: Kind, in words.
        name: Name of the object.
        state: One word.
        detail: What it is, or what it waits for.
    """

    depth: int
    kind: str
    name: str
    state: str
    detail: str


def is_available(machine: CaptMachine) -> bool:
    """Tell whether a machine counts as available: Ready and not being deleted."""
    return machine.metadata.deletion_timestamp is None and is_true(machine.status.conditions, "Ready")


def rows(tree: Tree) -> list[Row]:
    """Lay the tree out in reading order: every child under its owner."""
    lines = []
    for deployment in tree.deployments:
        status = deployment.status
        lines.append(
            Row(
                0,
                "deployment",
                deployment.metadata.name,
                state_of(deployment.metadata, status.conditions),
                f"{status.available_replicas or 0} of {deployment.spec.replicas} available, "
                f"{status.updated_replicas or 0} up to date",
            )
        )
    for machine_set in tree.sets:
        lines.append(_set_row(machine_set))
        for machine in tree.machines:
            if _owned(machine, machine_set):
                lines.extend(_machine_rows(machine, tree.workspaces))
    return lines


def _set_row(machine_set: CaptMachineSet) -> Row:
    status = machine_set.status
    return Row(
        1,
        "set",
        machine_set.metadata.name,
        state_of(machine_set.metadata, status.conditions),
        f"{status.ready_replicas or 0} of {machine_set.spec.replicas} ready, {machine_set.spec.template.spec.instance_type}",
    )


def _machine_rows(machine: CaptMachine, workspaces: Sequence[Workspace]) -> list[Row]:
    status = machine.status
    ready = find_condition(status.conditions, "Ready")
    detail = (
        f"{status.instance_id}, {status.private_ip}"
        if is_true(status.conditions, "Ready")
        else _message(ready)
    )
    lines = [Row(2, "machine", machine.metadata.name, state_of(machine.metadata, status.conditions), detail)]
    for workspace in workspaces:
        if workspace.metadata.name == status.workspace_name:
            synced = find_condition(workspace.status.conditions, "Synced")
            lines.append(
                Row(
                    3,
                    "workspace",
                    workspace.metadata.name,
                    state_of(workspace.metadata, workspace.status.conditions),
                    _message(synced) if synced and synced.status == "False" else "",
                )
            )
    return lines


def _owned(machine: CaptMachine, machine_set: CaptMachineSet) -> bool:
    owner = machine.metadata.controller
    return owner is not None and owner.uid == machine_set.metadata.uid


def state_of(metadata: ObjectMeta, conditions: Sequence[Condition | WorkspaceCondition]) -> str:
    """Return the state of an object in one word: Deleting, New, Changed (and not looked at since), Ready, or why not."""
    if metadata.deletion_timestamp is not None:
        return "Deleting"
    ready = find_condition(conditions, "Ready")
    if ready is None:
        return "New"
    if ready.status != "True":
        return ready.reason or "NotReady"
    seen, generation = ready.observed_generation, metadata.generation
    return "Ready" if seen is None or generation is None or seen >= generation else "Changed"


def _message(condition: Condition | WorkspaceCondition | None) -> str:
    return condition.message.splitlines()[0] if condition and condition.message else ""
