"""OpenAPI v3: what ``kubectl explain`` and validation before sending need."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import get, script

_GVK = "x-kubernetes-group-version-kind"


def _index(body: Any) -> Any:
    wanted = (
        "api/v1",
        "apis/example.com/v1",
        "apis/example.com/v1beta1",
        "apis/apiextensions.k8s.io/v1",
        "apis/coordination.k8s.io/v1",
    )
    return {path: body["paths"][path]["serverRelativeURL"].partition("?")[0] for path in wanted}


def _kind(document: Any, kind: str) -> Any:
    return next(
        schema
        for schema in document["components"]["schemas"].values()
        if any(each["kind"] == kind for each in schema.get(_GVK, ()))
    )


def _meaning(node: Any, schemas: Any, depth: int = 0) -> Any:
    """A node's properties, types and merge keys, references followed; descriptions and formats left out."""
    for each in node.get("allOf", ()):
        node = node | each
    if "$ref" in node:
        node = schemas[node["$ref"].rpartition("/")[2]] | {k: v for k, v in node.items() if k != "$ref"}
        for each in node.get("allOf", ()):
            node = node | each
    kept = {k: node[k] for k in ("type", "required", "enum", "x-kubernetes-patch-merge-key") if k in node}
    if depth < 4:
        for word in ("properties",):
            if word in node:
                kept[word] = {name: _meaning(child, schemas, depth + 1) for name, child in node[word].items()}
        for word in ("items", "additionalProperties"):
            if isinstance(node.get(word), dict):
                kept[word] = _meaning(node[word], schemas, depth + 1)
    return kept


def _schema(kind: str) -> Any:
    def view(document: Any) -> Any:
        found = _meaning(_kind(document, kind), document["components"]["schemas"])
        found["properties"].pop("metadata")
        return found

    return view


def _operations(document: Any) -> Any:
    """Which verbs the paths of Widgets have, and which patch formats they take."""
    found: dict[str, Any] = {}
    base = "/apis/example.com/v1/namespaces/{namespace}/widgets"
    for path in (base, f"{base}/{{name}}"):
        for verb, operation in document["paths"][path].items():
            if isinstance(operation, dict):
                content = (
                    sorted(operation.get("requestBody", {}).get("content", {})) if verb == "patch" else []
                )
                found[f"{verb} {path}"] = [operation["x-kubernetes-action"], content, operation[_GVK]]
    return found


def _metadata(document: Any) -> Any:
    schemas = document["components"]["schemas"]
    return _meaning(_kind(document, "Widget")["properties"]["metadata"], schemas)


def _described(document: Any) -> Any:
    spec = _kind(document, "Widget")["properties"]["spec"]
    return {"spec": spec["description"], "color": spec["properties"]["color"]["description"]}


_EXAMPLE = "/openapi/v3/apis/example.com/v1"

SCRIPTS = (
    script("the index says where the documents are", get("/openapi/v3", view=_index)),
    script("a custom kind's schema is the definition's", get(_EXAMPLE, view=_schema("Widget"))),
    script("descriptions are those of the definition", get(_EXAMPLE, view=_described)),
    script("metadata is described", get(_EXAMPLE, view=_metadata)),
    script("the paths say which verbs and patch formats there are", get(_EXAMPLE, view=_operations)),
    script(
        "built-in kinds have their schema",
        get("/openapi/v3/api/v1", view=_schema("ConfigMap")),
        get("/openapi/v3/api/v1", view=_schema("Secret")),
        get("/openapi/v3/apis/coordination.k8s.io/v1", view=_schema("Lease")),
    ),
    script("no document for what is not served", get("/openapi/v3/apis/nothing.example.com/v1")),
)
