"""Leader election: the rule, the protocol, and simulations in which leaders must never overlap."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from capt.runtime.errors import ConnectionFailed, RequestTimeout
from capt.runtime.fence import FencedTransport, LeadershipLostError
from capt.runtime.leader_election import (
    JITTER,
    LeaderElector,
    LeaseOptions,
    new_identity,
)
from capt.runtime.lease import Decision, LeaseRecord, Observation, decide, held_spec, observe
from capt.runtime.metrics import Metrics
from capt.runtime.testing import FakeClock, settle
from capt.runtime.transport import Response
from tests.support.memory_api import MemoryApi

LEASE = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def options(identity="me", **changes):
    return LeaseOptions(namespace="ns", name="lease", identity=identity, **changes)


def elector(api, clock, identity="me", metrics=None, **changes):
    return LeaderElector(
        api,
        options(identity, **changes),
        clock=clock,
        metrics=(metrics or Metrics()).leader("lease"),
        jitter=lambda: 0.5,
    )


class Work:
    """A leader's work: notes when it runs."""

    def __init__(self, stop):
        self.running = False
        self.terms = 0
        self.stop = stop

    async def __call__(self):
        self.running = True
        self.terms += 1
        try:
            await self.stop.wait()
        finally:
            self.running = False


class TestDecide:
    HELD = LeaseRecord(holder="other", duration=15, resource_version="1")

    @pytest.mark.parametrize(
        ("record", "age", "decision"),
        [
            (None, 0, Decision.CREATE),
            (LeaseRecord(holder="me", duration=15), 0, Decision.RENEW),
            (LeaseRecord(holder="me", duration=15), 100, Decision.RENEW),
            (LeaseRecord(holder="", duration=15), 0, Decision.TAKE),
            (HELD, 0, Decision.WAIT),
            (HELD, 14.999, Decision.WAIT),
            (HELD, 15, Decision.TAKE),
        ],
    )
    def test_inv_100_what_may_be_done(self, record, age, decision):
        """A free lease is taken at once, a held one when its duration passed without a change being seen."""
        assert decide(Observation(record, 1000.0), identity="me", now=1000.0 + age) is decision

    def test_inv_094_only_seen_changes_count_never_the_timestamps(self):
        """A record with absurd timestamps ages from the moment at which it was seen to change, like any other."""
        spec = {
            "holderIdentity": "other",
            "leaseDurationSeconds": 15,
            "renewTime": "1999-01-01T00:00:00.000000Z",
        }
        record = LeaseRecord.from_object({"metadata": {"resourceVersion": "7"}, "spec": spec})
        first = observe(None, record, now=50.0)
        assert observe(first, record, now=60.0) is first
        assert decide(first, identity="me", now=64.0) is Decision.WAIT
        renewed = LeaseRecord(holder="other", duration=15, resource_version="8")
        assert observe(first, renewed, now=64.0).changed_at == 64.0

    def test_inv_098_transitions_count_changes_of_the_holder(self):
        """Renewing keeps the count and the time of acquisition, taking over raises the one and sets the other."""
        before = LeaseRecord(holder="me", duration=15, acquired="then", transitions=4)
        renewed = held_spec(before, identity="me", duration=15, now=NOW)
        assert (renewed["leaseTransitions"], renewed["acquireTime"]) == (4, "then")
        taken = held_spec(before, identity="you", duration=15, now=NOW)
        assert (taken["leaseTransitions"], taken["acquireTime"]) == (5, "2026-01-01T00:00:00.000000Z")
        assert held_spec(None, identity="me", duration=15, now=NOW)["leaseTransitions"] == 0


