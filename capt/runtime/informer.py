"""Shared caches: one informer per kind and selection, for as long as somebody watches it.

Watches are declared, never implied by a read, and counted: the last handle that is closed stops the informer and
frees its memory.

There is never more than one cache to read a kind from. Were a selected and an unselected cache of it kept side by
side, a handler woken by the one could read the other, which may lag behind: it would miss the change, and no
further event would come.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from capt.runtime.clock import Clock, SystemClock
from capt.runtime.errors import NotWatched
from capt.runtime.metrics import Metrics
from capt.runtime.resource import Kind, Resource
from capt.runtime.shared_informer import Informer, InformerStatistics
from capt.runtime.store import IndexFunction, Store
from capt.runtime.transport import Transport
from capt.runtime.watch_handle import Handler, WatchHandle


class Informers:
    """All informers of a process; an async context manager that runs them.

    Watches may be declared before it is entered (they start then) and while it runs.

    Args:
        transport: the way to the API server.
        clock: measures and waits.
        metrics: where informers report; own ones by default.
        namespace: the only namespace to watch, "" for all; cluster-scoped kinds are watched anyway.
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
        self._informers: dict[tuple[Resource, str], Informer] = {}
        self._indexes: dict[Resource, dict[str, IndexFunction]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        for informer in self._informers.values():
            self._start(informer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        assert tasks is not None
        for informer in self._informers.values():
            if informer.task is not None:
                informer.task.cancel()
        await tasks.__aexit__(kind, error, trace)

    def index(self, kind: Kind[Any], name: str, function: IndexFunction) -> None:
        """Declare an index of a kind, before or after it is watched.

        Raises:
            ValueError: the name belongs to another function.
        """
        functions = self._indexes.setdefault(kind.resource, {})
        if functions.get(name, function) is not function:
            raise ValueError(f"{kind} has an index {name!r} with another function")
        functions[name] = function
        for informer in self.of(kind.resource):
            informer.store.add_index(name, function)

    def store(self, kind: Kind[Any]) -> Store:
        """Return what is cached of a kind, as it is: nothing is waited for.

        Raises:
            NotWatched: nobody watches the kind, or all watch selections of it and no one of them is all.
        """
        return self.reader(kind.resource).store

    async def watch(
        self, kind: Kind[Any], handler: Handler, *, labels: str = "", optional: bool = False
    ) -> WatchHandle:
        """Watch a kind. Returns at once; see :meth:`WatchHandle.wait_synced`.

        Args:
            kind: what to watch. Kinds of one resource share an informer.
            handler: hears of every object, then of every change.
            labels: label selector, "" for everything. Where everything is watched as well, the selection is made
                here, from that cache; else the API server makes it, and each selector has its own cache.
            optional: a missing kind is normal, and not mentioned by :meth:`unsynced`.
        """
        resource = kind.resource
        informer = self._informers.get((resource, "")) or self._informers.get((resource, labels))
        superfluous: list[Informer] = []
        if informer is None:
            informer = self._make(resource, labels)
            if not labels:
                superfluous = self.of(resource)
                for other in superfluous:
                    del self._informers[resource, other.labels]
                    informer.adopt(other)
            self._informers[resource, labels] = informer
        handle = informer.attach(handler, self._release, labels=labels, optional=optional)
        if handle.behind and self._tasks is not None:
            self._tasks.create_task(handle.replay(), name=f"replay {informer.name}")
        for other in superfluous:
            await other.stop()
        return handle

    async def _release(self, informer: Informer) -> None:
        place = (informer.resource, informer.labels)
        if not informer.handles and self._informers.get(place) is informer:
            del self._informers[place]
            await informer.stop()

    def _make(self, resource: Resource, labels: str) -> Informer:
        informer = Informer(
            self._transport, resource, self._clock, self._metrics, namespace=self._namespace, labels=labels
        )
        for name, function in self._indexes.get(resource, {}).items():
            informer.store.add_index(name, function)
        if self._tasks is not None:
            self._start(informer)
        return informer

    def of(self, resource: Resource) -> list[Informer]:
        """Return the informers of a resource that somebody watches."""
        return [informer for (candidate, _), informer in self._informers.items() if candidate == resource]

    def reader(self, resource: Resource) -> Informer:
        """Return the informer that reads are answered from: the one without selector, or the only one.

        Raises:
            NotWatched: there is none.
        """
        informers = self.of(resource)
        for informer in informers:
            if not informer.selected:
                return informer
        if len(informers) == 1:
            return informers[0]
        if not informers:
            raise NotWatched(f"nobody watches {resource}: declare a watch, or read it live")
        raise NotWatched(
            f"{resource} is watched by selectors only, so no cache holds all of it: read it live"
        )

    def unsynced(self) -> list[str]:
        """Return one line for each required kind that is not synced, saying why."""
        return [
            informer.problem or f"{informer.name}: waiting for the first list"
            for informer in self._informers.values()
            if informer.required and not informer.synced
        ]

    def statistics(self) -> tuple[InformerStatistics, ...]:
        """Return what every informer is doing."""
        return tuple(informer.statistics for informer in tuple(self._informers.values()))

    def _start(self, informer: Informer) -> None:
        assert self._tasks is not None
        informer.task = self._tasks.create_task(informer.run(), name=f"informer {informer.name}")
