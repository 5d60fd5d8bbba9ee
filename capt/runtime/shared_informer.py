"""The cache of one resource, kept up to date and shared by any number of handlers.

Handlers are called synchronously in the loop step that changed the store, so what they see in it is what the
event says. They add keys to queues, hence need no queues of their own.

A list reaches the store at once and its handlers in slices, with a turn of the event loop in between; the
watch is not read on before they have all heard of it, so the order per object holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from capt.runtime.clock import Clock
from capt.runtime.errors import CacheLagError, NotFound, RequestTimeout, UndecodableError
from capt.runtime.event import Event
from capt.runtime.list_watch import Phase, State
from capt.runtime.logging import get_logger
from capt.runtime.metrics import Metrics
from capt.runtime.object import Object
from capt.runtime.own_writes import OwnWrites
from capt.runtime.reflector import Reflector
from capt.runtime.resource import Key, Resource
from capt.runtime.scope import Scope
from capt.runtime.store import Draft, Store
from capt.runtime.transport import Transport
from capt.runtime.watch_handle import SLICE, Handler, WatchHandle
from capt.runtime.wire import Bookmark, Delete, Upsert

READ_TIMEOUT: Final = 5.0
"""Seconds that a read waits for the cache to show this process's own writes."""

EVENT_TYPES: Final = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "UNDECODABLE")
"""Values of the label ``type`` of ``capt_informer_watch_events_total``."""

_log = get_logger("informer")


@dataclass(frozen=True, slots=True, kw_only=True)
class InformerStatistics:
    """An informer at one moment.

    Attributes:
        resource: the resource, with what the informer's scope leaves out.
        handlers: open handles.
        objects: objects held.
        size: bytes of JSON held.
        resource_version: newest version seen.
        synced: the first list was taken in and handlers have heard of it.
        missing: the kind is not served.
        problem: what is wrong, or "".
        last_event_age: seconds since the server last sent anything.
        pending_writes: own writes that the cache does not show yet.
        phase: what the reflector does.
    """

    resource: str
    handlers: int
    objects: int
    size: int
    resource_version: int
    synced: bool
    missing: bool
    problem: str
    last_event_age: float
    pending_writes: int
    phase: Phase


