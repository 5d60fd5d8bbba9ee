"""Reads the protobuf bodies that ``kubectl create secret|configmap|namespace`` sends for built-in kinds.

Only reading: answers are JSON, which every client that sends protobuf takes as well. The tables hold the
field numbers of Kubernetes' published ``generated.proto`` files; each entry reads ``number name type``, where the type is
s (string), i (integer), b (boolean), y (bytes), t (time) or a message, with ``*`` for a list and ``%`` before the type of a
map's values.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from typing import Any

_MAGIC = b"k8s\x00"
_MESSAGES = {
    "Unknown": "1 typeMeta TypeMeta,2 raw y",
    "TypeMeta": "1 apiVersion s,2 kind s",
    "ObjectMeta": "1 name s,2 generateName s,3 namespace s,5 uid s,6 resourceVersion s,7 generation i,8 creationTimestamp t,"
    "11 labels %s,12 annotations %s,13 ownerReferences OwnerReference*,14 finalizers s*",
    "OwnerReference": "1 kind s,3 name s,4 uid s,5 apiVersion s,6 controller b,7 blockOwnerDeletion b",
    "ObjectReference": "1 kind s,2 namespace s,3 name s,4 uid s,5 apiVersion s,6 resourceVersion s,7 fieldPath s",
    "LocalObjectReference": "1 name s",
    "Namespace": "1 metadata ObjectMeta,2 spec NamespaceSpec",
    "NamespaceSpec": "1 finalizers s*",
    "ConfigMap": "1 metadata ObjectMeta,2 data %s,3 binaryData %y,4 immutable b",
    "Secret": "1 metadata ObjectMeta,2 data %y,3 type s,4 stringData %s,5 immutable b",
    "ServiceAccount": "1 metadata ObjectMeta,2 secrets ObjectReference*,3 imagePullSecrets LocalObjectReference*,"
    "4 automountServiceAccountToken b",
    "Event": "1 metadata ObjectMeta,2 involvedObject ObjectReference,3 reason s,4 message s,5 source EventSource,"
    "6 firstTimestamp t,7 lastTimestamp t,8 count i,9 type s,10 eventTime t,11 series EventSeries,12 action s,"
    "13 related ObjectReference,14 reportingComponent s,15 reportingInstance s",
    "EventSource": "1 component s,2 host s",
    "EventSeries": "1 count i,2 lastObservedTime t",
    "Lease": "1 metadata ObjectMeta,2 spec LeaseSpec",
    "LeaseSpec": "1 holderIdentity s,2 leaseDurationSeconds i,3 acquireTime t,4 renewTime t,5 leaseTransitions i",
    "DeleteOptions": "2 preconditions Preconditions,3 orphanDependents b,4 propagationPolicy s,5 dryRun s*",
    "Preconditions": "1 uid s,2 resourceVersion s",
    "Time": "1 seconds i,2 nanos i",
}


def decode_protobuf(raw: bytes) -> dict[str, Any]:
    """The object in a Kubernetes protobuf envelope.

    Raises:
        ValueError: It is none, or of a kind that is not known here.
    """
    if not raw.startswith(_MAGIC):
        raise ValueError("the body is no Kubernetes protobuf")
    try:
        envelope = _message("Unknown", raw[len(_MAGIC) :])
        meta = envelope["typeMeta"]
        content = _message(meta["kind"], base64.b64decode(envelope.get("raw", "")))
    except (IndexError, KeyError) as error:
        raise ValueError(f"cannot read the protobuf body: {error}") from error
    return {**meta, **content}


def _message(name: str, raw: bytes) -> dict[str, Any]:
    table = {number: (field, kind) for number, field, kind in map(str.split, _MESSAGES[name].split(","))}
    content: dict[str, Any] = {}
    for number, value in _fields(raw):
        field, kind = table.get(str(number), ("", ""))
        if kind.startswith("%"):
            entry = dict(_fields(value))
            content.setdefault(field, {})[entry.get(1, b"").decode()] = _value(kind[1:], entry.get(2, b""))
        elif kind.endswith("*"):
            content.setdefault(field, []).append(_value(kind[:-1], value))
        elif kind and (read := _value(kind, value)) not in ("", None, {}):
            content[field] = read
    return content


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "s":
            return value.decode()
        case "y":
            return base64.b64encode(value).decode()
        case "b":
            return bool(value)
        case "i":
            return value - (1 << 64) if value >> 63 else value
        case "t":
            time = _message("Time", value)
            if time.get("seconds", 0) <= 0:
                return None
            moment = dt.datetime.fromtimestamp(time["seconds"], dt.UTC)
            return (moment + dt.timedelta(microseconds=time.get("nanos", 0) // 1000)).isoformat()
    return _message(kind, value)


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        if tag & 7 == 0:
            value, position = _varint(raw, position)
            yield tag >> 3, value
        elif tag & 7 == 2:
            size, position = _varint(raw, position)
            if position + size > len(raw):
                raise ValueError("the protobuf body ends too early")
            yield tag >> 3, raw[position : position + size]
            position += size
        else:
            raise ValueError(f"unexpected protobuf wire type {tag & 7}")


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
