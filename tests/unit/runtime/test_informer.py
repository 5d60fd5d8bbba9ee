from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from capt.runtime import (
    Forbidden,
    Gone,
    Informers,
    Key,
    Kind,
    NotFound,
    NotWatched,
    RequestTimeout,
)
from capt.runtime.metrics import Metrics
from capt.runtime.testing import FakeClock, settle
from tests.support.informers import Heard, running, synced
from tests.support.scripted import (
    THING,
    THINGS,
    ScriptedTransport,
    bookmark,
    event,
    manifest,
    refusal,
    thing,
    until,
)


async def test_a_missing_kind_is_waited_for():
    """A kind that is not served is asked for again and again, named while missing, and works once it is served."""
    transport, heard, clock = ScriptedTransport(), Heard(), FakeClock()
    transport.refusals = [NotFound("x", status=404)] * 3
    async with running(transport, clock) as informers:
        handle = await informers.watch(THING, heard)
        await handle.wait_settled()
        assert (handle.missing, handle.synced) == (True, False)
        assert informers.unsynced() == ["things.example.com: not served by the API server"]
        assert handle.problem == informers.unsynced()[0]
        for _ in range(3):
            await clock.advance(6)
        watch = await transport.opened(0)
        watch.send(event("ADDED", manifest("a", 3)), bookmark(9, end=True))
        await until(lambda: handle.synced)
        assert (handle.missing, handle.problem, informers.unsynced()) == (False, "", [])
        assert heard == [("added", "a", 3, True)]


async def test_an_optional_kind_never_holds_readiness_back():
    """A missing kind that nobody needs is not among what readiness waits for."""
    transport = ScriptedTransport()
    transport.refusals = [NotFound("x", status=404)]
    async with running(transport) as informers:
        handle = await informers.watch(THING, Heard(), optional=True)
        await handle.wait_settled()
        assert handle.missing
        assert informers.unsynced() == []


async def test_a_kind_that_goes_away_takes_its_objects_along():
    """When a CRD is deleted, handlers hear of the deletion of every object, and the kind is missing."""
    transport, heard = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        handle, watch = await synced(transport, informers, manifest("a", 3), handler=heard)
        transport.refusals = [NotFound("x", status=404)]
        watch.send(bookmark(12))
        watch.end()
        await until(lambda: handle.missing)
        assert heard.short == [("added", "a"), ("deleted", "a")]
        assert not handle.synced


async def test_own_writes_go_with_their_kind():
    """A read waits for no write of this process to objects of a kind that is served no more."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        handle, watch = await synced(transport, informers, manifest("a", 3))
        (informer,) = informers.of(THINGS)
        informer.wrote(thing("a", 20))
        reading = asyncio.create_task(informer.catch_up([Key("default", "a")]))
        await settle()
        assert not reading.done()
        transport.refusals = [NotFound("x", status=404)]
        watch.send(bookmark(12))
        watch.end()
        await until(lambda: handle.missing)
        await settle()
        assert reading.done()
        assert informer.statistics.pending_writes == 0


async def test_own_writes_go_with_a_history_that_went_back():
    """After the server was restored from a backup, a read waits for no write that the backup does not know."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, manifest("a", 3))
        (informer,) = informers.of(THINGS)
        informer.wrote(thing("a", 11))
        watch.fail(Gone("x", status=410))
        again = await transport.opened(1)
        again.send(event("ADDED", manifest("a", 3)), bookmark(7, end=True))
        await until(lambda: informer.store.resource_version == 7)
        assert informer.statistics.pending_writes == 0


