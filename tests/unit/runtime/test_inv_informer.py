"""Invariants of shared informers (53, 80 to 90): what a handler hears, in which order, and when it is in sync."""

from __future__ import annotations

import asyncio
import random

import pytest

from capt.runtime import Client
from capt.runtime.testing import FakeClock, settle
from capt.runtime.watch_handle import SLICE
from tests.support.informers import Heard, running, synced
from tests.support.scripted import THING, ScriptedTransport, bookmark, event, manifest, status, until

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


async def test_inv_053_a_watch_declared_while_all_runs_starts_at_once_and_once():
    """Two handlers that come at the same time to a running process share one watch, which begins right away.

    controller-runtime lets controllers add sources after their start. Ours are declared with the manager; it is watches
    that may come and go at any time.
    """
    transport, one, other = ScriptedTransport(), Heard(), Heard()
    async with running(transport) as informers:
        handles = await asyncio.gather(informers.watch(THING, one), informers.watch(THING, other))
        watch = await transport.opened(0)
        watch.send(event("ADDED", manifest("a", 3)), bookmark(5, end=True))
        await asyncio.gather(*(handle.wait_synced() for handle in handles))
        await settle()
        assert len(transport.watches) == 1
        assert one == other == [("added", "a", 3, True)]


async def test_inv_080_a_handler_is_in_sync_when_it_has_heard_the_whole_first_list():
    """Not when the cache has it, and each handler for itself."""
    transport = ScriptedTransport()
    count = 3 * SLICE
    heard, late = Heard(), Heard()
    async with running(transport) as informers:
        handle = await informers.watch(THING, heard)
        watch = await transport.opened(0)
        watch.send(*(event("ADDED", manifest(f"m{n:04}", 3)) for n in range(count)), bookmark(9, end=True))
        await until(lambda: heard)
        seen = set()
        while not handle.synced:
            seen.add(len(heard))
            assert len(heard) < count or len(informers.store(THING)) == count
            await asyncio.sleep(0)
        assert len(heard) == count
        assert any(0 < number < count for number in seen), "it came in one piece, which shows nothing"
        second = await informers.watch(THING, late)
        assert handle.synced
        assert not second.synced
        await second.wait_synced()
        assert len(late) == count


@pytest.mark.parametrize("seed", range(5))
async def test_inv_081_each_object_has_its_order(seed):
    """However changes, relists and handlers that come late mix: no handler ever hears of an older state after a newer."""
    rng = random.Random(seed)
    transport, version = ScriptedTransport(), 10
    live: dict[str, int] = {}
    told: list[dict[str, tuple[str, int]]] = []

    def handler():
        last: dict[str, tuple[str, int]] = {}
        told.append(last)

        def hear(happened):
            kind, name = happened.type, happened.obj.name
            before, newest = last.get(name, ("deleted", 0))
            assert (before == "deleted") == (kind == "added"), f"{kind} after {before}"
            assert happened.obj.resource_version >= newest
            if kind == "modified":
                assert happened.old.resource_version == newest
                assert happened.new.resource_version > newest
            last[name] = (kind, happened.obj.resource_version)

        return hear

    async with running(transport) as informers:
        _, watch = await synced(transport, informers, handler=handler())
        for _ in range(60):
            version += 1
            name = rng.choice("abcdef")
            match rng.randrange(8):
                case 0 | 1 | 2 | 3:
                    watch.send(event("MODIFIED" if name in live else "ADDED", manifest(name, version)))
                    live[name] = version
                case 4 | 5 if name in live:
                    watch.send(event("DELETED", manifest(name, version)))
                    del live[name]
                case 6:
                    await informers.watch(THING, handler())
                case 7:
                    opened = len(transport.watches)
                    watch.send(event("MODIFIED", manifest("x", version)), bookmark(version))
                    live["x"] = version
                    watch.end()
                    watch = await transport.opened(opened)
            if rng.random() < 0.3:
                await settle()
        await settle()
        for last in told:
            assert {name: seen for name, (kind, seen) in last.items() if kind != "deleted"} == live
        assert len(told) > 1


async def test_inv_084_only_the_first_list_is_initial():
    """What a relist brings is told as changes: it happened while nobody was watching."""
    transport, heard = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, manifest("a", 3), handler=heard)
        assert heard == [("added", "a", 3, True)]
        watch.send(event("ERROR", status(410, "Expired")))
        relist = await transport.opened(1)
        relist.send(
            event("ADDED", manifest("a", 20)), event("ADDED", manifest("b", 21)), bookmark(30, end=True)
        )
        await until(lambda: len(heard) == 3)
        assert heard[1:] == [("modified", "a", 20, False), ("added", "b", 21, False)]


async def test_inv_088_what_nobody_reads_is_cut_away_once_before_the_cache():
    """Managed fields and the last applied configuration reach neither the cache nor a handler."""
    transport, told = ScriptedTransport(), []
    obj = manifest("a", 11, spec={"size": 3})
    obj["metadata"] |= {
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {LAST_APPLIED: "{}", "mine": "kept"},
    }
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, handler=told.append)
        watch.send(
            event("ADDED", obj),
            event("DELETED", obj | {"metadata": {**obj["metadata"], "resourceVersion": "12"}}),
        )
        await until(lambda: len(told) == 2)
        added, deleted = told
        assert deleted.old is added.new
        assert added.new.decode() == {
            **manifest("a", 11, spec={"size": 3}),
            "metadata": {**manifest("a", 11)["metadata"], "annotations": {"mine": "kept"}},
        }


async def test_inv_090_the_store_is_never_behind_its_objects():
    """At every moment at which a handler runs the store's version covers every object in it."""
    transport = ScriptedTransport()
    checked = []

    async with running(transport) as informers:

        def check(_):
            store = informers.store(THING)
            checked.append(
                max((obj.resource_version for obj in store.list()), default=0) <= store.resource_version
            )

        _, watch = await synced(transport, informers, manifest("a", 3), manifest("b", 4), handler=check)
        watch.send(*(event("MODIFIED", manifest("a", version)) for version in range(11, 30)))
        watch.send(event("DELETED", manifest("b", 30)))
        await until(lambda: len(checked) == 22)
        assert all(checked)
        assert informers.store(THING).resource_version == 30


async def test_inv_092_what_is_outside_the_watched_namespace_is_not_there():
    """A process that watches one namespace finds nothing in another, and starts nothing for the question.

    controller-runtime raises. References across namespaces are in the hands of users, and a manager of one namespace may
    not see further: to it such a reference names nothing, which is a condition on an object, not a bug of a controller.
    """
    transport = ScriptedTransport()
    async with running(transport, namespace="team") as informers:
        await informers.watch(THING, Heard())
        watch = await transport.opened(0)
        watch.send(event("ADDED", manifest("a", 3, namespace="team")), bookmark(5, end=True))
        await until(lambda: len(informers.store(THING)))
        client = Client(transport, informers, clock=FakeClock())
        assert await client.get(THING, "team", "a") is not None
        assert await client.get(THING, "other", "a") is None
        assert await client.list(THING, "other") == []
        assert len(transport.watches) == 1
        assert transport.requests == []
