"""Invariants of list and watch (58 to 70): which versions are asked for, and what is heard after trouble."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from capt.runtime import ConnectionFailed, Invalid, Key, ServerError, TooManyRequests
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


def expired():
    return event("ERROR", status(410, "Expired", message="too old resource version"))


async def test_inv_058_every_list_is_a_consistent_read():
    """No list names a version, neither the first nor a relist, streamed or paged; watches name the list's.

    client-go lists with version 0 first ("whatever the cache has") and with the last version seen after that. A
    controller that was restarted must see what it wrote before it died, so ours always reads what is stored.
    """
    lists = iter([page(manifest("a", 3), resource_version=10), page(manifest("a", 3), resource_version=20)])
    transport = ScriptedTransport(lambda _: next(lists))
    transport.refusals = [Invalid("no streamed lists", status=422)]
    async with running(transport) as informers:
        await informers.watch(THING, Heard())
        first = await transport.opened(0)
        first.send(expired())
        second = await transport.opened(1)
        assert "resourceVersion" not in transport.refused[0]
        assert [request.query for request in transport.requests] == [{"limit": "500"}] * 2
        assert [watch.query["resourceVersion"] for watch in (first, second)] == ["10", "20"]


async def test_inv_059_after_410_lists_are_as_before():
    """A 410 costs one relist; watches then go on from its version, and the next 410 has the same effect.

    client-go, whose lists name versions, falls back to a list without one; ours never name any.
    """
    transport, clock = ScriptedTransport(), FakeClock()
    async with running(transport, clock) as informers:
        _, watch = await synced(transport, informers)
        for number, version in ((1, 30), (3, 50)):
            watch.send(expired())
            await settle()
            await clock.advance(4 * (number > 1))  # a second 410 so soon waits
            relist = await transport.opened(number)
            assert relist.query["sendInitialEvents"] == "true"
            assert "resourceVersion" not in relist.query
            relist.send(bookmark(version, end=True), bookmark(version))
            relist.end()
            watch = await transport.opened(number + 1)
            assert watch.query["resourceVersion"] == str(version)
        assert transport.requests == []


async def test_inv_060_a_server_restored_from_a_backup_is_believed():
    """Told that what it saw last is yet to come there, the reflector takes a list, and its lower version counts."""
    transport, heard = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, manifest("a", 90), handler=heard, resource_version=100)
        causes = {"causes": [{"reason": "ResourceVersionTooLarge"}]}
        transport.refusals = [ServerError("Too large resource version", status=504, details=causes)]
        watch.send(bookmark(100))
        watch.end()
        restored = await transport.opened(1)
        assert "resourceVersion" not in restored.query
        restored.send(event("ADDED", manifest("b", 7)), bookmark(40, end=True))
        await until(lambda: ("added", "b") in heard.short)
        assert heard.short == [("added", "a"), ("deleted", "a"), ("added", "b")]
        assert informers.store(THING).resource_version == 40
        restored.send(event("MODIFIED", manifest("b", 41)))
        await until(lambda: ("modified", "b") in heard.short)


async def test_inv_062_a_refused_connection_backs_off_and_never_relists(monkeypatch):
    """While nobody listens, watches are asked for at growing distances from the same version, and nothing is listed."""
    monkeypatch.setattr(random, "random", lambda: 0.0)
    transport, clock = ScriptedTransport(), FakeClock()
    async with running(transport, clock) as informers:
        _, watch = await synced(transport, informers)
        transport.refusals = [ConnectionFailed("refused")] * 8
        watch.fail(ConnectionFailed("refused"))
        times = []
        while len(transport.watches) == 1:
            tried = len(transport.refused)
            await clock.advance(0.1)
            times += [clock.monotonic()] * (len(transport.refused) - tried)
        gaps = [after - before for before, after in pairwise(times)]
        assert gaps == pytest.approx([1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0], abs=0.3)
        assert {query["resourceVersion"] for query in transport.refused} == {"10"}
        assert transport.requests == []


async def test_inv_064_a_bookmark_moves_the_version_and_calls_nobody():
    """Handlers hear nothing of it, and the next watch goes on from it."""
    transport, heard = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, manifest("a", 3), handler=heard)
        watch.send(bookmark(77))
        watch.end()
        assert (await transport.opened(1)).query["resourceVersion"] == "77"
        assert heard.short == [("added", "a")]
        assert informers.store(THING).resource_version == 77


async def test_inv_067_every_event_moves_the_version():
    """After an addition, a change and a deletion alike a broken watch goes on from that event."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers)
        for number, kind in enumerate(("ADDED", "MODIFIED", "DELETED"), start=1):
            watch.send(event(kind, manifest("a", 10 + number)))
            watch.end()
            watch = await transport.opened(number)
            assert watch.query["resourceVersion"] == str(10 + number)


async def test_inv_068_a_deletion_that_nobody_watched_is_told_after_the_relist():
    """The handler is told with the last state that was known, and only of what is gone."""
    transport, told = ScriptedTransport(), []
    async with running(transport) as informers:
        _, watch = await synced(
            transport, informers, manifest("gone", 3), manifest("stays", 4), handler=told.append
        )
        told.clear()
        watch.send(expired())
        (await transport.opened(1)).send(event("ADDED", manifest("stays", 4)), bookmark(40, end=True))
        await until(lambda: told)
        (deleted,) = told
        assert (deleted.type, deleted.new) == ("deleted", None)
        assert (deleted.old.name, deleted.old.resource_version) == ("gone", 3)
        assert informers.store(THING).get(Key("default", "gone")) is None


@pytest.mark.parametrize("pages", [1, 3])
async def test_inv_069_lists_are_taken_in_pages_of_500(pages):
    """Every page asks for at most 500 objects; of the second on, the token decides what is read.

    client-go does not page what its server's watch cache can answer. Ours always pages, since a page is what the event
    loop decodes between two turns.
    """

    def respond(request):
        number = int(request.query.get("continue", "1"))
        return page(manifest(f"m{number}", number), token=str(number + 1) if number < pages else "")

    transport, heard = ScriptedTransport(respond), Heard()
    transport.refusals = [Invalid("no streamed lists", status=422)]
    async with running(transport) as informers:
        handle = await informers.watch(THING, heard)
        await until(lambda: handle.synced)
        assert [name for _, name in heard.short] == [f"m{number}" for number in range(1, pages + 1)]
        assert transport.requests[0].query == {"limit": "500"}
        assert [dict(request.query) for request in transport.requests[1:]] == [
            {"limit": "500", "continue": str(number)} for number in range(2, pages + 1)
        ]


async def test_inv_072_a_server_that_is_busy_is_asked_for_the_stream_again():
    """429 to a streamed list is no reason for a paged one; any other refusal is, once."""
    transport, clock = ScriptedTransport(lambda _: refusal(500)), FakeClock()
    transport.refusals = [TooManyRequests("busy", status=429)] * 2
    async with running(transport, clock) as informers:
        await informers.watch(THING, Heard())
        await settle()
        await clock.advance(4.8)
        watch = await transport.opened(0)
        assert watch.query["sendInitialEvents"] == "true"
        assert [query["sendInitialEvents"] for query in transport.refused] == ["true", "true"]
        assert transport.requests == []
