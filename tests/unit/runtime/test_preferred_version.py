"""Two versions of one kind: only the preferred one is asked for where it is served."""

from __future__ import annotations

from dataclasses import replace

from capt.runtime import Informers, Key, Kind, NotFound, ServerError
from capt.runtime.testing import FakeClock, settle
from tests.support.informers import Heard, running
from tests.support.scripted import (
    THING,
    THINGS,
    ScriptedTransport,
    Thing,
    Watch,
    bookmark,
    event,
    manifest,
    refusal,
    until,
)

OLD: Kind[Thing] = Kind(replace(THINGS, version="v1alpha1"), Thing)
MISSING = NotFound("x", status=404)


async def versions(informers: Informers, heard: Heard):
    """Watch both versions, the preferred one first."""
    informers.prefer(THING, over=OLD)
    new = await informers.watch(THING, heard, optional=True)
    return new, await informers.watch(OLD, heard, optional=True)


def listed(watch: Watch, *names: str) -> None:
    watch.send(*(event("ADDED", manifest(name, 3)) for name in names), bookmark(9, end=True))


async def test_where_the_preferred_version_is_served_the_other_is_not_asked_for():
    """It counts as not served, so nobody waits for it, and what cannot be converted to it holds nothing up."""
    transport, heard, clock = ScriptedTransport(), Heard(), FakeClock()
    async with running(transport, clock) as informers:
        new, old = await versions(informers, heard)
        await settle()
        assert (old.missing, old.synced) == (False, False)
        listed(await transport.opened(0), "a")
        await old.wait_settled()
        await clock.advance(3600)
        assert (new.synced, old.missing, old.synced) == (True, True, False)
        assert ({watch.path for watch in transport.watches}, transport.requests) == ({THINGS.path()}, [])
        assert heard.short == [("added", "a")]
        assert [each.resource for each in informers.statistics()] == [
            "things.example.com",
            "things.v1alpha1.example.com",
        ]


async def test_the_version_in_use_changes_with_what_is_served():
    """The other version is used until the preferred one comes, and again when that goes; readers always find one."""
    transport, heard, clock = ScriptedTransport(), Heard(), FakeClock()
    transport.refusals = [MISSING]
    async with running(transport, clock) as informers:
        new, old = await versions(informers, heard)
        first = await transport.opened(0)
        assert first.path == OLD.resource.path()
        listed(first, "a")
        await until(lambda: old.synced)
        assert (new.missing, old.missing) == (True, False)

        await clock.advance(6)
        second = await transport.opened(1)
        assert (second.path, first.closed) == (THINGS.path(), False)
        listed(second, "a")
        await until(lambda: first.closed and not old.synced)
        assert (new.synced, old.missing) == (True, True)
        assert heard.short == [("added", "a"), ("added", "a"), ("deleted", "a")]
        assert informers.store(THING).get(Key("default", "a")) is not None

        transport.refusals = [MISSING]
        second.send(bookmark(12))
        second.end()
        third = await transport.opened(2)
        assert (third.path, new.missing, old.missing) == (OLD.resource.path(), True, False)
        listed(third, "a")
        await until(lambda: old.synced)
        assert heard.short[3:] == [("deleted", "a"), ("added", "a")]


async def test_nothing_is_believed_missing_while_the_preferred_version_does_not_answer():
    """A server in trouble does not make the other version the one in use, and readers of either wait for it."""
    transport, clock = ScriptedTransport(lambda _: refusal(500)), FakeClock()
    transport.refusals = [ServerError("trouble", status=500)] * 9
    async with running(transport, clock) as informers:
        new, old = await versions(informers, Heard())
        await until(lambda: old.problem)
        await clock.advance(5)
        assert (new.missing, old.missing, old.synced) == (False, False, False)
        assert old.problem == new.problem
        assert {request.path for request in transport.requests} == {THINGS.path()}


async def test_a_version_that_nobody_prefers_another_to_is_watched_by_itself():
    """Where only the other version is watched, it is what there is."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        informers.prefer(THING, over=OLD)
        old = await informers.watch(OLD, Heard(), optional=True)
        listed(await transport.opened(0), "a")
        await until(lambda: old.synced)
