"""CustomResourceDefinitions: what is a valid one, and the resources that it makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from capt.embedded.errors import (
    FieldError,
    forbidden_field,
    go_quote,
    invalid,
    not_supported,
    required,
)
from capt.embedded.metadata import is_label, is_subdomain, now
from capt.embedded.resource import Catalogue, Column, Resource, Scale, version_rank
from capt.embedded.scaling import scale_errors
from capt.embedded.schema import Schema, compile_pattern
from capt.embedded.tables import age, json_path, path_column, printer_column
from capt.embedded.validation import validate

GROUP, PLURAL, KIND = "apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition"
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")

_DNS_1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and"
    " end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is"
    " '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_FORBIDDEN = {
    "$ref": "$ref is not supported",
    "definitions": "definitions is not supported",
    "patternProperties": "patternProperties is not supported",
    "dependencies": "dependencies is not supported",
    "uniqueItems": "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
}

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_FLAG = {"type": "boolean"}
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _object(required_names: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required_names.split(), "properties": properties}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


_NAMES = _object(
    "",
    plural=_TEXT,
    singular=_TEXT,
    kind=_TEXT,
    listKind=_TEXT,
    shortNames=_TEXTS,
    categories=_TEXTS,
)
_VERSION = _object(
    "name served storage",
    name=_TEXT,
    served=_FLAG,
    storage=_FLAG,
    deprecated=_FLAG,
    deprecationWarning=_TEXT,
    schema=_object("", openAPIV3Schema=_OPEN),
    subresources=_object(
        "",
        status=_OPEN,
        scale=_object("", specReplicasPath=_TEXT, statusReplicasPath=_TEXT, labelSelectorPath=_TEXT),
    ),
    additionalPrinterColumns=_list(
        _object(
            "name type jsonPath",
            name=_TEXT,
            type=_TEXT,
            jsonPath=_TEXT,
            description=_TEXT,
            format=_TEXT,
            priority={"type": "integer"},
        )
    ),
    selectableFields=_list(_object("jsonPath", jsonPath=_TEXT)),
)
_CONDITION = _object(
    "",
    type=_TEXT,
    status=_TEXT,
    reason=_TEXT,
    message=_TEXT,
    lastTransitionTime={"type": "string", "format": "date-time", "nullable": True},
    observedGeneration={"type": "integer"},
)
_DEFINITION = _object(
    "",
    spec=_object(
        "",
        group=_TEXT,
        scope=_TEXT,
        names=_NAMES,
        versions=_list(_VERSION),
        conversion=_object("", strategy=_TEXT, webhook=_OPEN),
        preserveUnknownFields=_FLAG,
    ),
    status=_object(
        "",
        conditions=_list(_CONDITION) | {"nullable": True},
        acceptedNames=_NAMES,
        storedVersions=_TEXTS | {"nullable": True},
    ),
)


def definition_resource() -> Resource:
    """The resource of the definitions themselves."""
    description = "CustomResourceDefinition makes the server serve a kind."
    schema = Schema(_DEFINITION | {"description": description}, root=True)
    return Resource(
        group=GROUP,
        version="v1",
        storage_version="v1",
        plural=PLURAL,
        singular=KIND.lower(),
        kind=KIND,
        list_kind=f"{KIND}List",
        namespaced=False,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        schema=schema,
        storage_schema=schema,
        columns=(
            path_column("Name", "metadata.name", format="name"),
            Column(name="Created At", value=lambda o: o["metadata"]["creationTimestamp"], type="date"),
        ),
        status=True,
        generation=True,
        unconditional_update=False,
        terminate=_terminate,
        prepare=_prepare,
        validate=_validate,
    )


def _prepare(new: dict[str, Any], old: dict[str, Any] | None) -> None:
    spec = new.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})
    status = (
        dict(new.get("status") or {})
        if old
        else {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}}
    )
    stored = list(status.get("storedVersions") or [])
    stored += [v["name"] for v in _versions(new) if v.get("storage") and v.get("name") not in stored]
    new["status"] = status | {"storedVersions": stored}


def _terminate(definition: dict[str, Any]) -> None:
    finalizers = definition["metadata"].setdefault("finalizers", [])
    if CLEANUP_FINALIZER not in finalizers:
        finalizers.append(CLEANUP_FINALIZER)
    text = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    conditions = definition["status"].get("conditions") or []
    conditions.append(_condition("Terminating", "InstanceDeletionPending", text))
    definition["status"]["conditions"] = conditions


def _condition(kind: str, reason: str, message: str, *, holds: bool = True) -> dict[str, Any]:
    return {
        "type": kind,
        "status": str(holds),
        "lastTransitionTime": now(),
        "reason": reason,
        "message": message,
    }


def _versions(definition: dict[str, Any]) -> list[dict[str, Any]]:
    return definition["spec"].get("versions") or []


def _validate(new: dict[str, Any], old: dict[str, Any] | None) -> Iterator[FieldError]:
    spec, names = new["spec"], new["spec"]["names"]
    group, plural = spec.get("group", ""), names.get("plural", "")
    if new["metadata"].get("name") != f"{plural}.{group}":
        yield invalid(
            "metadata.name", new["metadata"].get("name", ""), 'must be spec.names.plural+"."+spec.group'
        )
    if not group:
        yield required("spec.group")
    elif not is_subdomain(group) or "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")
    if not spec.get("scope"):
        yield required("spec.scope")
    elif spec["scope"] not in ("Cluster", "Namespaced"):
        yield not_supported("spec.scope", spec.get("scope", ""), ["Cluster", "Namespaced"])
    yield from _name_errors(names)
    versions = _versions(new)
    if sum(version["storage"] for version in versions) != 1:
        text = "must have exactly one version marked as storage version"
        yield invalid("spec.versions", versions, text)
        if not any(version["storage"] for version in versions):
            yield invalid("status.storedVersions", None, "must have at least one stored version")
    if len({version["name"] for version in versions}) != len(versions):
        text = "must contain unique version names"
        yield invalid("spec.versions", versions, text)
    if (strategy := spec["conversion"].get("strategy")) != "None":
        yield not_supported("spec.conversion.strategy", strategy, ["None"])
    yield from _schema_errors(versions)
    if old is not None and is_established(old):
        yield from _immutable_errors(spec, old["spec"])


def _schema_errors(versions: list[dict[str, Any]]) -> Iterator[FieldError]:
    for index, version in enumerate(versions):
        # the server looks at the parts of an only version as if they stood in spec itself
        alone = len(versions) == 1
        path, word = ("spec", "validation") if alone else (f"spec.versions[{index}]", "schema")
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")
        else:
            yield from _version_errors(version, path, f"{path}.{word}.openAPIV3Schema")


def _immutable_errors(spec: dict[str, Any], old: dict[str, Any]) -> Iterator[FieldError]:
    for name, before, after in (
        *((name, old.get(name), spec.get(name)) for name in ("scope", "group")),
        *((f"names.{name}", old["names"].get(name), spec["names"].get(name)) for name in ("kind", "plural")),
    ):
        if before != after:
            yield invalid(f"spec.{name}", after, "field is immutable")


def _name_errors(names: dict[str, Any]) -> Iterator[FieldError]:
    for name in ("plural", "singular", "kind", "listKind"):
        value = names.get(name, "")
        if not value:
            yield required(f"spec.names.{name}")
        elif not is_label(value.lower()) or (name in ("plural", "singular") and value != value.lower()):
            yield invalid(f"spec.names.{name}", value, _DNS_1035)
    for word in ("shortNames", "categories"):
        for index, value in enumerate(names.get(word) or []):
            if not is_label(value):
                yield invalid(f"spec.names.{word}[{index}]", value, _DNS_1035)


def _version_errors(version: dict[str, Any], path: str, where: str) -> Iterator[FieldError]:
    schema = version["schema"]["openAPIV3Schema"]
    if schema.get("type") != "object":
        yield invalid(f"{where}.type", schema.get("type", ""), "must be object at the root")
    structural = list(_structure_errors(schema, where))
    yield from structural
    if not structural:
        compiled = Schema(schema, root=True)
        yield from _meaning_errors(compiled, where)
    for index, column in enumerate(version.get("additionalPrinterColumns") or []):
        if column["type"] not in _COLUMN_TYPES:
            field = f"{path}.additionalPrinterColumns[{index}].type"
            yield invalid(field, column["type"], f"must be one of {','.join(_COLUMN_TYPES)}")
        yield from _path_errors(column["jsonPath"], f"{path}.additionalPrinterColumns[{index}].JSONPath")
    scale = (version.get("subresources") or {}).get("scale") or {}
    for name, value in scale.items():
        roots = {"specReplicasPath": ("spec",), "statusReplicasPath": ("status",)}.get(
            name, ("spec", "status")
        )
        if not re.fullmatch(rf"\.({'|'.join(roots)})(\.[A-Za-z_][\w-]*)+", value):
            text = f"should be a json path under .{' or .'.join(roots)}"
            yield invalid(f"{path}.subresources.scale.{name}", value, text)


def _path_errors(text: str, field: str) -> Iterator[FieldError]:
    try:
        json_path(text)
    except ValueError:
        yield invalid(field, text, "must be a simple json path starting with .")


def _structure_errors(node: Any, path: str, *, spine: bool = True) -> Iterator[FieldError]:
    """What keeps a schema from being structural (every node typed, structure outside of logic)."""
    if not isinstance(node, dict):
        yield invalid(path, str(node), "must be a schema")
        return
    yield from _node_errors(node, path, spine=spine)
    for name, child in (node.get("properties") or {}).items():
        yield from _structure_errors(child, f"{path}.properties[{name}]", spine=spine)
    for word in ("additionalProperties", "items"):
        if isinstance(node.get(word), dict | list):
            yield from _structure_errors(node[word], f"{path}.{word}", spine=spine)
    for word in ("allOf", "anyOf", "oneOf"):
        for index, child in enumerate(node.get(word) or []):
            yield from _structure_errors(child, f"{path}.{word}[{index}]", spine=False)
    if node.get("not"):
        yield from _structure_errors(node["not"], f"{path}.not", spine=False)


def _node_errors(node: dict[str, Any], path: str, *, spine: bool) -> Iterator[FieldError]:
    kind = node.get("type", "")
    untyped = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
    if kind and kind not in _TYPES:
        yield not_supported(f"{path}.type", kind, _TYPES)
    elif spine and not kind and not untyped:
        yield required(f"{path}.type", "must not be empty for specified object fields")
    for word, text in _FORBIDDEN.items():
        if node.get(word):
            yield forbidden_field(f"{path}.{word}", text)
    for word in () if spine else ("default", "additionalProperties", "nullable"):
        if node.get(word):
            yield forbidden_field(f"{path}.{word}", "must be undefined to be structural")
    if node.get("properties") and node.get("additionalProperties"):
        yield forbidden_field(
            f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive"
        )
    if spine and kind == "array" and "items" not in node:
        yield required(f"{path}.items", "must be specified")
    if node.get("x-kubernetes-list-type") == "map":
        yield from _map_list_errors(node, path)
    try:
        compile_pattern(node.get("pattern", ""))
    except re.error as error:
        yield invalid(
            f"{path}.pattern", node["pattern"], f"must be a valid regular expression, but isn't: {error}"
        )


def _map_list_errors(node: dict[str, Any], path: str) -> Iterator[FieldError]:
    item = node["items"].get("type", "") if isinstance(node.get("items"), dict) else "object"
    if item != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(f"{path}.items.type", item, text)
    if not node.get("x-kubernetes-list-map-keys"):
        text = "must not be empty if x-kubernetes-list-type is map"
        yield required(f"{path}.x-kubernetes-list-map-keys", text)


def _meaning_errors(schema: Schema, path: str) -> Iterator[FieldError]:
    """Rules that do not compile and defaults that the schema itself refuses."""
    for index, rule in enumerate(schema.rules):
        if rule.error:
            yield invalid(f"{path}.x-kubernetes-validations[{index}].rule", rule.rule, rule.error)
    for name, child in schema.properties.items():
        where = f"{path}.properties[{name}]"
        if "default" in child.source:
            for error in validate(child, child.source["default"]):
                field = f"{where}.default.{error.field}".rstrip(".")
                yield replace(error, field=field)
        yield from _meaning_errors(child, where)
    for word, node in (("additionalProperties", schema.additional), ("items", schema.items)):
        if node is not None:
            yield from _meaning_errors(node, f"{path}.{word}")


def is_established(definition: dict[str, Any]) -> bool:
    """Whether the definition's resources are to be served."""
    conditions = (definition.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def established_status(definition: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """The status of a definition whose names have been compared with those of the other resources of its group."""
    names, group = definition["spec"]["names"], definition["spec"]["group"]
    others = [r for r in catalogue if r.group == group and r.id != definition["metadata"]["name"]]
    taken = {name for r in others for name in (r.plural, r.singular, *r.short_names)}
    kinds = {r.kind for r in others} | {r.list_kind for r in others}
    accepted, reason, message = dict(names), "NoConflicts", "no conflicts found"
    for name, used in (
        ("plural", taken),
        ("singular", taken),
        ("shortNames", taken),
        ("kind", kinds),
        ("listKind", kinds),
    ):
        wanted = names.get(name) or []
        for each in wanted if isinstance(wanted, list) else [wanted]:
            if each in used:
                accepted.pop(name, None)
                if name in ("plural", "kind"):
                    accepted[name] = ""
                reason = f"{name[0].upper()}{name[1:]}Conflict"
                message = f"{go_quote(each)} is already in use"
    free = reason == "NoConflicts"
    established = ("InitialNamesAccepted", "the initial names have been accepted")
    refused = ("NotAccepted", "not all names are accepted")
    conditions = [
        _condition("NamesAccepted", reason, message, holds=free),
        _condition("Established", *(established if free else refused), holds=free),
    ]
    return {**definition.get("status", {}), "conditions": conditions, "acceptedNames": accepted}


def served_resources(definition: dict[str, Any]) -> list[Resource]:
    """The resources of an established definition, one per served version."""
    schemas = {
        version["name"]: Schema(version["schema"]["openAPIV3Schema"], root=True)
        for version in _versions(definition)
    }
    storage = next(version["name"] for version in _versions(definition) if version["storage"])
    return [
        _resource(definition, version, schemas[version["name"]], storage, schemas[storage])
        for version in _versions(definition)
        if version["served"]
    ]


def _resource(
    definition: dict[str, Any], version: dict[str, Any], schema: Schema, storage: str, storage_schema: Schema
) -> Resource:
    spec, names = definition["spec"], definition["spec"]["names"]
    subresources = version.get("subresources") or {}
    scale = _scale(subresources["scale"]) if subresources.get("scale") else None
    columns: list[Column] = [path_column("Name", "metadata.name", format="name")]
    columns += [printer_column(column) for column in version.get("additionalPrinterColumns") or []]
    if len(columns) == 1:
        columns.append(Column(name="Age", value=age, type="date"))
    selectable = {
        field["jsonPath"].lstrip("."): json_path(field["jsonPath"])
        for field in version.get("selectableFields") or []
    }
    return Resource(
        group=spec["group"],
        version=version["name"],
        storage_version=storage,
        plural=names["plural"],
        singular=names["singular"],
        kind=names["kind"],
        list_kind=names["listKind"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        schema=schema,
        storage_schema=storage_schema,
        columns=columns,
        status="status" in subresources,
        scale=scale,
        custom=True,
        generation=True,
        unconditional_update=False,
        deprecation=_deprecation(definition, version) if version.get("deprecated") else "",
        validate=lambda new, _old: scale_errors(scale, new) if scale else (),
        closing="deletionTimestamp" in definition["metadata"],
        fields=lambda o: {name: str((find(o) or [""])[0]) for name, find in selectable.items()},
    )


def _deprecation(definition: dict[str, Any], version: dict[str, Any]) -> str:
    group, kind = definition["spec"]["group"], definition["spec"]["names"]["kind"]
    current = [v["name"] for v in _versions(definition) if v["served"] and not v.get("deprecated")]
    newer = min(
        (v for v in current if version_rank(v) < version_rank(version["name"])), key=version_rank, default=""
    )
    advice = f"; use {group}/{newer} {kind}" if newer else ""
    return version.get("deprecationWarning") or f"{group}/{version['name']} {kind} is deprecated{advice}"


def _scale(source: dict[str, Any]) -> Scale:
    def split(path: str) -> tuple[str, ...]:
        return tuple(part for part in path.split(".") if part)

    return Scale(
        spec_replicas=split(source["specReplicasPath"]),
        status_replicas=split(source["statusReplicasPath"]),
        selector=split(source.get("labelSelectorPath", "")),
    )
