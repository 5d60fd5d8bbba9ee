"""Finalizers: what must happen before an object may go.

``metadata.finalizers`` is shared with every other controller that guards the object, and a merge patch
replaces a list as a whole. So each write carries the resourceVersion that it was computed from, and a
conflict is answered with a live read and another try.
"""

from __future__ import annotations

from typing import Any, TypeVar

from capt.runtime.client import Client
from capt.runtime.errors import Conflict, NotFound
from capt.runtime.resource import Kind, KubeObject

T = TypeVar("T", bound=KubeObject)

_TRIES = 5  # as client-go's retry.DefaultRetry; a list contended for longer than that is somebody's bug


async def add(client: Client, kind: Kind[T], obj: T, finalizer: str) -> T:
    """Put ``finalizer`` on ``obj`` if it lacks it.

    Returns:
        The object as it is now. Unchanged when the finalizer was there, and without it when the object is
        being deleted: the API server accepts no new finalizer then, and there is nothing left to guard.

    Raises:
        NotFound: the object is gone.
        Conflict: others kept writing to it, or a namesake has taken its place.
    """
    for tries_left in reversed(range(_TRIES)):
        present = tuple(obj.metadata.finalizers)
        if finalizer in present or obj.metadata.deletion_timestamp is not None:
            return obj
        try:
            return await _write(client, kind, obj, [*present, finalizer])
        except Conflict:
            current = await _reread(client, kind, obj)
            if current is None or not tries_left:
                raise
            obj = current
    return obj


async def remove(client: Client, kind: Kind[T], obj: T, finalizer: str) -> None:
    """Take ``finalizer`` off ``obj`` if it is there; an object that is gone already is fine.

    Raises:
        Conflict: others kept writing to it.
    """
    for tries_left in reversed(range(_TRIES)):
        present = tuple(obj.metadata.finalizers)
        if finalizer not in present:
            return
        try:
            await _write(client, kind, obj, [name for name in present if name != finalizer])
        except NotFound:
            return
        except Conflict:
            current = await _reread(client, kind, obj)
            if current is None:
                return
            if not tries_left:
                raise
            obj = current
        else:
            return


async def _write(client: Client, kind: Kind[T], obj: T, finalizers: list[str]) -> T:
    patch: dict[str, Any] = {"metadata": {"finalizers": finalizers}}
    meta = obj.metadata
    return await client.patch(
        kind, meta.namespace or "", meta.name, patch, resource_version=meta.resource_version, uid=meta.uid
    )


async def _reread(client: Client, kind: Kind[T], obj: T) -> T | None:
    current = await client.get_live(kind, obj.metadata.namespace or "", obj.metadata.name)
    return current if current is not None and current.metadata.uid == obj.metadata.uid else None
