from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from capt.embedded import (
    Answer,
    ApiServer,
    AuditEvent,
    Delay,
    DropAfter,
    DropBefore,
    ExpireHistory,
    Fault,
    Hang,
    RequestInfo,
    ServerOptions,
    TruncateWatch,
)
from tests.support import virtual_time
from tests.support.api_client import (
    CONFIG_MAPS,
    CRDS,
    WIDGETS,
    Client,
    config_map,
    connect,
    definition,
    widget,
)


def creates(info: RequestInfo) -> bool:
    return info.verb == "create"


async def test_only_the_token_lets_in(api: Client) -> None:
    """Without the bearer token everything but health and version is 401 in the API's shape."""
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}):
        answer = await api.send("GET", "/api/v1/namespaces", headers=headers)
        assert (answer.code, answer.body["reason"]) == (401, "Unauthorized")
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        assert (await api.send("GET", path, headers={"Authorization": ""})).code == 200


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/api/v1/namespaces/default/pods", 404),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", 404),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", 404),
        ("GET", f"{CONFIG_MAPS}/c/log", 404),
        ("GET", "/api/v1/namespaces/default/namespaces", 404),
        ("GET", "/api/v1/configmaps/c", 404),
        ("POST", "/api/v1/configmaps", 405),
        ("PUT", CONFIG_MAPS, 405),
        ("PATCH", CONFIG_MAPS, 405),
        ("PUT", WIDGETS, 404),
        ("POST", f"{CONFIG_MAPS}/c", 405),
        ("POST", "/version", 405),
        ("OPTIONS", CONFIG_MAPS, 405),
    ],
)
async def test_what_is_not_served_is_told_in_the_apis_shape(
    api: Client, method: str, path: str, code: int
) -> None:
    """Unknown paths answer a bare 404, as the real server does; what a known one does not have, a Status."""
    answer = await api.send(method, path, config_map() if method in ("POST", "PUT", "PATCH") else None)
    if isinstance(answer.body, bytes):
        assert (answer.code, code, answer.body) == (404, 404, b"404 page not found\n")
    else:
        assert (answer.code, answer.body["kind"], answer.body["code"]) == (code, "Status", code)


async def test_bodies_that_cannot_be_read(api: Client) -> None:
    """A broken body is 400, another format 415, one that is too large 413."""
    broken = await api.send("POST", CONFIG_MAPS, raw=b"{")
    assert (broken.code, broken.body["reason"]) == (400, "BadRequest")
    listed = await api.send("POST", CONFIG_MAPS, raw=b"[]")
    assert listed.code == 400
    foreign = await api.send("POST", CONFIG_MAPS, raw=b"<a/>", headers={"Content-Type": "text/xml"})
    assert foreign.code == 415
    large = await api.send("POST", CONFIG_MAPS, raw=b"x" * (3 * 1024 * 1024 + 1))
    assert (large.code, large.body["reason"]) == (413, "RequestEntityTooLarge")
    accepted = await api.send("GET", CONFIG_MAPS, headers={"Accept": "text/xml"})
    assert (accepted.code, accepted.body["reason"]) == (406, "NotAcceptable")


async def test_yaml_is_read_too(api: Client) -> None:
    """A YAML body is as good as a JSON one."""
    raw = b"kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: {a: b}\n"
    answer = await api.send("POST", CONFIG_MAPS, raw=raw, headers={"Content-Type": "application/yaml"})
    assert (answer.code, answer.body["data"]) == (201, {"a": "b"})


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "clusterroles.rbac.authorization.k8s.io"),
        ("/apis/apps/v1/namespaces/default/deployments/d", "deployments.apps"),
        ("/api/v1/namespaces/default/pods", "pods"),
        ("/api/v1/namespaces/default/serviceaccounts/default/token", "TokenRequest"),
    ],
)
async def test_what_is_left_to_a_real_server_is_named(api: Client, path: str, what: str) -> None:
    """What Kubernetes has and this server has not is a 404 whose sentence says so."""
    answer = await api.post(path, {})
    assert (answer.code, answer.body["reason"]) == (404, "NotFound")
    assert answer.message == f"{what} is not served by this API server, which is made for one machine"


@pytest.mark.parametrize("field", ["labels", "finalizers", "ownerReferences", "name"])
async def test_metadata_of_a_wrong_type_is_a_bad_request(widgets: Client, field: str) -> None:
    """Metadata that cannot be decoded is 400, whatever the kind."""
    answer = await widgets.post(WIDGETS, widget(meta={field: 7}))
    assert (answer.code, answer.body["reason"]) == (400, "BadRequest")


async def test_every_finished_request_is_in_the_audit_log(server: ApiServer, widgets: Client) -> None:
    """The audit log names agent, verb, resource and outcome, as a real server's does."""
    before = len(server.audit)
    await widgets.create(WIDGETS, widget())
    await widgets.patch(f"{WIDGETS}/w/status", {"status": {}})
    await widgets.get(WIDGETS)
    await widgets.delete(WIDGETS)
    await widgets.get(f"{WIDGETS}/w")
    await widgets.get("/version")
    about = {"user_agent": "test", "group": "example.com", "resource": "widgets", "namespace": "default"}
    assert server.audit[before:] == [
        AuditEvent(**about, verb="create", subresource="", name="", code=201),
        AuditEvent(**about, verb="patch", subresource="status", name="w", code=200),
        AuditEvent(**about, verb="list", subresource="", name="", code=200),
        AuditEvent(**about, verb="deletecollection", subresource="", name="", code=200),
        AuditEvent(**about, verb="get", subresource="", name="w", code=404),
        AuditEvent(
            user_agent="test",
            verb="get",
            group="",
            resource="",
            subresource="",
            namespace="",
            name="",
            code=200,
        ),
    ]


