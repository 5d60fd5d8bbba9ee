"""One gate in front of every reconciler: the pause of a Cluster, and `clusterctl move`, hold for all that belongs to it.

What belongs to a Cluster carries its label; the pause of a single object by annotation is each reconciler's own. While a
Cluster is moved to another management cluster, everything stands still on both sides, and what is deleted here has been
copied there: had one controller missed it, the infrastructure would be destroyed under the feet of its new owner
(contract rules A9, F13).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from capt.api import ApiObject
from capt.controllers.kinds import CLUSTER, CLUSTER_V1BETA1
from capt.controllers.names import CLUSTER_NAME_LABEL, PAUSED_ANNOTATION
from capt.controllers.parent_cluster import Parent
from capt.controllers.pausing import is_leaving
from capt.runtime.client import Client
from capt.runtime.controller import Controller, watch_mapped
from capt.runtime.event import Event
from capt.runtime.informer import Informers
from capt.runtime.object import Object
from capt.runtime.resource import Key, Kind
from capt.runtime.result import Done, Reconciler, Request, Result

CLUSTER_INDEX: Final = "cluster-name"
"""Index of what belongs to a Cluster, by "namespace/name" of the Cluster."""

_VERSIONS: Final[tuple[Kind[Any], ...]] = (CLUSTER, CLUSTER_V1BETA1)


def gated(controller: Controller, client: Client, informers: Informers) -> Controller:
    """Return the controller with the gate in front of its reconciler.

    Args:
        controller: The controller.
        client: Reads the object, and its Cluster, from the caches.
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
        reconciler=_Gate(client, kind, controller.reconciler),
        watches=(*controller.watches, *watches),
    )


def cluster_names(obj: Object) -> tuple[str, ...]:
    """Map an object to the Cluster whose label it carries: the function of `CLUSTER_INDEX`."""
    name = obj.labels.get(CLUSTER_NAME_LABEL)
    return (str(Key(obj.namespace, name)),) if name else ()


def turns_pause(event: Event) -> bool:
    """Tell whether a Cluster comes, goes, or is paused or unpaused; nothing else concerns what belongs to it."""
    return event.old is None or event.new is None or _is_paused(event.old) != _is_paused(event.new)


def _is_paused(cluster: Object) -> bool:
    content = cluster.decode()
    annotations = content["metadata"].get("annotations") or {}
    return bool((content.get("spec") or {}).get("paused")) or PAUSED_ANNOTATION in annotations


class _Gate:
    def __init__(self, client: Client, kind: Kind[Any], reconciler: Reconciler) -> None:
        self._client = client
        self._kind = kind
        self._reconciler = reconciler

    async def reconcile(self, request: Request) -> Result:
        """Reconcile what may be touched."""
        obj = await self._client.get(self._kind, request.namespace, request.name)
        if obj is not None and (is_leaving(obj) or await self._of_paused_cluster(obj)):
            return Done()
        return await self._reconciler.reconcile(request)

    async def _of_paused_cluster(self, obj: ApiObject) -> bool:
        name = obj.metadata.labels.get(CLUSTER_NAME_LABEL)
        if not name:
            return False
        for kind in _VERSIONS:
            cluster = await self._client.get(kind, obj.metadata.namespace or "", name)
            if cluster is not None:
                return Parent(kind=kind, cluster=cluster).paused
        return False
