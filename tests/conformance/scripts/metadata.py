"""Metadata: names, generateName, uid, generation, creationTimestamp, labels, finalizers, owners."""

from __future__ import annotations

from tests.conformance.steps import (
    CONFIG_MAPS,
    LEASES,
    WIDGETS,
    Ref,
    config_map,
    get,
    merge,
    post,
    put,
    script,
)
from tests.support.api_client import widget

_W = f"{WIDGETS}/w"
_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "11111111-2222-3333-4444-555555555555"}

SCRIPTS = (
    script(
        "what the server owns cannot be set",
        post(
            WIDGETS,
            widget(
                meta={
                    "uid": "x",
                    "generation": 5,
                    "creationTimestamp": "2001-01-01T00:00:00Z",
                    "deletionTimestamp": "2001-01-01T00:00:00Z",
                    "selfLink": "/x",
                }
            ),
            save="w",
        ),
        merge(
            _W,
            {
                "metadata": {
                    "generation": 7,
                    "creationTimestamp": "2001-01-01T00:00:00Z",
                    "deletionTimestamp": "2001-01-01T00:00:00Z",
                }
            },
        ),
        merge(_W, {"metadata": {"uid": "x"}}),
        merge(_W, {"metadata": {"name": "x"}}),
        merge(_W, {"metadata": {"namespace": "x"}}),
        post(WIDGETS, widget("v", meta={"resourceVersion": "1"})),
        post(CONFIG_MAPS, config_map(resourceVersion="1")),
        post(WIDGETS, widget("v", meta={"namespace": "default"})),
        post(CONFIG_MAPS, config_map("v", namespace="default")),
    ),
    script(
        "names are checked",
        *(
            post(WIDGETS, widget(name))
            for name in ("", "X", "a b", "a..b", "-a", "a" * 254, "a.b", "a" * 253)
        ),
        *(post(CONFIG_MAPS, config_map(name)) for name in ("", "X", "a/b", "a" * 254, "a.b")),
        post(LEASES, {"metadata": {"name": "A"}}),
    ),
    script(
        "a name that is taken is a conflict",
        post(WIDGETS, widget()),
        post(WIDGETS, widget(color="blue")),
        post(CONFIG_MAPS, config_map()),
        post(CONFIG_MAPS, config_map()),
    ),
    script(
        "generateName draws a name",
        post(WIDGETS, widget("") | {"metadata": {"generateName": "drawn-"}}),
        post(WIDGETS, widget("given", meta={"generateName": "drawn-"})),
        post(CONFIG_MAPS, {"metadata": {"generateName": "drawn-"}}),
        post(
            WIDGETS,
            widget("") | {"metadata": {"generateName": "Bad_"}},
            view=lambda body: [c["field"] for c in body["details"]["causes"]],
        ),
    ),
    script(
        "labels and annotations are checked",
        post(WIDGETS, widget("a", meta={"labels": {"a b": "c d"}})),
        post(WIDGETS, widget("b", meta={"labels": {"x/y/z": "c"}})),
        post(WIDGETS, widget("b", meta={"labels": {"/a": "b"}})),
        post(WIDGETS, widget("b", meta={"labels": {"UPPER.com/a": "v"}})),
        post(WIDGETS, widget("c", meta={"labels": {"a": "b" * 64}})),
        post(WIDGETS, widget("d", meta={"annotations": {"a b": "c d"}})),
        post(WIDGETS, widget("e", meta={"annotations": {"a": "any text ☃"}})),
        post(WIDGETS, widget("f", meta={"annotations": {"a": "x" * 262144}})),
        post(WIDGETS, widget("g", meta={"labels": {"a" * 64: ""}})),
        post(CONFIG_MAPS, config_map("a", labels={"a b": "c d"})),
        post(CONFIG_MAPS, config_map("b", labels={}, annotations={}, finalizers=[], ownerReferences=[])),
        post(
            WIDGETS,
            widget("h", meta={"labels": {}, "annotations": {}, "finalizers": [], "ownerReferences": []}),
        ),
        post(WIDGETS, widget("i", meta={"labels": None, "annotations": None})),
    ),
    script(
        "finalizers are checked",
        post(WIDGETS, widget("a", meta={"finalizers": ["plain"]})),
        post(WIDGETS, widget("b", meta={"finalizers": ["bad name/x y"]})),
        post(WIDGETS, widget("c", meta={"finalizers": ["example.com/a", "example.com/a"]})),
        post(CONFIG_MAPS, config_map("a", finalizers=["plain"])),
        post(CONFIG_MAPS, config_map("b", finalizers=["example.com/a"])),
        merge(f"{CONFIG_MAPS}/b", {"metadata": {"finalizers": ["plain"]}}),
        merge(f"{WIDGETS}/a", {"metadata": {"finalizers": ["other"]}}),
        merge(f"{WIDGETS}/a", {"metadata": {"finalizers": None}}),
        merge(f"{CONFIG_MAPS}/b", {"metadata": {"finalizers": None}}),
    ),
    script(
        "owner references are checked",
        post(CONFIG_MAPS, config_map("a", ownerReferences=[{"name": "x"}])),
        post(WIDGETS, widget("a", meta={"ownerReferences": [{"name": "x"}]})),
        post(
            WIDGETS,
            widget(
                "b",
                meta={
                    "ownerReferences": [
                        _OWNER | {"controller": True},
                        _OWNER
                        | {"controller": True, "name": "y", "uid": "21111111-2222-3333-4444-555555555555"},
                    ]
                },
            ),
        ),
        post(WIDGETS, widget("c", meta={"ownerReferences": [_OWNER | {"apiVersion": ""}]})),
    ),
    script(
        "generation counts changes of what is wanted",
        post(WIDGETS, widget()),
        merge(_W, {"spec": {"replicas": 3}}),
        merge(_W, {"metadata": {"annotations": {"a": "b"}}}),
        merge(_W, {"spec": {"note": "x"}}),
        get(_W, save="w"),
        put(_W, widget(replicas=3, note="x", meta={"resourceVersion": Ref("w", "metadata.resourceVersion")})),
        post(CONFIG_MAPS, config_map()),
        merge(f"{CONFIG_MAPS}/c", {"data": {"x": "y"}}),
    ),
    script(
        "a write that changes nothing makes no new version",
        post(WIDGETS, widget(), save="w"),
        merge(_W, {}),
        merge(_W, {"spec": {"color": "red"}}),
        merge(_W, {"metadata": {"labels": {}}}),
        put(_W, widget(replicas=1, meta={"resourceVersion": Ref("w", "metadata.resourceVersion")})),
        post(CONFIG_MAPS, config_map()),
        put(f"{CONFIG_MAPS}/c", config_map()),
    ),
)
