from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
import structlog

from capt.runtime import (
    AlreadyExists,
    CacheLagError,
    Client,
    Conflict,
    ConnectionFailed,
    Informers,
    NotFound,
    NotWatched,
    Response,
    ServerError,
    TooManyRequests,
)
from capt.runtime.metrics import Metrics
from capt.runtime.testing import FakeClock, settle
from tests.support.scripted import (
    THING,
    ScriptedTransport,
    Thing,
    ThingStatus,
    answer,
    bookmark,
    event,
    manifest,
    page,
    refusal,
    status,
    until,
)

PATH = "/apis/example.com/v1/namespaces/default/things"


@pytest.fixture
def logs():
    """What is logged from here on, whatever the level of the test run's own log."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.BoundLogger, cache_logger_on_first_use=False)
    with structlog.testing.capture_logs() as captured:
        yield captured
    structlog.configure(**before)


class Cluster:
    """A client with a synced cache of things, and the test's hands on both of its connections."""

    def __init__(self, transport, client, watch, clock, metrics):
        self.transport, self.client, self.watch = transport, client, watch
        self.clock, self.metrics = clock, metrics

    def answers(self, *responses):
        remaining = list(responses)
        self.transport.respond = lambda _: remaining.pop(0)

    @property
    def last(self):
        return self.transport.requests[-1]

    async def cached(self, kind, obj):
        """Let an event through to the cache."""
        self.watch.send(event(kind, obj))
        await settle()


@asynccontextmanager
async def cluster(*objects, labels=""):
    transport, clock, metrics = ScriptedTransport(), FakeClock(), Metrics()
    async with Informers(transport, clock=clock, metrics=metrics) as informers:
        handle = await informers.watch(THING, lambda _: None, labels=labels)
        watch = await transport.opened(0)
        watch.send(*(event("ADDED", obj) for obj in objects), bookmark(100, end=True))
        await until(lambda: handle.synced)
        yield Cluster(transport, Client(transport, informers, clock=clock), watch, clock, metrics)


async def test_cached_reads_make_no_request():
    """get and list are answered from the cache, typed and sorted."""
    async with cluster(
        manifest("b", 2, labels={"x": "y"}, owner="u"),
        manifest("a", 1, spec={"size": 3}),
        manifest("c", 3, namespace="other", owner="u"),
    ) as run:
        thing = await run.client.get(THING, "default", "a")
        assert isinstance(thing, Thing)
        assert thing.spec.size == 3
        assert await run.client.get(THING, "default", "a") is thing
        assert await run.client.get(THING, "default", "zzz") is None

        async def names(**selection):
            return [found.metadata.name for found in await run.client.list(THING, **selection)]

        assert await names() == ["a", "b", "c"]
        assert await names(namespace="default") == ["a", "b"]
        assert await names(labels="x=y") == ["b"]
        assert await names(labels={"x": "z"}) == []
        assert await names(index=("owner", "u")) == ["b", "c"]
        assert await names(namespace="other", index=("owner", "u")) == ["c"]
        assert run.transport.requests == []


async def test_reading_what_nobody_watches():
    """Cached reads of an undeclared kind, or without caches, are refused; live reads work."""
    client = Client(ScriptedTransport(lambda _: answer(manifest("a", 1))))
    with pytest.raises(NotWatched):
        await client.get(THING, "default", "a")
    with pytest.raises(NotWatched):
        await client.list(THING)
    live = await client.get_live(THING, "default", "a")
    assert live.metadata.name == "a"


async def test_live_reads_ask_the_server():
    """Live reads go to the API server, page by page, and tell absence from failure."""
    pages = {"": page(manifest("b", 2), token="t"), "t": page(manifest("a", 1))}
    transport = ScriptedTransport(lambda request: pages[request.query.get("continue", "")])
    client = Client(transport)
    found = await client.list_live(THING, "default", labels={"x": "y"})
    assert [thing.metadata.name for thing in found] == ["a", "b"]
    assert transport.requests[0].query["labelSelector"] == "x in (y)"
    transport.respond = lambda _: refusal(404, "NotFound")
    assert await client.get_live(THING, "default", "a") is None