class TestOptions:
    @pytest.mark.parametrize(
        "changes",
        [
            {"lease_duration": 0.9, "renew_deadline": 0.5, "retry_period": 0.1},
            {"lease_duration": 10, "renew_deadline": 10},
            {"lease_duration": 10.9, "renew_deadline": 10},
            {"renew_deadline": 2.4, "retry_period": 2},
            {"retry_period": 0},
            {"identity": ""},
        ],
    )
    def test_inv_099_timings_that_cannot_keep_holders_apart_are_refused(self, changes):
        """Lease over renew deadline over retry period, no lease under a second, no empty identity."""
        with pytest.raises(ValueError, match=r".+"):
            options(**changes) if "identity" not in changes else options("")

    def test_an_identity_is_new_each_time(self):
        """Two processes on one host have different identities."""
        assert new_identity() != new_identity()


class TestProtocol:
    async def test_inv_097_the_fast_path_reads_once(self):
        """Get and create, then renewals without a read; after a conflict, a read and another renewal."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        metrics = Metrics()
        work = Work(stop)
        task = asyncio.create_task(elector(api, clock, metrics=metrics).run(work, stop))
        await clock.advance(4.5)

        def calls():
            return [method for method, path in api.requests if "watch" not in path]

        assert calls() == ["GET", "POST", "PATCH", "PATCH"]
        api.put("leases", "ns", "lease", metadata={"labels": {"touched": "by somebody"}})
        await clock.advance(2)
        assert calls()[4:] == ["PATCH", "GET", "PATCH"]
        assert metrics.registry.get_sample_value("leader_election_slowpath_total", {"name": "lease"}) == 1
        assert metrics.registry.get_sample_value("leader_election_master_status", {"name": "lease"}) == 1
        assert work.running
        stop.set()
        await task

    async def test_the_lease_is_one_that_client_go_understands(self):
        """Whole seconds, micro-time, holder identity."""
        clock, api, stop = FakeClock(NOW), MemoryApi(), asyncio.Event()
        task = asyncio.create_task(elector(api, clock).run(Work(stop), stop))
        await settle()
        assert api.all("leases")[0]["spec"] == {
            "holderIdentity": "me",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
            "leaseTransitions": 0,
        }
        stop.set()
        await task

    async def test_inv_096_release_comes_after_the_work_has_ended(self):
        """While the work winds down the lease is held and renewed; when it has ended, the lease is free at once."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        finish = asyncio.Event()

        async def slow():
            await stop.wait()
            await finish.wait()

        task = asyncio.create_task(elector(api, clock).run(slow, stop))
        await settle()
        stop.set()
        await clock.advance(30)
        assert api.all("leases")[0]["spec"]["holderIdentity"] == "me"
        renewed = api.all("leases")[0]["spec"]["renewTime"]
        assert renewed.startswith("2026-01-01T00:00:30")
        finish.set()
        await task
        assert api.all("leases")[0]["spec"]["holderIdentity"] == ""

    async def test_inv_096_the_lease_of_another_is_never_released(self):
        """A process that lost its lease without noticing leaves the new holder's lease alone."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        task = asyncio.create_task(elector(api, clock).run(Work(stop), stop))
        await settle()
        spec = api.all("leases")[0]["spec"] | {"holderIdentity": "other"}
        api.put("leases", "ns", "lease", spec=spec)
        stop.set()
        await task
        assert api.all("leases")[0]["spec"]["holderIdentity"] == "other"

    async def test_inv_096_release_is_tried_again_after_a_conflict(self):
        """A write of somebody else in the moment of the release does not keep the lease."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        task = asyncio.create_task(elector(api, clock).run(Work(stop), stop))
        await settle()
        disturbed = []

        def disturb(method, path):
            if method == "PATCH" and not disturbed:
                disturbed.append(path)
                api.put("leases", "ns", "lease", metadata={"labels": {"a": "b"}})

        api.before = disturb
        stop.set()
        await task
        assert disturbed
        assert api.all("leases")[0]["spec"]["holderIdentity"] == ""

    async def test_inv_095_107_a_leader_that_cannot_renew_stops_in_time_and_comes_back(self):
        """Work is cancelled at the renew deadline, not later, is not released, and runs anew once the lease is back."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        work = Work(stop)
        task = asyncio.create_task(elector(api, clock).run(work, stop))
        await clock.advance(4.1)
        assert work.running

        def refuse(method, path):
            raise ConnectionFailed("down")

        api.before = refuse
        await clock.advance(9.8)  # the last renewal was sent at 4.0
        assert work.running
        await clock.advance(0.2)
        assert not work.running
        api.before = lambda _method, _path: None
        assert api.all("leases")[0]["spec"]["holderIdentity"] == "me"
        await clock.advance(2 * (1 + JITTER))
        assert work.running
        assert work.terms == 2
        stop.set()
        await task

    async def test_a_hanging_server_does_not_keep_a_leader(self):
        """Requests that are never answered end leadership at the deadline as well."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        work = Work(stop)
        hanging = Hanging(api)
        task = asyncio.create_task(elector(hanging, clock).run(work, stop))
        await settle()
        hanging.hang = True
        await clock.advance(9.9)
        assert work.running
        await clock.advance(0.1)
        assert not work.running
        stop.set()
        await clock.advance(60)
        await task

    async def test_after_a_release_the_next_leads_within_a_second(self):
        """Candidates watch the Lease: no polling interval passes after a release."""
        clock, api = FakeClock(), MemoryApi()
        stops = [asyncio.Event(), asyncio.Event()]
        works = [Work(stop) for stop in stops]
        first = asyncio.create_task(elector(api, clock, "first").run(works[0], stops[0]))
        await settle()
        second = asyncio.create_task(elector(api, clock, "second").run(works[1], stops[1]))
        await clock.advance(7.3)
        assert [work.running for work in works] == [True, False]
        stops[0].set()
        await clock.advance(0.01)
        assert [work.running for work in works] == [False, True]
        stops[1].set()
        await asyncio.gather(first, second)

    async def test_inv_094_a_silent_holder_is_followed_after_its_lease_duration(self):
        """A candidate waits a whole lease duration from the last change that it saw, and hardly longer."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        work = Work(stop)
        spec = {
            "holderIdentity": "dead",
            "leaseDurationSeconds": 15,
            "renewTime": "1999-01-01T00:00:00.000000Z",
        }
        api.put("leases", "ns", "lease", spec=spec)
        task = asyncio.create_task(elector(api, clock).run(work, stop))
        await clock.advance(14.9)
        assert not work.running
        await clock.advance(0.5)
        assert work.running
        assert api.all("leases")[0]["spec"]["leaseTransitions"] == 1
        stop.set()
        await task

    async def test_a_failing_leader_releases_and_raises(self):
        """The work's error comes out, and the lease does not have to expire."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()

        async def broken():
            raise ValueError("bug")

        with pytest.raises(ValueError, match="bug"):
            await elector(api, clock).run(broken, stop)
        assert api.all("leases")[0]["spec"]["holderIdentity"] == ""

    async def test_inv_105_a_stop_while_campaigning_leaves_the_lease_alone(self):
        """A candidate that is stopped never starts its work, and writes nothing."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        api.put("leases", "ns", "lease", spec={"holderIdentity": "other", "leaseDurationSeconds": 15})
        work = Work(stop)
        task = asyncio.create_task(elector(api, clock).run(work, stop))
        await clock.advance(5)
        stop.set()
        await task
        assert work.terms == 0
        assert api.writes == []

    async def test_no_task_or_timer_is_left(self):
        """When run returns, nothing of the election is left on the loop."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        task = asyncio.create_task(elector(api, clock).run(Work(stop), stop))
        await clock.advance(3)
        stop.set()
        await task
        await settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert clock.pending == 0


