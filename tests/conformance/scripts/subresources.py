"""The status and scale subresources."""

from __future__ import annotations

from tests.conformance.kinds import plain
from tests.conformance.steps import (
    CONFIG_MAPS,
    NAMESPACES,
    WIDGETS,
    Ref,
    get,
    json_patch,
    merge,
    post,
    put,
    script,
)
from tests.support.api_client import widget

_W = f"{WIDGETS}/w"
_CHECKS = "/apis/example.com/v1/namespaces/{ns}/checks"


def _scale(replicas: int, **meta: object) -> dict[str, object]:
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {"name": "w", "namespace": "{ns}", **meta},
        "spec": {"replicas": replicas},
    }


SCRIPTS = (
    script(
        "status is written through its subresource only",
        post(WIDGETS, widget() | {"status": {"a": 1}}, save="w"),
        merge(_W, {"status": {"a": 1}}),
        merge(
            f"{_W}/status",
            {"status": {"a": 1}, "spec": {"color": "blue"}, "metadata": {"labels": {"a": "b"}}},
        ),
        get(f"{_W}/status"),
        get(_W, save="now"),
        put(
            f"{_W}/status",
            widget(color="blue", meta={"resourceVersion": Ref("now", "metadata.resourceVersion")})
            | {"status": {"b": 2}},
        ),
        put(f"{_W}/status", widget()),
        json_patch(f"{_W}/status", {"op": "add", "path": "/status/c", "value": 3}),
        merge(f"{_W}/status", {"status": None}),
        merge(f"{_W}/status", {"status": {"a": 1}}),
        merge(f"{_W}/status", {"status": {"a": 1}}),
        merge(f"{_W}/status", {"metadata": {"finalizers": ["example.com/x"], "annotations": {"a": "b"}}}),
        merge(f"{WIDGETS}/nope/status", {"status": {}}),
        get(f"{WIDGETS}/nope/status"),
        get(f"{CONFIG_MAPS}/c/status"),
    ),
    script(
        "a change of the status leaves the generation alone",
        post(WIDGETS, widget()),
        merge(f"{_W}/status", {"status": {"a": 1}}),
        merge(_W, {"metadata": {"labels": {"a": "b"}}}),
        merge(_W, {"spec": {"color": "blue"}}),
        merge(_W, {"spec": {"color": "blue"}}),
    ),
    script(
        "scale shows and sets the replicas",
        post(WIDGETS, widget(replicas=2)),
        get(f"{_W}/scale"),
        merge(f"{_W}/status", {"status": {"replicas": 2, "selector": "a=b"}}),
        get(f"{_W}/scale"),
        merge(f"{_W}/scale", {"spec": {"replicas": 3}}),
        put(f"{_W}/scale", _scale(4)),
        get(_W, save="w"),
        put(f"{_W}/scale", _scale(5, resourceVersion=Ref("w", "metadata.resourceVersion"))),
        put(f"{_W}/scale", _scale(6, resourceVersion=Ref("w", "metadata.resourceVersion"))),
        merge(f"{_W}/scale", {"spec": {"replicas": -3}}),
        merge(f"{_W}/scale", {"spec": {"replicas": 30}}),
        merge(f"{_W}/scale", {"spec": {"replicas": "x"}}),
        get(_W),
        get(f"{WIDGETS}/nope/scale"),
        merge(f"{WIDGETS}/nope/scale", {"spec": {"replicas": 3}}),
        post(_CHECKS, plain("Check", "c", {})),
        get(f"{_CHECKS}/c/scale"),
    ),
    script(
        "a namespace has a status too",
        merge(f"{NAMESPACES}/{{ns}}/status", {"status": {"conditions": [{"type": "Odd", "status": "True"}]}}),
        merge(f"{NAMESPACES}/{{ns}}", {"metadata": {"labels": {"a": "b"}}}),
    ),
)
