"""The objects, their versions and the recent history of each resource.

One counter, the revision, numbers all writes of all resources; an object's ``resourceVersion`` is the revision of its
last write. Every state change is one synchronous function, so whoever runs on the event loop sees a consistent state between
two awaits, and no locks are needed.

Objects are kept as encoded JSON without ``apiVersion`` and ``kind``: a list is then a join of byte strings, an event is
encoded once for all its watchers, and serving another version of a custom resource is another prefix.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from capt.embedded.errors import expired
from capt.embedded.journal import Journal

HEAVIEST_HISTORY = 64 * 1024 * 1024  # bytes of former states that a resource's history keeps


class Key(NamedTuple):
    """Name of an object within its resource; the namespace is "" for cluster-scoped ones."""

    namespace: str
    name: str


class _Owner(msgspec.Struct):
    uid: str = ""


class _Metadata(msgspec.Struct, rename="camel"):
    uid: str = ""
    resource_version: str = "0"
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    owner_references: list[_Owner] | None = None


class _Head(msgspec.Struct):
    metadata: _Metadata


_HEAD = msgspec.json.Decoder(_Head)


class Stored:
    """One state of one object. Never changes; ``views`` memoises how other served versions show it."""

    __slots__ = ("body", "deleting", "key", "labels", "owners", "revision", "uid", "version", "views")

    def __init__(self, key: Key, version: str, body: bytes) -> None:
        metadata = _HEAD.decode(body).metadata
        self.key = key
        self.version = version
        self.body = body
        self.uid = metadata.uid
        self.revision = int(metadata.resource_version)
        self.deleting = metadata.deletion_timestamp is not None
        self.labels: Mapping[str, str] = metadata.labels or {}
        self.owners = tuple(owner.uid for owner in metadata.owner_references or ())
        self.views: dict[int, bytes] = {}

    def decode(self) -> dict[str, Any]:
        """A fresh dict of the object as stored, without ``apiVersion`` and ``kind``."""
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded

    def at_revision(self, revision: int) -> Stored:
        """The same state under another resourceVersion."""
        content = self.decode()
        content["metadata"]["resourceVersion"] = str(revision)
        return Stored(self.key, self.version, msgspec.json.encode(content))


@dataclass(slots=True)
class Change:
    """One write: ``old`` is None for a creation, ``new`` for a removal; ``gone`` is ``old`` at the removal's revision.

    ``lines`` shares the encoded event among the watchers while they are told, by what they asked for.
    """

    revision: int
    key: Key
    old: Stored | None
    new: Stored | None
    gone: Stored | None = None
    lines: dict[Hashable, bytes] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Bytes that are kept for its sake."""
        return len(self.old.body) if self.old is not None else 0

    def departed(self) -> Stored:
        """The state before, at this change's revision: what a watcher sees of an object that leaves its selection."""
        if self.gone is None:
            assert self.old is not None
            self.gone = self.old.at_revision(self.revision)
        return self.gone


class Collection:
    """All objects of one resource, in the order of their keys, and the last changes."""

    __slots__ = ("history", "keys", "listeners", "objects", "oldest", "weight", "window")

    def __init__(self, window: int, oldest: int) -> None:
        self.objects: dict[Key, Stored] = {}
        self.keys: list[Key] = []
        self.history: deque[Change] = deque()
        self.window = window
        self.weight = 0
        self.oldest = oldest
        self.listeners: list[Callable[[Change], None]] = []

    def select(self, namespace: str = "") -> list[Stored]:
        """The objects of a namespace, or of all, in the order of their keys."""
        if not namespace:
            return [self.objects[key] for key in self.keys]
        start = bisect_left(self.keys, Key(namespace, ""))
        end = bisect_left(self.keys, Key(namespace + "\0", ""))
        return [self.objects[key] for key in self.keys[start:end]]

    def since(self, revision: int) -> list[Change]:
        """The changes after ``revision``.

        Raises:
            StatusError: 410 Expired, when some of them are no longer kept.
        """
        if revision < self.oldest:
            raise expired(f"too old resource version: {revision} ({self.oldest})")
        changes: list[Change] = []
        for change in reversed(self.history):
            if change.revision <= revision:
                break
            changes.append(change)
        changes.reverse()
        return changes

    def at(self, revision: int, namespace: str = "") -> list[Stored]:
        """The objects as they were at ``revision``: the present state with later changes undone.

        Raises:
            StatusError: 410 Expired, when the changes since then are no longer kept.
        """
        past: dict[Key, Stored] = {stored.key: stored for stored in self.select(namespace)}
        for change in reversed(self.since(revision)):
            if namespace and change.key.namespace != namespace:
                continue
            if change.old is None:
                del past[change.key]
            else:
                past[change.key] = change.old
        return [past[key] for key in sorted(past)]

    def apply(self, change: Change) -> None:
        """Take the change into the present state and the history, and tell the listeners."""
        if change.new is None:
            del self.objects[change.key]
            del self.keys[bisect_left(self.keys, change.key)]
        else:
            if change.old is None:
                insort(self.keys, change.key)
            self.objects[change.key] = change.new
        self.history.append(change)
        self.weight += change.weight
        while len(self.history) > self.window or self.weight > HEAVIEST_HISTORY:
            forgotten = self.history.popleft()
            self.weight -= forgotten.weight
            self.oldest = forgotten.revision
        for listener in tuple(self.listeners):
            listener(change)
        change.lines.clear()