class TestFence:
    async def test_inv_095_a_leader_that_slept_past_its_deadline_writes_nothing(self):
        """After a suspend longer than the deadline no write is sent, even before the loss is noticed."""
        clock, api, stop = FakeClock(), MemoryApi("things"), asyncio.Event()
        fenced = FencedTransport(api)
        go, outcome = asyncio.Event(), []

        async def work():
            await asyncio.create_task(child())

        async def child():
            await fenced.request(
                "POST", "/api/v1/namespaces/ns/things", body=b'{"metadata": {"name": "in-time"}}'
            )
            await go.wait()
            await fenced.request("GET", "/api/v1/namespaces/ns/things")
            try:
                await fenced.request(
                    "POST", "/api/v1/namespaces/ns/things", body=b'{"metadata": {"name": "late"}}'
                )
            except LeadershipLostError as error:
                outcome.append(error)

        task = asyncio.create_task(elector(api, clock).run(work, stop))
        await settle()
        clock.suspend(3600)
        go.set()
        await settle()
        assert len(outcome) == 1
        assert [thing["metadata"]["name"] for thing in api.all("things")] == ["in-time"]
        stop.set()
        await clock.advance(60)
        await task

    async def test_others_write_whoever_leads(self):
        """What does not run as the leader's work passes the fence."""
        api = MemoryApi("things")
        answer = await FencedTransport(api).request(
            "POST", "/api/v1/namespaces/ns/things", body=b'{"metadata": {"name": "a"}}'
        )
        assert answer.status == 201