async def test_inv_091_reads_wait_for_own_writes():
    """After a create, reading the key or listing the kind waits until the cache shows it; other keys do not wait."""
    async with cluster(manifest("other", 1)) as run:
        run.answers(answer(manifest("a", 120), 201))
        created = await run.client.create(THING, {"metadata": {"namespace": "default", "name": "a"}})
        assert created.metadata.resource_version == "120"
        assert await run.client.get(THING, "default", "other") is not None
        assert [thing.metadata.name for thing in await run.client.list(THING, "elsewhere")] == []
        reads = [
            asyncio.create_task(run.client.get(THING, "default", "a")),
            asyncio.create_task(run.client.list(THING)),
        ]
        await settle()
        assert not any(read.done() for read in reads)
        await run.cached("ADDED", manifest("a", 120))
        got, listed = await asyncio.gather(*reads)
        assert got.metadata.name == "a"
        assert [thing.metadata.name for thing in listed] == ["a", "other"]


async def test_inv_091_waiting_for_the_cache_has_an_end():
    """A cache that does not show an own write in five seconds is an error of its own, and counted."""
    async with cluster(manifest("a", 1)) as run:
        run.answers(answer(manifest("a", 120)))
        await run.client.patch(THING, "default", "a", {"spec": {"size": 1}})
        read = asyncio.create_task(run.client.get(THING, "default", "a"))
        await run.clock.advance(5.1)
        with pytest.raises(CacheLagError, match="default/a"):
            await read
        labels = {"resource": "things.example.com"}
        assert run.metrics.registry.get_sample_value("capt_cache_read_timeouts_total", labels) == 1
        assert run.metrics.registry.get_sample_value("capt_cache_read_wait_seconds_count", labels) == 1


async def test_inv_091_the_event_may_come_first():
    """An event that overtakes the answer to the write leaves nothing to wait for."""
    async with cluster() as run:
        run.answers(answer(manifest("a", 120), 201))
        await run.cached("ADDED", manifest("a", 120))
        await run.client.create(THING, {"metadata": {"namespace": "default", "name": "a"}})
        assert (await run.client.get(THING, "default", "a")).metadata.name == "a"


async def test_deletions_are_own_writes():
    """After a delete, a read waits until the object is gone, or marked as going."""
    async with cluster(manifest("a", 1), manifest("b", 2)) as run:
        run.answers(
            answer({"kind": "Status", "status": "Success", "details": {"uid": "uid-of-a"}}),
            answer(manifest("b", 121, deleting=True)),
        )
        assert await run.client.delete(THING, "default", "a")
        assert await run.client.delete(THING, "default", "b")
        reads = [asyncio.create_task(run.client.get(THING, "default", name)) for name in ("a", "b")]
        await settle()
        assert not any(read.done() for read in reads)
        await run.cached("DELETED", manifest("a", 120))
        await run.cached("MODIFIED", manifest("b", 121, deleting=True))
        gone, going = await asyncio.gather(*reads)
        assert gone is None
        assert going.metadata.deletion_timestamp is not None


async def test_writes_outside_of_the_selection_are_not_waited_for():
    """An own write that no event will tell of, because the watch does not select it, blocks no read."""
    async with cluster(labels="x=y") as run:
        run.answers(answer(manifest("a", 120), 201), answer(manifest("b", 121, labels={"x": "y"}), 201))
        for name in ("a", "b"):
            await run.client.create(THING, {"metadata": {"namespace": "default", "name": name}})
        assert await run.client.get(THING, "default", "a") is None
        read = asyncio.create_task(run.client.get(THING, "default", "b"))
        await settle()
        assert not read.done()
        await run.cached("ADDED", manifest("b", 121, labels={"x": "y"}))
        assert (await read).metadata.name == "b"


