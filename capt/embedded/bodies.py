"""Request bodies: JSON, YAML or protobuf in, objects out, with repeated fields noticed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import yaml

from capt.embedded.errors import bad_request, unsupported_media_type
from capt.embedded.protobuf import decode_protobuf

_JSON, _YAML = "application/json", "application/yaml"
_PROTOBUF = "application/vnd.kubernetes.protobuf"


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value  # 2.0 is stored as 2, as Go writes it


_DECODER = msgspec.json.Decoder(float_hook=_number)


class _Repeated(dict[str, Any]):
    """An object that had some of its fields twice."""

    names: tuple[str, ...] = ()


def decode_body(raw: bytes, content_type: str, *, find_repeated: bool) -> tuple[Any, list[str]]:
    """The decoded body, and the paths of fields that occur twice (the last one counts).

    Raises:
        StatusError: 400 for a malformed body, 415 for any other format.
    """
    media_type = content_type.partition(";")[0].strip()
    try:
        if media_type == _YAML:
            return yaml.load(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), []  # noqa: S506 - both are safe
        if media_type == _PROTOBUF:
            return decode_protobuf(raw), []
        if media_type not in ("", _JSON) and not media_type.endswith("+json"):
            raise unsupported_media_type([_JSON, _YAML, _PROTOBUF])
        if not find_repeated:
            return _DECODER.decode(raw), []
        return _decode_finding_repeated(raw)
    except (msgspec.DecodeError, ValueError, yaml.YAMLError) as error:
        raise bad_request(f"error decoding the request body: {error}") from error


def _decode_finding_repeated(raw: bytes) -> tuple[Any, list[str]]:
    found = False

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        found = True
        repeated = _Repeated(plain)
        names = [name for name, _ in pairs]
        repeated.names = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
        return repeated

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    value = json.loads(raw, object_pairs_hook=build, parse_float=_number, parse_constant=refuse)
    return (_DECODER.decode(raw), _repeated_paths(value, "")) if found else (value, [])


def _repeated_paths(value: Any, path: str) -> list[str]:
    paths: list[str] = []
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        if isinstance(value, _Repeated):
            paths += [f"{prefix}{name}" for name in value.names]
        for name, item in value.items():
            paths += _repeated_paths(item, f"{prefix}{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            paths += _repeated_paths(item, f"{path}[{index}]")
    return paths