class Hanging:
    """A transport that can stop to answer."""

    def __init__(self, api):
        self.api = api
        self.hang = False

    async def request(self, method, path, **rest):
        if self.hang:
            await asyncio.get_running_loop().create_future()
        return await self.api.request(method, path, **rest)

    async def stream(self, path, **rest) -> AsyncGenerator[bytes, None]:
        async with aclosing(self.api.stream(path, **rest)) as lines:
            async for line in lines:
                yield line


class PausableClock:
    """One process's clocks over the simulation's: it can be paused (SIGSTOP) or suspended (the whole machine)."""

    def __init__(self, base, skew, drift_free_offset):
        self.base = base
        self.skew = skew
        self.offset = drift_free_offset
        self.asleep = 0.0  # seconds that the monotonic clock missed
        self.paused_until = 0.0

    def now(self):
        return self.base.now() + self.skew

    def monotonic(self):
        return self.base.monotonic() + self.offset - self.asleep

    def boottime(self):
        return self.base.monotonic() + self.offset

    async def awake(self):
        while self.base.monotonic() < self.paused_until:
            await self.base.sleep(self.paused_until - self.base.monotonic())

    async def sleep(self, seconds):
        await self.base.sleep(seconds)
        await self.awake()

    def call_later(self, delay, callback):
        timer = _Timer()

        def fire():
            late = self.paused_until - self.base.monotonic()
            if late > 0:
                timer.inner = self.base.call_later(late, fire)
            else:
                callback()

        timer.inner = self.base.call_later(delay, fire)
        return timer

    def pause(self, seconds, *, suspend):
        self.paused_until = max(self.paused_until, self.base.monotonic() + seconds)
        if suspend:
            self.asleep += seconds


class _Timer:
    def cancel(self):
        self.inner.cancel()


@dataclass
class Weather:
    """What the network and the server do to requests, now."""

    drop_before: float = 0.0
    drop_after: float = 0.0
    slow: float = 0.0
    down: bool = False


class Faulty:
    """One process's way to the API server."""

    def __init__(self, api, clock, weather, rng):
        self.api, self.clock, self.weather, self.rng = api, clock, weather, rng

    async def request(self, method, path, *, timeout, **rest) -> Response:  # noqa: ASYNC109 - the Protocol's
        weather = self.weather
        if weather.down or self.rng.random() < weather.drop_before:
            await self.clock.sleep(self.rng.choice((0.001, 0.1, timeout)))
            raise ConnectionFailed("lost before the server saw it")
        await self.clock.base.sleep(self.rng.random() * weather.slow)
        answer = await self.api.request(method, path, timeout=timeout, **rest)
        await self.clock.base.sleep(self.rng.random() * weather.slow)
        await self.clock.awake()
        if self.rng.random() < weather.drop_after:
            await self.clock.sleep(timeout)
            raise RequestTimeout("carried out, but not answered")
        return answer

    async def stream(self, path, **rest) -> AsyncGenerator[bytes, None]:
        if self.weather.down or self.rng.random() < self.weather.drop_before:
            raise ConnectionFailed("no watch")
        async with aclosing(self.api.stream(path, **rest)) as lines:
            async for line in lines:
                await self.clock.awake()
                if self.weather.down or self.rng.random() < self.weather.drop_before:
                    raise ConnectionFailed("watch broke")
                yield line


