"""Leader election on a Lease: at most one process at work, and somebody at work again soon.

:mod:`capt.runtime.lease` decides; this module reads, writes and waits. Where it departs from client-go:

* Losing the lease does not end the process. The leader's work is cancelled and awaited, then we campaign again.
* The lease is released only after the work has ended, never after a failed renewal, and only if a fresh read
  says that it is ours. (client-go asks its memory, and may blank the lease of the next holder.)
* Candidates watch the Lease, and take a released one at once.
* The deadline is taken from boot time, which goes on while the machine is suspended, and counts from when the
  renewal was sent. :mod:`capt.runtime.fence` checks it at each write of the leader's work: a process that wakes up
  late writes nothing, even before it has noticed that it lost.

What remains is a write that was sent in time and arrives late. Preconditions (resourceVersion, uid) and Terraform's
state lock are what stops that one.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from capt.runtime.clock import Clock, timeout
from capt.runtime.errors import (
    MALFORMED,
    AlreadyExists,
    ApiError,
    ConfigError,
    Conflict,
    NotFound,
    UndecodableError,
    raise_for_status,
)
from capt.runtime.fence import Term, current_term
from capt.runtime.lease import Decision, LeaseRecord, Observation, decide, held_spec, observe, released_spec
from capt.runtime.logging import get_logger
from capt.runtime.metrics import LeaderMetrics
from capt.runtime.race import unless
from capt.runtime.resource import Resource
from capt.runtime.rights import Right, may
from capt.runtime.transport import Transport

LEASES = Resource(group="coordination.k8s.io", version="v1", kind="Lease", plural="leases")

JITTER = 1.2
"""Candidates retry after 1 to 1 + JITTER times the retry period, so that they do not march in step."""

_WATCH_SECONDS = 60
_TOO_LATE = 0.001  # seconds before the deadline in which nothing can be sent and answered any more
_RELEASE_TRIES = 3
_NO_ANSWER = (ApiError, ConfigError, TimeoutError, UndecodableError)
_NO_LEASE = (*MALFORMED, LookupError, TypeError, AttributeError)


def rights(name: str) -> tuple[Right, ...]:
    """Return what electing with the Lease `name` needs in the Lease's namespace."""
    # a request that creates carries no name that RBAC could compare
    return (may(LEASES, "create"), may(LEASES, "get", "watch", "patch", names=(name,)))


