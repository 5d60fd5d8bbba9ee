"""What the cache holds: a slim, immutable object around exact JSON bytes.

A cached object keeps what handlers, predicates, indexes and selectors look at as attributes, and the rest as
the bytes that came over the wire. Decoding on demand is ten times cheaper than the deep copy that
controller-runtime makes on each read, hands nobody anything that could be mutated, and holds a fifth of the
memory of decoded dictionaries. It also keeps the garbage collector away: the objects are not tracked, so
20,000 of them do not add to a collection's pause.

``managedFields`` and kubectl's ``last-applied-configuration`` are dropped on the way in: nobody here reads
them, and they are half of many objects. **So what comes from the cache must never be the body of a PUT.** The
client has no PUT.

Siblings carry the same labels and owner references, byte for byte. Both are decoded once per distinct
bytes and shared.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from capt.runtime.errors import MALFORMED, UndecodableError
from capt.runtime.resource import Key, Resource

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which ``kubectl apply`` keeps a second copy of the whole object."""

_LAST_APPLIED = LAST_APPLIED.encode()
_METADATA_ONLY = (
    "PartialObjectMetadata"  # what a server calls an object that was asked for without spec and status
)
_MANAGED_FIELDS = b'"managedFields":'


class Owner(Struct, frozen=True, gc=False, rename="camel"):
    """One owner reference.

    Attributes:
        api_version: the owner's group and version.
        kind: the owner's kind.
        name: the owner's name, in the object's namespace or cluster-scoped.
        uid: the owner's uid; tells it from a namesake.
        controller: whether this owner manages the object; at most one does.
    """

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Object(Struct, frozen=True, gc=False, eq=False):
    """One API object as the cache holds it: read-only, compared by identity.

    controller-runtime's cache holds decoded objects and copies each on its way out. This one takes a fraction of their
    memory, and nothing can change it. Predicates, mappings and indexes get it; a model is made of it where one is wanted.

    Attributes:
        key: namespace and name.
        uid: ``metadata.uid``.
        resource_version: ``metadata.resourceVersion`` as a number, comparable within one kind (KEP-5504).
        generation: ``metadata.generation``; 0 for kinds that have none.
        deleting: ``metadata.deletionTimestamp`` is set.
        labels: ``metadata.labels``.
        owners: ``metadata.ownerReferences``.
        raw: JSON of the object without managedFields and last-applied-configuration.
    """

    key: Key
    uid: str
    resource_version: int
    generation: int
    deleting: bool
    labels: Mapping[str, str]
    owners: tuple[Owner, ...]
    raw: bytes

    @property
    def namespace(self) -> str:
        """``metadata.namespace``; "" for a cluster-scoped object."""
        return self.key.namespace

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return self.key.name

    @property
    def controller(self) -> Owner | None:
        """The owner that manages the object, if one does."""
        return next((owner for owner in self.owners if owner.controller), None)

    def decode(self) -> dict[str, Any]:
        """Return the object as a fresh dictionary, which the caller may change."""
        return cast("dict[str, Any]", msgspec.json.decode(self.raw))


def parse_object(data: bytes | Raw, resource: Resource) -> Object:
    """Make a cache object of the JSON that the API server sent.

    Args:
        data: the object; ``apiVersion`` and ``kind`` are filled in where they are missing, as they are in the
            items of a list of a built-in kind, and where they say PartialObjectMetadata.
        resource: what the object must be.

    Raises:
        UndecodableError: not JSON, or nested more than about a thousand levels deep; another kind, no name, or a
            resourceVersion that is no number.
    """
    try:
        return _parse(data, resource)
    except MALFORMED as error:  # what msgspec, int() and the UTF-8 decoder raise are ValueErrors
        raise UndecodableError(f"no {resource.kind}: {error}") from error


def _parse(data: bytes | Raw, resource: Resource) -> Object:
    head = _decode_head(data)
    meta = head.metadata
    raw = bytes(data)
    if head.kind != resource.kind:
        if head.kind not in {"", _METADATA_ONLY}:
            raise ValueError(f"its kind is {head.kind}")
        raw = _with_type(raw, resource)
    if meta.annotations is not msgspec.UNSET and _LAST_APPLIED in bytes(meta.annotations):
        raw = _stripped(raw)
    elif meta.managed_fields is not msgspec.UNSET:
        raw = _without_managed_fields(raw, bytes(meta.managed_fields))
    return Object(
        Key(sys.intern(meta.namespace), meta.name),
        meta.uid,
        int(meta.resource_version),
        meta.generation,
        meta.deletion_timestamp is not None,
        _decode_labels(bytes(meta.labels)),
        _decode_owners(bytes(meta.owner_references)),
        raw,
    )


class _Metadata(Struct, gc=False, rename="camel"):
    name: str
    resource_version: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: Raw = Raw(b"null")
    owner_references: Raw = Raw(b"null")
    annotations: Raw | msgspec.UnsetType = msgspec.UNSET
    managed_fields: Raw | msgspec.UnsetType = msgspec.UNSET


class _Head(Struct, gc=False):
    metadata: _Metadata
    kind: str = ""


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def _with_type(raw: bytes, resource: Resource) -> bytes:
    members = _decode_members(raw)
    members.pop("kind", None)
    members.pop("apiVersion", None)
    head = {"apiVersion": Raw(_encode(resource.api_version)), "kind": Raw(_encode(resource.kind))}
    return _joined(head | members)


def _without_managed_fields(raw: bytes, value: bytes) -> bytes:
    # A quote right before a colon ends a member's name, never a text (there it would be escaped). So a name that
    # occurs once is the one that was decoded, and can be cut out; anything unusual takes the long way.
    start = raw.find(_MANAGED_FIELDS)
    end = start + len(_MANAGED_FIELDS) + len(value)
    if (
        start < 0
        or raw.find(_MANAGED_FIELDS, end) >= 0
        or not raw.startswith(value, start + len(_MANAGED_FIELDS))
    ):
        return _stripped(raw)
    # one comma goes along: custom resources have members behind it (by the alphabet), built-in kinds before it
    if raw.startswith(b",", end):
        return raw[:start] + raw[end + 1 :]
    if raw.startswith(b"}", end) and raw.startswith(b",", start - 1):
        return raw[: start - 1] + raw[end:]
    return _stripped(raw)


def _stripped(raw: bytes) -> bytes:
    members = _decode_members(raw)
    metadata = _decode_members(members["metadata"])
    metadata.pop("managedFields", None)
    if "annotations" in metadata:
        annotations = _decode_members(metadata["annotations"])
        if annotations.pop(LAST_APPLIED, None) is not None:
            metadata["annotations"] = Raw(_encode(annotations))
    members["metadata"] = Raw(_encode(metadata))
    return _joined(members)


def _joined(members: dict[str, Raw]) -> bytes:
    # the encoder grows its buffer in steps and leaves the slack to the bytes that it returns; a copy has none
    return bytes(memoryview(_encode(members)))


@lru_cache(maxsize=4096)
def _decode_labels(data: bytes) -> Mapping[str, str]:
    return MappingProxyType(msgspec.json.decode(data, type=dict[str, str] | None) or {})


@lru_cache(maxsize=4096)
def _decode_owners(data: bytes) -> tuple[Owner, ...]:
    return msgspec.json.decode(data, type=tuple[Owner, ...] | None) or ()