async def test_after_a_conflict_reads_wait_for_something_newer():
    """A conflict proves the cache stale: the retry does not read the same version again."""
    async with cluster(manifest("a", 50)) as run:
        run.answers(refusal(409, "Conflict"))
        with pytest.raises(Conflict):
            await run.client.patch(THING, "default", "a", {}, resource_version="50")
        read = asyncio.create_task(run.client.get(THING, "default", "a"))
        await settle()
        assert not read.done()
        await run.cached("MODIFIED", manifest("a", 130))
        assert (await read).metadata.resource_version == "130"


async def test_create():
    """A create posts the manifest to its namespace, type filled in; a taken name is an error of its own."""
    async with cluster() as run:
        run.answers(answer(manifest("a", 1), 201), refusal(409, "AlreadyExists"))
        body = {"metadata": {"namespace": "default", "name": "a"}, "spec": {"size": 1}}
        await run.client.create(THING, body)
        assert (run.last.method, run.last.path) == ("POST", PATH)
        assert run.last.content == {"apiVersion": "example.com/v1", "kind": "Thing", **body}
        with pytest.raises(AlreadyExists):
            await run.client.create(THING, body)


async def test_patch_with_preconditions():
    """Preconditions travel in the metadata of the merge patch."""
    async with cluster() as run:
        run.answers(answer(manifest("a", 9)))
        patch = {"metadata": {"finalizers": ["x"]}}
        await run.client.patch(THING, "default", "a", patch, resource_version="8", uid="u")
        assert (run.last.method, run.last.path) == ("PATCH", f"{PATH}/a")
        assert run.last.content_type == "application/merge-patch+json"
        assert run.last.content == {"metadata": {"finalizers": ["x"], "resourceVersion": "8", "uid": "u"}}
        assert patch == {"metadata": {"finalizers": ["x"]}}


async def test_patch_status_sends_what_differs():
    """A status is patched with what differs from the one that was read; fields that it lacks are removed."""
    async with cluster(manifest("a", 1, status={"ready": False, "note": "x", "foreign": {"a": 1}})) as run:
        run.answers(answer(manifest("a", 120, status={"ready": True})))
        thing = await run.client.get(THING, "default", "a")
        stored = await run.client.patch_status(THING, thing, ThingStatus(ready=True))
        assert run.last.path == f"{PATH}/a/status"
        assert run.last.content == {
            "metadata": {"uid": "uid-of-a"},
            "status": {"ready": True, "note": None, "foreign": None},
        }
        assert await run.client.patch_status(THING, stored, {"ready": True}) is stored
        assert len(run.transport.requests) == 1


async def test_patch_status_says_null():
    """A null within the JSON of a status is a value: the status is replaced exactly, under the version that was read."""
    async with cluster(manifest("a", 1, status={"ready": False, "note": "x"})) as run:
        run.answers(answer(manifest("a", 120, status={"ready": True, "outputs": {"a": None}})))
        thing = await run.client.get(THING, "default", "a")
        status = ThingStatus(ready=True, outputs={"a": None})
        stored = await run.client.patch_status(THING, thing, status)
        assert run.last.path == f"{PATH}/a/status"
        assert run.last.content == [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "1"},
            {"op": "replace", "path": "/metadata/uid", "value": "uid-of-a"},
            {"op": "remove", "path": "/status/note"},
            {"op": "add", "path": "/status/ready", "value": True},
            {"op": "add", "path": "/status/outputs", "value": {"a": None}},
        ]
        assert await run.client.patch_status(THING, stored, status) is stored
        assert len(run.transport.requests) == 1


