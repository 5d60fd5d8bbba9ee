"""OpenAPI v3 documents, enough for ``kubectl apply``, ``kubectl explain`` and clients that validate before they send."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from capt.embedded import discovery
from capt.embedded.assets import kinds
from capt.embedded.patches import accepted_by
from capt.embedded.resource import Catalogue, Resource

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_KIND = "x-kubernetes-group-version-kind"
_DESCRIPTIONS = {
    "apiVersion": "APIVersion defines the versioned schema of this representation of an object.",
    "kind": "Kind is a string value representing the REST resource this object represents.",
}
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
_JSON = "application/json"


def _path_of(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def document(catalogue: Catalogue, parts: list[str]) -> dict[str, Any] | None:
    """``/openapi/v3``, the index, and ``/openapi/v3/<path>``, one group and version; None when it is not served."""
    paths = {_path_of(r.group, r.version) for r in catalogue}
    if parts == ["openapi", "v3"]:
        mark = hashlib.sha256(str(catalogue.revision).encode()).hexdigest()[
            :16
        ]  # changes when what is served does
        return {"paths": {p: {"serverRelativeURL": f"/openapi/v3/{p}?hash={mark}"} for p in sorted(paths)}}
    served = [r for r in catalogue if ["openapi", "v3", *_path_of(r.group, r.version).split("/")] == parts]
    if not served:
        return None
    meta = kinds()["objectMeta"] | {"description": "ObjectMeta is metadata that all objects have."}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": discovery.VERSION["gitVersion"]},
        "paths": {path: operations for r in served for path, operations in _paths(r).items()},
        "components": {"schemas": {_META: meta} | {_name(r): _schema(r) for r in served}},
    }


def _name(resource: Resource) -> str:
    group = ".".join(reversed((resource.group or "core.api.k8s.io").split(".")))
    return f"{group}.{resource.version}.{resource.kind}"


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema(resource: Resource) -> dict[str, Any]:
    known = {name: {"type": "string", "description": text} for name, text in _DESCRIPTIONS.items()}
    meta: dict[str, Any] = {"allOf": [{"$ref": f"#/components/schemas/{_META}"}], "default": {}}
    known["metadata"] = meta | {"description": "Standard object's metadata."}
    own = resource.schema.source.get("properties") or {}
    properties = known | {name: node for name, node in own.items() if name not in known}
    return {**resource.schema.source, "properties": properties, _KIND: [_gvk(resource)]}


def _paths(resource: Resource) -> dict[str, Any]:
    base = f"/{_path_of(resource.group, resource.version)}"
    base += f"/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else f"/{resource.plural}"
    body = {"schema": {"$ref": f"#/components/schemas/{_name(resource)}"}}

    def operation(action: str, parameters: Sequence[str], formats: Sequence[str] = ()) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "x-kubernetes-action": action,
            _KIND: _gvk(resource),
            "parameters": [{"name": p, "in": "query", "schema": {"type": "string"}} for p in parameters],
            "responses": {"200": {"description": "OK", "content": {_JSON: body}}},
        }
        return shown | ({"requestBody": {"content": dict.fromkeys(formats, body)}} if formats else {})

    return {
        base: {
            "get": operation("list", ("fieldSelector", "labelSelector", "limit", "watch")),
            "post": operation("post", _WRITE_PARAMETERS, [_JSON]),
            "delete": operation("deletecollection", ("dryRun", "fieldSelector", "labelSelector")),
        },
        f"{base}/{{name}}": {
            "get": operation("get", ()),
            "put": operation("put", _WRITE_PARAMETERS, [_JSON]),
            "patch": operation("patch", _WRITE_PARAMETERS, accepted_by(resource)),
            "delete": operation("delete", ("dryRun", "propagationPolicy")),
        },
    }
