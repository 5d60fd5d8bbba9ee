"""Typed views of objects: decoded once per version, and traced back to the bytes they came from."""

from __future__ import annotations

import weakref
from typing import Any, Final, TypeVar, cast

import msgspec

from capt.runtime.errors import UndecodableError
from capt.runtime.object import Object
from capt.runtime.resource import Kind, KubeObject

T = TypeVar("T", bound=KubeObject)

REMEMBERED: Final = 2048
"""Most views kept for the next read: a view takes several times the memory of the bytes, so not all are."""

REMEMBERED_BYTES: Final = 2**24
"""Most bytes of JSON that they may have been made of, whatever their number: objects may have 3 MiB."""


class Views:
    """The typed views that a client has handed out.

    A view is frozen, so whoever reads the same version of an object gets the same view. And it is partial:
    the model may not know every field. What differs from a desired state is therefore computed from the bytes
    that the view was made of, which are remembered for as long as the view lives.
    """

    def __init__(self) -> None:
        self._recent: dict[tuple[type[Any], str], tuple[bytes, Any]] = {}
        self._size = 0  # bytes that they were made of
        self._origins: dict[int, tuple[weakref.ref[Any], bytes]] = {}

    def of(self, kind: Kind[T], obj: Object) -> T:
        """Return the view of an object.

        Raises:
            UndecodableError: the model cannot read it.
        """
        place = (kind.model, obj.uid)
        known = self._recent.pop(place, None)
        # by content: a cache may hold less of the same version than the API server
        if known is not None and known[0] == obj.raw:
            self._recent[place] = known
            return cast("T", known[1])
        if known is not None:
            self._size -= len(known[0])
        try:
            view = kind.model.model_validate_json(obj.raw)
        except ValueError as error:
            raise UndecodableError(f"{kind} {obj.key}: {error}") from error
        self._recent[place] = (obj.raw, view)
        self._size += len(obj.raw)
        while len(self._recent) > REMEMBERED or self._size > REMEMBERED_BYTES:
            raw, _ = self._recent.pop(next(iter(self._recent)))
            self._size -= len(raw)
        place_of_origin = id(view)
        forget = self._origins.pop
        self._origins[place_of_origin] = (weakref.ref(view, lambda _: forget(place_of_origin, None)), obj.raw)
        return view

    def content(self, view: KubeObject) -> dict[str, Any]:
        """Return all fields of the object that a view shows, also those that its model does not know.

        For a view that was not handed out here (a copy with changes), the fields that were set.
        """
        origin = self._origins.get(id(view))
        if origin is not None and origin[0]() is view:
            return cast("dict[str, Any]", msgspec.json.decode(origin[1]))
        return view.model_dump(mode="json", by_alias=True, exclude_unset=True)