@pytest.mark.parametrize("code", [409, 410, 429, 500, 503])
async def test_a_fault_answers_instead(server: ApiServer, api: Client, code: int) -> None:
    """An injected status comes once, in the API's shape, and nothing is stored."""
    server.faults.add(Fault(match=creates, action=Answer(code=code, retry_after=3 if code == 429 else None)))
    refused = await api.post(CONFIG_MAPS, config_map())
    assert (refused.code, refused.body["code"]) == (code, code)
    assert refused.headers.get("Retry-After") == ("3" if code == 429 else None)
    assert (await api.post(CONFIG_MAPS, config_map())).code == 201


async def test_a_connection_dropped_before_the_write(server: ApiServer, api: Client) -> None:
    """The client gets no answer and nothing is stored; the audit log has the request with code 0."""
    server.faults.add(Fault(match=creates, action=DropBefore()))
    with pytest.raises(aiohttp.ClientError):
        await api.post(CONFIG_MAPS, config_map())
    assert (await api.get(f"{CONFIG_MAPS}/c")).code == 404
    assert [event.code for event in server.audit if event.verb == "create"] == [0]


async def test_a_connection_dropped_after_the_write(server: ApiServer, api: Client) -> None:
    """The client gets no answer, yet the object is stored."""
    server.faults.add(Fault(match=creates, action=DropAfter()))
    with pytest.raises(aiohttp.ClientError):
        await api.post(CONFIG_MAPS, config_map())
    assert (await api.get(f"{CONFIG_MAPS}/c")).code == 200


async def test_a_request_that_hangs(server: ApiServer, api: Client) -> None:
    """The client waits in vain; others are served, nothing is stored."""
    server.faults.add(Fault(match=creates, action=Hang()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await api.post(CONFIG_MAPS, config_map())
    assert (await api.get(f"{CONFIG_MAPS}/c")).code == 404


def test_a_request_that_is_delayed() -> None:
    """A delayed request is served in the end, after others that came later."""

    async def play() -> None:
        async with ApiServer(ServerOptions()) as server, connect(server) as api:
            server.faults.add(Fault(match=creates, action=Delay(seconds=60)))
            slow = asyncio.create_task(api.post(CONFIG_MAPS, config_map()))
            await asyncio.sleep(1)
            await api.get(CONFIG_MAPS)
            assert not slow.done()
            assert (await slow).code == 201

    virtual_time.run(play(), patience=0.01)


async def test_faults_can_be_counted_and_taken_back(server: ApiServer, api: Client) -> None:
    """A fault holds for its number of times, one without a number until it is removed."""
    server.faults.add(Fault(match=creates, action=Answer(code=500), times=2))
    always = server.faults.add(Fault(match=creates, action=Answer(code=503), times=None))
    codes = [(await api.post(CONFIG_MAPS, config_map())).code for _ in range(4)]
    assert codes == [500, 500, 503, 503]
    server.faults.remove(always)
    assert (await api.post(CONFIG_MAPS, config_map())).code == 201
    server.faults.add(always)
    server.faults.clear()
    assert (await api.post(CONFIG_MAPS, config_map("d"))).code == 201


async def test_a_watch_is_cut_in_the_middle_of_a_line(server: ApiServer, api: Client) -> None:
    """The lines before the cut are whole, the last one is not JSON."""
    for name in ("a", "b"):
        await api.create(CONFIG_MAPS, config_map(name))
    server.faults.add(Fault(match=lambda info: info.verb == "watch", action=TruncateWatch(after=1)))
    stream = await api.watch(CONFIG_MAPS)
    assert await stream.take(1) == [("ADDED", "a")]
    received = await stream.response.content.readany()
    assert received.startswith(b'{"type":"ADDED"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(received)
    with pytest.raises(aiohttp.ClientError):
        await stream.response.content.readany()


async def test_all_history_can_expire(server: ApiServer, api: Client) -> None:
    """After the fault running watches end with 410 in the stream, and no earlier version can be watched from."""
    await api.create(CONFIG_MAPS, config_map())
    start = (await api.get(CONFIG_MAPS)).rv
    stream = await api.watch(CONFIG_MAPS, resourceVersion=start)
    server.faults.add(Fault(match=lambda info: info.verb == "list", action=ExpireHistory()))
    fresh = (await api.get(CONFIG_MAPS)).rv
    assert (await stream.next())["object"]["reason"] == "Expired"
    again = await api.watch(CONFIG_MAPS, resourceVersion=start)
    assert (await again.next())["object"]["code"] == 410
    onward = await api.watch(CONFIG_MAPS, resourceVersion=fresh)
    await api.create(CONFIG_MAPS, config_map("d"))
    assert await onward.take(1) == [("ADDED", "d")]


async def test_a_definition_may_come_and_go_and_come(api: Client) -> None:
    """A resource that is served again starts empty."""
    await api.define(definition())
    await api.create(WIDGETS, widget())
    await api.delete(f"{CRDS}/widgets.example.com")
    await api.until_gone(f"{CRDS}/widgets.example.com")
    await api.define(definition())
    assert (await api.get(WIDGETS)).body["items"] == []
