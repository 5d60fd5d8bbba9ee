"""CustomResourceDefinitions: what is a valid one, Established and NamesAccepted, versions, live updates, removal."""

from __future__ import annotations

from typing import Any

from tests.conformance.kinds import gadget, versions
from tests.conformance.steps import (
    CRDS,
    Ref,
    defined,
    delete,
    get,
    gone,
    has_condition,
    json_patch,
    merge,
    post,
    put,
    removed,
    script,
    until,
)
from tests.support.api_client import definition, widget

_TEXT = {"type": "string"}
_BAD = f"{CRDS}/bads.example.com"
_V1, _OLD = (f"/apis/example.com/{v}/namespaces/{{ns}}/gadgets" for v in ("v1", "v1beta1"))


def _changed(**spec: Any) -> dict[str, Any]:
    manifest = definition("bads", "Bad")
    return manifest | {"spec": manifest["spec"] | spec}


def _schema(spec: Any) -> dict[str, Any]:
    return definition(
        "bads", "Bad", schema={"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    )


def _named(plural: str, kind: str, **names: Any) -> dict[str, Any]:
    manifest = definition(plural, kind)
    manifest["spec"]["names"] |= {"shortNames": [f"{plural}s"]} | names
    return manifest


def _causes(body: Any) -> Any:
    """Which fields are wrong and how; the sentences may differ."""
    causes = body.get("details", {}).get("causes", ())
    return body.get("code"), body.get("reason"), sorted({(c["field"], c["reason"]) for c in causes})


def _conditions(body: Any) -> Any:
    return (
        [{k: v for k, v in c.items() if k != "observedGeneration"} for c in body["status"]["conditions"]],
        body["status"]["acceptedNames"],
        body["status"]["storedVersions"],
    )


_REFUSED = (
    _changed(group="other.com"),
    _changed(scope="X"),
    _changed(versions=[]),
    _changed(names={"plural": "bads"}),
    _changed(names={"plural": "Bads", "kind": "bad"}),
    definition("bads", "Bad", storage=False),
    definition("bads", "Bad", schema=None),
    definition("bads", "Bad", schema={"openAPIV3Schema": {"type": "string"}}),
    _schema({"properties": {}}),
    _schema({"type": "text"}),
    _schema({"type": "array"}),
    _schema(_TEXT | {"pattern": "("}),
    _schema({"type": "object", "properties": {"a": _TEXT}, "additionalProperties": _TEXT}),
    _schema({"type": "integer", "default": "x"}),
    _schema({"type": "object", "properties": {"a": _TEXT}, "x-kubernetes-validations": [{"rule": "self.("}]}),
    _schema({"type": "array", "items": _TEXT, "x-kubernetes-list-type": "map"}),
    _schema({"type": "array", "items": _TEXT, "uniqueItems": True}),
    definition("bads", "Bad", additionalPrinterColumns=[{"name": "x", "type": "text", "jsonPath": ".a"}]),
    definition("bads", "Bad", additionalPrinterColumns=[{"name": "x", "type": "string", "jsonPath": "a b"}]),
    definition(
        "bads", "Bad", subresources={"scale": {"specReplicasPath": ".a[0]", "statusReplicasPath": ".b"}}
    ),
    {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"}},
)

SCRIPTS = (
    script(
        "definitions that are no good are refused",
        *(post(CRDS, manifest, view=_causes) for manifest in _REFUSED),
        get(_BAD),
    ),
    script(
        "a rule that names a field that is not in the schema is refused",
        post(
            CRDS,
            _schema(
                {
                    "type": "object",
                    "properties": {"a": _TEXT},
                    "x-kubernetes-validations": [{"rule": "self.b == 'x'"}],
                }
            ),
            view=_causes,
        ),
        removed("bads.example.com"),
    ),
    script(
        "a definition is established and its names accepted",
        defined(_named("firsts", "First")),
        get(f"{CRDS}/firsts.example.com"),
        get("/apis/example.com/v1/namespaces/{ns}/firsts"),
        post("/apis/example.com/v1/namespaces/{ns}/firsts", widget() | {"kind": "First"}),
        removed("firsts.example.com"),
        get("/apis/example.com/v1/namespaces/{ns}/firsts", view=lambda _: None),
    ),
    script(
        "names that are taken are not accepted",
        post(CRDS, _named("seconds", "Widget"), view=lambda _: None),
        until(f"{CRDS}/seconds.example.com", has_condition("NamesAccepted", "False")),
        get(f"{CRDS}/seconds.example.com", view=_conditions),
        removed("seconds.example.com"),
    ),
    script(
        "two versions show the same objects, each in its own form",
        post(_V1, gadget(replicas=3)),
        get(f"{_OLD}/g"),
        merge(f"{_OLD}/g", {"spec": {"color": "blue"}}),
        get(f"{_V1}/g"),
        post(_OLD, gadget("h", "v1beta1")),
        get(f"{_V1}/h"),
        get(_OLD),
    ),
    script(
        "a schema can change while objects exist",
        defined(_named("thirds", "Third")),
        post("/apis/example.com/v1/namespaces/{ns}/thirds", widget(note="n", replicas=3) | {"kind": "Third"}),
        json_patch(
            f"{CRDS}/thirds.example.com",
            {
                "op": "add",
                "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/fresh",
                "value": _TEXT | {"default": "new"},
            },
            {
                "op": "remove",
                "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/note",
            },
            view=lambda body: body["metadata"]["generation"],
        ),
        until("/apis/example.com/v1/namespaces/{ns}/thirds/w", lambda o: "fresh" in o["spec"]),
        get("/apis/example.com/v1/namespaces/{ns}/thirds/w"),
        merge("/apis/example.com/v1/namespaces/{ns}/thirds/w", {"metadata": {"labels": {"a": "b"}}}),
        removed("thirds.example.com"),
    ),
    script(
        "a version can be added and the stored one changed",
        defined(_named("fourths", "Fourth")),
        post("/apis/example.com/v1/namespaces/{ns}/fourths", widget() | {"kind": "Fourth"}),
        merge(
            f"{CRDS}/fourths.example.com",
            {"spec": {"versions": versions("v2", "v1")}},
            view=lambda body: body["status"]["storedVersions"],
        ),
        until("/apis/example.com/v2/namespaces/{ns}/fourths/w", lambda _: True),
        get("/apis/example.com/v2/namespaces/{ns}/fourths/w"),
        post(
            "/apis/example.com/v2/namespaces/{ns}/fourths",
            widget("v") | {"kind": "Fourth", "apiVersion": "example.com/v2"},
        ),
        get("/apis/example.com/v1/namespaces/{ns}/fourths/v"),
        removed("fourths.example.com"),
    ),
    script(
        "what is established cannot change its scope or group",
        defined(_named("fifths", "Fifth")),
        merge(f"{CRDS}/fifths.example.com", {"spec": {"scope": "Cluster"}}, view=_causes),
        merge(f"{CRDS}/fifths.example.com", {"spec": {"names": {"kind": "Other"}}}, view=_causes),
        get(f"{CRDS}/fifths.example.com", save="d", view=lambda _: None),
        put(f"{CRDS}/fifths.example.com", _named("fifths", "Fifth"), view=_causes),
        put(
            f"{CRDS}/fifths.example.com",
            {
                **_named("fifths", "Fifth"),
                "metadata": {
                    "name": "fifths.example.com",
                    "resourceVersion": Ref("d", "metadata.resourceVersion"),
                },
            },
            view=lambda body: body["kind"],
        ),
        removed("fifths.example.com"),
    ),
    script(
        "deleting a definition deletes its objects first",
        defined(_named("sixths", "Sixth")),
        post("/apis/example.com/v1/namespaces/{ns}/sixths", widget() | {"kind": "Sixth"}),
        post(
            "/apis/example.com/v1/namespaces/{ns}/sixths",
            widget("held", meta={"finalizers": ["example.com/f"]}) | {"kind": "Sixth"},
        ),
        delete(
            f"{CRDS}/sixths.example.com", view=lambda body: (body["kind"], body["metadata"].get("finalizers"))
        ),
        gone("/apis/example.com/v1/namespaces/{ns}/sixths/w"),
        until(
            "/apis/example.com/v1/namespaces/{ns}/sixths/held", lambda o: "deletionTimestamp" in o["metadata"]
        ),
        merge(
            "/apis/example.com/v1/namespaces/{ns}/sixths/held",
            {"metadata": {"finalizers": None}},
            view=lambda _: None,
        ),
        gone(f"{CRDS}/sixths.example.com"),
    ),
    script("a definition that is not there", get(_BAD), delete(_BAD), merge(_BAD, {})),
)
