"""Lists that several controllers write: each changes its own entries, and loses nobody else's.

A merge patch replaces a list as a whole. So each write carries the resourceVersion that it was computed from, and a
conflict is answered with a live read and another try.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from capt.runtime.client import Client
from capt.runtime.errors import Conflict, NotFound
from capt.runtime.resource import Kind, KubeObject

T = TypeVar("T", bound=KubeObject)

TRIES: Final = 5
"""As client-go's ``retry.DefaultRetry``; a list contended for longer than that is somebody's bug."""


async def change(
    client: Client,
    kind: Kind[T],
    obj: T,
    path: Sequence[str],
    decide: Callable[[T, list[Any]], Sequence[Any] | None],
) -> T:
    """Change a list of an object under an optimistic lock.

    Args:
        client: reads and writes.
        kind: of the object.
        obj: the object as ``client`` read it: entries may have fields that the model does not know.
        path: where the list stands: ``("metadata", "ownerReferences")``. A list that is missing counts as empty.
        decide: returns the new list for the object and its list as they are now, or ``None`` to leave it. Called again
            after each conflict.

    Returns:
        The object as it was stored, or as it was found when there was nothing to change.

    Raises:
        NotFound: the object is gone, or a namesake has taken its place.
        Conflict: others kept writing to it, five times over.
        ApiError: the API server refused, or did not answer.
    """
    meta = obj.metadata
    for tries_left in reversed(range(TRIES)):
        items = decide(obj, _at(client.content(obj), path))
        if items is None:
            return obj
        try:
            return await client.patch(
                kind,
                meta.namespace or "",
                meta.name,
                _patch(path, items),
                resource_version=obj.metadata.resource_version,
                uid=meta.uid,
            )
        except Conflict:
            current = await client.get_live(kind, meta.namespace or "", meta.name)
            if current is None or current.metadata.uid != meta.uid:
                message = f"{kind} {meta.name} with uid {meta.uid} is gone"
                raise NotFound(message, status=404, reason="NotFound") from None
            if not tries_left:
                raise
            obj = current
    return obj


def _at(content: Any, path: Sequence[str]) -> list[Any]:
    for name in path:
        content = content.get(name) or {}
    return list(content)


def _patch(path: Sequence[str], items: Sequence[Any]) -> dict[str, Any]:
    first, *rest = path
    return {first: _patch(rest, items) if rest else list(items)}
