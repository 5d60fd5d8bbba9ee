"""How objects are shown: whole, as metadata only, or as rows of a table; one, in lists, and as watch events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from capt.embedded.errors import StatusError
from capt.embedded.resource import Resource
from capt.embedded.store import Stored

_CHUNK = 100  # objects encoded in one go; between chunks others have their turn
_META = "meta.k8s.io/v1"
_FORMS = {"Table": "table", "PartialObjectMetadata": "metadata", "PartialObjectMetadataList": "metadata"}
_ANY_JSON = ("application/json", "application/*", "*/*", "")


def wanted_form(accept: str) -> str:
    """The first form of the Accept header that can be served: object, table or metadata.

    Raises:
        StatusError: 406, when there is none.
    """
    for media_range in accept.split(","):
        media_type, *parameters = (part.strip() for part in media_range.split(";"))
        if media_type not in _ANY_JSON:
            continue
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if "as" not in given:
            return "object"
        if given["as"] in _FORMS and given.get("g") == "meta.k8s.io" and given.get("v") in ("v1", "v1beta1"):
            return _FORMS[given["as"]]
    text = "only the following media types are accepted: application/json"
    raise StatusError(406, "NotAcceptable", text)


@dataclass(frozen=True, slots=True)
class Representation:
    """One way to show the objects of one resource. ``include`` says what a table's rows carry of their objects."""

    resource: Resource
    form: str = "object"
    include: str = "Metadata"

    def one(self, stored: Stored, *, columns: bool = True) -> bytes:
        """A single object; ``columns`` says whether a table defines its columns."""
        if self.form == "object":
            return self.resource.encode(stored)
        if self.form == "metadata":
            return self._partial(self.resource.decode(stored))
        return b"".join(self.many([stored], {"resourceVersion": str(stored.revision)}, columns=columns))

    def many(
        self, objects: Sequence[Stored], metadata: dict[str, Any], *, columns: bool = True
    ) -> Iterator[bytes]:
        """A list, in pieces."""
        resource, name = self.resource, "items"
        if self.form == "table":
            head: dict[str, Any] = {"kind": "Table", "apiVersion": _META, "metadata": metadata}
            head["columnDefinitions"] = [c.definition for c in resource.columns] if columns else None
            name = "rows"
        elif self.form == "metadata":
            head = {"kind": "PartialObjectMetadataList", "apiVersion": _META, "metadata": metadata}
        else:
            metadata = {"continue": "", **metadata} if resource.custom else metadata
            head = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata}
        yield msgspec.json.encode(head)[:-1] + f',"{name}":['.encode()
        for start in range(0, len(objects), _CHUNK):
            part = b",".join(self._item(stored) for stored in objects[start : start + _CHUNK])
            yield (b"," if start else b"") + part
        yield b"]}"

    def event(self, kind: str, stored: Stored, *, first: bool = False) -> bytes:
        """A line of a watch; only the first table of a stream defines the columns."""
        return b'{"type":"' + kind.encode() + b'","object":' + self.one(stored, columns=first) + b"}\n"

    def bookmark(self, revision: int, *, initial_events_end: bool) -> bytes:
        """A line that says how far the stream has come."""
        metadata: dict[str, Any] = {"resourceVersion": str(revision)}
        if initial_events_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        shown: dict[str, Any] = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        if self.form != "object":
            shown = {"kind": "PartialObjectMetadata", "apiVersion": _META}
        shown["metadata"] = metadata
        if self.form == "table":
            row = {"cells": [None] * len(self.resource.columns), "object": shown}
            shown = {"kind": "Table", "apiVersion": _META, "metadata": {"resourceVersion": str(revision)}}
            shown |= {"columnDefinitions": None, "rows": [row]}
        return msgspec.json.encode({"type": "BOOKMARK", "object": shown}) + b"\n"

    def _item(self, stored: Stored) -> bytes:
        if self.form == "object":
            return self.resource.encode(stored) if self.resource.custom else stored.body
        content = self.resource.decode(stored)
        if self.form == "metadata":
            return self._partial(content)
        row: dict[str, Any] = {"cells": [column.value(content) for column in self.resource.columns]}
        if self.include == "Object":
            row["object"] = content
        else:
            row["object"] = msgspec.Raw(self._partial(content)) if self.include == "Metadata" else None
        return msgspec.json.encode(row)

    @staticmethod
    def _partial(content: dict[str, Any]) -> bytes:
        shown = {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": content["metadata"]}
        return msgspec.json.encode(shown)


def error_event(error: StatusError) -> bytes:
    """The last line of a watch that cannot go on."""
    return msgspec.json.encode({"type": "ERROR", "object": error.body()}) + b"\n"
