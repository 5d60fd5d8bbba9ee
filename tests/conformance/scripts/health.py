"""Health, version, and paths where nothing is.

Probes and the version are what a client asks before anything else.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import get, merge, post, script, send


def _kinds_of_values(body: Any) -> Any:
    """The names and types of a document whose values are the build's own."""
    return {name: type(value).__name__ for name, value in body.items()} | {
        "major": body["major"],
        "minor": body["minor"],
    }


SCRIPTS = (
    script("the probes answer ok", get("/healthz"), get("/livez"), get("/readyz")),
    script("a single check can be asked for", get("/livez/ping"), get("/readyz/ping")),
    script("the version has the same fields", get("/version", view=_kinds_of_values)),
    script(
        "an unknown path is not found",
        get("/nothing"),
        get("/apis/nothing.example.com"),
        get("/apis/nothing.example.com/v1"),
        get("/apis/example.com/v9/namespaces/{ns}/widgets"),
        get("/apis/example.com/v1/namespaces/{ns}/nothings"),
        post("/apis/example.com/v1/namespaces/{ns}/nothings", {}),
        get("/api/v1/namespaces/{ns}/configmaps/c/log"),
        get("/apis/example.com/v1/namespaces/{ns}/widgets/w/log"),
    ),
    script(
        "a verb that a path does not have is refused",
        send("PUT", "/apis/example.com/v1/namespaces/{ns}/widgets", {}),
        merge("/apis/example.com/v1/namespaces/{ns}/widgets", {}),
        post("/apis/example.com/v1/widgets", {}),
        get("/apis/example.com/v1/widgets/w"),
        post("/api/v1/namespaces/{ns}/configmaps/c", {}),
        send("PUT", "/api/v1/namespaces/{ns}/configmaps", {}),
        post("/api/v1/configmaps", {}),
        get("/api/v1/configmaps/c"),
        post("/version", {}),
    ),
    script(
        "a format that cannot be served is refused",
        get("/apis/example.com/v1/namespaces/{ns}/widgets", headers={"Accept": "text/xml"}),
        get("/api/v1/namespaces/{ns}/configmaps", headers={"Accept": "text/xml"}),
    ),
)
