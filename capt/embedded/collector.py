"""What the cluster does by itself, after the writes: ownership, emptying of namespaces, definitions.

The rules are those of kube-controller-manager's garbage collector and namespace controller and of the definition
controllers in the API server. Every change of the store is looked at; objects that may need work enter one queue,
which one task empties, one object at a time, with the same writes that a client would make.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from capt.embedded import crd
from capt.embedded.definitions import custom_resources
from capt.embedded.errors import StatusError
from capt.embedded.request import DeleteOptions, WriteOptions
from capt.embedded.resource import Catalogue, Resource
from capt.embedded.store import Change, Key, Store, Stored
from capt.embedded.writes import FOREGROUND, ORPHAN, Mutation, Writer

_DEFINITIONS = crd.RESOURCE_ID
_Item = tuple[str, Key]


class Collector:
    """Keeps the catalogue in step with the definitions and does the cluster's own writes."""

    def __init__(self, store: Store, catalogue: Catalogue, writer: Writer) -> None:
        self._store = store
        self._catalogue = catalogue
        self._writer = writer
        self._queue: dict[_Item, None] = {}  # a set that keeps its order
        self._wake = asyncio.Event()
        store.observers.append(self._observe)
        for stored in store.collection(_DEFINITIONS).select():
            self._serve(stored)
        for resource_id, collection in store.collections.items():
            for stored in collection.select():
                if stored.owners or stored.deleting or resource_id == _DEFINITIONS:
                    self._add((resource_id, stored.key))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                item = next(iter(self._queue))
                del self._queue[item]
                self._process(*item)
                await asyncio.sleep(0)

    def _add(self, item: _Item) -> None:
        self._queue[item] = None
        self._wake.set()

    def _observe(self, resource_id: str, change: Change) -> None:
        if resource_id == _DEFINITIONS:
            self._serve(change.new, gone=change.old)
        if (new := change.new) is not None:
            owners_changed = new.owners and (change.old is None or change.old.owners != new.owners)
            if owners_changed or new.deleting or (resource_id == _DEFINITIONS and change.old is None):
                self._add((resource_id, change.key))
        elif (old := change.old) is not None:
            for dependent in self._store.dependents.get(old.uid, ()):
                self._add(dependent)
            if old.owners:
                for owner in old.decode()["metadata"]["ownerReferences"]:
                    if (found := self._owner_item(owner, change.key.namespace)) is not None:
                        self._add(found)
            for waiting in (
                ("namespaces", Key("", change.key.namespace)),
                (_DEFINITIONS, Key("", resource_id)),
            ):
                if (holder := self._store.get(*waiting)) is not None and holder.deleting:
                    self._add(waiting)

    def _serve(self, stored: Stored | None, gone: Stored | None = None) -> None:
        """Bring the catalogue in line with a definition's new state."""
        if stored is None:
            assert gone is not None
            self._catalogue.replace(gone.key.name, [])
            for other in self._store.collection(_DEFINITIONS).select():
                self._add((_DEFINITIONS, other.key))  # one may have waited for the names
            return
        definition = stored.decode()
        before = gone.decode() if gone is not None else {"spec": None}
        news = stored.deleting or before["spec"] != definition["spec"] or not crd.is_established(before)
        if news and crd.is_established(definition):
            self._catalogue.replace(stored.key.name, custom_resources(definition))

    def _process(self, resource_id: str, key: Key) -> None:
        stored = self._store.get(resource_id, key)
        resource = self._catalogue.by_id(resource_id)
        if stored is None or resource is None:
            return
        if resource_id == _DEFINITIONS:
            self._process_definition(resource, stored)
        elif resource_id == "namespaces" and stored.deleting:
            self._empty_namespace(resource, stored)
        metadata = stored.decode()["metadata"]
        if stored.deleting:
            finalizers = metadata.get("finalizers") or []
            if ORPHAN in finalizers:
                self._orphan_dependents(resource, stored)
            elif FOREGROUND in finalizers:
                self._delete_dependents_first(resource, stored)
        if stored.owners:
            self._check_owners(resource, stored, metadata)

    def _process_definition(self, resource: Resource, stored: Stored) -> None:
        definition = resource.decode(stored)
        finalizers = definition["metadata"].get("finalizers") or []
        if stored.deleting:
            remaining = self._store.collection(stored.key.name)
            if (served := self._catalogue.by_id(stored.key.name)) is not None:
                for each in remaining.select():
                    self._delete(served, each, "Background")
            if crd.CLEANUP_FINALIZER in finalizers and not remaining.objects:
                self._drop_finalizer(resource, stored.key, crd.CLEANUP_FINALIZER)
        elif not crd.is_established(definition):
            status = crd.established_status(definition, self._catalogue)
            self._update(resource, stored.key, lambda o: o | {"status": status}, subresource="status")

    def _empty_namespace(self, resource: Resource, stored: Stored) -> None:
        name, remaining = stored.key.name, False
        for served in {each.id: each for each in self._catalogue if each.namespaced}.values():
            for each in self._store.collection(served.id).select(name):
                self._delete(served, each, "Background")
            remaining = remaining or bool(self._store.collection(served.id).select(name))
        if not remaining:

            def finalize(content: dict[str, Any]) -> dict[str, Any]:
                kept = [name for name in content["spec"].get("finalizers") or [] if name != "kubernetes"]
                return content | {"spec": {"finalizers": kept}}

            self._update(resource, stored.key, finalize, subresource="finalize")

    def _check_owners(self, resource: Resource, stored: Stored, metadata: dict[str, Any]) -> None:
        """Delete an object whose owners are all gone; drop references to those that are."""
        references = metadata["ownerReferences"]
        states = [self._owner_state(reference, stored.key.namespace) for reference in references]
        if "solid" in states:
            solid = [owner for owner, state in zip(references, states, strict=True) if state == "solid"]
            kept = {"ownerReferences": solid}
            if len(solid) < len(references):
                self._update(resource, stored.key, lambda o: o | {"metadata": o["metadata"] | kept})
        elif "waiting" in states and self._store.dependents.get(stored.uid):
            self._delete(resource, stored, "Foreground")
        else:
            marks = {ORPHAN: "Orphan", FOREGROUND: "Foreground"}
            asked = [policy for mark, policy in marks.items() if mark in (metadata.get("finalizers") or [])]
            self._delete(resource, stored, asked[0] if asked else "Background")

    def _owner_item(self, reference: dict[str, Any], namespace: str) -> _Item | None:
        resource = self._catalogue.by_kind(reference["apiVersion"], reference["kind"])
        if resource is None or (resource.namespaced and not namespace):
            return None
        return (resource.id, Key(namespace if resource.namespaced else "", reference["name"]))

    def _owner_state(self, reference: dict[str, Any], namespace: str) -> str:
        """``solid``: it stands, or cannot be looked up (unknown kind, or a namespaced owner of a cluster-scoped object).

        ``gone``: it does not exist. ``waiting``: it is being deleted in the foreground and waits for this dependent.
        """
        item = self._owner_item(reference, namespace)
        if item is None:
            return "solid"
        owner = self._store.get(*item)
        if owner is None or owner.uid != reference["uid"]:
            return "gone"
        if owner.deleting and FOREGROUND in (owner.decode()["metadata"].get("finalizers") or []):
            return "waiting"
        return "solid"

    def _orphan_dependents(self, resource: Resource, owner: Stored) -> None:
        for resource_id, key in tuple(self._store.dependents.get(owner.uid, ())):
            if (served := self._catalogue.by_id(resource_id)) is not None:
                self._update(served, key, lambda o: _without_owner(o, owner.uid))
        self._drop_finalizer(resource, owner.key, ORPHAN)

    def _delete_dependents_first(self, resource: Resource, owner: Stored) -> None:
        blocked = False
        for resource_id, key in tuple(self._store.dependents.get(owner.uid, ())):
            dependent = self._store.get(resource_id, key)
            if dependent is None:
                continue
            if not dependent.deleting:
                self._add((resource_id, key))
            owners = dependent.decode()["metadata"]["ownerReferences"]
            blocked |= any(o["uid"] == owner.uid and o.get("blockOwnerDeletion") for o in owners)
        if not blocked:
            self._drop_finalizer(resource, owner.key, FOREGROUND)

    def _drop_finalizer(self, resource: Resource, key: Key, finalizer: str) -> None:
        def drop(content: dict[str, Any]) -> dict[str, Any]:
            kept = [name for name in content["metadata"].get("finalizers") or [] if name != finalizer]
            return content | {"metadata": content["metadata"] | {"finalizers": kept}}

        self._update(resource, key, drop)

    def _delete(self, resource: Resource, stored: Stored, policy: str) -> None:
        # asking again for what is under way would give the object a new version each time, for ever
        mark = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(policy)
        marked = mark is None or mark in (stored.decode()["metadata"].get("finalizers") or [])
        if stored.deleting and marked:
            return
        options = DeleteOptions(propagation=policy, uid=stored.uid)
        with contextlib.suppress(StatusError):  # it changed meanwhile, and that change is in the queue itself
            self._writer.delete(resource, stored.key, options, WriteOptions())

    def _update(self, resource: Resource, key: Key, mutate: Mutation, *, subresource: str = "") -> None:
        with contextlib.suppress(StatusError):  # as above
            self._writer.update(resource, key, mutate, WriteOptions(), subresource=subresource)


def _without_owner(content: dict[str, Any], uid: str) -> dict[str, Any]:
    kept = [owner for owner in content["metadata"].get("ownerReferences") or [] if owner["uid"] != uid]
    return content | {"metadata": content["metadata"] | {"ownerReferences": kept}}
