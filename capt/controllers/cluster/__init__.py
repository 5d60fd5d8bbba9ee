"""CAPTCluster: the VPC of a cluster, as one WorkspaceTemplateApply or an id, and what its Cluster is told."""

from __future__ import annotations

from capt.controllers import names
from capt.controllers.apply_watch import watch_wanted_applies
from capt.controllers.cluster.reconciler import CaptClusterReconciler
from capt.controllers.kinds import APPLY, CAPT_CLUSTER, CAPT_CONTROL_PLANE, CLUSTER, CLUSTER_V1BETA1, SECRET
from capt.controllers.parent_cluster import owned_by
from capt.runtime import may
from capt.runtime.controller import Controller, watch_mapped, watch_self
from capt.runtime.manager import Manager
from capt.runtime.object import Object
from capt.runtime.resource import Key

__all__ = ["CaptClusterReconciler", "controller"]


def controller(manager: Manager) -> Controller:
    """Return the controller of CAPTClusters, to be added to `manager`."""
    informers = manager.informers

    def owned(cluster: Object) -> tuple[Key, ...]:
        return owned_by(cluster, informers.store(CAPT_CLUSTER).by_owner(cluster.uid))

    def of_same_cluster(control_plane: Object) -> tuple[Key, ...]:
        store = informers.store(CAPT_CLUSTER)
        return tuple(
            cluster.key
            for owner in control_plane.owners
            if owner.kind == "Cluster"
            for cluster in store.by_owner(owner.uid)
        )

    return Controller(
        name="captcluster",
        reconciler=CaptClusterReconciler(manager.client, manager.recorder("captcluster"), manager.clock),
        watches=(
            watch_self(CAPT_CLUSTER),
            watch_wanted_applies(informers, CAPT_CLUSTER, _applies_of),
            watch_mapped(CLUSTER, owned, reason="Cluster", optional=True),
            watch_mapped(CLUSTER_V1BETA1, owned, reason="Cluster of v1beta1", optional=True),
            # a VPC that is being deleted goes when its control plane has gone
            watch_mapped(
                CAPT_CONTROL_PLANE,
                of_same_cluster,
                reason="CAPTControlPlane",
                predicate=lambda event: event.type == "deleted",
            ),
        ),
        rights=(
            may(CAPT_CLUSTER, "get", "patch"),
            may(CAPT_CLUSTER, "patch", subresource="status"),
            # applies are made with blockOwnerDeletion
            may(CAPT_CLUSTER, "update", subresource="finalizers"),
            may(APPLY, "get", "create", "patch", "delete"),
            may(SECRET, "get"),
            may(CLUSTER, "patch"),
            may(CLUSTER, "patch", subresource="status"),
        ),
    )


def _applies_of(cluster: Object) -> tuple[str, ...]:
    return (names.vpc_apply_name(cluster.name),)
