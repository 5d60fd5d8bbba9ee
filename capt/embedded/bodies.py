"""Request bodies: JSON, YAML or protobuf in, objects out, with repeated fields noticed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from capt.embedded.assets import load_yaml
from capt.embedded.errors import bad_request, unsupported_media_type
from capt.embedded.formats import parse_integer
from capt.embedded.protobuf import decode_protobuf
from capt.embedded.schema import Schema

_JSON, _YAML, _PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
# by the object's id, which the object itself keeps its own
_Repeats = dict[int, tuple[dict[str, Any], list[str]]]


def decode_body(raw: bytes, content_type: str, schema: Schema) -> tuple[Any, list[str]]:
    """The decoded body, and the paths of fields that occur twice (the last one counts).

    ``schema`` is that of the object that is expected; only protobuf needs it.

    Raises:
        StatusError: 400 for a malformed body, 415 for any other format.
    """
    media_type = content_type.partition(";")[0].strip()
    try:
        if media_type in ("", _JSON) or media_type.endswith("+json"):
            return _decode_json(raw.decode(errors="replace"))
        if media_type == _YAML:
            return _decode_json(msgspec.json.encode(load_yaml(raw)).decode())
        if media_type == _PROTOBUF:
            return decode_protobuf(raw, schema), []
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise bad_request(f"error decoding the request body: {error}") from error
    raise unsupported_media_type([_JSON, _YAML, _PROTOBUF])


def _decode_json(text: str) -> tuple[Any, list[str]]:
    if "\\ud" in text.lower():  # as in Go, half a surrogate pair becomes a replacement character
        text = json.dumps(json.loads(text), ensure_ascii=False)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    try:
        return _DECODER.decode(text), []
    except _RepeatedFieldError:
        return _decode_repeated(text)


class _RepeatedFieldError(Exception):
    """A field occurs twice; a second look says where."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        raise _RepeatedFieldError
    return built


def _decode_repeated(text: str) -> tuple[Any, list[str]]:
    repeats: _Repeats = {}

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built, names = dict(pairs), [name for name, _ in pairs]
        repeats[id(built)] = (built, [name for name in built if names.count(name) > 1])
        return built

    value = json.loads(text, object_pairs_hook=build, **_NUMBERS)
    return value, list(_repeated_paths(value, repeats))


def _integer(text: str) -> float:
    try:
        return parse_integer(text)
    except ValueError:  # as Go has it, a double if 64 bits do not hold it
        return _number(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no JSON number")
    whole = value.is_integer() and -(2**63) <= value < 2**63
    return int(value) if whole else value  # 2.0 is stored as 2, as Go writes it


_NUMBERS: dict[str, Any] = {"parse_int": _integer, "parse_float": _number, "parse_constant": _number}
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, **_NUMBERS)  # making one costs as much as decoding


def _repeated_paths(value: Any, repeats: _Repeats, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        for name in repeats[id(value)][1]:
            yield f"{prefix}{name}"
        for name, item in value.items():
            yield from _repeated_paths(item, repeats, f"{prefix}{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _repeated_paths(item, repeats, f"{path}[{index}]")
