"""CaptMachineDeployment: rolls a fleet of machines from one template to the next."""

from __future__ import annotations

from capt.controllers.kinds import MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET
from capt.controllers.machine_deployment.reconciler import CaptMachineDeploymentReconciler
from capt.controllers.machine_deployment.rollout import (
    RolloutPlan,
    SetState,
    plan_on_delete,
    plan_recreate,
    plan_rolling_update,
    resolve_fenceposts,
)
from capt.controllers.ownership import ORPHANS_INDEX, orphans_by_namespace
from capt.runtime.controller import Controller, watch_mapped, watch_owned, watch_self
from capt.runtime.manager import Manager
from capt.runtime.object import Object
from capt.runtime.resource import Key
from capt.runtime.rights import may

__all__ = [
    "CaptMachineDeploymentReconciler",
    "RolloutPlan",
    "SetState",
    "controller",
    "plan_on_delete",
    "plan_recreate",
    "plan_rolling_update",
    "resolve_fenceposts",
]


def controller(manager: Manager) -> Controller:
    """Return the controller of CaptMachineDeployments, to be added to `manager`."""
    informers = manager.informers
    informers.index(MACHINE_SET, ORPHANS_INDEX, orphans_by_namespace)

    def of_orphan(machine_set: Object) -> list[Key]:
        if machine_set.controller is not None:
            return []
        return [each.key for each in informers.store(MACHINE_DEPLOYMENT).list(machine_set.namespace)]

    def of_machine(machine: Object) -> list[Key]:
        if machine.controller is None:
            return []
        machine_set = informers.store(MACHINE_SET).get(Key(machine.namespace, machine.controller.name))
        if machine_set is None or machine_set.controller is None:
            return []
        return [Key(machine.namespace, machine_set.controller.name)]

    return Controller(
        name="captmachinedeployment",
        reconciler=CaptMachineDeploymentReconciler(
            manager.client, manager.recorder("captmachinedeployment"), manager.clock
        ),
        watches=(
            watch_self(MACHINE_DEPLOYMENT),
            watch_owned(MACHINE_SET, MACHINE_DEPLOYMENT),
            watch_mapped(MACHINE_SET, of_orphan, reason="CaptMachineSet without owner"),
            # a machine that is gone makes room for the next; all else the sets tell
            watch_mapped(
                MACHINE, of_machine, reason="CaptMachine", predicate=lambda event: event.type == "deleted"
            ),
        ),
        rights=(
            may(MACHINE_DEPLOYMENT, "get", "patch"),
            may(MACHINE_DEPLOYMENT, "patch", subresource="status"),
            may(MACHINE_SET, "get", "create", "patch", "delete"),
            # sets block the foreground deletion of their deployment
            may(MACHINE_DEPLOYMENT, "update", subresource="finalizers"),
        ),
        # the sets report each machine; a deployment is content with the sum a few times a second
        min_interval=0.2,
    )
