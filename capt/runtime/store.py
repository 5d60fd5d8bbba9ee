"""The objects of one informer, with indexes.

Every method is synchronous, so no reader ever sees half of a change. There is one writer, the informer; each
of its changes returns the events that handlers must hear of.

Rules, in the order in which they are applied:

* A watch event that is not newer than what the store has seen is a repetition, and ignored. Versions grow
  with every event of one resource, so an ADDED that a restarted watch repeats cannot raise the dead.
* An object whose uid changed is another object: the old one was deleted, then the new one added. A relist
  that missed a delete and a create would otherwise report them as one modification.
* A list replaces everything at once. It is put together on the side (:class:`Draft`), in as many slices as
  one likes; deletions are reported first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from capt.runtime.event import Event
from capt.runtime.logging import get_logger
from capt.runtime.object import Object
from capt.runtime.resource import Key

IndexFunction = Callable[[Object], Iterable[str]]
"""Names the values under which an object is found; must depend on nothing but the object."""

OWNER_INDEX = "owner"
"""The index that every store has: the uid of each owner."""


Objects = list[Object]  # where a class has a method of that name, ``list`` is no type

_log = get_logger("store")


def _owner_uids(obj: Object) -> Iterable[str]:
    return [owner.uid for owner in obj.owners]


class Draft:
    """Contents of a store: those that it has, or those that a list will give it.

    Attributes:
        objects: by namespace, then by name.
        buckets: by index, then by value: the keys of the objects found there. No bucket is empty.
        count: number of objects.
        size: bytes of raw JSON.
    """

    __slots__ = ("_functions", "buckets", "count", "objects", "size")

    def __init__(self, functions: dict[str, IndexFunction]) -> None:
        self._functions = functions
        self.objects: dict[str, dict[str, Object]] = {}
        self.buckets: dict[str, dict[str, set[Key]]] = {name: {} for name in functions}
        self.count = 0
        self.size = 0

    def get(self, key: Key) -> Object | None:
        """Return the object under ``key``."""
        namespace = self.objects.get(key.namespace)
        return None if namespace is None else namespace.get(key.name)

    def __iter__(self) -> Iterator[Object]:
        return chain.from_iterable(namespace.values() for namespace in self.objects.values())

    def put(self, obj: Object) -> None:
        """Take an object in, in place of the one that had its key."""
        namespace = self.objects.setdefault(obj.key.namespace, {})
        old = namespace.get(obj.key.name)
        if old is None:
            self.count += 1
        else:
            self.size -= len(old.raw)
        namespace[obj.key.name] = obj
        self.size += len(obj.raw)
        for name in self.buckets:
            if name == OWNER_INDEX and old is not None and old.owners is obj.owners:
                continue  # equal owner references are one tuple, and hardly ever change
            before = () if old is None else self._values(name, old)
            after = self._values(name, obj)
            if before != after:
                self._unfile(name, before, obj.key)
                self._file(name, after, obj.key)

    def drop(self, obj: Object) -> None:
        """Take an object out that is in."""
        namespace = self.objects[obj.key.namespace]
        del namespace[obj.key.name]
        if not namespace:
            del self.objects[obj.key.namespace]
        self.count -= 1
        self.size -= len(obj.raw)
        for name in self.buckets:
            self._unfile(name, self._values(name, obj), obj.key)

    def index(self, name: str) -> None:
        """File all objects that are in under their values in one more index."""
        self.buckets[name] = {}
        for obj in self:
            self._file(name, self._values(name, obj), obj.key)

    def _file(self, name: str, values: Iterable[str], key: Key) -> None:
        buckets = self.buckets[name]
        for value in values:
            buckets.setdefault(value, set()).add(key)

    def _unfile(self, name: str, values: Iterable[str], key: Key) -> None:
        buckets = self.buckets[name]
        for value in values:
            keys = buckets.get(value)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del buckets[value]

    def _values(self, name: str, obj: Object) -> tuple[str, ...]:
        try:
            return tuple(self._functions[name](obj))
        except Exception:  # noqa: BLE001 - the user's bug must not end the stream that feeds everybody else
            _log.exception("index function failed", index=name, object=str(obj.key))
            return ()


class Store:
    """What is known of one kind (in one scope). Reading never waits; results are sorted by key.

    Comes from ``Informers.store``, for mappings and indexes, which cannot wait. Only the informer writes to it. As
    client-go's ``Indexer``, but that nobody can add an object to it, or change one in it.

    Attributes:
        resource_version: the newest version that the store is known to reflect; 0 before the first list.
    """

    __slots__ = ("_contents", "_functions", "resource_version")

    def __init__(self) -> None:
        self._functions: dict[str, IndexFunction] = {OWNER_INDEX: _owner_uids}
        self._contents = Draft(self._functions)
        self.resource_version = 0

    def __len__(self) -> int:
        return self._contents.count

    @property
    def size(self) -> int:
        """Bytes of JSON held."""
        return self._contents.size

    def get(self, key: Key) -> Object | None:
        """Return the object, or ``None``."""
        return self._contents.get(key)

    def list(self, namespace: str = "") -> Objects:
        """Return the objects of one namespace, or of all for ""."""
        if namespace:
            objects = self._contents.objects.get(namespace, {})
            return [objects[name] for name in sorted(objects)]
        return sorted(self._contents, key=_key)

    def by_index(self, name: str, value: str) -> Objects:
        """Return the objects for which the function of the index ``name`` gave ``value``.

        Raises:
            KeyError: there is no such index.
        """
        keys = self._contents.buckets[name].get(value, ())
        return [obj for key in sorted(keys) if (obj := self._contents.get(key)) is not None]

    def by_owner(self, uid: str) -> Objects:
        """Return the objects that name ``uid`` as an owner, controller or not."""
        return self.by_index(OWNER_INDEX, uid)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Add an index ``name`` by ``function``; objects that are there are filed at once.

        Raises:
            ValueError: the name belongs to another function.
        """
        if self._functions.get(name, function) is not function:
            raise ValueError(f"there is an index {name!r} with another function")
        self._functions[name] = function
        self._complete(self._contents)

    def upsert(self, obj: Object) -> tuple[Event, ...]:
        """Take in what an ADDED or MODIFIED event brought."""
        if obj.resource_version <= self.resource_version:
            return ()
        self.resource_version = obj.resource_version
        old = self._contents.get(obj.key)
        self._contents.put(obj)
        if old is None:
            return (Event(type="added", new=obj),)
        if old.uid != obj.uid:
            return (Event(type="deleted", old=old), Event(type="added", new=obj))
        return (Event(type="modified", old=old, new=obj),)

    def remove(self, obj: Object) -> tuple[Event, ...]:
        """Take out what a DELETED event brought: the last state of the object."""
        self.resource_version = max(self.resource_version, obj.resource_version)
        old = self._contents.get(obj.key)
        if old is None or old.resource_version > obj.resource_version:
            return ()
        self._contents.drop(old)
        return (Event(type="deleted", old=old),)

    def observe(self, resource_version: int) -> None:
        """Note that nothing else happened up to a version (a bookmark)."""
        self.resource_version = max(self.resource_version, resource_version)

    def draft(self) -> Draft:
        """Begin to put a list together."""
        return Draft(self._functions)

    def replace(self, draft: Draft, resource_version: int, *, initial: bool = False) -> Iterator[Event]:
        """Put a list in place of everything, at once; the version may go back (a restored backup).

        Args:
            draft: the list, complete; it belongs to the store from now on.
            resource_version: the version of the list.
            initial: this is the first list; its additions are no changes.

        Returns:
            The events, deletions first, made one by one so that the caller can pause between them. No other
            change may be made before they are used up.
        """
        old, self._contents = self._contents, draft
        self._complete(draft)
        self.resource_version = resource_version
        return _replacement(old, draft, initial=initial)

    def _complete(self, contents: Draft) -> None:
        for name in self._functions:
            if name not in contents.buckets:
                contents.index(name)


def _replacement(old: Draft, new: Draft, *, initial: bool) -> Iterator[Event]:
    for obj in old:
        successor = new.get(obj.key)
        if successor is None or successor.uid != obj.uid:
            yield Event(type="deleted", old=obj)
    for obj in new:
        predecessor = old.get(obj.key)
        if predecessor is None or predecessor.uid != obj.uid:
            yield Event(type="added", new=obj, initial=initial)
        elif predecessor.resource_version != obj.resource_version:
            yield Event(type="modified", old=predecessor, new=obj)


def _key(obj: Object) -> Key:
    return obj.key
