"""Invariants of the reconcile loop (30 to 57) that need more than one event, key or process to show."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import structlog

from capt.runtime import (
    Backoff,
    Controller,
    Done,
    Informers,
    Manager,
    ManagerOptions,
    Metrics,
    ServerError,
    watch_mapped,
    watch_self,
)
from capt.runtime.reconcile_loop import ReconcileLoop
from capt.runtime.testing import FakeClock, settle
from tests.support.memory_api import MemoryApi
from tests.support.things import PART, THING

OFF = {"metrics_bind_address": "0", "health_probe_bind_address": "0"}


class Calls:
    """A reconciler that notes when it was called for what, and does what `act` says."""

    def __init__(self, clock, act=None):
        self.clock = clock
        self.act = act
        self.times: dict[str, list[float]] = {}

    async def reconcile(self, request):
        self.times.setdefault(request.name, []).append(self.clock.monotonic())
        if self.act is not None:
            await self.act(request)
        return Done()


@asynccontextmanager
async def looping(api, reconciler, clock, metrics=None, watches=None, **options):
    metrics = metrics or Metrics()
    controller = Controller(
        name="c", reconciler=reconciler, watches=watches or (watch_self(THING),), **options
    )
    async with Informers(api, clock=clock, metrics=metrics) as informers:
        loop = ReconcileLoop(controller, informers=informers, clock=clock, metrics=metrics)
        task = asyncio.create_task(loop.run())
        await settle()
        yield task
        loop.stop()
        await asyncio.wait({task})


async def test_inv_030_each_failing_key_has_its_own_delay():
    """Keys that begin to fail at different times are retried by their own counts, whatever others do."""
    clock, api = FakeClock(), MemoryApi("things")

    async def fail(request):
        raise ServerError("x")

    calls = Calls(clock, fail)
    async with looping(api, calls, clock, backoff=Backoff(base=1, factor=2, cap=100), workers=1):
        api.put("things", "ns", "early")
        await clock.advance(2)
        api.put("things", "ns", "late")
        await clock.advance(14)
    assert calls.times["early"] == [0, 1, 3, 7, 15]
    assert calls.times["late"] == [2, 3, 5, 9]


async def test_inv_042_every_handler_has_heard_the_first_list_before_the_first_reconcile():
    """Not merely the caches: all that the list brings waits in the queue when the first worker begins."""
    clock, api = FakeClock(), MemoryApi("things", "parts")
    for number in range(450):  # more than handlers hear of in one turn of the event loop
        api.put("things", "ns", f"t{number}")
        api.put("parts", "ns", f"p{number}")
    heard = []
    at_first_reconcile = []

    async def look(request):
        if not at_first_reconcile:
            at_first_reconcile.append(len(heard))

    def note(event):
        heard.append(event)
        return True

    watches = (
        watch_self(THING, predicate=note),
        watch_mapped(PART, lambda obj: (), reason="part", predicate=note),
    )
    async with looping(api, Calls(clock, look), clock, watches=watches):
        pass
    assert at_first_reconcile == [900]


async def test_inv_049_a_reconcile_that_others_cancel_did_not_time_out():
    """Neither the end of its process nor a cancellation of its own making counts as a timeout."""
    clock, api, metrics = FakeClock(), MemoryApi("things"), Metrics()

    async def wait(request):
        if request.name == "own":
            task = asyncio.ensure_future(asyncio.Event().wait())
            task.cancel()
            await asyncio.wait({task})
        else:
            await asyncio.Event().wait()

    api.put("things", "ns", "own")
    api.put("things", "ns", "others")
    async with looping(api, Calls(clock, wait), clock, metrics, timeout=5.0) as task:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await clock.advance(60)
    name = "controller_runtime_reconcile_timeouts_total"
    assert metrics.registry.get_sample_value(name, {"controller": "c"}) == 0


async def test_inv_050_a_cache_that_never_syncs_is_named_and_waited_for():
    """The controller waits for as long as it takes, and what it waits for is told meanwhile.

    controller-runtime stops the whole manager after two minutes (`CacheSyncTimeout`). A CRD that is installed late, or a
    right that is granted late, is no reason to end all the controllers that work: ours name the kind and the reason in the
    log and in `/readyz`, which is what takes a replica out of service.
    """
    clock, api = FakeClock(), MemoryApi("things")
    works, waits = Calls(clock), Calls(clock)
    subject = Manager(None, ManagerOptions(**OFF), transport=api, clock=clock)
    subject.add(Controller(name="works", reconciler=works, watches=(watch_self(THING),)))
    subject.add(Controller(name="waits", reconciler=waits, watches=(watch_self(PART),)))
    api.put("things", "ns", "a")
    stop = asyncio.Event()
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(subject.run(stop))
        await settle()
        await clock.advance(3600)
        assert not task.done()
        assert not subject.ready
        assert subject.informers.unsynced() == ["parts.test.dev: not served by the API server"]
        assert list(works.times) == ["a"]
        api.served.add("parts")
        api.put("parts", "ns", "p")
        await clock.advance(10)
        assert list(waits.times) == ["p"]
        assert subject.ready
        stop.set()
        await task
    told = [line["waiting_for"] for line in logs if line["event"] == "not ready"]
    assert told == ["parts.test.dev: not served by the API server"]


async def test_inv_057_a_standby_has_warm_caches_and_an_empty_queue():
    """Before its election a process knows every object and reconciles none; after it, each once, without another list.

    controller-runtime's warmup fills the queue of a standby, where it grows with every change for as long as another leads.
    What our standbys keep warm is the caches: the queue is filled from memory in the moment of the election.
    """
    clock, api = FakeClock(), MemoryApi("things")
    api.put("leases", "ns", "l", spec={"holderIdentity": "other", "leaseDurationSeconds": 15})
    for name in "abc":
        api.put("things", "ns", name)
    calls = Calls(clock)
    options = ManagerOptions(**OFF, leader_elect=True, leader_election_id="l", leader_election_namespace="ns")
    subject = Manager(None, options, transport=api, clock=clock)
    subject.add(Controller(name="c", reconciler=calls, watches=(watch_self(THING),)))
    stop = asyncio.Event()
    task = asyncio.create_task(subject.run(stop))
    await clock.advance(14)
    for change in range(100):
        api.put("things", "ns", "a", spec={"n": change})
    await clock.advance(0.1)
    assert len(subject.informers.store(THING)) == 3
    assert calls.times == {}
    assert subject.metrics.registry.get_sample_value(
        "workqueue_adds_total", {"name": "c", "controller": "c"}
    ) in (None, 0)
    lists = len([path for _, path in api.requests if path.endswith("things?watch")])
    await clock.advance(5)
    assert subject.leading
    assert {name: len(times) for name, times in calls.times.items()} == {"a": 1, "b": 1, "c": 1}
    assert len([path for _, path in api.requests if path.endswith("things?watch")]) == lists == 1
    stop.set()
    await task
