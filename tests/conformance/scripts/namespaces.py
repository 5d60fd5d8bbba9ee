"""Namespaces: objects need one, and its deletion empties it."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import (
    CONFIG_MAPS,
    NAMESPACES,
    config_map,
    delete,
    get,
    gone,
    merge,
    post,
    put,
    script,
    until,
)
from tests.support.api_client import widget

_N = f"{NAMESPACES}/{{ns}}-x"


def _phase(body: Any) -> Any:
    return body["status"]["phase"], body["spec"], "deletionTimestamp" in body["metadata"]


SCRIPTS = (
    script(
        "a namespace as it is made",
        post(
            NAMESPACES,
            {
                "metadata": {"name": "{ns}-x"},
                "spec": {"finalizers": ["example.com/x"]},
                "status": {"phase": "Odd"},
            },
        ),
        post(NAMESPACES, {"metadata": {"name": "{ns}-x"}}),
        post(NAMESPACES, {"metadata": {"name": "a.b"}}),
        post(NAMESPACES, {"metadata": {"name": "A"}}),
        post(NAMESPACES, {"metadata": {"name": "a" * 64}}),
        merge(_N, {"metadata": {"labels": {"a": "b"}}}),
        merge(_N, {"metadata": {"labels": None}}),
        merge(_N, {"spec": {"finalizers": []}}),
        put(_N, {"metadata": {"name": "{ns}-x"}}),
        get(
            "/api/v1/namespaces/default",
            view=lambda body: (body["metadata"]["labels"], body["spec"], body["status"]),
        ),
    ),
    script(
        "what is in no namespace, or in one that does not exist, is refused",
        post(f"{NAMESPACES}/{{ns}}-none/configmaps", config_map()),
        post("/apis/example.com/v1/namespaces/{ns}-none/widgets", widget()),
        get(f"{NAMESPACES}/{{ns}}-none/configmaps"),
        get("/apis/example.com/v1/namespaces/{ns}-none/widgets"),
        get(f"{NAMESPACES}/{{ns}}-none/configmaps/c"),
        delete(f"{NAMESPACES}/{{ns}}-none/configmaps/c"),
        get(f"{NAMESPACES}/{{ns}}-none"),
    ),
    script(
        "deletion empties it",
        post(NAMESPACES, {"metadata": {"name": "{ns}-x"}}, view=lambda _: None),
        post(f"{_N}/configmaps", config_map()),
        post(f"{_N}/secrets", {"metadata": {"name": "s"}}),
        post("/apis/example.com/v1/namespaces/{ns}-x/widgets", widget(), view=lambda _: None),
        delete(_N, view=_phase),
        gone(_N),
        get(f"{_N}/configmaps/c"),
        get("/apis/example.com/v1/namespaces/{ns}-x/widgets/w"),
    ),
    script(
        "while it is being deleted nothing new comes in",
        post(NAMESPACES, {"metadata": {"name": "{ns}-x"}}, view=lambda _: None),
        post(f"{_N}/configmaps", config_map("held", finalizers=["example.com/f"])),
        delete(_N, view=_phase),
        until(f"{_N}/configmaps/held", lambda o: "deletionTimestamp" in o["metadata"]),
        get(_N, view=_phase),
        post(f"{_N}/configmaps", config_map()),
        post("/apis/example.com/v1/namespaces/{ns}-x/widgets", widget()),
        delete(_N, view=lambda body: body["kind"]),
        merge(f"{_N}/configmaps/held", {"metadata": {"finalizers": None}}, view=lambda _: None),
        gone(_N),
    ),
    script(
        "the system's own cannot be deleted",
        delete("/api/v1/namespaces/default"),
        delete("/api/v1/namespaces/kube-system"),
    ),
    script(
        "a namespace that is not there",
        get(f"{NAMESPACES}/nope"),
        delete(f"{NAMESPACES}/nope"),
        merge(f"{NAMESPACES}/nope", {}),
        get(CONFIG_MAPS),
    ),
)