async def test_a_quiet_kind_is_no_problem():
    """A watch without a sound, as of a kind without events, goes on from where it was, and is nobody's trouble."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        handle, watch = await synced(transport, informers, manifest("a", 3))
        watch.fail(RequestTimeout("silence"))
        again = await transport.opened(1)
        assert again.query["resourceVersion"] == "10"
        assert (handle.synced, handle.problem) == (True, "")


async def test_unsynced_names_the_reason():
    """What readiness shows for a kind that cannot be listed is the API server's own message."""
    transport, clock = ScriptedTransport(lambda _: refusal(403, "Forbidden")), FakeClock()
    transport.refusals = [Forbidden("x", status=403)]
    async with running(transport, clock) as informers:
        await informers.watch(THING, Heard())
        assert informers.unsynced() == ["things.example.com: waiting for the first list"]
        await until(lambda: transport.requests)
        await settle()
        assert informers.unsynced() == ["things.example.com: refused with 403 (403 Forbidden)"]


async def test_inv_083_a_late_handler_misses_nothing():
    """A handler that comes late hears of each object once as initial, then of changes; no change is out of order."""
    transport, late = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, *(manifest(f"m{n:03}", 3) for n in range(450)))
        handle = await informers.watch(THING, late)
        watch.send(
            event("MODIFIED", manifest("m000", 11)),
            event("MODIFIED", manifest("m449", 12)),
            event("DELETED", manifest("m448", 13)),
            event("ADDED", manifest("new", 14)),
        )
        await handle.wait_synced()
        await until(lambda: ("added", "new", 14, False) in late)
        told = {}
        for kind, name, version, initial in late:
            assert initial == (name not in told and name != "new")
            assert version >= told.get(name, 0)
            told[name] = version
            assert kind != "modified" or name in {"m000", "m449"}
        assert told["m000"] == 11
        assert told["m449"] == 12
        assert len(told) >= 450
        assert len(transport.watches) == 1


async def test_inv_079_a_handler_that_comes_during_the_first_list_is_served_too():
    """A handler added while others still hear of the first list gets all of it as well."""
    transport, late = ScriptedTransport(), Heard()
    async with running(transport) as informers:
        first = await informers.watch(THING, Heard())
        watch = await transport.opened(0)
        watch.send(*(event("ADDED", manifest(f"m{n:03}", 3)) for n in range(450)), bookmark(9, end=True))
        await until(lambda: len(informers.store(THING)) == 450)
        assert not first.synced
        handle = await informers.watch(THING, late)
        await handle.wait_synced()
        assert sorted(name for _, name, _, _ in late) == [f"m{n:03}" for n in range(450)]


async def test_inv_085_a_closed_handler_hears_nothing():
    """After close() a handler is not called, and the others go on."""
    transport, gone, stays = ScriptedTransport(), Heard(), Heard()
    async with running(transport) as informers:
        handle, watch = await synced(transport, informers, handler=gone)
        await informers.watch(THING, stays)
        await handle.close()
        await handle.close()
        watch.send(event("ADDED", manifest("a", 11)))
        await until(lambda: stays)
        assert gone == []