async def test_apply_difference_sends_what_differs():
    """Only desired fields that differ are sent, fields that the model does not know included; no difference, no request."""
    async with cluster(manifest("a", 1, labels={"keep": "me"}, spec={"size": 1, "unknown": {"a": 1}})) as run:
        run.answers(answer(manifest("a", 120)))
        thing = await run.client.get(THING, "default", "a")
        same = {"spec": {"size": 1, "unknown": {"a": 1}, "gone": None}}
        assert await run.client.apply_difference(THING, thing, same) is thing
        await run.client.apply_difference(
            THING,
            thing,
            {"metadata": {"labels": {"new": "x"}}, "spec": {"size": 1, "unknown": {"a": 2, "b": None}}},
        )
        assert run.last.content == {
            "metadata": {"labels": {"new": "x"}, "uid": "uid-of-a"},
            "spec": {"unknown": {"a": 2}},
        }


async def test_delete():
    """B-M16: A delete carries propagation and preconditions; deleting what is not there is False, not an error."""
    async with cluster() as run:
        run.answers(answer(status(200)), refusal(404, "NotFound"), refusal(409, "Conflict"))
        assert await run.client.delete(THING, "default", "a", uid="u", propagation="Foreground")
        assert run.last.content == {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": "u"},
        }
        assert not await run.client.delete(THING, "default", "a")
        with pytest.raises(Conflict):
            await run.client.delete(THING, "default", "a", uid="u")


async def test_every_write_leaves_an_audit_line(logs):
    """Each write is logged with verb, object, code and version, refused ones too, and no body ever is."""
    async with cluster() as run:
        run.answers(answer(manifest("a", 120), 201), refusal(404, "NotFound"), answer(status(200)))
        await run.client.create(
            THING, {"metadata": {"namespace": "default", "name": "a"}, "spec": {"password": "hunter2"}}
        )
        with pytest.raises(NotFound):
            await run.client.patch(THING, "default", "a", {"status": {}}, subresource="status")
        await run.client.delete(THING, "default", "a")
        lines = [line for line in logs if line.get("logger_name") == "audit"]
        fields = ("verb", "resource", "namespace", "name", "subresource", "code", "resource_version")
        assert [tuple(line[field] for field in fields) for line in lines] == [
            ("create", "things.example.com", "default", "a", "", 201, "120"),
            ("patch", "things.example.com", "default", "a", "status", 404, ""),
            ("delete", "things.example.com", "default", "a", "", 200, ""),
        ]
        assert "hunter2" not in json.dumps(logs, default=str)


async def test_a_lost_answer_is_an_error_not_a_second_write(logs):
    """A write whose connection broke raises, is sent once, and is in the audit log with code 0."""

    def lose(_):
        raise ConnectionFailed("reset")

    async with cluster() as run:
        run.transport.respond = lose
        with pytest.raises(ConnectionFailed):
            await run.client.create(THING, {"metadata": {"namespace": "default", "name": "a"}})
        assert len(run.transport.requests) == 1
        assert [line["code"] for line in logs if line.get("logger_name") == "audit"] == [0]


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]"])
async def test_an_answer_to_a_write_that_is_no_object(body):
    """Something in between answered, and the write may have been done: an error that is tried again."""
    async with cluster() as run:
        run.answers(Response(status=200, headers={}, body=body), Response(status=200, headers={}, body=body))
        with pytest.raises(ServerError):
            await run.client.create(THING, {"metadata": {"namespace": "default", "name": "a"}})
        assert await run.client.delete(THING, "default", "a")


async def test_served():
    """Discovery tells whether a kind is served; its answer is believed for ten seconds."""
    transport, clock = ScriptedTransport(lambda _: refusal(404, "NotFound")), FakeClock()
    client = Client(transport, clock=clock)
    assert not await client.served(THING)
    transport.respond = lambda _: answer({"resources": [{"name": "things"}, {"name": "things/status"}]})
    assert not await client.served(THING)
    await clock.advance(10.1)
    assert await client.served(THING)
    assert [request.path for request in transport.requests] == ["/apis/example.com/v1"] * 2


