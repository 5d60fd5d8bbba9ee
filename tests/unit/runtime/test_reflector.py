from __future__ import annotations

import asyncio
import gc

from capt.runtime import (
    ConnectionFailed,
    Gone,
    Invalid,
    RequestTimeout,
    TooManyRequests,
)
from capt.runtime.metrics import Metrics
from capt.runtime.store import Draft
from capt.runtime.testing import FakeClock, settle
from tests.support.informers import Heard, running, synced
from tests.support.scripted import (
    THING,
    ScriptedTransport,
    bookmark,
    event,
    manifest,
    page,
    refusal,
    status,
    until,
)


async def test_streamed_list_then_watch():
    """The list comes as initial events of one stream, which then goes on as the watch."""
    transport, heard = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, manifest("a", 3), manifest("b", 4), handler=heard)
        watch.send(event("MODIFIED", manifest("a", 11)), event("DELETED", manifest("b", 12)))
        await until(lambda: len(heard) == 4)
        assert heard == [
            ("added", "a", 3, True),
            ("added", "b", 4, True),
            ("modified", "a", 11, False),
            ("deleted", "b", 4, False),
        ]
        assert watch.query["sendInitialEvents"] == "true"
        assert watch.query["resourceVersionMatch"] == "NotOlderThan"
        assert watch.query["allowWatchBookmarks"] == "true"
        assert "resourceVersion" not in watch.query
        assert transport.requests == []
    assert watch.closed


async def test_inv_066_watches_end_after_five_to_ten_minutes():
    """The server is asked to end each watch after a random time from five to ten minutes."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        await informers.watch(THING, Heard())
        assert 300 <= int((await transport.opened(0)).query["timeoutSeconds"]) <= 600


async def test_inv_071_half_a_streamed_list_is_never_seen():
    """Nothing is visible before the bookmark that ends the initial events; other bookmarks do not count."""
    transport, heard = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        handle = await informers.watch(THING, heard)
        watch = await transport.opened(0)
        watch.send(event("ADDED", manifest("a", 3)), bookmark(5), bookmark(6, end="false"))
        await settle()
        assert (handle.synced, heard, len(informers.store(THING))) == (False, [], 0)
        watch.send(bookmark(7, end=True))
        await until(lambda: handle.synced)
        assert heard.short == [("added", "a")]


async def test_inv_073_a_streamed_list_that_breaks_is_taken_anew():
    """A stream that breaks before the end of the list leaves nothing behind; the next one starts empty."""
    transport, heard, clock = ScriptedTransport(), Heard(), FakeClock()
    async with running(transport, clock) as informers:
        handle = await informers.watch(THING, heard)
        watch = await transport.opened(0)
        watch.send(event("ADDED", manifest("ghost", 3)))
        watch.fail(ConnectionFailed("reset"))
        await settle()
        await clock.advance(2)
        watch = await transport.opened(1)
        watch.send(event("ADDED", manifest("a", 4)), bookmark(9, end=True))
        await until(lambda: handle.synced)
        assert heard.short == [("added", "a")]


async def test_inv_072_servers_that_cannot_stream_are_listed():
    """A server that refuses streamed lists is listed in pages, and watched from the list's version."""
    pages = {
        "": page(manifest("a", 3), resource_version=8, token="t"),
        "t": page(manifest("b", 4), resource_version=8),
    }
    transport, heard = ScriptedTransport(lambda request: pages[request.query.get("continue", "")]), Heard()
    transport.refusals = [Invalid("sendInitialEvents is forbidden", status=422)]
    async with running(transport) as informers:
        handle = await informers.watch(THING, heard)
        watch = await transport.opened(0)
        assert handle.synced
        assert heard.short == [("added", "a"), ("added", "b")]
        assert watch.query["resourceVersion"] == "8"
        assert "sendInitialEvents" not in watch.query
        assert [request.query["limit"] for request in transport.requests] == ["500", "500"]


async def test_inv_072_servers_that_ignore_streamed_lists_are_listed():
    """A server that never ends the initial events is listed after at most ten seconds of silence."""
    transport, clock = ScriptedTransport(lambda _: page(manifest("a", 3))), FakeClock()
    async with running(transport, clock) as informers:
        handle = await informers.watch(THING, Heard())
        silent = await transport.opened(0)
        silent.send(event("ADDED", manifest("a", 3)))
        await settle()
        await clock.advance(11)
        assert "resourceVersion" in (await transport.opened(1)).query
        assert handle.synced
        assert silent.closed


async def test_inv_070_an_expired_page_token_means_one_full_list():
    """When the token of page two expires, the list is taken again in one piece."""

    def respond(request):
        if "continue" in request.query:
            return refusal(410, "Expired")
        if "limit" in request.query:
            return page(manifest("stale", 1), token="t")
        return page(manifest("a", 3), manifest("b", 4))

    transport, heard = ScriptedTransport(respond), Heard()
    transport.refusals = [Invalid("x")]
    async with running(transport) as informers:
        handle = await informers.watch(THING, heard)
        await until(lambda: handle.synced)
        assert heard.short == [("added", "a"), ("added", "b")]


