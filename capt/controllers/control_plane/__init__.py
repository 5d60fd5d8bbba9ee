"""CAPTControlPlane: the control plane of a Cluster, from a WorkspaceTemplate to an endpoint and a kubeconfig."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from capt.controllers.apply_watch import watch_wanted_applies
from capt.controllers.control_plane import naming
from capt.controllers.control_plane.reconciler import CaptControlPlaneReconciler
from capt.controllers.control_plane.surroundings import MACHINE_KINDS
from capt.controllers.kinds import (
    APPLY,
    CAPT_CLUSTER,
    CAPT_CONTROL_PLANE,
    CLUSTER,
    CLUSTER_V1BETA1,
    SECRET,
)
from capt.controllers.names import CLUSTER_NAME_LABEL, control_plane_apply_name
from capt.runtime.controller import Controller, watch_mapped, watch_self
from capt.runtime.manager import Manager
from capt.runtime.object import Object
from capt.runtime.resource import Key
from capt.runtime.rights import may

__all__ = ["CaptControlPlaneReconciler", "controller"]

_CLUSTER_INDEX: Final = "cluster"
"""Index of control planes by their Cluster, as "namespace/name"."""


def controller(manager: Manager) -> Controller:
    """Return the controller of CAPTControlPlanes, to be added to `manager`."""
    informers = manager.informers
    informers.index(CAPT_CONTROL_PLANE, _CLUSTER_INDEX, _clusters_of)

    def of_cluster(namespace: str, name: str) -> Iterable[Key]:
        store = informers.store(CAPT_CONTROL_PLANE)
        return [found.key for found in store.by_index(_CLUSTER_INDEX, f"{namespace}/{name}")]

    def of_labelled(machine: Object) -> Iterable[Key]:
        name = machine.labels.get(CLUSTER_NAME_LABEL)
        return of_cluster(machine.namespace, name) if name else ()

    def of_owned(network: Object) -> Iterable[Key]:
        return [key for name in _cluster_names(network) for key in of_cluster(network.namespace, name)]

    return Controller(
        name="captcontrolplane",
        reconciler=CaptControlPlaneReconciler(
            manager.client, manager.recorder("captcontrolplane"), manager.clock
        ),
        watches=(
            watch_self(CAPT_CONTROL_PLANE),
            watch_wanted_applies(informers, CAPT_CONTROL_PLANE, _applies_of),
            watch_mapped(CAPT_CLUSTER, of_owned, reason="CAPTCluster"),
            *(
                watch_mapped(
                    kind,
                    lambda cluster: of_cluster(cluster.namespace, cluster.name),
                    reason="Cluster",
                    optional=True,
                )
                for kind in (CLUSTER, CLUSTER_V1BETA1)
            ),
            # a control plane that is being deleted goes when the last machine has gone
            *(
                watch_mapped(
                    kind, of_labelled, reason="machine", predicate=lambda event: event.type == "deleted"
                )
                for kind in MACHINE_KINDS
            ),
        ),
        rights=(
            may(CAPT_CONTROL_PLANE, "get", "patch"),
            may(CAPT_CONTROL_PLANE, "patch", subresource="status"),
            # applies and Secrets block the foreground deletion of their control plane
            may(CAPT_CONTROL_PLANE, "update", subresource="finalizers"),
            may(APPLY, "get", "create", "patch", "delete"),
            may(SECRET, "get", "create", "patch", "delete"),
            may(CLUSTER, "patch"),
            may(CLUSTER, "patch", subresource="status"),
            *(may(kind, "delete") for kind in MACHINE_KINDS),
        ),
    )


def _applies_of(control_plane: Object) -> list[str]:
    name = control_plane.name
    own = [
        control_plane_apply_name(name),
        naming.kubeconfig_apply_name(name),
        naming.fargate_apply_name(name),
    ]
    shared = (control_plane.decode().get("spec") or {}).get("spotRoleTemplateRef")
    return [*own, naming.spot_role_apply_name(shared["name"])] if shared else own


def _clusters_of(control_plane: Object) -> Iterable[str]:
    return [f"{control_plane.namespace}/{name}" for name in _cluster_names(control_plane)]


def _cluster_names(obj: Object) -> list[str]:
    resource = CLUSTER.resource
    return [
        owner.name
        for owner in obj.owners
        if owner.kind == resource.kind and owner.api_version.rpartition("/")[0] == resource.group
    ]
