"""The built-in kinds: what ``kinds.yaml`` says of them, and the rules and cells that a schema cannot express."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator
from typing import Any

from capt.embedded import crd
from capt.embedded.assets import kinds
from capt.embedded.definitions import Cells, builtin_resource
from capt.embedded.errors import FieldError, forbidden_field, invalid, required
from capt.embedded.resource import Resource
from capt.embedded.tables import age_of

_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_CONFIG_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or"
    " 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_MAX_DATA = 1024 * 1024


def _event_source(event: dict[str, Any]) -> str:
    return ", ".join(filter(None, (event["source"].get("component"), event["source"].get("host"))))


_CELLS: Cells = {
    "Age": lambda o: age_of(o["metadata"]["creationTimestamp"]),
    "Created At": lambda o: o["metadata"]["creationTimestamp"],
    "Data": lambda o: len(o.get("data") or {}),
    "Last Seen": lambda o: age_of(o.get("lastTimestamp") or o.get("eventTime")),
    "First Seen": lambda o: age_of(o.get("firstTimestamp")),
    "Object": lambda o: (
        f"{o['involvedObject'].get('kind', '').lower()}/{o['involvedObject'].get('name', '')}"
    ),
    "Source": _event_source,
    "Message": lambda o: (o.get("message") or "").strip(),
    "Count": lambda o: o.get("count") or 1,
}


def _data_errors(content: dict[str, Any], *names: str) -> Iterator[FieldError]:
    entries = [(name, key, value) for name in names for key, value in (content.get(name) or {}).items()]
    for name, key, _ in entries:
        if not _CONFIG_KEY.fullmatch(key):
            yield invalid(f"{name}[{key}]", key, _CONFIG_KEY_TEXT)
    if sum(len(value) for *_, value in entries) > _MAX_DATA:
        field = "data" if names == ("data",) else "[]"
        yield FieldError("FieldValueTooLong", field, f"may not be more than {_MAX_DATA} bytes")


def _immutable_errors(new: dict[str, Any], old: dict[str, Any] | None, *names: str) -> Iterator[FieldError]:
    if old and old.get("immutable"):
        for name in (*names, "immutable"):
            if new.get(name) != old.get(name):
                yield forbidden_field(name, "field is immutable when `immutable` is set")


def _drop_empty(new: dict[str, Any], _old: dict[str, Any] | None) -> None:
    for name in ("data", "binaryData"):
        if name in new and not new[name]:
            del new[name]


def _prepare_secret(new: dict[str, Any], old: dict[str, Any] | None) -> None:
    plain: dict[str, str] = new.pop("stringData", None) or {}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
    new["data"] = (new.get("data") or {}) | encoded
    _drop_empty(new, old)


def _validate_secret(new: dict[str, Any], old: dict[str, Any] | None) -> Iterator[FieldError]:
    if new["type"] == "kubernetes.io/tls":
        yield from (required(f"data[{k}]") for k in ("tls.crt", "tls.key") if k not in new.get("data", {}))
    yield from _data_errors(new, "data")
    yield from _immutable_errors(new, old, "data")


def _validate_config_map(new: dict[str, Any], old: dict[str, Any] | None) -> Iterator[FieldError]:
    yield from _data_errors(new, "data", "binaryData")
    for key in new.get("data", {}).keys() & new.get("binaryData", {}).keys():
        yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    yield from _immutable_errors(new, old, "data", "binaryData")


def _prepare_namespace(new: dict[str, Any], old: dict[str, Any] | None) -> None:
    if old is None:
        wanted = (new.get("spec") or {}).get("finalizers") or []
        new["spec"] = {"finalizers": [*(name for name in wanted if name != "kubernetes"), "kubernetes"]}
        new["status"] = {"phase": "Active"}
    labels = new["metadata"].get("labels") or {}
    new["metadata"]["labels"] = labels | {"kubernetes.io/metadata.name": new["metadata"].get("name", "")}


def _terminate_namespace(namespace: dict[str, Any]) -> None:
    namespace["status"] = {**namespace.get("status", {}), "phase": "Terminating"}


def _validate_event(new: dict[str, Any], _old: dict[str, Any] | None) -> Iterator[FieldError]:
    namespace = (new.get("involvedObject") or {}).get("namespace", "")
    expected = new["metadata"].get("namespace")
    if namespace != expected and not (namespace == "" and expected == "default"):
        yield invalid("involvedObject.namespace", namespace, "does not match event.namespace")


_SPECIAL: dict[str, dict[str, Any]] = {  # beside the kind's definition
    "Namespace": {"prepare": _prepare_namespace, "terminate": _terminate_namespace},
    "ConfigMap": {"prepare": _drop_empty, "validate": _validate_config_map},
    "Secret": {"prepare": _prepare_secret, "validate": _validate_secret},
    "Event": {
        "validate": _validate_event,
        "create_on_update": True,
        "fields": {"source": lambda o: o["source"].get("component", "") or o.get("reportingComponent", "")},
    },
    "Lease": {"unconditional_update": False, "create_on_update": True},
    "CustomResourceDefinition": {
        "generation": True,
        "unconditional_update": False,
        "terminate": crd.terminate,
        "prepare": crd.prepare,
        "validate": crd.validate,
    },
}


@functools.cache
def builtin_resources() -> tuple[Resource, ...]:
    """Every built-in kind, CustomResourceDefinition included."""
    specs = kinds()["kinds"]
    return tuple(builtin_resource(s, _CELLS, **_SPECIAL.get(s["names"]["kind"], {})) for s in specs)
