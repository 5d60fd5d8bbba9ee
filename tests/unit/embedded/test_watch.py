from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from capt.embedded import ApiServer, ServerOptions
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

TABLE = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}


async def test_a_watch_from_a_version_shows_what_came_after(api: Client) -> None:
    """Every change after the version comes once, in order, with the object of that moment."""
    start = (await api.get(CONFIG_MAPS)).rv
    await api.create(CONFIG_MAPS, config_map("a"))
    await api.patch(f"{CONFIG_MAPS}/a", {"data": {"x": "y"}})
    stream = await api.watch(CONFIG_MAPS, resourceVersion=start)
    await api.delete(f"{CONFIG_MAPS}/a")
    events = [await stream.next() for _ in range(3)]
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert [event["object"]["data"] for event in events] == [
        {"a": "b"},
        {"a": "b", "x": "y"},
        {"a": "b", "x": "y"},
    ]
    assert events[0]["object"]["kind"] == "ConfigMap"


@pytest.mark.parametrize("version", ["", "0"])
async def test_a_watch_from_nowhere_starts_with_what_is(api: Client, version: str) -> None:
    """Without a version, or from 0, the present objects come first as ADDED."""
    await api.create(CONFIG_MAPS, config_map("a"))
    stream = await api.watch(CONFIG_MAPS, **({"resourceVersion": version} if version else {}))
    await api.create(CONFIG_MAPS, config_map("b"))
    assert await stream.take(2) == [("ADDED", "a"), ("ADDED", "b")]


async def test_a_streaming_list_ends_with_its_mark(api: Client) -> None:
    """With sendInitialEvents all objects come, then the bookmark that says that they are all, then changes."""
    await api.create(CONFIG_MAPS, config_map("a"))
    options = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    stream = await api.watch(CONFIG_MAPS, **options)
    assert await stream.take(1) == [("ADDED", "a")]
    mark = await stream.next()
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert mark["object"]["metadata"]["resourceVersion"] == (await api.get(CONFIG_MAPS)).rv


async def test_initial_events_can_be_refused(api: Client) -> None:
    """sendInitialEvents=false without a version starts with the next change."""
    await api.create(CONFIG_MAPS, config_map("a"))
    stream = await api.watch(CONFIG_MAPS, sendInitialEvents="false", resourceVersionMatch="NotOlderThan")
    await api.create(CONFIG_MAPS, config_map("b"))
    assert await stream.take(1) == [("ADDED", "b")]


async def test_bookmarks_carry_the_version_of_the_whole_store(api: Client) -> None:
    """A watch that allows bookmarks learns of versions that other resources' writes have made."""
    stream = await api.watch("/api/v1/namespaces/default/secrets", allowWatchBookmarks="true")
    made = await api.create(CONFIG_MAPS, config_map())
    event = await stream.next()
    while int(event["object"]["metadata"]["resourceVersion"]) < int(made["metadata"]["resourceVersion"]):
        event = await stream.next()
    assert event["type"] == "BOOKMARK"
    assert set(event["object"]["metadata"]) == {"resourceVersion"}


async def test_a_version_before_the_window_is_expired_in_the_stream(server: ApiServer, api: Client) -> None:
    """A watch from a forgotten version answers 200 and one ERROR event with code 410, as the real one does."""
    start = (await api.get(CONFIG_MAPS)).rv
    for index in range(51):  # the window of these tests is 50
        await api.create(CONFIG_MAPS, config_map(f"c{index}"))
    stream = await api.watch(CONFIG_MAPS, resourceVersion=start)
    event = json.loads(await stream.rest())
    assert stream.response.status == 200
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith(f"too old resource version: {start} (")


async def test_a_version_of_the_future_is_told(api: Client) -> None:
    """A version that no write has reached gives an error that tells it."""
    stream = await api.watch(CONFIG_MAPS, resourceVersion="999999")
    event = json.loads(await stream.rest())
    assert event["object"]["message"].startswith("Timeout: Too large resource version: 999999, current:")


async def test_selectors_move_objects_in_and_out(widgets: Client) -> None:
    """An object that starts to match is ADDED, one that stops is DELETED in its state of before."""
    stream = await widgets.watch(WIDGETS, labelSelector="tier in (front,back),!hidden")
    await widgets.create(WIDGETS, widget("a"))
    for labels in ({"tier": "front"}, {"tier": "back"}, {"tier": "side"}, {"tier": "front", "hidden": ""}):
        await widgets.patch(f"{WIDGETS}/a", {"metadata": {"labels": labels}})
    await widgets.create(WIDGETS, widget("b", meta={"labels": {"tier": "front"}}))
    events = [await stream.next() for _ in range(4)]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
        ("ADDED", "b"),
    ]
    left = events[2]["object"]["metadata"]
    assert left["labels"] == {"tier": "back"}
    assert int(left["resourceVersion"]) > int(events[1]["object"]["metadata"]["resourceVersion"])


