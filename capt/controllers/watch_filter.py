"""Several managers on one cluster: each minds the objects that carry its value of core's label.

An object belongs to a manager when it carries the label itself, or when an object that controls it does: what a
machine makes is minded by whom the machine is minded, without a label on everything. As with other providers the label
is on the provider's objects: that of a Cluster says which of Cluster API's own managers minds the Cluster, and a
ClusterClass gives its clones labels of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from capt.controllers.names import WATCH_FILTER_LABEL
from capt.runtime.controller import Controller
from capt.runtime.errors import NotWatched
from capt.runtime.informer import Informers
from capt.runtime.object import Object, Owner
from capt.runtime.resource import Key, Kind
from capt.runtime.result import Done, Reconciler, Request, Result


class WatchFilter:
    """Tells which objects a manager minds.

    Args:
        informers: The caches in which owners are looked up.
        kinds: The kinds that may be owners.
        value: The label's value.
    """

    def __init__(self, informers: Informers, kinds: Iterable[Kind[Any]], value: str) -> None:
        self._informers = informers
        self._kinds = {(kind.resource.group, kind.resource.kind): kind for kind in kinds}
        self._value = value

    def selects(self, obj: Object) -> bool:
        """Tell whether an object, or one that controls it, carries the label with the value."""
        owner: Object | None = obj
        while owner is not None:
            if owner.labels.get(WATCH_FILTER_LABEL) == self._value:
                return True
            owner = self._controller(owner)
        return False

    def on(self, controller: Controller) -> Controller:
        """Return the controller with a reconciler that leaves all other objects alone."""
        gate = _Gate(self, self._informers, controller.kind, controller.reconciler)
        return replace(controller, reconciler=gate)

    def _controller(self, obj: Object) -> Object | None:
        reference = obj.controller
        if reference is None:
            return None
        kind = self._kinds.get(_group_kind(reference))
        if kind is None:
            return None
        try:
            found = self._informers.store(kind).get(Key(obj.namespace, reference.name))
        except NotWatched:
            return None
        return found if found is not None and found.uid == reference.uid else None


class _Gate:
    def __init__(
        self, watch_filter: WatchFilter, informers: Informers, kind: Kind[Any], reconciler: Reconciler
    ) -> None:
        self._filter = watch_filter
        self._informers = informers
        self._kind = kind
        self._reconciler = reconciler

    async def reconcile(self, request: Request) -> Result:
        """Reconcile what is selected."""
        obj = self._informers.store(self._kind).get(Key(request.namespace, request.name))
        if obj is not None and not self._filter.selects(obj):
            return Done()
        return await self._reconciler.reconcile(request)


def _group_kind(reference: Owner) -> tuple[str, str]:
    return reference.api_version.rpartition("/")[0], reference.kind