class Informer:
    """The cache of one resource in one scope. Made, started and stopped by :class:`Informers`.

    Args:
        transport: the way to the API server.
        resource: what is listed and watched.
        clock: measures and waits.
        metrics: where it reports.
        scope: which objects, and how much of each.
        name: its name in logs and metrics.
        preferred: returns the informer of another version of the same objects; while that one is synced, this one
            counts as missing, and asks the API server for nothing. ``None`` while nobody watches the other version.
    """

    def __init__(
        self,
        transport: Transport,
        resource: Resource,
        clock: Clock,
        metrics: Metrics,
        scope: Scope,
        *,
        name: str,
        preferred: Callable[[], Informer | None] = lambda: None,
    ) -> None:
        self.resource = resource
        self.scope = scope
        self.name = name
        self.store = Store()
        self.own_writes = OwnWrites(self.store, clock)
        self.synced = False
        self.problem = ""
        self.task: asyncio.Task[None] | None = None
        self.handles: tuple[WatchHandle, ...] = ()
        self._state = State()
        self._clock = clock
        self._last_event = clock.monotonic()
        self._metrics = metrics.informer(self.name)
        self._counted = {kind: self._metrics.events(kind).inc for kind in EVENT_TYPES}
        self._wait_seconds = metrics.cache_read_wait(str(resource))
        self._wait_timeouts = metrics.cache_read_timeouts(str(resource))
        self._waiters: list[asyncio.Future[None]] = []
        self._transport = transport
        self._preferred = preferred
        self._metrics.objects.set_function(lambda: len(self.store))
        self._metrics.bytes.set_function(lambda: self.store.size)
        self._metrics.resource_version.set_function(lambda: self.store.resource_version)
        self._metrics.synced.set_function(lambda: self.synced)
        self._metrics.last_event_age.set_function(lambda: clock.monotonic() - self._last_event)

    @property
    def missing(self) -> bool:
        """Whether the API server does not serve the kind, or another version of it is preferred and served."""
        return self._state.missing or self._outdone

    @property
    def required(self) -> bool:
        """Whether somebody cannot work without the kind."""
        return any(not handle.optional for handle in self.handles)

    @property
    def statistics(self) -> InformerStatistics:
        """What the informer is doing."""
        return InformerStatistics(
            resource=self.name,
            handlers=len(self.handles),
            objects=len(self.store),
            size=self.store.size,
            resource_version=self.store.resource_version,
            synced=self.synced,
            missing=self.missing,
            problem=self.problem,
            last_event_age=self._clock.monotonic() - self._last_event,
            pending_writes=len(self.own_writes),
            phase=self._state.phase,
        )

    @property
    def _outdone(self) -> bool:
        preferred = self._preferred()
        return preferred is not None and preferred.synced

    async def run(self) -> None:
        """List and watch until cancelled, whenever no preferred version is served."""
        while True:
            if (preferred := self._preferred()) is None:
                await self._reflect()
            elif preferred.missing:
                await self._reflect_until_outdone(preferred)
            else:
                await self._stand_back(preferred)

    async def _reflect(self) -> None:
        await Reflector(self._transport, self.resource, self, self._clock, self.scope).run()

    async def _reflect_until_outdone(self, preferred: Informer) -> None:
        async with asyncio.TaskGroup() as group:
            reflecting = group.create_task(self._reflect(), name=f"reflector {self.name}")
            while not preferred.synced and preferred is self._preferred():
                await preferred.changed()
            reflecting.cancel()

    async def _stand_back(self, preferred: Informer) -> None:
        """Hold nothing while the preferred version is served, and begin nothing while nobody knows whether it is."""
        self._state = State()
        while not preferred.missing and preferred is self._preferred():
            if preferred.synced and self.synced:
                _log.info("a preferred version is served now, this one is let go", resource=self.name)
                await self.replace(self.store.draft(), 0, "missing")
                self.synced = False
            self.problem = "" if preferred.synced else preferred.problem
            self.notify()
            await preferred.changed()

    def attach(
        self,
        handler: Handler,
        release: Callable[[Informer], Awaitable[None]],
        scope: Scope,
        *,
        optional: bool,
    ) -> WatchHandle:
        """Add a handler; what is there already has to be replayed to it.

        Args:
            handler: hears of changes from now on.
            release: called with the informer after the handle was closed.
            scope: what the handler hears of; the informer's covers it.
            optional: the handler can do without the kind.
        """
        handle = WatchHandle(self, handler, release, scope, optional=optional)
        self.handles = (*self.handles, handle)
        return handle

    def adopt(self, other: Informer) -> None:
        """Take over the handlers of an informer whose scope this one's covers, which makes the other superfluous."""
        handles, other.handles = other.handles, ()
        for handle in handles:
            handle.move(self)
        self.handles = (*self.handles, *handles)
        other.notify()

    def detach(self, handle: WatchHandle) -> None:
        """Take a handler away."""
        self.handles = tuple(other for other in self.handles if other is not handle)
        self.notify()

    async def stop(self) -> None:
        """Stop listing and watching; return when that has ended."""
        self.end()
        if self.task is not None:
            await asyncio.wait([self.task])

    def end(self) -> None:
        """Begin to stop, and let go of the gauges' hold on the objects."""
        for gauge in (
            self._metrics.objects,
            self._metrics.bytes,
            self._metrics.resource_version,
            self._metrics.synced,
            self._metrics.last_event_age,
        ):
            gauge.set_function(lambda: 0.0)
        if self.task is not None:
            self.task.cancel()

    async def changed(self) -> None:
        """Return after the next change of ``synced`` or ``missing``, of the informer or of a handle."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def notify(self) -> None:
        """Wake who waits for a change."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # What the reflector calls

    @property
    def resource_version(self) -> int:
        """The version from which a watch goes on."""
        return self.store.resource_version

    def draft(self) -> Draft:
        """Begin a list."""
        return self.store.draft()

    async def replace(self, draft: Draft, resource_version: int, reason: str) -> None:
        """Take a list in, at once, and tell the handlers in slices."""
        self._metrics.relists(reason).inc()
        self._last_event = self._clock.monotonic()
        # the kind is served no more, or the server was restored from a backup
        went_back = resource_version < self.store.resource_version
        events = self.store.replace(draft, resource_version, initial=not self.synced)
        if went_back:
            self.own_writes.forget()
        else:
            self.own_writes.observe_all()
        for number, event in enumerate(events, start=1):
            self._deliver(event)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        for handle in self.handles:
            handle.listed()
        self.synced = True
        self.problem = ""
        self.notify()

    def apply(self, event: Upsert | Delete | Bookmark) -> None:
        """Take a watch event in and tell the handlers."""
        self._last_event = self._clock.monotonic()
        self.problem = ""
        if isinstance(event, Bookmark):
            self._counted["BOOKMARK"]()
            self.store.observe(event.resource_version)
            self.own_writes.observe_all()
            return
        obj = event.object
        if isinstance(event, Upsert):
            self._counted[event.type]()
            changes = self.store.upsert(obj)
        else:
            self._counted["DELETED"]()
            changes = self.store.remove(obj)
        for change in changes:
            self._deliver(change)
        if self.own_writes:
            self.own_writes.observe(obj.key)

    def skip(self, error: UndecodableError) -> None:
        """Count and log what could not be decoded."""
        self._counted["UNDECODABLE"]()
        _log.warning("skipped what the API server sent", resource=self.name, error=str(error))

    async def report(self, state: State, error: Exception | None) -> None:
        """Hear of a step of the reflector."""
        was_missing, self._state = self.missing, state
        if isinstance(error, NotFound):
            self.problem = f"{self.name}: not served by the API server"
            if self.synced:
                await self.replace(self.store.draft(), 0, "missing")
                self.synced = False
            if not was_missing:
                log = _log.warning if self.required else _log.info
                log("kind is not served, waiting for it", resource=self.name)
        elif isinstance(error, RequestTimeout) and state.phase is Phase.WATCH:
            # of a kind that has had no event since the server began, the server sends no bookmarks either
            self._metrics.silent_watches.inc()
            _log.debug("the watch was silent, it is opened again", resource=self.name)
        elif error is not None:
            self.problem = f"{self.name}: {error}"
            _log.warning(
                "list or watch failed", resource=self.name, error=str(error), retry_after=state.delay
            )
        elif was_missing and not self.missing:
            _log.info("kind is served now", resource=self.name)
        self.notify()

    def _deliver(self, event: Event) -> None:
        for handle in self.handles:
            handle.deliver(event)

    # What the client calls

    def wrote(self, obj: Object) -> None:
        """Note an own write. One that no event will tell of is not waited for."""
        if self.scope.holds(obj) or self.store.get(obj.key) is not None:
            self.own_writes.expect(obj.key, obj.resource_version)

    def deleted(self, key: Key, uid: str) -> None:
        """Note an own deletion."""
        known = self.store.get(key)
        if known is not None or key in self.own_writes:
            self.own_writes.expect_deletion(key, uid)

    def outdated(self, key: Key, resource_version: int) -> None:
        """Note that the API server holds something newer than this version of an object."""
        known = self.store.get(key)
        if known is not None and known.resource_version <= resource_version:
            # newer than the object, and not seen yet: newer than everything that was seen
            self.own_writes.expect(key, self.store.resource_version + 1)

    async def catch_up(self, keys: Iterable[Key]) -> None:
        """Return when the cache is synced and shows this process's writes to ``keys``.

        Raises:
            CacheLagError: that took too long.
        """
        if not (self.synced or self.missing):
            await self._first_sync()
        keys = [key for key in keys if key in self.own_writes]
        if not keys:
            return
        started = self._clock.monotonic()
        seen = await self.own_writes.seen(keys, READ_TIMEOUT)
        self._wait_seconds.observe(self._clock.monotonic() - started)
        if not seen:
            self._wait_timeouts.inc()
            names = ", ".join(map(str, keys[:3]))
            raise CacheLagError(
                f"the cache of {self.name} does not show own writes to {names} after {READ_TIMEOUT:g} s"
            )

    async def _first_sync(self) -> None:
        timed_out = False

        def give_up() -> None:
            nonlocal timed_out
            timed_out = True
            self.notify()

        timer = self._clock.call_later(READ_TIMEOUT, give_up)
        try:
            while not (self.synced or self.missing):
                if timed_out:
                    raise CacheLagError(
                        f"the cache of {self.name} is not synced: {self.problem or 'no list yet'}"
                    )
                await self.changed()
        finally:
            timer.cancel()
