"""CaptMachineSet: keeps a number of machines of one template."""

from __future__ import annotations

from capt.controllers.kinds import MACHINE, MACHINE_SET
from capt.controllers.machine_set.reconciler import CaptMachineSetReconciler
from capt.controllers.ownership import ORPHANS_INDEX, orphans_by_namespace
from capt.runtime.controller import Controller, watch_mapped, watch_owned, watch_self
from capt.runtime.manager import Manager
from capt.runtime.object import Object
from capt.runtime.resource import Key
from capt.runtime.rights import may

__all__ = ["CaptMachineSetReconciler", "controller"]


def controller(manager: Manager) -> Controller:
    """Return the controller of CaptMachineSets, to be added to `manager`."""
    informers = manager.informers
    informers.index(MACHINE, ORPHANS_INDEX, orphans_by_namespace)

    def of_orphan(machine: Object) -> list[Key]:
        if machine.controller is not None:
            return []
        return [each.key for each in informers.store(MACHINE_SET).list(machine.namespace)]

    return Controller(
        name="captmachineset",
        reconciler=CaptMachineSetReconciler(
            manager.client, manager.recorder("captmachineset"), manager.clock
        ),
        watches=(
            watch_self(MACHINE_SET),
            watch_owned(MACHINE, MACHINE_SET),
            watch_mapped(MACHINE, of_orphan, reason="CaptMachine without owner"),
        ),
        rights=(
            may(MACHINE_SET, "get", "patch"),
            may(MACHINE_SET, "patch", subresource="status"),
            may(MACHINE, "get", "create", "patch", "delete"),
            # machines block the foreground deletion of their set
            may(MACHINE_SET, "update", subresource="finalizers"),
        ),
        # machines change one by one, often many at a time; a set counts them a few times a second
        min_interval=0.2,
    )