def trouble(rng, api, weathers, clocks):
    """Change one thing for the worse or the better, for one candidate or for all."""
    everywhere = rng.random() < 0.2
    for weather in weathers if everywhere else [rng.choice(weathers)]:
        change(rng, api, weather, clocks)


def change(rng, api, weather, clocks):
    match rng.randrange(6):
        case 0:
            weather.down = not weather.down
        case 1:
            weather.drop_before, weather.drop_after = rng.choice(((0, 0), (0.3, 0.3), (0, 0.8), (0.8, 0)))
        case 2:
            weather.slow = rng.choice((0, 0.5, 3))
        case 3:
            rng.choice(clocks).pause(rng.uniform(0.1, 60), suspend=rng.random() < 0.5)
        case 4:
            rng.choice(clocks).skew += timedelta(seconds=rng.uniform(-1e5, 1e5))
        case 5 if ("leases", "ns", "lease") in api.objects:
            api.put("leases", "ns", "lease", metadata={"labels": {"n": str(rng.random())}})


def calm(weathers):
    for weather in weathers:
        weather.__init__()


async def simulate(seed):
    """Run two or three candidates through random trouble; return the last moment's leaders and all that was believed."""
    rng = random.Random(seed)
    base, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
    weathers = []
    believers = []
    electors, clocks, tasks = [], [], []
    for number in range(rng.choice((2, 3))):
        clock = PausableClock(base, timedelta(seconds=rng.uniform(-1e6, 1e6)), rng.uniform(0, 1e6))
        weathers.append(Weather())
        candidate = LeaderElector(
            Faulty(api, clock, weathers[number], rng),
            options(f"candidate-{number}"),
            clock=clock,
            metrics=Metrics().leader("lease"),
            jitter=rng.random,
        )
        electors.append(candidate)
        clocks.append(clock)
        tasks.append(asyncio.create_task(candidate.run(stop.wait, stop)))
    try:
        for _ in range(rng.randrange(10, 25)):
            for _ in range(rng.randrange(1, 30)):
                await base.advance(rng.uniform(0.01, 0.5))
                leaders = [n for n, e in enumerate(electors) if e.leading]
                believers.append(leaders)
                assert len(leaders) <= 1, f"seed {seed}: {leaders} all believe at {base.monotonic()}"
            trouble(rng, api, weathers, clocks)
        calm(weathers)
        await base.advance(max(max(clock.paused_until for clock in clocks) - base.monotonic(), 0))
        # all are awake and the server is well: within lease + 2.2 x retry + one request timeout somebody works
        await base.advance(15 + 2.2 * 2 + 5)
        return [n for n, e in enumerate(electors) if e.leading], believers
    finally:
        calm(weathers)
        stop.set()
        await base.advance(100)
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("block", range(8))
async def test_inv_093_believed_leaderships_never_overlap(block):
    """Whatever pauses, suspends, losses and clock steps do: one leader at most, and one at last."""
    led = 0
    for seed in range(block * 25, block * 25 + 25):
        leaders, believers = await simulate(seed)
        assert len(leaders) == 1, f"seed {seed}: nobody leads in the end"
        led += sum(map(len, believers))
    assert led > 500, "the simulation never let anybody lead"


async def test_the_simulated_lease_survives_json():
    """The simulation's server stores what a real one would: plain JSON."""
    clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
    task = asyncio.create_task(elector(api, clock).run(Work(stop), stop))
    await settle()
    assert json.loads(json.dumps(api.all("leases"))) == api.all("leases")
    stop.set()
    await task
