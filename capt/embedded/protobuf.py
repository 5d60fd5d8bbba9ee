"""Reads the protobuf bodies that ``kubectl create secret|configmap|namespace`` sends for built-in kinds.

Only reading: answers are JSON, which every client that sends protobuf takes as well. What the fields of a message are
called and what they hold is said by the kind's schema, whose properties stand in the order of their field numbers.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from typing import Any

from capt.embedded.assets import kinds
from capt.embedded.schema import Schema

_MAGIC = b"k8s\x00"


def decode_protobuf(raw: bytes, schema: Schema) -> dict[str, Any]:
    """The object in a Kubernetes protobuf envelope.

    Raises:
        ValueError: It is none of this schema.
    """
    if not raw.startswith(_MAGIC):
        raise ValueError("the body is no Kubernetes protobuf")
    try:
        envelope = _message(Schema(kinds()["protobufEnvelope"]), raw[len(_MAGIC) :])
        content = _message(schema, base64.b64decode(envelope.get("raw", "")))
        return {**envelope["typeMeta"], **content}
    except (LookupError, AttributeError, TypeError, OverflowError, OSError) as error:
        raise ValueError(f"cannot read the protobuf body: {error}") from error


def _numbered(schema: Schema) -> dict[int, tuple[str, Schema]]:
    numbered: dict[int, tuple[str, Schema]] = {}
    number = (
        -2 if schema.root else 0
    )  # a whole object's first field is its metadata; kind and version are the envelope's
    for name, child in schema.properties.items():
        number = child.source.get("x-protobuf", number + 1)
        numbered[number] = (name, child)
    return numbered


def _message(schema: Schema, raw: bytes) -> dict[str, Any]:
    numbered, content = _numbered(schema), dict[str, Any]()
    for number, value in _fields(raw):
        if number not in numbered:
            continue
        name, child = numbered[number]
        if child.additional is not None:
            entry = dict(_fields(value))
            content.setdefault(name, {})[entry.get(1, b"").decode()] = _value(
                child.additional, entry.get(2, b"")
            )
        elif child.items is not None:
            content.setdefault(name, []).append(_value(child.items, value))
        elif (read := _value(child, value)) not in ("", None, {}):
            content[name] = read
    return content


def _value(schema: Schema, value: Any) -> Any:
    match schema.type, schema.format:
        case "string", "byte":
            return base64.b64encode(value).decode()
        case "string", "date-time" | "micro-time":
            time = dict(_fields(value))
            if not 0 < time.get(1, 0) < 1 << 63:
                return None
            moment = dt.datetime.fromtimestamp(time[1], dt.UTC).replace(microsecond=time.get(2, 0) // 1000)
            return moment.strftime(
                "%Y-%m-%dT%H:%M:%S.%fZ" if schema.format == "micro-time" else "%Y-%m-%dT%H:%M:%SZ"
            )
        case "string", _:
            return value.decode()
        case "boolean", _:
            return bool(value)
        case "integer", _:
            return value - (1 << 64) if value >> 63 else value
    return _message(schema, value)


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        number, position = _varint(raw, position)
        value: int | bytes = number
        if tag & 7 == 2:
            value = raw[position : position + number]
            position += number
        if tag & 7 not in (0, 2) or position > len(raw):
            raise ValueError("cannot read the protobuf body: it is cut off or of an unknown form")
        yield tag >> 3, value


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