async def test_reads_wait_for_the_first_list():
    """A read before the cache is synced waits for it, and fails rather than claim that nothing is there."""
    transport, clock = ScriptedTransport(), FakeClock()
    async with Informers(transport, clock=clock) as informers:
        client = Client(transport, informers, clock=clock)
        await informers.watch(THING, lambda _: None)
        watch = await transport.opened(0)
        watch.send(event("ADDED", manifest("a", 1)))
        early = asyncio.create_task(client.get(THING, "default", "a"))
        await clock.advance(5.1)
        with pytest.raises(CacheLagError, match="not synced"):
            await early
        read = asyncio.create_task(client.get(THING, "default", "a"))
        await settle()
        watch.send(bookmark(9, end=True))
        assert (await read).metadata.name == "a"


async def test_a_missing_optional_kind_reads_as_empty():
    """A kind that the server does not serve has no objects."""
    transport, clock = ScriptedTransport(), FakeClock()
    transport.refusals = [NotFound("x", status=404)]
    async with Informers(transport, clock=clock) as informers:
        handle = await informers.watch(THING, lambda _: None, optional=True)
        await handle.wait_settled()
        client = Client(transport, informers, clock=clock)
        assert await client.get(THING, "default", "a") is None
        assert await client.list(THING) == []


async def test_a_json_patch_names_version_and_object():
    """What a merge patch cannot say is sent as operations, under the version that it was computed from."""
    async with cluster(manifest("a", 1)) as run:
        run.answers(answer(manifest("a", 2)))
        operations = [{"op": "add", "path": "/spec/size", "value": None}]
        await run.client.json_patch(THING, "default", "a", operations, resource_version="1", uid="u")
        assert run.last.content_type == "application/json-patch+json"
        assert run.last.content == [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "1"},
            {"op": "replace", "path": "/metadata/uid", "value": "u"},
            *operations,
        ]
        run.answers(refusal(409, "Conflict"))
        with pytest.raises(Conflict):
            await run.client.json_patch(THING, "default", "a", operations, resource_version="1", uid="u")


async def test_existence_is_asked_for_without_contents():
    """Only metadata is asked for: what a Secret holds stays where it is."""
    async with cluster() as run:
        run.answers(answer(manifest("a", 1)), refusal(404, "NotFound"))
        assert await run.client.exists(THING, "default", "a")
        assert run.last.accept == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        assert not await run.client.exists(THING, "default", "b")


async def test_server_side_apply_says_who_and_how():
    """The manifest goes out as an apply patch with its manager; what it owns is for the server to say."""
    async with cluster() as c:
        c.answers(answer(manifest("a", 101), 201), answer(manifest("a", 102)))
        body = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"size": 1}}
        await c.client.apply(THING, body, field_manager="me")
        sent = c.last
        assert (sent.method, sent.path, sent.content_type) == (
            "PATCH",
            f"{PATH}/a",
            "application/apply-patch+yaml",
        )
        assert sent.query == {"fieldManager": "me"}
        assert sent.content == {"apiVersion": "example.com/v1", "kind": "Thing", **body}
        await c.client.apply(THING, body, field_manager="me", force=True, subresource="status")
        assert (c.last.path, c.last.query) == (f"{PATH}/a/status", {"fieldManager": "me", "force": "true"})


async def test_clients_that_share_caches_differ_in_name_and_patience():
    """A client under another name, or with a deadline, reads the same caches and sees the same own writes."""
    async with cluster(manifest("a", 3)) as c:
        named = c.client.with_user_agent("other")
        hasty = named.with_timeout(2.0)
        assert await hasty.get(THING, "default", "a") is await c.client.get(THING, "default", "a")
        c.transport.respond = lambda _: refusal(429, Retry_After="3")
        with pytest.raises(TooManyRequests):
            await hasty.get_live(THING, "default", "a")
        assert len(c.transport.requests) == 1