async def test_inv_063_a_closed_watch_goes_on_where_it_was():
    """A watch that the server ends goes on from the last event or bookmark, without a list."""
    transport, heard = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, manifest("a", 3), handler=heard)
        watch.send(event("MODIFIED", manifest("a", 11)), bookmark(15))
        watch.end()
        again = await transport.opened(1)
        assert again.query["resourceVersion"] == "15"
        assert "sendInitialEvents" not in again.query
        again.send(event("DELETED", manifest("a", 16)))
        await until(lambda: len(heard) == 3)
        assert heard.short == [("added", "a"), ("modified", "a"), ("deleted", "a")]
        assert transport.requests == []


async def test_inv_061_refused_watches_wait_and_never_relist():
    """Watches refused with 429 or without connection are asked for again, later, and nothing is listed."""
    transport, clock = ScriptedTransport(), FakeClock()
    async with running(transport, clock) as informers:
        _, watch = await synced(transport, informers)
        transport.refusals = [TooManyRequests("slow down", status=429)] * 3 + [
            ConnectionFailed("refused")
        ] * 3
        watch.send(bookmark(20))
        watch.end()
        await until(lambda: len(transport.refused) == 1)
        assert len(transport.refusals) == 5
        for _ in range(12):
            await clock.advance(30)
        await transport.opened(1)
        assert {query["resourceVersion"] for query in transport.refused} == {"20"}
        assert transport.requests == []


async def test_inv_065_a_version_that_is_too_old_relists():
    """410 on the stream takes the list anew; what vanished meanwhile is told as deleted."""
    transport, heard = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, manifest("a", 3), manifest("b", 4), handler=heard)
        heard.clear()
        watch.send(event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}))
        again = await transport.opened(1)
        assert again.query["sendInitialEvents"] == "true"
        again.send(
            event("ADDED", manifest("b", 30)), event("ADDED", manifest("c", 31)), bookmark(40, end=True)
        )
        await until(lambda: len(heard) == 3)
        assert heard == [("deleted", "a", 3, False), ("modified", "b", 30, False), ("added", "c", 31, False)]


async def test_a_list_that_was_replaced_is_freed():
    """After a relist the old contents are gone at once, without the garbage collector; nothing is left at the end."""

    def alive(kind):
        return sum(issubclass(type(each), kind) for each in gc.get_objects())

    async def relist():
        transport, clock = ScriptedTransport(), FakeClock()
        async with running(transport, clock) as informers:
            _, watch = await synced(transport, informers, manifest("a", 3))
            store = informers.store(THING)
            for number in (1, 2):
                watch.send(event("ERROR", status(410, "Expired")))
                await clock.advance(3.3)  # the second time it waits up to 3.2 s
                watch = await transport.opened(number)
                before = store.resource_version
                watch.send(event("ADDED", manifest("a", 3)), bookmark(10 + number, end=True))
                await until(lambda: store.resource_version != before)  # noqa: B023 - it is awaited here
            assert alive(Draft) == drafts + 1

    gc.collect()
    drafts, errors = alive(Draft), alive(Gone)
    gc.disable()
    try:
        await relist()
    finally:
        gc.enable()
    gc.collect()
    assert (alive(Draft), alive(Gone)) == (drafts, errors)


async def test_inv_075_a_silent_watch_is_reopened():
    """A watch that brings no byte for too long is opened again at once, from where it was."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers)
        watch.fail(RequestTimeout("no byte in time"))
        assert (await transport.opened(1)).query["resourceVersion"] == "10"


async def test_inv_076_garbage_is_skipped_and_counted():
    """Events that are no events, of another kind, or nested beyond reason, are left out and counted; the stream goes on."""
    transport, heard, metrics = ScriptedTransport(), Heard(), Metrics()
    async with running(transport, metrics=metrics) as informers:
        _, watch = await synced(transport, informers, handler=heard)
        watch.send(
            b"{broken",
            event("ADDED", manifest("x", 11) | {"kind": "Other"}),
            event("ADDED", manifest("y", 11, spec="@")).replace(b'"@"', b"[" * 5000 + b"]" * 5000),
            event("ADDED", manifest("a", 12)),
        )
        await until(lambda: heard)
        assert heard.short == [("added", "a")]
        labels = {"resource": "things.example.com", "type": "UNDECODABLE"}
        assert metrics.registry.get_sample_value("capt_informer_watch_events_total", labels) == 3


async def test_inv_074_leaving_stops_everything():
    """Leaving the context closes every connection and ends every task, also those that wait to retry."""
    transport = ScriptedTransport()
    before = asyncio.all_tasks()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers)
        transport.refusals = [ConnectionFailed("refused")]
        await informers.watch(THING, Heard(), labels="a=b")
        await settle()
    assert watch.closed
    assert asyncio.all_tasks() == before


async def test_gone_on_the_request_relists_too():
    """410 as the answer to a watch request has the same effect as on the stream."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers)
        transport.refusals = [Gone("too old", status=410)]
        watch.send(bookmark(12))
        watch.end()
        assert (await transport.opened(1)).query["sendInitialEvents"] == "true"