async def test_one_object_can_be_watched_by_name(api: Client) -> None:
    """The field selector metadata.name narrows a watch to one object, as kubectl wait asks for it."""
    stream = await api.watch(CONFIG_MAPS, fieldSelector="metadata.name=b")
    for name in ("a", "b"):
        await api.create(CONFIG_MAPS, config_map(name))
    assert await stream.take(1) == [("ADDED", "b")]


async def test_a_watch_stays_in_its_namespace(api: Client) -> None:
    """A watch of one namespace sees nothing of another; one of all sees both."""
    await api.create("/api/v1/namespaces", {"metadata": {"name": "other"}})
    narrow, wide = await api.watch(CONFIG_MAPS), await api.watch("/api/v1/configmaps")
    await api.create("/api/v1/namespaces/other/configmaps", config_map("x"))
    await api.create(CONFIG_MAPS, config_map("y"))
    assert await narrow.take(1) == [("ADDED", "y")]
    assert await wide.take(2) == [("ADDED", "x"), ("ADDED", "y")]


async def test_a_watch_ends_when_its_time_is_over(api: Client) -> None:
    """timeoutSeconds ends the stream in an orderly way."""
    stream = await api.watch(CONFIG_MAPS, timeoutSeconds="1")
    assert await stream.rest() == b""


async def test_tables_are_streamed_with_columns_once(widgets: Client) -> None:
    """kubectl get -w asks for tables; the first event defines the columns, later ones leave them out."""
    stream = await widgets.watch(WIDGETS, headers=TABLE)
    for name in ("a", "b"):
        await widgets.create(WIDGETS, widget(name))
    first, second = await stream.next(), await stream.next()
    assert [column["name"] for column in first["object"]["columnDefinitions"]] == [
        "Name",
        "Color",
        "Ready",
        "Age",
    ]
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][:2] == ["b", "red"]
    assert second["object"]["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_a_changed_definition_ends_its_watches(widgets: Client) -> None:
    """After a schema change clients start anew, with the new schema."""
    stream = await widgets.watch(WIDGETS)
    version = definition()["spec"]["versions"][0] | {"additionalPrinterColumns": []}
    await widgets.patch(f"{CRDS}/widgets.example.com", {"spec": {"versions": [version]}})
    assert await stream.rest() == b""


async def test_stopping_the_server_ends_watches_at_once() -> None:
    """A running watch does not hold up the server's stop."""
    server = ApiServer(ServerOptions())
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(contextlib.AsyncExitStack())
        client = await stack.enter_async_context(connect(await running.enter_async_context(server)))
        stream = await client.watch(CONFIG_MAPS)
        await running.aclose()
        assert await stream.rest() == b""


async def test_a_client_that_leaves_is_forgotten(server: ApiServer, api: Client) -> None:
    """A watch ends in the audit log when its client closes the connection."""
    stream = await api.watch(CONFIG_MAPS)
    stream.response.close()
    async with asyncio.timeout(60):
        while not any(event.verb == "watch" for event in server.audit):
            await api.get("/version")


async def test_a_client_that_does_not_listen_is_cut_off(api: Client) -> None:
    """What waits for a client is bounded: its stream ends after what was on the way, without the rest."""
    stream = await api.watch(CONFIG_MAPS)
    large = config_map("c") | {"data": {"k": "x" * 1_000_000}}
    await api.create(CONFIG_MAPS, large)
    for number in range(50):
        await api.patch(f"{CONFIG_MAPS}/c", {"metadata": {"labels": {"n": str(number)}}})
    assert 0 < (await stream.rest()).count(b"}\n") < 51


async def test_many_watches_see_every_change(api: Client) -> None:
    """Twenty watches get the same fifty events, in the same order."""
    streams = [await api.watch(CONFIG_MAPS) for _ in range(20)]
    names = [f"c{index:02}" for index in range(50)]
    for name in names:
        await api.create(CONFIG_MAPS, config_map(name))
    for stream in streams:
        assert await stream.take(50) == [("ADDED", name) for name in names]
