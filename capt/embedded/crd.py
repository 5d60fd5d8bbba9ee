"""CustomResourceDefinitions: what is a valid one, and how its names come to be accepted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from capt.embedded.assets import kinds
from capt.embedded.definitions import complete_names
from capt.embedded.errors import (
    FieldError,
    cannot_handle,
    forbidden_field,
    go_quote,
    invalid,
    not_supported,
    required,
)
from capt.embedded.metadata import is_label, is_subdomain, now
from capt.embedded.resource import Catalogue
from capt.embedded.schema import Schema, compile_pattern
from capt.embedded.tables import json_path
from capt.embedded.validation import check_structure
from capt.embedded.validation import validate as validate_value

RESOURCE_ID = "customresourcedefinitions.apiextensions.k8s.io"
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")

_DNS_1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and"
    " end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is"
    " '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_NODE = Schema(kinds()["schemaNode"])
_UNSUPPORTED = {
    **{w: f"{w} is not supported" for w in ("$ref", "definitions", "patternProperties", "dependencies")},
    "uniqueItems": "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
}
_NOT_IN_LOGIC = dict.fromkeys(
    ("default", "additionalProperties", "nullable"), "must be undefined to be structural"
)


def prepare(new: dict[str, Any], old: dict[str, Any] | None) -> None:
    """Complete the names and note the stored versions, in place."""
    complete_names(new["spec"]["names"])
    status = new.get("status") if old else {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}}
    new["status"] = status = dict(status or {})
    stored = list(status.get("storedVersions") or [])
    status["storedVersions"] = stored
    stored += [v["name"] for v in _versions(new) if v["storage"] and v["name"] not in stored]


def terminate(definition: dict[str, Any]) -> None:
    """Mark a definition whose objects are to be deleted first, in place."""
    finalizers = definition["metadata"].setdefault("finalizers", [])
    if CLEANUP_FINALIZER not in finalizers:
        finalizers.append(CLEANUP_FINALIZER)
    text = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    conditions = definition["status"].get("conditions") or []
    conditions.append(_condition("Terminating", "InstanceDeletionPending", text))
    definition["status"]["conditions"] = conditions


def _condition(kind: str, reason: str, message: str, *, holds: bool = True) -> dict[str, Any]:
    condition = {"type": kind, "status": str(holds), "lastTransitionTime": now()}
    return condition | {"reason": reason, "message": message}


def _versions(definition: dict[str, Any]) -> list[dict[str, Any]]:
    return definition["spec"].get("versions") or []


def validate(new: dict[str, Any], old: dict[str, Any] | None) -> Iterator[FieldError]:
    """What is wrong with a definition."""
    spec, names, versions = new["spec"], new["spec"]["names"], _versions(new)
    group, plural, name = spec.get("group", ""), names.get("plural", ""), new["metadata"].get("name", "")
    if name != f"{plural}.{group}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    yield from _name_errors(spec, names)
    if (stored := sum(version["storage"] for version in versions)) != 1:
        yield invalid("spec.versions", versions, "must have exactly one version marked as storage version")
        if not stored:
            yield invalid("status.storedVersions", None, "must have at least one stored version")
    if len({version["name"] for version in versions}) != len(versions):
        yield invalid("spec.versions", versions, "must contain unique version names")
    if (strategy := spec["conversion"].get("strategy")) != "None":
        yield not_supported("spec.conversion.strategy", strategy, ["None"])
    # what was accepted once need not be looked at again with every status
    if old is None or _versions(old) != versions:
        yield from _schema_errors(versions)
    if old is not None and is_established(old):
        for part, word in (("", "scope"), ("", "group"), ("names", "kind"), ("names", "plural")):
            before, after = (each[part][word] if part else each[word] for each in (old["spec"], spec))
            if before != after:
                yield invalid(f"spec.{part}.{word}".replace("..", "."), after, "field is immutable")


def _name_errors(spec: dict[str, Any], names: dict[str, Any]) -> Iterator[FieldError]:
    group, scope = spec.get("group", ""), spec.get("scope", "")
    single = {f"names.{word}": names.get(word) for word in ("plural", "singular", "kind", "listKind")}
    yield from (
        required(f"spec.{field}")
        for field, value in {"group": group, "scope": scope, **single}.items()
        if not value
    )
    if group and (not is_subdomain(group) or "." not in group):
        yield invalid("spec.group", group, "should be a domain with at least one dot")
    if scope not in ("", "Cluster", "Namespaced"):
        yield not_supported("spec.scope", scope, ["Cluster", "Namespaced"])
    several = {
        f"names.{w}[{i}]": n for w in ("shortNames", "categories") for i, n in enumerate(names.get(w) or [])
    }
    for field, value in (single | several).items():
        if value and not is_label(value.lower() if field.lower().endswith("kind") else value):
            yield invalid(f"spec.{field}", value, _DNS_1035)


def _schema_errors(versions: list[dict[str, Any]]) -> Iterator[FieldError]:
    for index, version in enumerate(versions):
        # the server looks at the parts of an only version as if they stood in spec itself
        alone = len(versions) == 1
        path, word = ("spec", "validation") if alone else (f"spec.versions[{index}]", "schema")
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")
        else:
            yield from _version_errors(version, path, f"{path}.{word}.openAPIV3Schema")


def _version_errors(version: dict[str, Any], path: str, where: str) -> Iterator[FieldError]:
    schema = version["schema"]["openAPIV3Schema"]
    if schema.get("type") != "object":
        yield invalid(f"{where}.type", schema.get("type", ""), "must be object at the root")
    structural = list(_structure_errors(schema, where))
    yield from structural or _meaning_errors(Schema(schema, root=True), where)
    for index, column in enumerate(version.get("additionalPrinterColumns") or []):
        field = f"{path}.additionalPrinterColumns[{index}]"
        if column["type"] not in _COLUMN_TYPES:
            yield invalid(f"{field}.type", column["type"], f"must be one of {','.join(_COLUMN_TYPES)}")
        try:
            json_path(column["jsonPath"])
        except ValueError:
            yield invalid(
                f"{field}.JSONPath", column["jsonPath"], "must be a simple json path starting with ."
            )
    scale = (version.get("subresources") or {}).get("scale") or {}
    for name, value in scale.items():
        roots = {"specReplicasPath": "spec", "statusReplicasPath": "status"}.get(name, "spec|status")
        if not re.fullmatch(rf"\.({roots})(\.[A-Za-z_][\w-]*)+", value):
            text = f"should be a json path under .{roots.replace('|', ' or .')}"
            yield invalid(f"{path}.subresources.scale.{name}", value, text)


def _structure_errors(node: Any, path: str, *, spine: bool = True) -> Iterator[FieldError]:
    """What keeps a schema from being structural (every node typed, structure outside of logic)."""
    _NODE.default(node)
    for error in check_structure(_NODE, node):
        if error.reason == "FieldValueTypeInvalid":
            problem = f"json: cannot unmarshal {error.value} into Go struct field {path}.{error.field}"
            raise cannot_handle("CustomResourceDefinition", "v1", problem)
        yield replace(error, field=f"{path}.{error.field}")
    yield from _node_errors(node, path, spine=spine)
    yield from _map_list_errors(node, path)
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
    for word, text in (_UNSUPPORTED | ({} if spine else _NOT_IN_LOGIC)).items():
        if node.get(word):
            yield forbidden_field(f"{path}.{word}", text)
    if node.get("properties") and node.get("additionalProperties"):
        text = "additionalProperties and properties are mutual exclusive"
        yield forbidden_field(f"{path}.additionalProperties", text)
    if spine and kind == "array" and "items" not in node:
        yield required(f"{path}.items", "must be specified")
    try:
        compile_pattern(node.get("pattern", ""))
    except re.error as error:
        text = f"must be a valid regular expression, but isn't: {error}"
        yield invalid(f"{path}.pattern", node["pattern"], text)


def _map_list_errors(node: dict[str, Any], path: str) -> Iterator[FieldError]:
    if node.get("x-kubernetes-list-type") == "map":
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
            for error in validate_value(child, child.source["default"]):
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
    kinds = {name for r in others for name in (r.kind, r.list_kind)}
    accepted, reason, message = dict(names), "NoConflicts", "no conflicts found"
    for name in ("plural", "singular", "shortNames", "kind", "listKind"):
        wanted = names.get(name) or []
        for each in wanted if isinstance(wanted, list) else [wanted]:
            if each in (kinds if name in ("kind", "listKind") else taken):
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