async def test_the_last_handle_frees_everything():
    """Handles share one watch; the last one that is closed ends it, and the kind is no longer cached."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        one, watch = await synced(transport, informers, manifest("a", 3))
        other = await informers.watch(THING, Heard())
        await one.close()
        assert not watch.closed
        await other.close()
        assert watch.closed
        with pytest.raises(NotWatched):
            informers.store(THING)
        assert informers.statistics() == ()
        again, _ = await synced(transport, informers, manifest("b", 20), resource_version=30)
        assert [obj.name for obj in informers.store(THING).list()] == ["b"]
        await again.close()


async def test_inv_086_a_broken_handler_stops_nobody():
    """A handler that raises loses its own event; other handlers and the stream go on."""
    transport, heard = ScriptedTransport(), Heard()

    def broken(_):
        raise RuntimeError("a bug")

    async with running(transport) as informers:
        await informers.watch(THING, broken)
        _, watch = await synced(transport, informers, manifest("a", 3), handler=heard)
        watch.send(event("ADDED", manifest("b", 11)))
        await until(lambda: len(heard) == 2)


async def test_a_selection_is_made_by_the_server():
    """A watch with a label selector is a watch of its own, where nobody watches everything."""
    transport = ScriptedTransport()
    async with running(transport, namespace="team") as informers:
        await informers.watch(THING, Heard(), labels="a=b")
        watch = await transport.opened(0)
        assert watch.query["labelSelector"] == "a=b"
        assert watch.path == "/apis/example.com/v1/namespaces/team/things"
        informers.store(THING)
        await informers.watch(THING, Heard(), labels="c=d")
        with pytest.raises(NotWatched, match="selectors only"):
            informers.store(THING)


async def test_a_selection_from_what_is_watched_anyway():
    """Where everything is watched, a selected handler shares that watch, and hears its selection only."""
    transport, everything, selected = ScriptedTransport(), Heard(), Heard()
    in_, out = {"a": "b"}, {"a": "c"}
    async with running(transport) as informers:
        _, watch = await synced(
            transport,
            informers,
            manifest("x", 1, labels=in_),
            manifest("y", 2, labels=out),
            handler=everything,
        )
        handle = await informers.watch(THING, selected, labels="a=b")
        await handle.wait_synced()
        watch.send(
            event("MODIFIED", manifest("x", 11, labels=in_)),
            event("MODIFIED", manifest("x", 12, labels=out)),
            event("MODIFIED", manifest("x", 13, labels=out)),
            event("MODIFIED", manifest("y", 14, labels=in_)),
            event("ADDED", manifest("z", 15, labels=out)),
            event("DELETED", manifest("z", 16, labels=out)),
            event("DELETED", manifest("y", 17, labels=in_)),
        )
        await until(lambda: len(everything) == 9)
        assert selected == [
            ("added", "x", 1, True),
            ("modified", "x", 11, False),
            ("deleted", "x", 11, False),
            ("added", "y", 14, False),
            ("deleted", "y", 14, False),
        ]
        assert len(transport.watches) == 1


async def test_watching_everything_takes_selections_over():
    """Once everything is watched, selected watches end, and their handlers hear what changed meanwhile, no more."""
    transport, selected = ScriptedTransport(), Heard()
    labels = {"a": "b"}
    async with running(transport) as informers:
        handle, watch = await synced(
            transport,
            informers,
            *(manifest(name, 1, labels=labels) for name in ("changed", "gone", "remade", "same")),
            handler=selected,
            labels="a=b",
        )
        selected.clear()
        whole = await informers.watch(THING, Heard())
        assert informers.store(THING).list() == []
        await until(lambda: watch.closed)
        (await transport.opened(1)).send(
            event("ADDED", manifest("changed", 21, labels=labels)),
            event("ADDED", manifest("new", 22, labels=labels)),
            event("ADDED", manifest("other", 23)),
            event("ADDED", manifest("remade", 24, labels=labels, uid="another")),
            event("ADDED", manifest("same", 1, labels=labels)),
            bookmark(30, end=True),
        )
        await handle.wait_synced()
        assert sorted(selected.short) == [
            ("added", "new"),
            ("added", "remade"),
            ("deleted", "gone"),
            ("deleted", "remade"),
            ("modified", "changed"),
        ]
        await whole.close()
        (await transport.opened(1)).send(event("DELETED", manifest("same", 31, labels=labels)))
        await until(lambda: ("deleted", "same", 1, False) in selected)
        await handle.close()
        assert transport.watches[1].closed


@pytest.mark.parametrize("turns", range(6))
async def test_a_watch_that_is_cancelled_while_it_takes_another_over_leaves_none(turns):
    """Who loses its lease while its watches are being opened leaves no handler behind, whenever that is."""
    transport, heard = ScriptedTransport(), Heard()

    async def watching():
        handle = await informers.watch(THING, heard)
        try:
            await handle.wait_synced()
        finally:
            await handle.close()

    async with running(transport) as informers:
        selected, _ = await synced(transport, informers, labels="a=b")
        task = asyncio.create_task(watching())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await selected.close()
        assert informers.of(THINGS) == []


async def test_inv_092_reading_what_nobody_watches():
    """A read of a kind that nobody watches is refused at once and starts nothing."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        with pytest.raises(NotWatched, match=r"things\.example\.com"):
            informers.store(THING)
        await settle()
        assert transport.watches == []


