"""Shared caches: one informer per kind and selection, for as long as somebody watches it.

Watches are declared, never implied by a read, and counted: the last handle that is closed stops the informer and
frees its memory.

There is never more than one cache to read an object from. Were a selected and an unselected cache of it kept side by
side, a handler woken by the one could read the other, which may lag behind: it would miss the change, and no
further event would come. So a watch that is covered by another shares its cache, one that covers others takes them
over, and where caches overlap all the same, reads of the kind are refused.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from capt.runtime.clock import Clock, SystemClock
from capt.runtime.errors import NotWatched
from capt.runtime.metrics import Metrics
from capt.runtime.resource import Kind, Resource
from capt.runtime.scope import Scope, Transform
from capt.runtime.shared_informer import Informer, InformerStatistics
from capt.runtime.store import IndexFunction, Store
from capt.runtime.transport import Transport
from capt.runtime.watch_handle import Handler, WatchHandle


class Informers:
    """All informers of a process; an async context manager that runs them.

    Watches may be declared before it is entered (they start then) and while it runs. Unlike controller-runtime's cache,
    it starts no informer because somebody reads, replays nothing every ten hours (ask for :class:`After`), and has one
    informer per resource, whatever models read it.

    Args:
        transport: the way to the API server.
        clock: measures and waits; the system's by default.
        metrics: where informers report; own ones by default.
        namespace: the only namespace to watch where a watch names none, "" for all; cluster-scoped kinds are watched
            anyway.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        namespace: str = "",
    ) -> None:
        self._transport = transport
        self._clock: Clock = clock or SystemClock()
        self._metrics = metrics or Metrics()
        self._namespace = namespace
        self._informers: dict[Resource, dict[Scope, Informer]] = {}
        self._indexes: dict[Resource, dict[str, IndexFunction]] = {}
        self._preferred: dict[Resource, Resource] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        for informer in self._all():
            self._start(informer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        assert tasks is not None
        for informer in self._all():
            if informer.task is not None:
                informer.task.cancel()
        await tasks.__aexit__(kind, error, trace)

    def index(self, kind: Kind[Any], name: str, function: IndexFunction) -> None:
        """Declare an index of a kind, before or after it is watched: controller-runtime's ``IndexField``.

        Args:
            kind: what is indexed.
            name: of the index; every store has one named ``owner``, by the uids of owners.
            function: returns the values under which an object is found; must depend on nothing but the object.

        Raises:
            ValueError: the name belongs to another function.
        """
        functions = self._indexes.setdefault(kind.resource, {})
        if functions.get(name, function) is not function:
            raise ValueError(f"{kind} has an index {name!r} with another function")
        functions[name] = function
        for informer in self.of(kind.resource):
            informer.store.add_index(name, function)

    def prefer(self, kind: Kind[Any], *, over: Kind[Any]) -> None:
        """Declare that two kinds are versions of the same objects, before the second is watched.

        While the first is watched and served, the second counts as not served: it is neither listed nor watched. So
        nothing is held twice, and no conversion webhook is needed for a version that nobody reads.

        Args:
            kind: the version that is used where it is served.
            over: the version for where it is not; watch it as optional, and after the other.
        """
        self._preferred[over.resource] = kind.resource

    def store(self, kind: Kind[Any], namespace: str = "") -> Store:
        """Return what is cached of a kind, as it is: nothing is waited for.

        Args:
            kind: what to read.
            namespace: needed only where the kind is watched in several namespaces, each by itself.

        Raises:
            NotWatched: no cache holds what is asked for: see :meth:`readers`.
        """
        return self.reader(kind.resource, namespace).store

    async def watch(
        self,
        kind: Kind[Any],
        handler: Handler,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
        transform: Transform | None = None,
        optional: bool = False,
    ) -> WatchHandle:
        """Watch a kind. Returns at once; see :meth:`WatchHandle.wait_synced`.

        Where a cache holds all that is wanted, it is shared, and the selection is made from it; else there is a new
        one, which takes the place of those that hold less. So a handler may find more in an object than it asked for.

        Args:
            kind: what to watch. Kinds of one resource share an informer.
            handler: hears of every object, then of every change.
            namespace: the only one to watch, "" for all; by default the namespace of all informers.
            labels: label selector, "" for everything.
            fields: field selector, "" for everything: see :class:`Scope`.
            metadata_only: do not ask for, nor hold, anything but metadata.
            transform: makes what is cached of an object; :func:`capt.runtime.scope.project` makes one.
            optional: a missing kind is normal, and not mentioned by :meth:`unsynced`.

        Raises:
            ValueError: a selector is none.
        """
        resource = kind.resource
        scope = Scope(
            namespace=(self._namespace if namespace is None else namespace) if resource.namespaced else "",
            labels=labels,
            fields=fields,
            metadata_only=metadata_only,
            transform=transform,
        )
        informer = next((each for each in self.of(resource) if each.scope.covers(scope)), None)
        superfluous: list[Informer] = []
        if informer is None:
            informer = self._make(resource, scope)
            superfluous = [each for each in self.of(resource) if scope.covers(each.scope)]
            for other in superfluous:
                del self._informers[resource][other.scope]
                informer.adopt(other)
            self._informers.setdefault(resource, {})[scope] = informer
        handle = informer.attach(handler, self._release, scope, optional=optional)
        if handle.behind and self._tasks is not None:
            self._tasks.create_task(handle.replay(), name=f"replay {informer.name}")
        # nothing is waited for: who is cancelled here would never get the handle, nor close it
        for other in superfluous:
            other.end()
        return handle

    async def _release(self, informer: Informer) -> None:
        scopes = self._informers.get(informer.resource, {})
        if not informer.handles and scopes.get(informer.scope) is informer:
            del scopes[informer.scope]
            await informer.stop()

    def _make(self, resource: Resource, scope: Scope) -> Informer:
        # the namespace of all informers goes without saying
        told = replace(scope, namespace="") if scope.namespace == self._namespace else scope
        preferred = self._preferred.get(resource)
        # versions of one kind are told apart as kubectl does it
        plain = (
            str(resource) if preferred is None else f"{resource.plural}.{resource.version}.{resource.group}"
        )
        informer = Informer(
            self._transport,
            resource,
            self._clock,
            self._metrics,
            scope,
            name=f"{plain}?{told}" if str(told) else plain,
            preferred=lambda: next(iter(self.of(preferred)), None) if preferred is not None else None,
        )
        for index, function in self._indexes.get(resource, {}).items():
            informer.store.add_index(index, function)
        if self._tasks is not None:
            self._start(informer)
        return informer

    def of(self, resource: Resource) -> list[Informer]:
        """Return the informers of a resource that somebody watches."""
        return list(self._informers.get(resource, {}).values())

    def readers(self, resource: Resource, namespace: str = "") -> list[Informer]:
        """Return the informers that together answer a read: one, or one per namespace.

        Args:
            resource: what to read.
            namespace: where; "" for wherever it is watched.

        Raises:
            NotWatched: there is none, or several hold different parts of the same objects, of which one may lag
                behind another.
        """
        where = namespace if resource.namespaced else ""
        every = self.of(resource)
        if len(every) == 1 and every[0].scope.namespace == self._namespace:
            return every  # as it nearly always is
        # outside of the namespace that limits all informers there is nothing; outside of a watch's own, nobody knows
        informers = [each for each in every if not where or each.scope.namespace in {"", where}] or [
            each for each in every if each.scope.namespace == self._namespace
        ]
        if not informers:
            place = f"{resource} in namespace {where}" if every else str(resource)
            raise NotWatched(f"nobody watches {place}: declare a watch, or read it live")
        namespaces = {each.scope.namespace for each in informers}
        apart = len(namespaces) == len(informers) and "" not in namespaces
        if len(informers) > 1 and (not apart or any(each.scope.selected for each in informers)):
            raise NotWatched(
                f"{resource} is watched by selectors only, or in several forms, so no cache holds all of it: read it live"
            )
        return informers

    def reader(self, resource: Resource, namespace: str = "") -> Informer:
        """Return the one informer that answers a read; arguments as for :meth:`readers`.

        Raises:
            NotWatched: there is none, or there is one per namespace and none was named.
        """
        informer, *others = self.readers(resource, namespace)
        if others:
            raise NotWatched(f"{resource} is watched in several namespaces: say which one to read")
        return informer

    def unsynced(self) -> list[str]:
        """Return one line for each required kind that is not synced, saying why."""
        return [
            informer.problem or f"{informer.name}: waiting for the first list"
            for informer in self._all()
            if informer.required and not informer.synced
        ]

    def statistics(self) -> tuple[InformerStatistics, ...]:
        """Return what every informer is doing."""
        return tuple(informer.statistics for informer in self._all())

    def _all(self) -> list[Informer]:
        return [informer for scopes in self._informers.values() for informer in scopes.values()]

    def _start(self, informer: Informer) -> None:
        assert self._tasks is not None
        informer.task = self._tasks.create_task(informer.run(), name=f"informer {informer.name}")
