"""Which objects a parent may call its own: the claim rules of apps/v1.

A parent owns what refers to it as controller *and* matches its selector. An orphan that matches is adopted;
a child that stopped matching is released, for it is no longer counted, and keeping it would make a twin of
it on every reconcile. Both only while the parent is not being deleted, and an adoption only after a fresh
read has shown that the parent is still the same object: an owner reference to a parent that is gone is a
death warrant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from capt.api import ApiObject, LabelSelector
from capt.controllers.manifest import to_manifest
from capt.runtime import Conflict, Kind, NotFound, Object
from capt.runtime.client import Client
from capt.runtime.owners import controller_reference

_T = TypeVar("_T", bound=ApiObject)

ORPHANS_INDEX = "orphans"
"""Index of objects that no controller owns, by namespace."""


def orphans_by_namespace(obj: Object) -> tuple[str, ...]:
    """Map an object without a controller to its namespace: the function of `ORPHANS_INDEX`."""
    return () if obj.controller is not None else (obj.namespace,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Generic[_T]):
    """What follows from the claim rules.

    Attributes:
        kept: Children that stay children.
        adopted: Orphans to take.
        released: Children to let go.
    """

    kept: tuple[_T, ...]
    adopted: tuple[_T, ...] = ()
    released: tuple[_T, ...] = ()


def claim(
    *,
    owner: ApiObject,
    selector: LabelSelector,
    children: Iterable[_T],
    orphans: Iterable[_T],
    labels_of: Callable[[_T], Mapping[str, str]] = lambda child: child.metadata.labels,
) -> Claim[_T]:
    """Apply the claim rules.

    Args:
        owner: The parent.
        selector: What it selects; never empty.
        children: Objects whose controller it is.
        orphans: Objects of its namespace that have no controller.
        labels_of: The labels by which a child is judged; default: those that it has.
    """
    if owner.metadata.deletion_timestamp is not None:
        return Claim(kept=tuple(children))
    kept: list[_T] = []
    released: list[_T] = []
    for child in children:
        (kept if selector.matches(labels_of(child)) else released).append(child)
    adopted = [
        orphan
        for orphan in orphans
        if orphan.metadata.deletion_timestamp is None and selector.matches(orphan.metadata.labels)
    ]
    return Claim(kept=tuple(kept), adopted=tuple(adopted), released=tuple(released))


async def adopt(
    client: Client, kind: Kind[_T], orphan: _T, owner_kind: Kind[Any], owner: ApiObject
) -> _T | None:
    """Make `owner` the controller of `orphan`.

    Returns:
        The adopted object; None when the orphan is gone.

    Raises:
        Conflict: The owner has meanwhile been deleted or replaced by a namesake, or somebody else wrote to the
            orphan; the next reconcile sees what became of it. In apps/v1, too, that ends the sync with an error:
            what it would do next is for an owner that may be gone.
    """
    namespace = owner.metadata.namespace or ""
    fresh = await client.get_live(owner_kind, namespace, owner.metadata.name)
    if (
        fresh is None
        or fresh.metadata.uid != owner.metadata.uid
        or fresh.metadata.deletion_timestamp is not None
    ):
        name = f"{owner_kind.resource.kind} {namespace}/{owner.metadata.name}"
        raise Conflict(f"{name} adopts nothing: it is being deleted, or gone")
    references = [to_manifest(each) for each in orphan.metadata.owner_references]
    references.append(controller_reference(owner_kind, owner))
    try:
        return await _write_owners(client, kind, orphan, references)
    except NotFound:
        return None


async def add_owner(client: Client, kind: Kind[_T], obj: _T, reference: Mapping[str, Any]) -> None:
    """Add an owner that is not the controller; an object that is gone is fine.

    Args:
        client: Writes it.
        kind: The object's kind.
        obj: What gets an owner.
        reference: The owner, as a manifest.

    Raises:
        Conflict: Somebody else wrote to the object; the next reconcile sees what became of it.
    """
    references = [*map(to_manifest, obj.metadata.owner_references), dict(reference)]
    try:
        await _write_owners(client, kind, obj, references)
    except NotFound:
        return


async def release(client: Client, kind: Kind[_T], child: _T, owner: ApiObject) -> None:
    """Take `owner` off the owner references of `child`; a child that is gone is fine.

    Raises:
        Conflict: Somebody else wrote to the child; the next reconcile sees what became of it.
    """
    references = [
        to_manifest(each) for each in child.metadata.owner_references if each.uid != owner.metadata.uid
    ]
    try:
        await _write_owners(client, kind, child, references)
    except NotFound:
        return


async def _write_owners(client: Client, kind: Kind[_T], obj: _T, references: list[dict[str, Any]]) -> _T:
    metadata = obj.metadata
    patch = {"metadata": {"ownerReferences": references or None}}
    # the list is shared with others, and a merge patch replaces it as a whole
    return await client.patch(
        kind,
        metadata.namespace or "",
        metadata.name,
        patch,
        resource_version=metadata.resource_version,
        uid=metadata.uid,
    )


def is_orphaning(obj: ApiObject) -> bool:
    """Tell whether `obj` is being deleted with `--cascade=orphan`: its children are to stay.

    The garbage collector takes the owner references away and then this mark; a controller that deleted the
    children meanwhile would do what the user asked not to be done.
    """
    return "orphan" in obj.metadata.finalizers
