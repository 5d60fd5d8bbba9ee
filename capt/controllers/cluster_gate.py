"""One gate in front of every reconciler: the pause of a Cluster, and `clusterctl move`, hold for all that belongs to it.

What belongs to a Cluster carries its label; the pause of a single object by annotation is each reconciler's own. While a
Cluster is moved to another management cluster, everything stands still on both sides, and what is deleted here has been
copied there: had one controller missed it, the infrastructure would be destroyed under the feet of its new owner
(contract rules A9, F13).

`clusterctl move` follows owner references, and makes owners first. So the Cluster becomes the owner of its machines, as it
is of Cluster API's own: a deployment that came before its Cluster, and its pause, would make machines of its own in the
place of those that are still to come (contract rule F11).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from capt.api import ApiObject
from capt.controllers.kinds import CLUSTER, CLUSTER_V1BETA1, MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET
from capt.controllers.names import CLUSTER_NAME_LABEL, PAUSED_ANNOTATION
from capt.controllers.ownership import add_owner
from capt.controllers.parent_cluster import Parent
from capt.controllers.pausing import is_leaving
from capt.runtime.client import Client
from capt.runtime.controller import Controller, watch_mapped
from capt.runtime.event import Event
from capt.runtime.informer import Informers
from capt.runtime.object import Object
from capt.runtime.resource import Key, Kind
from capt.runtime.result import Done, Reconciler, Request, Result
from capt.runtime.rights import may

CLUSTER_INDEX: Final = "cluster-name"
"""Index of what belongs to a Cluster, by "namespace/name" of the Cluster."""

_VERSIONS: Final[tuple[Kind[Any], ...]] = (CLUSTER, CLUSTER_V1BETA1)
_OWNED: Final[tuple[Kind[Any], ...]] = (MACHINE, MACHINE_SET, MACHINE_DEPLOYMENT)


def gated(controller: Controller, client: Client, informers: Informers) -> Controller:
    """Return the controller with the gate in front of its reconciler.

    Args:
        controller: The controller.
        client: Reads the object, and its Cluster, from the caches; makes the Cluster the owner.
        informers: The caches; the gate opens as soon as a Cluster is no longer paused.
    """
    kind = controller.kind
    informers.index(kind, CLUSTER_INDEX, cluster_names)

    def members(cluster: Object) -> Iterable[Key]:
        return [found.key for found in informers.store(kind).by_index(CLUSTER_INDEX, str(cluster.key))]

    watches = tuple(
        watch_mapped(version, members, reason="pause of the Cluster", optional=True, predicate=turns_pause)
        for version in _VERSIONS
    )
    return replace(
        controller,
        reconciler=_Gate(client, informers, kind, controller.reconciler),
        watches=(*controller.watches, *watches),
        rights=(*controller.rights, may(CLUSTER, "get")),
    )


def cluster_names(obj: Object) -> tuple[str, ...]:
    """Map an object to the Cluster whose label it carries: the function of `CLUSTER_INDEX`."""
    name = obj.labels.get(CLUSTER_NAME_LABEL)
    return (str(Key(obj.namespace, name)),) if name else ()


def turns_pause(event: Event) -> bool:
    """Tell whether a Cluster comes, goes, or is paused or unpaused; nothing else concerns what belongs to it."""
    return event.old is None or event.new is None or _is_paused(event.old) != _is_paused(event.new)


def is_to_be_owned(obj: ApiObject, parent: Parent) -> bool:
    """Tell whether the Cluster has yet to become an owner of `obj`, of which nothing else is the controller."""
    owners = obj.metadata.owner_references
    return (
        obj.metadata.deletion_timestamp is None
        and not parent.deleting
        and not any(owner.controller or owner.uid == parent.cluster.metadata.uid for owner in owners)
    )


def _is_paused(cluster: Object) -> bool:
    content = cluster.decode()
    annotations = content["metadata"].get("annotations") or {}
    return bool((content.get("spec") or {}).get("paused")) or PAUSED_ANNOTATION in annotations


class _Gate:
    def __init__(self, client: Client, informers: Informers, kind: Kind[Any], reconciler: Reconciler) -> None:
        self._client = client
        self._informers = informers
        self._kind = kind
        self._reconciler = reconciler

    async def reconcile(self, request: Request) -> Result:
        """Reconcile what may be touched."""
        obj = await self._client.get(self._kind, request.namespace, request.name)
        if obj is None:
            return await self._reconciler.reconcile(request)
        if is_leaving(obj):
            return Done()
        parent = await self._parent(obj)
        if parent is not None and parent.paused:
            return Done()
        if parent is not None and self._kind in _OWNED and is_to_be_owned(obj, parent):
            await add_owner(self._client, self._kind, obj, parent.reference)
        return await self._reconciler.reconcile(request)

    async def _parent(self, obj: ApiObject) -> Parent | None:
        name = obj.metadata.labels.get(CLUSTER_NAME_LABEL)
        if not name:
            return None
        namespace = obj.metadata.namespace or ""
        for kind in _VERSIONS:
            if (cluster := await self._client.get(kind, namespace, name)) is not None:
                return Parent(kind=kind, cluster=cluster)
        # that the cache has no Cluster may mean that it lags behind that of the object, and so would its pause
        for kind in _VERSIONS:
            if any(informer.synced for informer in self._informers.of(kind.resource)):
                cluster = await self._client.get_live(kind, namespace, name)
                return None if cluster is None else Parent(kind=kind, cluster=cluster)
        return None
