"""Which objects of a resource a watch is about, and how much of each.

What is left out here never takes memory: selectors and namespace are the server's work, metadata alone is asked for as
``PartialObjectMetadata``, and a transform or projection is applied to each object once, before it is cached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Raw

from capt.runtime.errors import UndecodableError
from capt.runtime.object import Object
from capt.runtime.selector import parse_selector

Transform = Callable[[Object], Object]
"""Returns what is to be cached of an object. Must be quick, and keep key, uid and resourceVersion; if it raises, the
object is counted as undecodable and left out."""

_ALWAYS: Final = frozenset({"apiVersion", "kind", "metadata"})
_FIELD: Final = re.compile(r"^(?P<path>[A-Za-z][\w.\-/]*)\s*(?P<operator>==|=|!=)\s*(?P<value>[^=!,]*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which objects, and how much of each: what controller-runtime's ``cache.ByObject`` says of a kind, per watch.

    Attributes:
        namespace: "" for all.
        labels: label selector, "" for everything.
        fields: field selector (``metadata.name=x,status.phase!=Done``), "" for everything. Which fields a server can
            select by depends on the kind: of custom resources name and namespace, and what the definition declares.
        metadata_only: hold no more than apiVersion, kind and metadata.
        transform: makes what is cached of each object. Two watches share a cache only if their transforms are equal.

    Raises:
        ValueError: a selector is none.
    """

    namespace: str = ""
    labels: str = ""
    fields: str = ""
    metadata_only: bool = False
    transform: Transform | None = None

    def __post_init__(self) -> None:
        parse_selector(self.labels)
        _requirements(self.fields)

    @property
    def selected(self) -> bool:
        """Whether a selector leaves objects out."""
        return bool(self.labels or self.fields)

    @property
    def whole(self) -> bool:
        """Whether objects are cached with all their fields."""
        return not self.metadata_only and self.transform is None

    def covers(self, other: Scope) -> bool:
        """Tell whether a cache of this scope holds all that one of ``other`` would."""
        return (
            self.namespace in {"", other.namespace}
            and self.labels in {"", other.labels}
            # what a projection left out cannot be looked at here
            and (self.fields == other.fields or (not self.fields and self.whole))
            and (self.whole or (self.metadata_only, self.transform) == (other.metadata_only, other.transform))
        )

    def holds_no_less_than(self, other: Scope) -> bool:
        """Tell whether every object that is in ``other``, which covers this scope, is in this one too."""
        return (self.namespace, self.labels, self.fields) == (other.namespace, other.labels, other.fields)

    def holds(self, obj: Object) -> bool:
        """Tell whether an object is in the scope."""
        return (
            self.namespace in {"", obj.namespace}
            and (not self.labels or parse_selector(self.labels).matches(obj.labels))
            and (not self.fields or _matches(obj, self.fields))
        )

    def shaped(self, obj: Object) -> Object:
        """Return what is cached of an object.

        Raises:
            UndecodableError: the transform failed.
        """
        try:
            if self.metadata_only:
                obj = _METADATA(obj)
            return self.transform(obj) if self.transform is not None else obj
        except Exception as error:
            # whatever a user's function raises must not end the stream that feeds everybody else
            raise UndecodableError(f"{obj.key}: its transform failed: {error!r}") from error

    def __str__(self) -> str:
        parts = (
            f"namespace={self.namespace}" if self.namespace else "",
            self.labels,
            self.fields,
            "metadata" if self.metadata_only else "",
            "transformed" if self.transform is not None else "",
        )
        return "&".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Projection:
    """A transform that keeps metadata and some fields; make it with :func:`project`."""

    paths: frozenset[tuple[str, ...]]

    def __call__(self, obj: Object) -> Object:
        """Return the object with the fields that are kept."""
        kept = _kept(Raw(obj.raw), self.paths | {(name,) for name in _ALWAYS})
        # a copy: the encoder leaves slack in the bytes that it returns
        return msgspec.structs.replace(obj, raw=bytes(memoryview(msgspec.json.encode(kept))))


def project(*paths: str) -> Projection:
    """Return a transform that caches ``apiVersion``, ``kind``, ``metadata`` and the given fields, and nothing else.

    Args:
        paths: fields by their names, joined by dots: ``spec.replicas``, ``status.conditions``. Lists are kept whole.
    """
    return Projection(frozenset(tuple(path.split(".")) for path in paths))


_METADATA: Final = project()


def _kept(value: Raw, paths: Iterable[tuple[str, ...]]) -> Any:
    members = _members(value)
    if members is None:
        return value
    below: dict[str, list[tuple[str, ...]]] = {}
    for first, *rest in paths:
        below.setdefault(first, []).append(tuple(rest))
    return {
        name: member if () in below[name] else _kept(member, below[name])
        for name, member in members.items()
        if name in below
    }


def _members(value: Raw) -> Mapping[str, Raw] | None:
    try:
        return _decode_members(value)
    except msgspec.ValidationError:  # no object: there is nothing below it
        return None


_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode


def _requirements(fields: str) -> list[tuple[tuple[str, ...], bool, str]]:
    found = []
    for part in filter(None, (part.strip() for part in fields.split(","))):
        requirement = _FIELD.match(part)
        if requirement is None:
            raise ValueError(f"not a field selector: {part!r}")
        path = tuple(requirement["path"].split("."))
        found.append((path, requirement["operator"] != "!=", requirement["value"].strip()))
    return found


def _matches(obj: Object, fields: str) -> bool:
    return all((_field(obj, path) == value) is equal for path, equal, value in _requirements(fields))


def _field(obj: Object, path: tuple[str, ...]) -> str:
    if path == ("metadata", "name"):
        return obj.name
    if path == ("metadata", "namespace"):
        return obj.namespace
    value: Any = obj.decode()
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
