"""Read your own writes: what a cache must have seen before it may be read again.

A cache trails the API server by a few milliseconds, and a reconcile that reads it right after a write sees
the world before the write: that is how one deployment came to own two sets. So each write leaves a mark
here, and a read of the same key waits until the cache shows the write, or something later.

* A create or patch is seen when the store's object, or the store as a whole, has reached the version in
  the answer. Versions are numbers and compared within one kind only (KEP-5504).
* A delete answers without a version, so it is known by uid: seen when the object is gone, is another one, or
  is marked as being deleted.
* A conflict proves that the server has something newer than what the caller read. It leaves a mark too;
  else the retry would read the same stale object and conflict again.

controller-runtime has the problem and, so far, only a design for this (kubernetes-sigs/controller-runtime
pull request 3473).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from capt.runtime.clock import Clock
from capt.runtime.resource import Key
from capt.runtime.store import Store


@dataclass(slots=True, kw_only=True)
class _Mark:
    """What the cache must show of one key."""

    resource_version: int = 0  # at least this version
    deleted_uid: str = ""  # and no living object with this uid
    waiters: list[asyncio.Future[bool]] = field(default_factory=list)

    def is_seen(self, key: Key, store: Store) -> bool:
        obj = store.get(key)
        if self.deleted_uid and obj is not None and obj.uid == self.deleted_uid and not obj.deleting:
            return False
        return store.resource_version >= self.resource_version or (
            obj is not None and obj.resource_version >= self.resource_version
        )

    def let_go(self) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(True)


class OwnWrites:
    """The writes of this process that one store has not shown yet.

    Args:
        store: the cache that must catch up.
        clock: measures how long a read waits.
    """

    __slots__ = ("_clock", "_marks", "_store")

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._marks: dict[Key, _Mark] = {}

    def __len__(self) -> int:
        return len(self._marks)

    def __contains__(self, key: Key) -> bool:
        return key in self._marks

    def expect(self, key: Key, resource_version: int) -> None:
        """Note that the object was written, and got this version."""
        mark = self._marks.setdefault(key, _Mark())
        mark.resource_version = max(mark.resource_version, resource_version)
        self.observe(key)

    def expect_deletion(self, key: Key, uid: str) -> None:
        """Note that the object with this uid was deleted, or marked for deletion."""
        self._marks.setdefault(key, _Mark()).deleted_uid = uid
        self.observe(key)

    def observe(self, key: Key) -> None:
        """Let go of the reads that wait for a key, if the store shows the write; call after each change."""
        mark = self._marks.get(key)
        if mark is not None and mark.is_seen(key, self._store):
            del self._marks[key]
            mark.let_go()

    def observe_all(self) -> None:
        """As :meth:`observe`, for every key: after a list or a bookmark."""
        for key in tuple(self._marks):
            self.observe(key)

    def forget(self) -> None:
        """Wait for none of the writes any more: the history that they were part of is over."""
        marks, self._marks = self._marks, {}
        for mark in marks.values():
            mark.let_go()

    def pending(self, namespace: str = "") -> list[Key]:
        """Return the keys whose writes are not seen yet, of one namespace or of all."""
        return [key for key in self._marks if not namespace or key.namespace == namespace]

    async def seen(self, keys: Iterable[Key], within: float) -> bool:
        """Wait until the writes to all of ``keys`` are seen; False when that took over ``within`` seconds."""
        waiters = []
        for key in keys:
            mark = self._marks.get(key)
            if mark is not None:
                waiter = asyncio.get_running_loop().create_future()
                mark.waiters.append(waiter)
                waiters.append(waiter)
        if not waiters:
            return True
        timer = self._clock.call_later(within, lambda: _give_up(waiters))
        try:
            return all(await asyncio.gather(*waiters))
        finally:
            timer.cancel()
            for mark in self._marks.values():
                mark.waiters = [waiter for waiter in mark.waiters if not waiter.done()]


def _give_up(waiters: Iterable[asyncio.Future[bool]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(False)
