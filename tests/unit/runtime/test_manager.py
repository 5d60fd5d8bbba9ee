"""The manager: order of start and stop, failures, readiness, leadership, and nothing left behind."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest
import structlog

from capt.runtime import Controller, Done, Manager, ManagerOptions, watch_owned, watch_self
from capt.runtime.errors import ConnectionFailed
from capt.runtime.testing import FakeClock, settle
from tests.support import virtual_time
from tests.support.memory_api import MemoryApi
from tests.support.scripted import until
from tests.support.things import PART, THING, Metadata, Thing
from tests.support.virtual_time import VirtualClock

OFF = {"metrics_bind_address": "0", "health_probe_bind_address": "0"}


class Recording:
    """A reconciler that notes what it was asked for, and can be made to wait."""

    def __init__(self, gate=None):
        self.names = []
        self.gate = gate
        self.cancelled = False

    async def reconcile(self, request):
        self.names.append(request.name)
        if self.gate is not None:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        return Done()


def manager(api, clock=None, **options):
    return Manager(None, ManagerOptions(**OFF | options), transport=api, clock=clock)


def controller(reconciler, name="things", kind=THING, **options):
    return Controller(name=name, reconciler=reconciler, watches=(watch_self(kind),), **options)


@asynccontextmanager
async def running(subject):
    """Run a manager; on exit it is stopped, and whatever it raises is raised."""
    stop = asyncio.Event()
    task = asyncio.create_task(subject.run(stop))
    await settle()
    try:
        yield stop
    finally:
        stop.set()
        await task


async def stopped(task, clock):
    """Let fake time pass until the manager has ended."""
    for _ in range(100):
        if task.done():
            return
        await clock.advance(1)
    raise AssertionError("the manager does not end")


class TestRun:
    async def test_it_reconciles(self):
        """A controller added to a manager gets the objects, and stops with it."""
        api, reconciler = MemoryApi("things"), Recording()
        api.put("things", "ns", "a")
        subject = manager(api, FakeClock())
        subject.add(controller(reconciler))
        async with running(subject):
            assert reconciler.names == ["a"]
            assert subject.ready
            assert subject.leading
            await subject.wait_ready()
            await subject.wait_leading()

    async def test_inv_106_nothing_is_left_after_a_stop(self):
        """No task, no timer."""
        clock, subject = FakeClock(), None
        subject = manager(MemoryApi("things"), clock, leader_elect=True)
        subject.add(controller(Recording()))
        subject.add_runnable("r", asyncio.Event().wait)
        subject.add_runnable("s", asyncio.Event().wait, leader=False)
        async with running(subject):
            await clock.advance(5)
        await settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert clock.pending == 0

    def test_an_idle_stop_is_quick(self):
        """With servers and a lease, stopping waits for well under a second, however busy the machine is."""

        async def stopping():
            subject = Manager(
                None,
                ManagerOptions(
                    metrics_bind_address="127.0.0.1:0",
                    health_probe_bind_address="127.0.0.1:0",
                    leader_elect=True,
                ),
                transport=MemoryApi("things"),
                clock=VirtualClock(),
            )
            subject.add(controller(Recording()))
            stop = asyncio.Event()
            task = asyncio.create_task(subject.run(stop))
            await subject.wait_leading()
            await subject.wait_ready()
            loop = asyncio.get_running_loop()
            async with (
                aiohttp.ClientSession() as session
            ):  # with its connection still open, as Prometheus keeps it
                await (await session.get(f"http://{subject.addresses['metrics']}/metrics")).read()
                begin = loop.time()
                stop.set()
                await task
                return loop.time() - begin

        assert virtual_time.run(stopping(), patience=0.01) < 0.8

    async def test_inv_052_104_a_manager_runs_once(self):
        """Neither a second run nor an addition after the start is taken in silence."""
        subject = manager(MemoryApi("things"), FakeClock())
        async with running(subject):
            with pytest.raises(RuntimeError, match="started already"):
                await subject.run(asyncio.Event())
            with pytest.raises(RuntimeError, match="'late' cannot be added"):
                subject.add_runnable("late", asyncio.Event().wait)

    def test_inv_056_names_are_unique(self):
        """Two controllers of one name would share metrics."""
        subject = manager(MemoryApi(), FakeClock())
        subject.add(controller(Recording()))
        with pytest.raises(ValueError, match="named 'things'"):
            subject.add(controller(Recording()))

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"metrics_bind_address": "nonsense"}, "is no bind address"),
            ({"leader_elect": True, "lease_duration": 5}, "greater than the renew deadline"),
        ],
    )
    def test_senseless_options_are_refused_at_once(self, options, problem):
        """Before anything is started."""
        with pytest.raises(ValueError, match=problem):
            manager(MemoryApi(), FakeClock(), **options)

    async def test_another_user_agent(self):
        """A client under another name shares the caches."""
        api = MemoryApi("things")
        api.put("things", "ns", "a")
        subject = manager(api, FakeClock())
        subject.add(controller(Recording()))
        async with running(subject):
            client = subject.client_as("engine/1")
            assert api.agents == ["engine/1"]
            assert (await client.get(THING, "ns", "a")).metadata.name == "a"

    async def test_events_of_the_last_moment_are_written(self):
        """What a controller recorded while stopping reaches the API server."""
        api, clock = MemoryApi("things"), FakeClock()
        subject = manager(api, clock)
        recorder = subject.recorder("c")

        async def last_words():
            try:
                await asyncio.Event().wait()
            finally:
                recorder.normal(THING, Thing(metadata=Metadata(name="a", namespace="ns")), "Bye", "stopping")

        subject.add_runnable("r", last_words)
        async with running(subject):
            pass
        assert [event["reason"] for event in api.all("events")] == ["Bye"]


class TestOrder:
    async def test_inv_101_caches_are_full_before_anything_else_starts(self):
        """A runnable that starts finds the caches synced."""
        api, clock = MemoryApi("things"), FakeClock()
        api.put("things", "ns", "a")
        subject = manager(api, clock)
        subject.add(controller(Recording()))
        seen = []

        async def look():
            seen.append(len(subject.informers.store(THING)))

        subject.add_runnable("look", look, leader=False)
        async with running(subject):
            assert seen == [1]

    async def test_leader_parts_stop_before_those_that_run_everywhere(self):
        """Stopping runs inside out."""
        subject = manager(MemoryApi(), FakeClock())
        order = []

        def part(name):
            async def run():
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0)
                    order.append(name)

            return run

        subject.add_runnable("everywhere", part("everywhere"), leader=False)
        subject.add_runnable("leader", part("leader"))
        async with running(subject):
            assert order == []
        assert order == ["leader", "everywhere"]


class TestFailure:
    async def test_inv_102_a_failing_part_stops_all_and_is_named(self):
        """The error comes out in one flat, readable group, after the others have ended."""
        subject = manager(MemoryApi("things"), FakeClock())
        ended = []

        async def broken():
            raise ValueError("no such thing")

        async def fine():
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("fine")

        subject.add_runnable("broken", broken)
        subject.add_runnable("fine", fine, leader=False)
        with pytest.raises(ExceptionGroup) as caught:
            await subject.run(asyncio.Event())
        assert caught.value.message == "the manager stopped: ValueError: no such thing (in runnable broken)"
        assert [type(error) for error in caught.value.exceptions] == [ValueError]
        assert ended == ["fine"]

    async def test_nested_groups_come_out_flat(self):
        """A runnable with a TaskGroup of its own does not bury its error."""
        subject = manager(MemoryApi(), FakeClock())

        async def inner():
            raise KeyError("deep")

        async def nested():
            async with asyncio.TaskGroup() as outer:
                outer.create_task(inner())

        subject.add_runnable("nested", nested)
        with pytest.raises(ExceptionGroup) as caught:
            await subject.run(asyncio.Event())
        (error,) = caught.value.exceptions
        assert isinstance(error, KeyError)

    async def test_an_address_in_use_is_a_readable_failure(self):
        """Nothing starts when a server cannot."""
        first = manager(MemoryApi(), metrics_bind_address="127.0.0.1:0")
        async with running(first):
            await first.wait_ready()
            second = manager(MemoryApi(), metrics_bind_address=first.addresses["metrics"])
            with pytest.raises(ExceptionGroup, match=r"cannot listen on 127\.0\.0\.1"):
                await second.run(asyncio.Event())

    async def test_the_caches_outlive_an_api_server_that_is_away(self):
        """An API server that is not there at the start is waited for; a stop meanwhile is clean."""
        api, clock = MemoryApi("things"), FakeClock()

        def away(method, path):
            raise ConnectionFailed("connection refused")

        api.before = away
        subject = manager(api, clock)
        reconciler = Recording()
        subject.add(controller(reconciler))
        async with running(subject):
            await clock.advance(5)
            assert not subject.ready
            api.before = lambda method, path: None
            api.put("things", "ns", "a")
            await clock.advance(60)
            assert subject.ready
            assert reconciler.names == ["a"]


class TestGrace:
    async def test_inv_103_a_running_reconcile_may_finish(self):
        """Within the grace period a reconcile is left alone."""
        api, clock, gate = MemoryApi("things"), FakeClock(), asyncio.Event()
        api.put("things", "ns", "a")
        reconciler = Recording(gate)
        subject = manager(api, clock, graceful_shutdown=30.0)
        subject.add(controller(reconciler))
        async with running(subject) as stop:
            stop.set()
            await clock.advance(29)
            gate.set()
        assert not reconciler.cancelled

    async def test_inv_103_what_takes_longer_is_cancelled_and_reported(self):
        """After the grace period the error names what was still running."""
        api, clock = MemoryApi("things"), FakeClock()
        api.put("things", "ns", "a")
        reconciler = Recording(asyncio.Event())
        subject = manager(api, clock, graceful_shutdown=30.0)
        subject.add(controller(reconciler))
        stop = asyncio.Event()
        task = asyncio.create_task(subject.run(stop))
        await settle()
        stop.set()
        await clock.advance(29.9)
        assert not task.done()
        await clock.advance(0.1)
        with pytest.raises(
            ExceptionGroup, match="still running 30 s after the stop, and cancelled: controller things"
        ):
            await task
        assert reconciler.cancelled

    async def test_inv_103_no_grace_cancels_at_once(self):
        """Zero is no failure: it was asked for."""
        api, clock = MemoryApi("things"), FakeClock()
        api.put("things", "ns", "a")
        reconciler = Recording(asyncio.Event())
        subject = manager(api, clock, graceful_shutdown=0.0)
        subject.add(controller(reconciler))
        stop = asyncio.Event()
        task = asyncio.create_task(subject.run(stop))
        await settle()
        stop.set()
        await clock.advance(0)
        await task
        assert reconciler.cancelled

    async def test_inv_103_a_negative_grace_waits_for_ever(self):
        """Hours, if need be."""
        api, clock, gate = MemoryApi("things"), FakeClock(), asyncio.Event()
        api.put("things", "ns", "a")
        reconciler = Recording(gate)
        subject = manager(api, clock, graceful_shutdown=-1.0)
        subject.add(controller(reconciler))
        async with running(subject) as stop:
            stop.set()
            await clock.advance(36_000)
            assert not reconciler.cancelled
            gate.set()


class TestMissingKinds:
    async def test_a_missing_required_kind_is_named_and_waited_for(self):
        """Not ready, named in log and /readyz; other controllers work; it may come later."""
        api, clock = MemoryApi("things"), FakeClock()
        api.put("things", "ns", "a")
        works, waits = Recording(), Recording()
        subject = manager(api, clock)
        subject.add(controller(works))
        subject.add(controller(waits, name="parts", kind=PART))
        with structlog.testing.capture_logs() as logs:
            async with running(subject):
                await clock.advance(2)
                assert works.names == ["a"]
                assert not subject.ready
                assert any(
                    "parts.test.dev" in line.get("waiting_for", "")
                    for line in logs
                    if line["event"] == "not ready"
                )
                api.served.add("parts")
                api.put("parts", "ns", "p")
                await clock.advance(20)
                assert waits.names == ["p"]
                assert subject.ready

    async def test_a_missing_optional_kind_never_holds_readiness_back(self):
        """Ready at once."""
        subject = manager(MemoryApi("things"), FakeClock())
        watches = (watch_self(THING), watch_owned(PART, THING, optional=True))
        subject.add(Controller(name="c", reconciler=Recording(), watches=watches))
        async with running(subject):
            assert subject.ready

    async def test_readyz_answers_from_the_first_moment(self):
        """While caches wait, /readyz says for what, and /healthz is well."""
        subject = Manager(
            None,
            ManagerOptions(metrics_bind_address="0", health_probe_bind_address="127.0.0.1:0"),
            transport=MemoryApi(),
        )
        subject.add(controller(Recording()))
        async with running(subject):
            await until(lambda: "probes" in subject.addresses)
            async with aiohttp.ClientSession() as session:
                for _ in range(1000):  # until the informer has had its first answer
                    url = f"http://{subject.addresses['probes']}/readyz?verbose"
                    text = await (await session.get(url)).text()
                    if "not served" in text:
                        break
            assert "[-]caches failed: things.test.dev: not served" in text


class TestLeadership:
    async def test_inv_105_a_standby_keeps_warm_caches_and_reconciles_nothing(self):
        """Only the leader reconciles; the other is ready, and takes over from memory within a second."""
        api, clock = MemoryApi("things"), FakeClock()
        api.put("things", "ns", "a")
        reconcilers = [Recording(), Recording()]
        subjects = [manager(api, clock, leader_elect=True, identity=f"m{n}") for n in range(2)]
        for subject, reconciler in zip(subjects, reconcilers, strict=True):
            subject.add(controller(reconciler))
        async with running(subjects[1]) as other, running(subjects[0]):
            await clock.advance(5)
            assert [subject.leading for subject in subjects] == [False, True]
            assert [subject.ready for subject in subjects] == [True, True]
            assert [reconciler.names for reconciler in reconcilers] == [[], ["a"]]
            lists = len([path for _, path in api.requests if path.endswith("things?watch")])
            other.set()
            await clock.advance(0.5)
            assert subjects[0].leading
            assert reconcilers[0].names == ["a"]
            assert len([path for _, path in api.requests if path.endswith("things?watch")]) == lists

    async def test_inv_107_leadership_lost_and_regained_starts_afresh(self):
        """The controllers stop, campaign, and reconcile everything again, in the same process."""
        api, clock = MemoryApi("things"), FakeClock()
        api.put("things", "ns", "a")
        reconciler = Recording()
        subject = manager(api, clock, leader_elect=True)
        subject.add(controller(reconciler))
        async with running(subject):
            await clock.advance(1)
            assert reconciler.names == ["a"]

            def refuse(method, path):
                if "leases" in path:
                    raise ConnectionFailed("away")

            api.before = refuse
            await clock.advance(20)
            assert not subject.leading
            api.before = lambda method, path: None
            await clock.advance(20)
            assert subject.leading
            assert reconciler.names == ["a", "a"]

    async def test_the_age_of_the_lease_is_a_metric(self):
        """Seconds since the last renewal that was answered, for an alert before the deadline; 0 for who does not lead."""
        api, clock = MemoryApi("things"), FakeClock()
        subject = manager(api, clock, leader_elect=True, leader_election_id="l")
        subject.add(controller(Recording()))

        def age():
            return subject.metrics.registry.get_sample_value(
                "leader_election_lease_age_seconds", {"name": "l"}
            )

        async with running(subject):
            await clock.advance(5)
            assert age() == 1

            def refuse(method, path):
                if "leases" in path:
                    raise ConnectionFailed("away")

            api.before = refuse
            await clock.advance(7)
            assert subject.leading
            assert age() == 8
            await clock.advance(2)
            assert not subject.leading
            assert age() == 0

    async def test_the_lease_is_released_last(self):
        """Only when the leader's reconciles have ended may another lead."""
        api, clock, gate = MemoryApi("things"), FakeClock(), asyncio.Event()
        api.put("things", "ns", "a")
        subject = manager(api, clock, leader_elect=True, identity="me")
        subject.add(controller(Recording(gate)))
        async with running(subject) as stop:
            await settle()
            stop.set()
            await clock.advance(20)
            assert api.all("leases")[0]["spec"]["holderIdentity"] == "me"
            gate.set()
        assert api.all("leases")[0]["spec"]["holderIdentity"] == ""


