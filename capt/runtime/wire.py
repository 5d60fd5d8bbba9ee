"""The bytes of lists and watches, taken apart without decoding what is inside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from msgspec import Raw, Struct

from capt.runtime.errors import MALFORMED, ApiError, UndecodableError, error_from_status
from capt.runtime.object import Object, parse_object
from capt.runtime.resource import Resource

_INITIAL_EVENTS_END = "k8s.io/initial-events-end"

_CHANGES = ("MODIFIED", "ADDED", "DELETED")
# how the API server writes them; what follows up to the closing brace is the object, and is checked to be one
_PREFIXES = tuple((f'{{"type":"{kind}","object":'.encode(), kind) for kind in _CHANGES)


class Page(Struct, gc=False):
    """One page of a list.

    Attributes:
        items: the objects, not decoded. They are slices of the answer: keep none of them.
        resource_version: version of the list as a whole.
        next: token of the next page; "" on the last one.
    """

    items: list[Raw]
    resource_version: str
    next: str


class Upsert(Struct, gc=False):
    """ADDED or MODIFIED."""

    type: str
    object: Object


class Delete(Struct, gc=False):
    """DELETED; the object is its last state."""

    object: Object


class Bookmark(Struct, gc=False):
    """Nothing else happened up to a version.

    Attributes:
        resource_version: that version.
        initial_events_end: the objects that were there at the beginning have all been sent; true only for
            the annotation's value "true" (KEP-3157).
    """

    resource_version: int
    initial_events_end: bool


class Failure(
    Struct
):  # an error holds frames, and a frame this: only the garbage collector gets at such a ring
    """ERROR: the server ends the watch for a reason."""

    error: ApiError


def parse_page(body: bytes) -> Page:
    """Split a list into its items.

    Raises:
        UndecodableError: it is no list.
    """
    try:
        answer = _decode_list(body)
    except MALFORMED as error:
        raise UndecodableError(f"no list: {error}") from error
    return Page(answer.items or [], answer.metadata.resource_version, answer.metadata.continue_)


def parse_event(line: bytes, resource: Resource) -> Upsert | Delete | Bookmark | Failure:
    """Decode one line of a watch.

    Raises:
        UndecodableError: it is no event, or its object is no ``resource``.
    """
    for prefix, kind in _PREFIXES:
        if line.startswith(prefix) and line.endswith(b"}"):
            try:
                return _change(kind, parse_object(line[len(prefix) : -1], resource))
            except UndecodableError:
                break  # not what it looked like, or broken: read it properly, or say what is wrong with it
    try:
        event = _decode_event(line)
        if event.type == "BOOKMARK":
            meta = _decode_bookmark(event.object).metadata
            ended = (meta.annotations or {}).get(_INITIAL_EVENTS_END) == "true"
            return Bookmark(int(meta.resource_version), ended)
    except MALFORMED as error:
        raise UndecodableError(f"no watch event: {error}") from error
    if event.type in _CHANGES:
        return _change(event.type, parse_object(event.object, resource))
    if event.type == "ERROR":
        return Failure(error_from_status(200, bytes(event.object)))
    raise UndecodableError(f"no watch event: unknown type {event.type!r}")


def _change(kind: str, obj: Object) -> Upsert | Delete:
    return Delete(obj) if kind == "DELETED" else Upsert(kind, obj)


async def lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Join chunks, cut anywhere, into lines without their ends; empty lines are left out.

    A line may be as long as memory allows, and costs time in proportion to its length. What follows the last
    line end is an event that was cut off, and is dropped: a watch goes on from the last whole one.
    """
    parts: list[bytes] = []
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        parts.append(first)
        if others:
            if line := b"".join(parts):
                yield line
            parts = [others.pop()]
            for line in others:
                if line:
                    yield line


class _ListMeta(Struct, gc=False, rename={"resource_version": "resourceVersion", "continue_": "continue"}):
    resource_version: str = ""
    continue_: str = ""


class _List(Struct, gc=False):
    metadata: _ListMeta
    items: list[Raw] | None = None


class _Event(Struct, gc=False):
    type: str
    object: Raw


class _BookmarkMetadata(Struct, gc=False, rename="camel"):
    resource_version: str
    annotations: dict[str, str] | None = None


class _Bookmark(Struct, gc=False):
    metadata: _BookmarkMetadata


_decode_list = msgspec.json.Decoder(_List).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_bookmark = msgspec.json.Decoder(_Bookmark).decode
