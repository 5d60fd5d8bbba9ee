from __future__ import annotations

from typing import Any

import pytest

from tests.support.api_client import CONFIG_MAPS, Client, config_map

SECRETS = "/api/v1/namespaces/default/secrets"
EVENTS = "/api/v1/namespaces/default/events"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
TABLE = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}


def secret(**rest: Any) -> dict[str, Any]:
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, **rest}


def event(event_name: str = "e", **involved: Any) -> dict[str, Any]:
    reference = {"kind": "Widget", "namespace": "default", "name": "w", "uid": "u1", **involved}
    return {
        "metadata": {"name": event_name},
        "involvedObject": reference,
        "reason": "Made",
        "message": "made it",
        "type": "Normal",
    }


async def test_namespaces_begin_active(api: Client) -> None:
    """default and kube-system are there from the start; a new namespace is Active and labelled with its name."""
    listed = (await api.get("/api/v1/namespaces")).body["items"]
    assert [item["metadata"]["name"] for item in listed] == ["default", "kube-system"]
    created = await api.create("/api/v1/namespaces", {"metadata": {"name": "n"}, "status": {"phase": "Odd"}})
    assert (created["status"], created["spec"]) == ({"phase": "Active"}, {"finalizers": ["kubernetes"]})
    assert created["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
    await api.patch("/api/v1/namespaces/n", {"spec": {"finalizers": []}})
    assert (await api.get("/api/v1/namespaces/n")).body["spec"] == {"finalizers": ["kubernetes"]}
    kept = await api.delete("/api/v1/namespaces/default")
    assert (kept.code, kept.message) == (
        403,
        'namespaces "default" is forbidden: this namespace may not be deleted',
    )
    dotted = await api.post("/api/v1/namespaces", {"metadata": {"name": "a.b"}})
    assert 'metadata.name: Invalid value: "a.b": must not contain dots' in dotted.message


async def test_secrets_hold_base64(api: Client) -> None:
    """stringData becomes data; data that is no base64 is 400; the type is Opaque unless said, and stays."""
    created = await api.create(SECRETS, secret(stringData={"a": "b"}, data={"c": "ZA=="}))
    assert (created["data"], created["type"], "stringData" in created) == (
        {"a": "Yg==", "c": "ZA=="},
        "Opaque",
        False,
    )
    broken = await api.post(SECRETS, secret(data={"a": "not base64"}))
    assert broken.code == 400
    assert "illegal base64 data" in broken.message
    changed = await api.patch(f"{SECRETS}/s", {"type": "other"})
    assert 'type: Invalid value: "other": field is immutable' in changed.message
    tls = await api.post(SECRETS, secret(type="kubernetes.io/tls", data={"tls.crt": ""}))
    assert "data[tls.key]: Required value" in tls.message
    listed = (await api.get(SECRETS, fieldSelector="type=Opaque")).body["items"]
    assert len(listed) == 1


async def test_config_maps_hold_text(api: Client) -> None:
    """Values must be strings and keys plain; an immutable map stays as it is."""
    number = await api.post(CONFIG_MAPS, config_map() | {"data": {"a": 1}})
    assert number.code == 400
    assert number.message.startswith(
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal'
    )
    odd = await api.post(CONFIG_MAPS, config_map() | {"data": {"a b": ""}})
    assert 'data[a b]: Invalid value: "a b": a valid config key must consist of' in odd.message
    big = await api.post(CONFIG_MAPS, config_map() | {"data": {"a": "x" * (1 << 20), "b": "y"}})
    assert "[]: Too long: may not be more than 1048576 bytes" in big.message
    await api.create(CONFIG_MAPS, config_map() | {"immutable": True})
    fixed = await api.patch(f"{CONFIG_MAPS}/c", {"data": {"a": "c"}})
    assert "data: Forbidden: field is immutable when `immutable` is set" in fixed.message


async def test_leases_are_taken_and_renewed(api: Client) -> None:
    """Times have microseconds, always; PUT creates a missing lease, a present one needs a version; bad terms are 422."""
    lease = {
        "metadata": {"name": "l"},
        "spec": {"holderIdentity": "me", "renewTime": "2024-01-02T03:04:05.678901Z"},
    }
    put = await api.put(f"{LEASES}/l", lease)
    assert (put.code, put.body["spec"]["renewTime"]) == (201, "2024-01-02T03:04:05.678901Z")
    assert (await api.put(f"{LEASES}/l", lease)).code == 422
    coarse = await api.patch(f"{LEASES}/l", {"spec": {"renewTime": "2024-01-02T03:04:06Z"}})
    assert coarse.code == 422
    terms = await api.patch(f"{LEASES}/l", {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}})
    assert "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0" in terms.message
    assert "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0" in terms.message
    assert (await api.post(LEASES, lease | {"spec": {"renewTime": "soon"}})).code == 400


async def test_events_are_found_by_their_object(api: Client) -> None:
    """kubectl describe finds an object's events by field selector; an event belongs into its object's namespace."""
    await api.create(EVENTS, event("e1"))
    await api.create(EVENTS, event("e2", uid="u2", name="v"))
    found = await api.get(EVENTS, fieldSelector="involvedObject.name=w,involvedObject.uid=u1")
    assert [item["metadata"]["name"] for item in found.body["items"]] == ["e1"]
    foreign = await api.post(EVENTS, event("e3", namespace="elsewhere"))
    assert (
        'involvedObject.namespace: Invalid value: "elsewhere": does not match event.namespace'
        in foreign.message
    )


@pytest.mark.parametrize(
    ("path", "body", "cells"),
    [
        (CONFIG_MAPS, config_map(), ["c", 1, "0s"]),
        (SECRETS, secret(data={"a": ""}), ["s", "Opaque", 1, "0s"]),
        ("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "a"}}, ["a", "0s"]),
        (LEASES, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}, ["l", "me", "0s"]),
        (
            EVENTS,
            event(lastTimestamp=None),
            ["<unknown>", "Normal", "Made", "widget/w", "", "", "made it", "<unknown>", 1, "e"],
        ),
    ],
)
async def test_columns(api: Client, path: str, body: dict[str, Any], cells: list[Any]) -> None:
    """kubectl get shows the columns that people know."""
    await api.create(path, body)
    table = (await api.send("GET", path, headers=TABLE)).body
    shown = table["rows"][0]["cells"]
    assert [cell if cell != "1s" else "0s" for cell in shown] == cells
    assert len(table["columnDefinitions"]) == len(cells)