async def test_what_blocks_the_loop_shows():
    """How late timers come is a histogram: a loop that is held for half a second answers nobody meanwhile."""
    clock = FakeClock()
    subject = manager(MemoryApi("things"), clock)
    subject.add(controller(Recording()))

    def lag(part):
        return subject.metrics.registry.get_sample_value(f"capt_event_loop_lag_seconds_{part}")

    def block():
        clock._monotonic += 0.5  # time passes within one step of the loop

    async with running(subject):
        await clock.advance(10)
        seen = lag("count")
        assert seen > 0
        assert lag("sum") == pytest.approx(0)
        next_look = clock.monotonic() + 10 / seen
        clock.call_later(next_look - clock.monotonic() - 0.1, block)
        await clock.advance(10)
        assert lag("sum") == pytest.approx(0.4)


async def test_a_part_that_is_cancelled_before_its_first_step_was_never_begun():
    """Otherwise Python warns, at some later moment, of a coroutine that nobody awaited."""
    begun = []

    def work():
        begun.append(True)
        return asyncio.sleep(0)

    subject = manager(MemoryApi())
    subject.add_runnable("follower", work)
    task = asyncio.create_task(subject._run_members(leader=True, stop=asyncio.Event()))
    await asyncio.sleep(0)  # the group has made the member's task, which has not run yet
    for each in asyncio.all_tasks() - {asyncio.current_task()}:
        each.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert begun == []
