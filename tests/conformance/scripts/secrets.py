"""Secrets, ConfigMaps, Events and Leases: their own rules."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import (
    CONFIG_MAPS,
    EVENTS,
    LEASES,
    SECRETS,
    Ref,
    config_map,
    delete,
    get,
    merge,
    post,
    put,
    script,
    strategic,
)

_S, _L, _E = f"{SECRETS}/s", f"{LEASES}/l", f"{EVENTS}/e"


def _secret(name: str = "s", **rest: Any) -> dict[str, Any]:
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, **rest}


def _lease(name: str = "l", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def _event(name: str = "e", **rest: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "involvedObject": {"kind": "Widget", "namespace": "{ns}", "name": "w"},
        **rest,
    }


SCRIPTS = (
    script(
        "a secret's data is base64, stringData is encoded",
        post(SECRETS, _secret(stringData={"a": "b"}, data={"c": "ZA==", "a": "eA=="})),
        post(SECRETS, _secret("t", data={"a": "not base64"})),
        post(SECRETS, _secret("t", data={"a": "YQ"})),
        post(SECRETS, _secret("t", data={"a b": ""})),
        post(SECRETS, _secret("t", data={"a": None})),
        merge(_S, {"stringData": {"z": "q"}}),
        merge(_S, {"data": {"a": None}}),
        merge(_S, {"data": {"x": "?"}}, view=lambda body: (body["code"], body["reason"])),
        put(_S, _secret(data={"only": "ZA=="})),
    ),
    script(
        "a secret's type",
        post(SECRETS, _secret()),
        merge(_S, {"type": "x"}),
        post(SECRETS, _secret("t", type="example.com/own")),
        post(SECRETS, _secret("tls", type="kubernetes.io/tls", data={"tls.crt": ""})),
        post(SECRETS, _secret("tls", type="kubernetes.io/tls", data={"tls.crt": "", "tls.key": ""})),
    ),
    script(
        "what is immutable stays as it is",
        post(SECRETS, _secret(data={"a": "ZA=="}, immutable=True)),
        merge(_S, {"data": {"q": "ZA=="}}),
        merge(_S, {"immutable": False}),
        merge(_S, {"metadata": {"labels": {"a": "b"}}}),
        post(CONFIG_MAPS, config_map() | {"immutable": True}),
        merge(f"{CONFIG_MAPS}/c", {"data": {"q": "x"}}),
        merge(f"{CONFIG_MAPS}/c", {"immutable": None}),
    ),
    script(
        "configmaps hold text and binary data",
        post(CONFIG_MAPS, config_map() | {"binaryData": {"b": "ZA=="}}),
        post(CONFIG_MAPS, config_map("d", data={"a b": ""})),
        post(CONFIG_MAPS, config_map("e", data={"same": ""}) | {"binaryData": {"same": "ZA=="}}),
        post(CONFIG_MAPS, config_map("big", data={"a": "x" * 1048577})),
        post(CONFIG_MAPS, {"metadata": {"name": "bare"}}),
        merge(f"{CONFIG_MAPS}/c", {"data": {"a": None}}),
        merge(f"{CONFIG_MAPS}/c", {"data": None}),
    ),
    script(
        "leases",
        put(
            _L,
            _lease(
                holderIdentity="me",
                renewTime="2024-01-02T03:04:05.678901Z",
                acquireTime="2024-01-02T03:04:05.000000Z",
            ),
            save="l",
        ),
        put(_L, _lease()),
        put(
            _L,
            {
                "metadata": {"name": "l", "resourceVersion": Ref("l", "metadata.resourceVersion")},
                "spec": {"holderIdentity": "you", "leaseTransitions": 1},
            },
        ),
        put(
            _L,
            {
                "metadata": {"name": "l", "resourceVersion": Ref("l", "metadata.resourceVersion")},
                "spec": {"holderIdentity": "late"},
            },
        ),
        merge(_L, {"spec": {"leaseDurationSeconds": 0}}),
        merge(_L, {"spec": {"leaseTransitions": -1}}),
        post(LEASES, _lease("x", leaseDurationSeconds="x"), view=lambda body: (body["code"], body["reason"])),
        post(LEASES, _lease("y", renewTime="x"), view=lambda body: (body["code"], body["reason"])),
        post(LEASES, {"metadata": {"name": "bare"}}),
        get(_L),
        delete(_L),
    ),
    script(
        "events",
        post(EVENTS, _event(reason="R", message="m", type="Normal", firstTimestamp=None)),
        post(
            EVENTS,
            {"metadata": {"name": "x"}, "involvedObject": {"kind": "Widget", "namespace": "elsewhere"}},
        ),
        strategic(_E, {"count": 2, "lastTimestamp": "2024-01-02T03:04:05Z"}),
        put(f"{EVENTS}/new", _event("new", reason="Made by PUT")),
        get(_E),
        delete(_E),
    ),
    script(
        "service accounts",
        post(
            "/api/v1/namespaces/{ns}/serviceaccounts",
            {"metadata": {"name": "sa"}, "imagePullSecrets": [{"name": "x"}]},
        ),
        strategic("/api/v1/namespaces/{ns}/serviceaccounts/sa", {"imagePullSecrets": [{"name": "y"}]}),
    ),
)
