"""One handler's share in an informer: what it has heard so far, and what it must hear next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from capt.runtime.event import Event
from capt.runtime.logging import get_logger
from capt.runtime.object import Object
from capt.runtime.resource import Key
from capt.runtime.scope import Scope

if TYPE_CHECKING:
    from capt.runtime.shared_informer import Informer

Handler = Callable[[Event], None]
"""Hears of changes. Must be quick and must not raise; if it does, that is logged and others go on."""

SLICE: Final = 200
"""Events that handlers hear of between two turns of the event loop, when there are many at once."""

_log = get_logger("informer")


class WatchHandle:
    """One handler's share in an informer: what ``Informers.watch`` returns. Close it when the handler is done.

    The handler hears a consistent story: an object is added, then modified, then deleted, each step following
    from the one before, whenever the handler came and whatever it selects.

    * What was there before the handler is told as additions with ``initial``. A live event on an object that
      was not told of yet counts as that addition.
    * An object that moves into or out of the handler's selection is added or deleted.
    * When the informer is replaced by one that holds more, the first list of the new one is told as what
      differs from what the handler knows.

    Args:
        informer: whose share it is.
        handler: hears of every object, then of every change.
        release: called with the informer when the handle was closed.
        scope: what the handler wants, which the informer covers.
        optional: a missing kind is normal.
    """

    def __init__(
        self,
        informer: Informer,
        handler: Handler,
        release: Callable[[Informer], Awaitable[None]],
        scope: Scope,
        *,
        optional: bool,
    ) -> None:
        self._informer = informer
        self._handler = handler
        self._release = release
        self._scope = scope
        self._all = scope.holds_no_less_than(informer.scope)
        self._unseen = {obj.key: None for obj in informer.store.list() if self._all or scope.holds(obj)}
        self._known: dict[Key, Object] = {}
        self._closed = False
        self.optional = optional

    @property
    def synced(self) -> bool:
        """Whether the handler has heard of every object of the first list."""
        return self._informer.synced and not self._unseen

    @property
    def behind(self) -> bool:
        """Whether objects that were there before the handler are still to be replayed to it."""
        return bool(self._unseen)

    @property
    def missing(self) -> bool:
        """Whether the API server does not serve the kind; it is asked for again and again."""
        return self._informer.missing

    @property
    def problem(self) -> str:
        """What is wrong, as one line, or ""."""
        return self._informer.problem

    def cached(self, key: Key) -> Object | None:
        """Return the object as the cache behind the handle has it, selected by the handle or not."""
        return self._informer.store.get(key)

    async def wait_synced(self) -> None:
        """Return when the handler has heard of every object of the first list, or is closed."""
        while not (self.synced or self._closed):
            await self._informer.changed()

    async def wait_settled(self) -> None:
        """Return when synced, or when the kind turns out to be missing."""
        while not (self.synced or self.missing or self._closed):
            await self._informer.changed()

    async def close(self) -> None:
        """Stop calling the handler, at once. The last handle of an informer stops it. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._informer.detach(self)
            await self._release(self._informer)

    def deliver(self, event: Event) -> None:
        """Tell the handler of a change, as far as and in the form in which it concerns the handler."""
        if not self._all:
            selected = self._select(event)
            if selected is None:
                return
            event = selected
        if self._unseen or self._known:
            for step in self._continue(event):
                self._tell(step)
        else:
            self._tell(event)

    async def replay(self) -> None:
        """Tell the handler of the objects that were there before it."""
        while self._unseen and not self._closed:
            for key in tuple(islice(self._unseen, SLICE)):
                obj = self._informer.store.get(key)
                if obj is None:
                    self._unseen.pop(key, None)
                elif key in self._unseen:
                    self.deliver(Event(type="added", new=obj, initial=True))
            await asyncio.sleep(0)
        self._informer.notify()

    def move(self, informer: Informer) -> None:
        """Go over to an informer that has not listed yet."""
        self._known = {obj.key: obj for obj in self._informer.store.list() if obj.key not in self._unseen}
        self._unseen = {}
        self._informer = informer
        self._all = self._scope.holds_no_less_than(informer.scope)

    def listed(self) -> None:
        """Hear that a list of the informer was told to its end: what the handler knows beyond it is gone."""
        known, self._known = self._known, {}
        for obj in known.values():
            self._tell(Event(type="deleted", old=obj))

    def _select(self, event: Event) -> Event | None:
        old = event.old if event.old is not None and self._scope.holds(event.old) else None
        new = event.new if event.new is not None and self._scope.holds(event.new) else None
        if old is event.old and new is event.new:
            return event
        if new is not None:
            return Event(type="added", new=new, initial=event.initial)
        return Event(type="deleted", old=old) if old is not None else None

    def _continue(self, event: Event) -> Iterator[Event]:
        key = event.obj.key
        known = self._known.pop(key, None)
        if key in self._unseen:
            del self._unseen[key]
            if event.new is not None:
                yield Event(type="added", new=event.new, initial=True)
        elif known is None or event.new is None:
            yield event
        elif known.uid != event.new.uid:
            yield Event(type="deleted", old=known)
            yield Event(type="added", new=event.new)
        elif known.resource_version != event.new.resource_version:
            yield Event(type="modified", old=known, new=event.new)

    def _tell(self, event: Event) -> None:
        if self._closed:
            return
        try:
            self._handler(event)
        except Exception:  # noqa: BLE001 - one handler's bug must not stop the others, nor the stream
            _log.exception("handler failed", resource=str(self._informer.resource), object=str(event.obj.key))
