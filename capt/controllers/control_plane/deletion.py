"""What goes before a control plane: its machines, then what its templates made.

EKS keeps a control plane that has node groups, so the machines go first, as they do where Cluster API deletes a
cluster. The role for EC2 Spot is the account's and stays; the Secrets go with their owner, the control plane.
"""

from __future__ import annotations

from dataclasses import dataclass

from capt.api import ApiObject, CAPTControlPlane
from capt.controllers import names
from capt.controllers.control_plane import naming
from capt.controllers.control_plane.surroundings import MACHINE_KINDS, machines_of
from capt.controllers.kinds import APPLY
from capt.controllers.parent_cluster import Parent
from capt.controllers.wording import listed
from capt.runtime.client import Client
from capt.runtime.owners import is_controlled_by

_SHOWN = 5


async def delete_machines(
    client: Client, control_plane: CAPTControlPlane, parent: Parent | None
) -> Waiting | None:
    """Delete the machines of a Cluster that is being deleted.

    Those of a Cluster that stays are somebody's decision, and are waited for.

    Returns:
        What is waited for while there are machines; None when there are none.

    Raises:
        ApiError: A deletion failed.
    """
    machines = await machines_of(client, control_plane)
    if not machines:
        return None
    shown = listed([each.text for each in machines], _SHOWN)
    if parent is None or not parent.deleting:
        message = f"waits until the machines of the cluster have been deleted: {shown}"
        return Waiting(reason="WaitingForMachines", message=message)
    for each in machines:
        metadata = each.obj.metadata
        if metadata.deletion_timestamp is None and not _is_made_by_another(each.obj):
            await client.delete(each.kind, metadata.namespace or "", metadata.name, uid=metadata.uid)
    message = f"waits for the machines of the cluster to be gone: {shown}"
    return Waiting(reason="WaitingForMachines", message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a deletion waits for.

    Attributes:
        reason: One CamelCase word.
        message: The same for people.
        cached: All of it is in the caches, so that their events tell of its end.
    """

    reason: str
    message: str
    cached: bool = True


async def delete_applies(client: Client, control_plane: CAPTControlPlane) -> Waiting | None:
    """Delete the WorkspaceTemplateApplies of a control plane, that of the control plane itself last.

    Returns:
        What is waited for while there is one; None when all have gone.

    Raises:
        ApiError: A read or a deletion failed.
    """
    name = control_plane.metadata.name
    before = (naming.fargate_apply_name(name), naming.kubeconfig_apply_name(name))
    for group in (before, (names.control_plane_apply_name(name),)):
        found = {apply: await _delete_apply(client, control_plane, apply) for apply in group}
        standing = {apply: how for apply, how in found.items() if how is not None}
        if standing:
            message = f"waits for {' and '.join(standing)} and what Terraform made for it to be gone"
            return Waiting(reason="Deleting", message=message, cached=all(standing.values()))
    return None


async def _delete_apply(client: Client, control_plane: CAPTControlPlane, name: str) -> bool | None:
    """Delete an apply; return whether the cache has it, None when there is none."""
    namespace = control_plane.metadata.namespace or ""
    cached = await client.get(APPLY, namespace, name)
    # only a look past the cache proves that nothing is there
    apply = cached or await client.get_live(APPLY, namespace, name)
    if apply is None or not is_controlled_by(apply, control_plane):
        return None
    if apply.metadata.deletion_timestamp is None:
        await client.delete(APPLY, namespace, name, uid=apply.metadata.uid)
    return cached is not None


def _is_made_by_another(machine: ApiObject) -> bool:
    """Tell whether another machine object makes `machine`: it goes with that."""
    controller = machine.metadata.controller
    return controller is not None and controller.kind in {kind.resource.kind for kind in MACHINE_KINDS}
