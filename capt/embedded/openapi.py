"""OpenAPI v3 documents, enough for ``kubectl apply``, ``kubectl explain`` and clients that validate before they send."""

from __future__ import annotations

import hashlib
from typing import Any

from capt.embedded import discovery
from capt.embedded.patches import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from capt.embedded.resource import Catalogue, Resource
from capt.embedded.schema import METADATA_FIELDS

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_KIND = "x-kubernetes-group-version-kind"
_DESCRIPTIONS = {
    "apiVersion": "APIVersion defines the versioned schema of this representation of an object.",
    "kind": "Kind is a string value representing the REST resource this object represents.",
    "metadata": "Standard object's metadata.",
}
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
_LIST_PARAMETERS = [
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
]


def _path_of(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def index(catalogue: Catalogue) -> dict[str, Any]:
    """``/openapi/v3``: where the documents are; their addresses change when the served resources do."""
    mark = hashlib.sha256(str(catalogue.revision).encode()).hexdigest()[:16]
    paths = {_path_of(r.group, r.version) for r in catalogue}
    return {
        "paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={mark}"} for path in sorted(paths)}
    }


def document(catalogue: Catalogue, path: str) -> dict[str, Any] | None:
    """``/openapi/v3/<path>``: one group and version; None when it is not served."""
    served = [r for r in catalogue if _path_of(r.group, r.version) == path]
    if not served:
        return None
    schemas: dict[str, Any] = {
        _META: {
            "type": "object",
            "description": "ObjectMeta is metadata that all objects have.",
            "properties": METADATA_FIELDS,
        }
    }
    paths: dict[str, Any] = {}
    for resource in served:
        schemas[_name(resource)] = _schema(resource)
        paths |= _paths(resource)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": discovery.VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _name(resource: Resource) -> str:
    group = ".".join(reversed((resource.group or "core.api.k8s.io").split(".")))
    return f"{group}.{resource.version}.{resource.kind}"


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema(resource: Resource) -> dict[str, Any]:
    shown = dict(resource.schema.source)
    known: dict[str, Any] = {name: {"type": "string"} for name in ("apiVersion", "kind")}
    known["metadata"] = {"allOf": [{"$ref": f"#/components/schemas/{_META}"}], "default": {}}
    for name, text in _DESCRIPTIONS.items():
        known[name]["description"] = text
    shown["properties"] = known | {
        name: node for name, node in (shown.get("properties") or {}).items() if name not in known
    }
    shown[_KIND] = [_gvk(resource)]
    return shown


def _paths(resource: Resource) -> dict[str, Any]:
    base = f"/{_path_of(resource.group, resource.version)}"
    if resource.namespaced:
        base += "/namespaces/{namespace}"
    collection, item = f"{base}/{resource.plural}", f"{base}/{resource.plural}/{{name}}"
    patches = [JSON_PATCH, MERGE_PATCH, *(() if resource.custom else (STRATEGIC_PATCH,))]
    body = {"$ref": f"#/components/schemas/{_name(resource)}"}

    def operation(action: str, parameters: Any, content: Any = ()) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "x-kubernetes-action": action,
            _KIND: _gvk(resource),
            "parameters": [
                {"name": name, "in": "query", "schema": {"type": "string"}} for name in parameters
            ],
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": body}}}},
        }
        if content:
            shown["requestBody"] = {"content": {media_type: {"schema": body} for media_type in content}}
        return shown

    write = ["application/json"]
    return {
        collection: {
            "get": operation("list", _LIST_PARAMETERS),
            "post": operation("post", _WRITE_PARAMETERS, write),
            "delete": operation("deletecollection", _LIST_PARAMETERS),
        },
        item: {
            "get": operation("get", ()),
            "put": operation("put", _WRITE_PARAMETERS, write),
            "patch": operation("patch", _WRITE_PARAMETERS, patches),
            "delete": operation("delete", ("dryRun", "propagationPolicy")),
        },
    }
