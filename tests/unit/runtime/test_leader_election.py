"""Leader election: the rule and the protocol; test_leader_election_simulation.py has what goes wrong around it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
import structlog

from capt.runtime.errors import Conflict, ConnectionFailed, NotFound
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

    async def test_a_namespace_that_is_missing_is_said(self):
        """A Lease that cannot be created because its namespace is not there is a warning at each try, not silence."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()

        def refuse(method, _path):
            if method == "POST":
                raise NotFound('namespaces "ns" not found', status=404)

        api.before = refuse
        with structlog.testing.capture_logs() as logs:
            task = asyncio.create_task(elector(api, clock).run(Work(stop), stop))
            await settle()
            stop.set()
            await task
        (said,) = [entry for entry in logs if entry["event"] == "cannot get at the lease"]
        assert 'namespaces "ns" not found' in said["error"]

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

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"metadata":{}}', b"[" * 5000])
    async def test_an_answer_that_is_no_lease_ends_nothing(self, body):
        """What something between us and the API server answers in its place costs a renewal, or a try, and no more."""
        clock, stop = FakeClock(), asyncio.Event()
        work, api = Work(stop), Odd()
        api.body = body
        task = asyncio.create_task(elector(api, clock).run(work, stop))
        await clock.advance(5)
        assert not work.running
        api.body = None
        await clock.advance(5)
        assert work.running
        api.body = body
        await clock.advance(5)
        api.body = None
        await clock.advance(10)
        assert (work.running, work.terms) == (True, 1)
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
        with structlog.testing.capture_logs() as logs:
            await clock.advance(9.9)
            assert work.running
            await clock.advance(0.1)
            assert not work.running
        told = [line["error"] for line in logs if line["event"] == "cannot renew the lease"]
        assert told
        assert set(told) == {"no answer in time"}
        stop.set()
        await clock.advance(60)
        await task

    async def test_renewals_that_conflict_are_not_repeated_in_haste(self):
        """Per retry period a leader sends two at most: from memory, and from a fresh read; then one that is taken does."""
        clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
        work = Work(stop)
        task = asyncio.create_task(elector(api, clock).run(work, stop))
        await settle()
        refused = []

        def refuse(method, path):
            if method == "PATCH":
                refused.append(path)
                if len(refused) > 100:
                    raise ConnectionFailed("enough")
                raise Conflict("refused", status=409)

        api.before = refuse
        await clock.advance(7.9)
        assert len(refused) == 6
        api.before = lambda _method, _path: None
        await clock.advance(60)
        assert work.running
        assert work.terms == 1
        stop.set()
        await task

    async def test_a_timer_that_fires_a_hair_early_causes_no_storm(self):
        """At the deadline leadership ends, though by rounding it is not quite reached; no renewal is sent in haste."""
        clock, api, stop = HastyClock(), MemoryApi(), asyncio.Event()
        work = Work(stop)
        hanging = Hanging(api)
        task = asyncio.create_task(elector(hanging, clock).run(work, stop))
        await settle()
        hanging.hang = True
        await clock.advance(10.0)
        assert not work.running
        assert hanging.hung <= 5
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

    async def test_what_winds_down_stops_writing_when_another_holds_the_lease(self):
        """A renewal that finds another holder ends the term at once, though its deadline is still to come."""
        clock, api, stop, finish = FakeClock(), MemoryApi("things"), asyncio.Event(), asyncio.Event()
        fenced, outcome = FencedTransport(api), []

        async def work():
            await stop.wait()
            await finish.wait()
            try:
                await fenced.request(
                    "POST", "/api/v1/namespaces/ns/things", body=b'{"metadata": {"name": "a"}}'
                )
            except LeadershipLostError as error:
                outcome.append(error)

        task = asyncio.create_task(elector(api, clock).run(work, stop))
        await settle()
        stop.set()
        api.put("leases", "ns", "lease", spec=api.all("leases")[0]["spec"] | {"holderIdentity": "other"})
        await clock.advance(2)
        finish.set()
        await task
        assert api.all("things") == []
        assert api.all("leases")[0]["spec"]["holderIdentity"] == "other"

    async def test_a_watch_that_fell_silent_is_opened_again_within_a_lease_duration(self):
        """A connection that died without a word does not keep a candidate from hearing of a release."""
        api = MemoryApi()
        idle = []

        class Silent(Hanging):
            async def stream(self, path, *, idle_timeout, **rest):
                idle.append(idle_timeout)
                yield await asyncio.get_running_loop().create_future()

        api.put("leases", "ns", "lease", spec={"holderIdentity": "other", "leaseDurationSeconds": 15})
        stop = asyncio.Event()
        task = asyncio.create_task(elector(Silent(api), FakeClock()).run(Work(stop), stop))
        await settle()
        stop.set()
        await task
        assert idle == [15.0]


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


class Odd(MemoryApi):
    """Answers with a body that is none of its own, while it has one."""

    body: bytes | None = None

    async def request(self, *args, **rest):
        answer = await super().request(*args, **rest)
        return answer if self.body is None else Response(status=200, headers={}, body=self.body)


class HastyClock(FakeClock):
    """Fires timers up to a nanosecond early, as asyncio does."""

    def call_later(self, delay, callback):
        if delay < 1e-9:
            return asyncio.get_running_loop().call_soon(callback)
        return super().call_later(delay - 1e-10, callback)


class Hanging:
    """A transport that can stop to answer."""

    def __init__(self, api):
        self.api = api
        self.hang = False
        self.hung = 0

    async def request(self, method, path, **rest):
        if self.hang:
            self.hung += 1
            await asyncio.get_running_loop().create_future()
        return await self.api.request(method, path, **rest)

    async def stream(self, path, **rest) -> AsyncGenerator[bytes, None]:
        async with aclosing(self.api.stream(path, **rest)) as lines:
            async for line in lines:
                yield line


async def test_the_simulated_lease_survives_json():
    """The simulation's server stores what a real one would: plain JSON."""
    clock, api, stop = FakeClock(), MemoryApi(), asyncio.Event()
    task = asyncio.create_task(elector(api, clock).run(Work(stop), stop))
    await settle()
    assert json.loads(json.dumps(api.all("leases"))) == api.all("leases")
    stop.set()
    await task