async def test_indexes_may_be_declared_first():
    """An index that was declared before the watch is there with the first object."""
    transport = ScriptedTransport()
    informers = Informers(transport, clock=FakeClock())

    def team(obj):
        return [obj.labels["team"]]

    informers.index(THING, "team", team)
    informers.index(THING, "team", team)
    with pytest.raises(ValueError, match="team"):
        informers.index(THING, "team", lambda _: [])
    async with informers:
        await synced(transport, informers, manifest("a", 3, labels={"team": "x"}))
        assert [obj.name for obj in informers.store(THING).by_index("team", "x")] == ["a"]


async def test_a_long_first_list_lets_the_loop_turn():
    """While handlers hear of thousands of objects, other tasks run in between."""
    transport, heard = ScriptedTransport(), Heard()
    longest = 0
    async with running(transport) as informers:

        async def bystander():
            nonlocal longest
            seen = 0
            while len(heard) < 2000:
                longest, seen = max(longest, len(heard) - seen), len(heard)
                await asyncio.sleep(0)

        task = asyncio.create_task(bystander())
        await synced(transport, informers, *(manifest(f"m{n}", 3) for n in range(2000)), handler=heard)
        await task
    assert longest <= 200


async def test_objects_of_three_mebibytes_are_cached_whole():
    """As large as a request to the API server may be: from the first list, and from an event."""
    transport, text = ScriptedTransport(), "x" * (3 * 2**20)
    heard = Heard()
    async with running(transport) as informers:
        _, watch = await synced(transport, informers, manifest("a", 3, spec={"text": text}), handler=heard)
        watch.send(event("ADDED", manifest("b", 11, spec={"text": text})))
        await until(lambda: len(heard) == 2)
        found = [obj.decode()["spec"]["text"] for obj in informers.store(THING).list()]
    assert found == [text, text]


async def test_statistics_and_gauges():
    """What an informer holds is visible, as an object and as metrics, and no longer once it is closed."""
    transport, clock, metrics = ScriptedTransport(), FakeClock(), Metrics()
    async with running(transport, clock, metrics=metrics) as informers:
        handle, watch = await synced(transport, informers, manifest("a", 3))
        await clock.advance(30)
        (seen,) = informers.statistics()
        assert (seen.resource, seen.objects, seen.synced, seen.resource_version) == (
            "things.example.com",
            1,
            True,
            10,
        )
        assert (seen.last_event_age, seen.size) == (30.0, informers.store(THING).size)

        def sample(name):
            return metrics.registry.get_sample_value(name, {"resource": "things.example.com"})

        assert sample("capt_informer_objects") == 1
        assert sample("capt_informer_bytes") == informers.store(THING).size > 0
        assert sample("capt_informer_resource_version") == 10
        assert sample("capt_informer_synced") == 1
        assert sample("capt_informer_last_event_age_seconds") == 30
        watch.send(bookmark(20))
        await settle()
        assert sample("capt_informer_last_event_age_seconds") == 0
        assert sample("capt_informer_resource_version") == 20
        watch.send(event("DELETED", manifest("a", 21)))
        await settle()
        events = {"resource": "things.example.com", "type": "DELETED"}
        assert metrics.registry.get_sample_value("capt_informer_watch_events_total", events) == 1
        assert sample("capt_informer_bytes") == 0
        relists = {"resource": "things.example.com", "reason": "start"}
        assert metrics.registry.get_sample_value("capt_informer_relists_total", relists) == 1
        await handle.close()
        assert sample("capt_informer_objects") == 0


async def test_cluster_scoped_kinds_ignore_the_namespace():
    """A namespace to watch does not limit cluster-scoped kinds."""
    transport = ScriptedTransport()
    async with running(transport, namespace="team") as informers:
        kind = Kind(replace(THINGS, namespaced=False), THING.model)
        await informers.watch(kind, Heard())
        assert (await transport.opened(0)).path == "/apis/example.com/v1/things"
        assert informers.store(kind).get(Key("", "a")) is None