def new_identity() -> str:
    """Return an identity for this process: ``<hostname>_<uuid>``, as controller-runtime's."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOptions:
    """Which lease, who we are, and how fast leadership moves; the defaults are client-go's.

    Attributes:
        namespace: of the Lease.
        name: of the Lease; equal for all replicas.
        identity: unique per process.
        lease_duration: seconds that rivals wait for a silent holder. The Lease holds whole seconds.
        renew_deadline: seconds after which a holder that cannot renew stops leading.
        retry_period: seconds between renewals, and least seconds between a candidate's tries.

    Raises:
        ValueError: the timings cannot keep two holders apart.
    """

    namespace: str
    name: str
    identity: str
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        if not self.identity or not self.name or not self.namespace:
            raise ValueError("leader election needs an identity, and the name and namespace of a Lease")
        if self.lease_duration < 1:
            # it is written as whole seconds: less than one would be zero, a lease that is always expired
            raise ValueError("lease duration must be at least one second")
        if int(self.lease_duration) <= self.renew_deadline:
            raise ValueError("lease duration (in whole seconds) must be greater than the renew deadline")
        if self.retry_period <= 0 or self.renew_deadline <= JITTER * self.retry_period:
            raise ValueError(
                f"renew deadline must be greater than {JITTER} times the retry period, which must be above zero"
            )


class LeaderElector:
    """Campaigns for a lease, and runs work while it holds it.

    Args:
        transport: the way to the API server; not fenced.
        options: which lease, and timings.
        clock: where time comes from.
        metrics: ``leader_election_*`` series.
        jitter: returns numbers in [0, 1).
    """

    def __init__(
        self,
        transport: Transport,
        options: LeaseOptions,
        *,
        clock: Clock,
        metrics: LeaderMetrics,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._options = options
        self._clock = clock
        self._metrics = metrics
        self._jitter = jitter
        self._seen: Observation | None = None
        self._term: Term | None = None
        self._may_hold = False  # the server may have us as the holder, even if no answer told us so
        self._renewed_at = clock.boottime()
        self._released = asyncio.Event()
        self._log = get_logger(lease=f"{options.namespace}/{options.name}", identity=options.identity)
        metrics.status.set(0)
        metrics.lease_age.set_function(lambda: clock.boottime() - self._renewed_at if self.leading else 0.0)

    @property
    def leading(self) -> bool:
        """Whether this process leads now."""
        return self._term is not None and self._term.active

    @property
    def holder(self) -> str:
        """Who holds the lease, as last seen; "" when nobody does or nobody knows."""
        return self._seen.record.holder if self._seen is not None and self._seen.record is not None else ""

    async def run(self, lead: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Campaign, lead, and campaign again when leadership is lost, until stopped.

        Args:
            lead: the leader's work. It ends by itself once ``stop`` is set (when it ends before, so does this); it is
                cancelled when leadership is lost.
            stop: ends a campaign. The lease is kept and renewed until ``lead`` has ended, then released.

        Raises:
            Exception: whatever ``lead`` raises; the lease is released first.
        """
        try:
            while await unless(stop, self._campaign()):
                if await self._lead(lead):
                    return
        finally:
            if self._may_hold:
                await self._release()

    async def _campaign(self) -> Literal[True]:
        """Return when the lease is ours."""
        watcher = asyncio.create_task(self._watch(), name=f"watch lease {self._options.name}")
        try:
            while True:
                self._term = None
                try:
                    if await self._attempt(known=None):
                        return True
                except _NO_ANSWER as error:
                    self._log.warning("cannot get at the lease", error=_why(error))
                await self._await_release(self._retry_delay())
        finally:
            watcher.cancel()
            await asyncio.wait({watcher})
            if not watcher.cancelled():
                watcher.result()

    def _retry_delay(self) -> float:
        options = self._options
        delay = options.retry_period * (1 + JITTER * self._jitter())
        if self._seen is None or self._seen.record is None:
            return delay
        expiry = self._seen.changed_at + self._seen.record.duration - self._clock.boottime()
        # not all candidates in the same instant; when it has expired already, our try just failed
        return min(delay, expiry + self._jitter() * options.retry_period / 10) if expiry > 0 else delay

    async def _await_release(self, seconds: float) -> None:
        try:
            async with timeout(self._clock, seconds):
                await self._released.wait()
        except TimeoutError:
            pass
        self._released.clear()

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> bool:
        """Run the work until it ends (true) or leadership is lost (false); in either case it has ended on return."""
        term = self._term
        assert term is not None
        self._metrics.status.set(1)
        self._log.info("leading")
        context = contextvars.copy_context()
        context.run(current_term.set, term)
        work = asyncio.create_task(_await(lead), name="leader", context=context)
        renewal = asyncio.create_task(self._renew(term), name=f"renew lease {self._options.name}")
        try:
            await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if renewal.done():
                # whoever lost the lease must not release it: by now it may be another's
                self._may_hold = False
                term.end()
                self._log.warning("leadership lost: stopping the leader's work")
            work.cancel()
            await asyncio.wait({work})  # renewal goes on meanwhile, if it can
            renewal.cancel()
            await asyncio.wait({renewal})
            if not term.active:
                self._may_hold = False
            term.end()
            self._term = None
            self._metrics.status.set(0)
        if not renewal.cancelled():
            renewal.result()
        if work.cancelled():
            return False
        work.result()
        return True

    async def _renew(self, term: Term) -> None:
        """Renew until leadership is lost."""
        while True:
            await self._clock.sleep(min(self._options.retry_period, self._remaining(term)))
            # timers may fire a hair early: who then waits for the rest of the time asks again and again, without a pause
            if self._remaining(term) < _TOO_LATE:
                return
            try:
                async with timeout(self._clock, self._remaining(term)):
                    if not await self._attempt(known=self._seen):
                        term.end()  # another holds it: what is winding down must not write until the deadline
                        return
            except _NO_ANSWER as error:
                self._log.warning(
                    "cannot renew the lease", error=_why(error), seconds_left=self._remaining(term)
                )

    def _remaining(self, term: Term) -> float:
        return max(term.deadline - self._clock.boottime(), 0.0)

    async def _attempt(self, known: Observation | None) -> bool:
        """Take or renew the lease, if it may be; tell whether it is ours now.

        A holder passes what it knows and saves the read; a candidate must look first.

        Raises:
            ApiError: no answer; or a conflict in a renewal from what was just read, which may be tried again after a while.
        """
        renewing = known is not None
        looked = False
        while True:
            if known is None:
                known = await self._fetch()
                looked = True
                if renewing:
                    self._metrics.slowpath.inc()
            decision = decide(known, identity=self._options.identity, now=self._clock.boottime())
            if decision is Decision.WAIT or (renewing and not self.leading):
                return False
            try:
                await self._write(decision, known.record)
            except (Conflict, AlreadyExists, NotFound) as error:
                if not renewing and not (isinstance(error, NotFound) and decision is Decision.CREATE):
                    return False  # somebody was faster; but a namespace that is missing is nobody
                if looked:
                    raise  # again, without a pause, would be as many requests as the server answers
                known = None
            else:
                return self.leading

    async def _fetch(self) -> Observation:
        record: LeaseRecord | None
        try:
            record = await self._request("GET", self._path())
        except NotFound:
            record = None
        self._seen = observe(self._seen, record, self._clock.boottime())
        return self._seen

    async def _write(self, decision: Decision, before: LeaseRecord | None) -> None:
        options = self._options
        spec = held_spec(
            before, identity=options.identity, duration=int(options.lease_duration), now=self._clock.now()
        )
        self._may_hold = True
        sent_at = self._clock.boottime()
        if decision is Decision.CREATE:
            record = await self._create(spec)
        else:
            assert before is not None
            record = await self._patch(spec, before.resource_version)
        # from when it was sent: the answer may have taken any time
        self._renewed_at = sent_at
        self._seen = Observation(record, self._clock.boottime())
        deadline = sent_at + options.renew_deadline
        if self._term is None:
            self._term = Term(self._clock, deadline)
        else:
            self._term.deadline = deadline

    async def _release(self) -> None:
        """Free the lease if it is ours; a failure costs the next leader a lease duration, nothing else."""
        try:
            async with timeout(self._clock, self._options.renew_deadline / 2):
                for _ in range(_RELEASE_TRIES):
                    record = (await self._fetch()).record
                    if record is None or record.holder != self._options.identity:
                        return
                    try:
                        await self._patch(released_spec(self._clock.now()), record.resource_version)
                    except Conflict:
                        continue
                    self._log.info("lease released")
                    return
        except _NO_ANSWER as error:
            self._log.warning("could not release the lease", error=_why(error))

    async def _watch(self) -> None:
        """Learn of a release at once. Polling goes on beside it: where watching is forbidden, that must do."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={self._options.name}",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        path = LEASES.path(self._options.namespace)
        while True:
            try:
                # a holder renews within its lease's duration: silence for longer is a dead holder or a dead watch
                idle = self._options.lease_duration
                stream = self._transport.stream(path, query=query, idle_timeout=idle)
                async with aclosing(stream) as lines:
                    async for line in lines:
                        self._see(msgspec.json.decode(line))
            except (*_NO_ANSWER, *_NO_LEASE) as error:
                self._log.debug("lease watch ended", error=_why(error))
            await self._clock.sleep(self._options.retry_period)

    def _see(self, event: Mapping[str, Any]) -> None:
        lease = event.get("object") or {}
        if (
            event.get("type") not in {"ADDED", "MODIFIED", "DELETED"}
            or lease["metadata"]["name"] != self._options.name
        ):
            return
        record = LeaseRecord.from_object(lease) if event["type"] != "DELETED" else None
        known = self._seen.record if self._seen is not None else None
        if (
            record is not None
            and known is not None
            and int(record.resource_version) < int(known.resource_version)
        ):
            return  # the watch lags behind what was read since
        self._seen = observe(self._seen, record, self._clock.boottime())
        if record is None or not record.holder:
            self._released.set()

    def _path(self) -> str:
        return LEASES.path(self._options.namespace, self._options.name)

    async def _create(self, spec: Mapping[str, Any]) -> LeaseRecord:
        metadata = {"namespace": self._options.namespace, "name": self._options.name}
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}
        return await self._request("POST", LEASES.path(self._options.namespace), body)

    async def _patch(self, spec: Mapping[str, Any], resource_version: str) -> LeaseRecord:
        return await self._request(
            "PATCH", self._path(), {"metadata": {"resourceVersion": resource_version}, "spec": spec}
        )

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> LeaseRecord:
        limit = self._options.renew_deadline / 2  # so that one lost answer leaves time for another try
        async with timeout(self._clock, limit):
            answer = await self._transport.request(
                method,
                path,
                body=None if body is None else msgspec.json.encode(body),
                content_type="application/merge-patch+json" if method == "PATCH" else "application/json",
                timeout=limit,
            )
        raise_for_status(answer)
        try:
            return LeaseRecord.from_object(msgspec.json.decode(answer.body))
        except _NO_LEASE as error:
            raise UndecodableError(f"the answer is no Lease: {error}") from error


def _why(error: Exception) -> str:
    # the timeout around an attempt carries no text of its own
    return str(error) or "no answer in time"


async def _await(work: Callable[[], Awaitable[None]]) -> None:
    await work()
