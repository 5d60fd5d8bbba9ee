"""CaptMachine: one node of a node group, or one whole node group, as one WorkspaceTemplateApply."""

from __future__ import annotations

from collections.abc import Iterable

from capt.controllers import names
from capt.controllers.apply_watch import watch_wanted_applies
from capt.controllers.kinds import APPLY, MACHINE
from capt.controllers.machine.node_group import NODE_GROUP_INDEX, group_keys, group_names
from capt.controllers.machine.reconciler import CaptMachineReconciler
from capt.runtime.controller import Controller, watch_mapped, watch_self
from capt.runtime.manager import Manager
from capt.runtime.object import Object
from capt.runtime.resource import Key
from capt.runtime.rights import may

__all__ = ["CaptMachineReconciler", "controller"]


def controller(manager: Manager, *, cross_namespace: bool) -> Controller:
    """Return the controller of CaptMachines, to be added to `manager`.

    Args:
        manager: What runs it.
        cross_namespace: True lets a node join a group of another namespace without its consent.
    """
    informers = manager.informers
    informers.index(MACHINE, NODE_GROUP_INDEX, group_names)

    def nodes_of(machine: Object) -> Iterable[Key]:
        return [node.key for node in informers.store(MACHINE).by_index(NODE_GROUP_INDEX, str(machine.key))]

    def group_of(machine: Object) -> Iterable[Key]:
        return [key for key in group_keys(machine) if informers.store(MACHINE).get(key) is not None]

    return Controller(
        name="captmachine",
        reconciler=CaptMachineReconciler(
            manager.client,
            manager.recorder("captmachine"),
            manager.clock,
            cross_namespace=cross_namespace,
        ),
        watches=(
            watch_self(MACHINE),
            watch_wanted_applies(informers, MACHINE, _applies_of),
            watch_mapped(MACHINE, nodes_of, reason="node group"),
            # a group that is being deleted goes when its last node has gone
            watch_mapped(MACHINE, group_of, reason="node", predicate=lambda event: event.type == "deleted"),
        ),
        rights=(
            may(MACHINE, "get", "patch"),
            may(MACHINE, "patch", subresource="status"),
            may(APPLY, "get", "create", "patch", "delete"),
            # applies block the foreground deletion of their machine
            may(MACHINE, "update", subresource="finalizers"),
        ),
    )


def _applies_of(machine: Object) -> tuple[str, ...]:
    return (names.apply_name(machine.name),)