Observer = Callable[[str, Change], None]


class Store:
    """All collections and the revision counter; resources are named ``plural.group``."""

    def __init__(self, journal: Journal | None = None, *, window: int = 5000) -> None:
        self._journal = journal
        self._window = window
        self.revision = self._epoch = 1  # what changed before the epoch is not known
        self.collections: dict[str, Collection] = {}
        self.dependents: dict[str, set[tuple[str, Key]]] = {}
        self.observers: list[Observer] = []
        if journal is not None:
            self.revision = self._epoch = journal.revision()
            for resource, namespace, name, version, body in journal.objects():
                stored = Stored(Key(namespace, name), version, body)
                collection = self.collection(resource)
                collection.objects[stored.key] = stored
                self._index_owners(resource, None, stored)
            for collection in self.collections.values():
                collection.keys = sorted(collection.objects)

    def collection(self, resource: str) -> Collection:
        """The collection of a resource, made when it is first asked for."""
        found = self.collections.get(resource)
        if found is None:
            found = self.collections[resource] = Collection(self._window, self._epoch)
        return found

    def get(self, resource: str, key: Key) -> Stored | None:
        """The present state of one object."""
        return self.collection(resource).objects.get(key)

    def put(self, resource: str, key: Key, version: str, content: dict[str, Any]) -> Stored:
        """Create or replace an object; ``content`` gets its new resourceVersion. Returns after the commit."""
        old = self.get(resource, key)
        revision = self.revision + 1
        content["metadata"]["resourceVersion"] = str(revision)
        stored = Stored(key, version, msgspec.json.encode(content))
        self._commit(resource, key, version, stored.body, Change(revision, key, old, stored))
        return stored

    def remove(self, resource: str, key: Key) -> Stored:
        """Remove an object. Returns its last state, with the revision of the removal, after the commit."""
        old = self.collection(resource).objects[key]
        revision = self.revision + 1
        gone = old.at_revision(revision)
        self._commit(resource, key, old.version, None, Change(revision, key, old, None, gone))
        return gone

    def forget_history(self) -> None:
        """Drop all recent history, as a compaction would: only watches that start now or later can be served."""
        self.revision = self._epoch = self.revision + 1
        for collection in self.collections.values():
            collection.history.clear()
            collection.weight = 0
            collection.oldest = self.revision

    def _commit(self, resource: str, key: Key, version: str, body: bytes | None, change: Change) -> None:
        if self._journal is not None:
            if body is None:
                self._journal.remove(change.revision, (resource, *key))
            else:
                self._journal.put(change.revision, (resource, *key), version, body)
        self.revision = change.revision
        self._index_owners(resource, change.old, change.new)
        self.collection(resource).apply(change)
        for observer in self.observers:
            observer(resource, change)

    def _index_owners(self, resource: str, old: Stored | None, new: Stored | None) -> None:
        if old is not None:
            for uid in old.owners:
                if (known := self.dependents.get(uid)) is not None:
                    known.discard((resource, old.key))
                    if not known:
                        del self.dependents[uid]
        if new is not None:
            for uid in new.owners:
                self.dependents.setdefault(uid, set()).add((resource, new.key))
