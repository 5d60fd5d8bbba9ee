"""The built-in kinds: Namespace, Secret, ConfigMap, Event, ServiceAccount, Lease - their schemas, rules and columns."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from capt.embedded.errors import FieldError, bad_request, forbidden_field, invalid, required
from capt.embedded.formats import decode_base64
from capt.embedded.resource import Column, Resource
from capt.embedded.schema import Schema
from capt.embedded.tables import age, age_of, path_column

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "format": "int32"}
_FLAG = {"type": "boolean"}
_TIME = {"type": "string", "format": "date-time", "nullable": True}
_MICRO_TIME = _TIME | {"format": "micro-time"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]")
_CONFIG_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or"
    " 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_MAX_DATA = 1024 * 1024
_NAME = path_column("Name", "metadata.name", format="name")
_AGE = Column(name="Age", value=age)


def _object(description: str = "", **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return schema | ({"description": description} if description else {})


def _list(items: Any, merge_key: str = "") -> dict[str, Any]:
    schema = {"type": "array", "items": items}
    if merge_key:
        schema |= {"x-kubernetes-patch-merge-key": merge_key, "x-kubernetes-patch-strategy": "merge"}
    return schema


_REFERENCE = _object(
    apiVersion=_TEXT,
    kind=_TEXT,
    namespace=_TEXT,
    name=_TEXT,
    uid=_TEXT,
    resourceVersion=_TEXT,
    fieldPath=_TEXT,
)
_CONDITION = _object(type=_TEXT, status=_TEXT, reason=_TEXT, message=_TEXT, lastTransitionTime=_TIME)


def _data_errors(content: dict[str, Any], *names: str) -> Iterator[FieldError]:
    size = 0
    for name in names:
        for key, value in (content.get(name) or {}).items():
            size += len(value)
            if not _CONFIG_KEY.fullmatch(key):
                yield invalid(f"{name}[{key}]", key, _CONFIG_KEY_TEXT)
    if size > _MAX_DATA:
        yield FieldError(
            "FieldValueTooLong",
            "data" if names == ("data",) else "[]",
            f"may not be more than {_MAX_DATA} bytes",
        )


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
    plain = new.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        new["data"] = (new.get("data") or {}) | encoded
    for value in (new.get("data") or {}).values():
        try:
            decode_base64(value)
        except ValueError as error:
            place = next((i for i, c in enumerate(value) if not _BASE64.match(c)), len(value))
            text = f"illegal base64 data at input byte {place}"
            raise bad_request(f'Secret in version "v1" cannot be handled as a Secret: {text}') from error
    new.setdefault("type", "Opaque")
    _drop_empty(new, old)


def _validate_secret(new: dict[str, Any], old: dict[str, Any] | None) -> Iterator[FieldError]:
    if old and new.get("type") != old.get("type"):
        yield invalid("type", new.get("type"), "field is immutable")
    if new["type"] == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in (new.get("data") or {}):
                yield required(f"data[{key}]")
    yield from _data_errors(new, "data")
    yield from _immutable_errors(new, old, "data")


def _validate_config_map(new: dict[str, Any], old: dict[str, Any] | None) -> Iterator[FieldError]:
    yield from _data_errors(new, "data", "binaryData")
    for key in (new.get("data") or {}).keys() & (new.get("binaryData") or {}).keys():
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


def _prepare_lease(new: dict[str, Any], _old: dict[str, Any] | None) -> None:
    new.setdefault("spec", {})


def _validate_lease(new: dict[str, Any], _old: dict[str, Any] | None) -> Iterator[FieldError]:
    spec = new.get("spec") or {}
    if (duration := spec.get("leaseDurationSeconds")) is not None and duration <= 0:
        yield invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    if (transitions := spec.get("leaseTransitions")) is not None and transitions < 0:
        yield invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


def _prepare_event(new: dict[str, Any], _old: dict[str, Any] | None) -> None:
    new.setdefault("source", {})
    for name in ("reportingComponent", "reportingInstance"):
        new.setdefault(name, "")
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        new.setdefault(name, None)


def _validate_event(new: dict[str, Any], _old: dict[str, Any] | None) -> Iterator[FieldError]:
    namespace = (new.get("involvedObject") or {}).get("namespace", "")
    expected = new["metadata"].get("namespace")
    if namespace != expected and not (namespace == "" and expected == "default"):
        yield invalid("involvedObject.namespace", namespace, "does not match event.namespace")


def _event_fields(content: dict[str, Any]) -> dict[str, str]:
    involved = content.get("involvedObject") or {}
    names = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    fields = {f"involvedObject.{name}": str(involved.get(name, "")) for name in names}
    fields |= {name: str(content.get(name, "")) for name in ("reason", "type", "reportingComponent")}
    source = (content.get("source") or {}).get("component", "")
    return fields | {"source": source or content.get("reportingComponent", "")}


def _event_object(content: dict[str, Any]) -> str:
    involved = content.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _event_source(content: dict[str, Any]) -> str:
    source = content.get("source") or {}
    return ", ".join(filter(None, (source.get("component"), source.get("host"))))


def _kind(group: str, kind: str, plural: str, schema: dict[str, Any], **rest: Any) -> Resource:
    compiled = Schema(schema, root=True)
    return Resource(
        group=group,
        version="v1",
        storage_version="v1",
        plural=plural,
        singular=kind.lower(),
        kind=kind,
        list_kind=f"{kind}List",
        namespaced=rest.pop("namespaced", True),
        schema=compiled,
        storage_schema=compiled,
        columns=rest.pop("columns", (_NAME, _AGE)),
        **rest,
    )


def builtin_resources() -> list[Resource]:
    """Every built-in kind but CustomResourceDefinition."""
    data_column = Column(name="Data", value=lambda o: len(o.get("data") or {}))
    return [
        _kind(
            "",
            "Namespace",
            "namespaces",
            _object(
                "Namespace provides a scope for names.",
                spec=_object(finalizers=_list(_TEXT)),
                status=_object(phase=_TEXT, conditions=_list(_CONDITION, "type")),
            ),
            namespaced=False,
            short_names=("ns",),
            status=True,
            prepare=_prepare_namespace,
            terminate=_terminate_namespace,
            fields=lambda o: {"status.phase": o["status"].get("phase", "")},
            columns=(_NAME, path_column("Status", "status.phase"), _AGE),
        ),
        _kind(
            "",
            "ConfigMap",
            "configmaps",
            _object("ConfigMap holds configuration data.", data=_TEXTS, binaryData=_TEXTS, immutable=_FLAG),
            short_names=("cm",),
            prepare=_drop_empty,
            validate=_validate_config_map,
            columns=(_NAME, data_column, _AGE),
        ),
        _kind(
            "",
            "Secret",
            "secrets",
            _object(
                "Secret holds secret data of a certain type; values in data are base64 encoded.",
                data=_TEXTS,
                stringData=_TEXTS,
                type=_TEXT,
                immutable=_FLAG,
            ),
            prepare=_prepare_secret,
            validate=_validate_secret,
            fields=lambda o: {"type": o["type"]},
            columns=(_NAME, path_column("Type", "type"), data_column, _AGE),
        ),
        _kind(
            "",
            "ServiceAccount",
            "serviceaccounts",
            _object(
                "ServiceAccount is an identity for processes.",
                secrets=_list(_REFERENCE, "name"),
                imagePullSecrets=_list(_object(name=_TEXT)),
                automountServiceAccountToken=_FLAG,
            ),
            short_names=("sa",),
        ),
        _kind(
            "",
            "Event",
            "events",
            _object(
                "Event is a report of an event somewhere in the cluster.",
                involvedObject=_REFERENCE,
                related=_REFERENCE,
                reason=_TEXT,
                message=_TEXT,
                type=_TEXT,
                action=_TEXT,
                count=_NUMBER,
                source=_object(component=_TEXT, host=_TEXT),
                series=_object(count=_NUMBER, lastObservedTime=_TIME),
                firstTimestamp=_TIME,
                lastTimestamp=_TIME,
                eventTime=_MICRO_TIME,
                reportingComponent=_TEXT,
                reportingInstance=_TEXT,
            ),
            short_names=("ev",),
            create_on_update=True,
            prepare=_prepare_event,
            validate=_validate_event,
            fields=_event_fields,
            columns=(
                Column(
                    name="Last Seen", value=lambda o: age_of(o.get("lastTimestamp") or o.get("eventTime"))
                ),
                path_column("Type", "type"),
                path_column("Reason", "reason"),
                Column(name="Object", value=_event_object),
                path_column("Subobject", "involvedObject.fieldPath", priority=1),
                Column(name="Source", value=_event_source, priority=1),
                Column(name="Message", value=lambda o: (o.get("message") or "").strip()),
                Column(name="First Seen", value=lambda o: age_of(o.get("firstTimestamp")), priority=1),
                Column(name="Count", value=lambda o: o.get("count") or 1, priority=1),
                path_column("Name", "metadata.name", format="name", priority=1),
            ),
        ),
        _kind(
            "coordination.k8s.io",
            "Lease",
            "leases",
            _object(
                "Lease defines a lease concept.",
                spec=_object(
                    holderIdentity=_TEXT,
                    leaseDurationSeconds=_NUMBER,
                    acquireTime=_MICRO_TIME,
                    renewTime=_MICRO_TIME,
                    leaseTransitions=_NUMBER,
                    strategy=_TEXT,
                    preferredHolder=_TEXT,
                ),
            ),
            unconditional_update=False,
            create_on_update=True,
            prepare=_prepare_lease,
            validate=_validate_lease,
            columns=(_NAME, path_column("Holder", "spec.holderIdentity"), _AGE),
        ),
    ]
