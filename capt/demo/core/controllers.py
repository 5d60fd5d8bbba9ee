"""The stand-in's controller, put into a manager."""

from __future__ import annotations

from collections.abc import Sequence

from capt.api import CAPTCluster, CAPTControlPlane, ResourceInfo
from capt.demo.core.edition import Edition
from capt.demo.core.reconciler import ClusterReconciler
from capt.demo.core.unstructured import Unstructured
from capt.runtime import Controller, Key, Kind, Manager, Object, Resource, watch_mapped, watch_self


def add_to(
    manager: Manager,
    edition: Edition,
    *,
    providers: Sequence[ResourceInfo] = (CAPTCluster.RESOURCE, CAPTControlPlane.RESOURCE),
) -> None:
    """Add the stand-in to a manager.

    Args:
        manager: What runs it; the definitions of the edition must be installed.
        edition: The version of Cluster API that it stands in for.
        providers: Kinds of infrastructure and control planes whose changes it watches.
    """
    manager.add(
        Controller(
            name="cluster",
            reconciler=ClusterReconciler(manager.client_as("cluster-api"), manager.clock, edition),
            watches=(
                watch_self(edition.cluster),
                *(
                    watch_mapped(Kind(_resource(each), Unstructured), _owners, reason=each.kind)
                    for each in providers
                ),
            ),
        )
    )


def _owners(obj: Object) -> list[Key]:
    return [Key(obj.namespace, owner.name) for owner in obj.owners if owner.kind == "Cluster"]


def _resource(info: ResourceInfo) -> Resource:
    return Resource(group=info.group, version=info.version, kind=info.kind, plural=info.plural)
