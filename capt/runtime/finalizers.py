"""Finalizers: what must happen before an object may go.

``metadata.finalizers`` is shared with every other controller that guards the object: see
:mod:`capt.runtime.shared_list`.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from capt.runtime import shared_list
from capt.runtime.client import Client
from capt.runtime.errors import NotFound
from capt.runtime.resource import Kind, KubeObject

T = TypeVar("T", bound=KubeObject)

_PATH: Final = ("metadata", "finalizers")


async def add(client: Client, kind: Kind[T], obj: T, finalizer: str) -> T:
    """Put ``finalizer`` on ``obj`` if it lacks it. controller-runtime's ``AddFinalizer``, with the write.

    Args:
        client: reads and writes.
        kind: of the object.
        obj: the object as ``client`` read it; when it shows the finalizer already, there is no request.
        finalizer: its qualified name: ``example.com/greeting``.

    Returns:
        The object as it is now. Unchanged when the finalizer was there, and without it when the object is
        being deleted: the API server accepts no new finalizer then, and there is nothing left to guard.

    Raises:
        NotFound: the object is gone, or a namesake has taken its place.
        Conflict: others kept writing to it, five times over.
        ApiError: the API server refused, or did not answer.
    """

    def added(current: T, present: list[Any]) -> list[Any] | None:
        if finalizer in present or current.metadata.deletion_timestamp is not None:
            return None
        return [*present, finalizer]

    return await shared_list.change(client, kind, obj, _PATH, added)


async def remove(client: Client, kind: Kind[T], obj: T, finalizer: str) -> None:
    """Take ``finalizer`` off ``obj`` if it is there; an object that is gone already is fine.

    Args:
        client: reads and writes.
        kind: of the object.
        obj: the object as ``client`` read it; when it shows no such finalizer, there is no request.
        finalizer: its qualified name.

    Raises:
        Conflict: others kept writing to it, five times over.
        ApiError: the API server refused, or did not answer.
    """

    def removed(_current: T, present: list[Any]) -> list[Any] | None:
        return [name for name in present if name != finalizer] if finalizer in present else None

    try:
        await shared_list.change(client, kind, obj, _PATH, removed)
    except NotFound:
        return
