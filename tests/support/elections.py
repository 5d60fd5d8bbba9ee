"""A world of candidates for one lease: their clocks, their networks, one API server, and all that may go wrong.

Every candidate is a :class:`LeaderElector` as it is, over a clock and a transport of its own. Its work writes all the time
through a fence. An oracle sees every write at the moment at which it leaves its sender, and knows the true time.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from capt.runtime import ConnectionFailed, LeadershipLostError, Metrics, RequestTimeout, Response
from capt.runtime.clock import Timer
from capt.runtime.fence import FencedTransport, refuse_late_write
from capt.runtime.leader_election import JITTER, LeaderElector, LeaseOptions
from tests.support.memory_api import MemoryApi
from tests.support.virtual_time import VirtualClock

T = TypeVar("T")

LEASE = LeaseOptions(namespace="ns", name="lease", identity="?")
REQUEST_SECONDS = LEASE.renew_deadline / 2
BACK_AT_WORK = LEASE.lease_duration + (1 + JITTER) * LEASE.retry_period + REQUEST_SECONDS
"""Seconds after the end of all trouble within which somebody must be at work."""

WATCHES_RECOVER = LEASE.lease_duration + 2 * LEASE.retry_period
"""Seconds after the end of all trouble within which every candidate watches the lease again."""

_WORK_SECONDS = 0.4
_FOREVER = 1e9


class ProcessClock:
    """One process's clocks: it can be stopped (SIGSTOP), or sleep with its machine; its wall clock can be wrong."""

    def __init__(self, true: VirtualClock, offset: float, skew: timedelta) -> None:
        self.true = true
        self.skew = skew
        self.stopped_until = 0.0
        self._offset = offset
        self._missed = 0.0  # by the monotonic clock, asleep

    def now(self) -> datetime:
        return self.true.now() + self.skew

    def monotonic(self) -> float:
        return self.boottime() - self._missed

    def boottime(self) -> float:
        return self.true.monotonic() + self._offset

    async def awake(self) -> None:
        """Return when the process runs: after each wait for the world outside."""
        while (left := self.stopped_until - self.true.monotonic()) > 0:
            await self.true.sleep(left)

    async def sleep(self, seconds: float) -> None:
        await self.true.sleep(seconds)
        await self.awake()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        return _ProcessTimer(self, delay, callback)

    def stop(self, seconds: float, *, asleep: bool) -> None:
        """Stop the process. With its machine asleep, the monotonic clock stands still meanwhile."""
        until = self.true.monotonic() + seconds
        if until > self.stopped_until:
            if asleep:
                self._missed += until - max(self.stopped_until, self.true.monotonic())
            self.stopped_until = until


class _ProcessTimer:
    def __init__(self, clock: ProcessClock, delay: float, callback: Callable[[], object]) -> None:
        self._clock = clock
        self._callback = callback
        self._inner = clock.true.call_later(delay, self._ring)

    def _ring(self) -> None:
        late = self._clock.stopped_until - self._clock.true.monotonic()
        if late > 0:
            self._inner = self._clock.true.call_later(late, self._ring)
        else:
            self._callback()

    def cancel(self) -> None:
        self._inner.cancel()


@dataclass(slots=True, kw_only=True)
class Weather:
    """What happens to one process's requests.

    Attributes:
        down: No connection is made; what is open breaks.
        hang: Share of requests that are never answered, and perhaps not carried out either.
        drop_before: Share of requests that are lost before the server has seen them.
        drop_after: Share of requests whose answer is lost.
        slow: Most seconds that each of connecting, sending and answering takes.
        deaf: Watches that are open fall silent, for good.
    """

    down: bool = False
    hang: float = 0.0
    drop_before: float = 0.0
    drop_after: float = 0.0
    slow: float = 0.0
    deaf: bool = False


@dataclass(slots=True)
class Oracle:
    """Sees every write where it is sent, and knows who may send one.

    Attributes:
        problems: What must never happen and did.
        renewed: When each candidate sent the last renewal that it knows to have succeeded, in true time.
        sent: Writes of each candidate's work that were sent.
        stopped: Writes that the fence stopped.
        last_sent: When the last write was sent.
    """

    api: MemoryApi
    clock: VirtualClock
    problems: list[str] = field(default_factory=list)
    renewed: dict[str, float] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    last_sent: float = 0.0

    @property
    def holder(self) -> str:
        lease = self.api.objects.get(("leases", "ns", "lease"))
        return lease["spec"].get("holderIdentity", "") if lease else ""

    def write(self, name: str) -> None:
        """Judge a write of a leader's work that is being sent now."""
        now = self.clock.monotonic()
        deadline = self.renewed.get(name, -_FOREVER) + LEASE.renew_deadline
        if now >= deadline:
            self.problems.append(f"{name} wrote at {now}, past its deadline {deadline}")
        if self.holder != name:
            self.problems.append(f"{name} wrote at {now}, but {self.holder!r} holds the lease")
        self.sent[name] += 1
        self.last_sent = now


class Network:
    """One process's way to the API server."""

    def __init__(
        self, name: str, api: MemoryApi, clock: ProcessClock, oracle: Oracle, chance: random.Random
    ) -> None:
        self.weather = Weather()
        self._name, self._api, self._clock, self._oracle, self._chance = name, api, clock, oracle, chance
        self._open: dict[asyncio.Timeout, None] = {}  # in an order that every run of a seed has

    def break_all(self) -> None:
        """Break every connection that is open, as a server does that ends."""
        for connection in self._open:
            connection.reschedule(self._clock.true.monotonic())

    def with_user_agent(self, user_agent: str) -> Network:
        return self

    async def close(self) -> None:
        return

    async def request(
        self,
        method: str,
        path: str,
        *,
        timeout: float = REQUEST_SECONDS,  # noqa: ASYNC109 - the Protocol's
        **rest: Any,
    ) -> Response:
        return await self._connected(self._exchange(method, path, timeout, **rest))

    async def _connected(self, exchange: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(None) as connection:
                self._open[connection] = None
                try:
                    return await exchange
                finally:
                    self._open.pop(connection, None)
        except TimeoutError:
            raise ConnectionFailed("connection reset") from None
        finally:
            await self._clock.awake()

    async def _exchange(self, method: str, path: str, limit: float, **rest: Any) -> Response:
        weather, chance, clock = self.weather, self._chance, self._clock
        await clock.sleep(chance.random() * weather.slow)  # the connection
        if weather.down or chance.random() < weather.drop_before:
            await clock.sleep(chance.choice((0.001, 0.1, limit)))
            raise ConnectionFailed("no connection")
        refuse_late_write(method)  # as HttpTransport does where it has its connection
        sent = clock.true.monotonic()
        lease = "/leases" in path
        if method != "GET" and not lease:
            self._oracle.write(self._name)
        if chance.random() < weather.hang / 2:
            await clock.sleep(limit)
            raise RequestTimeout("never carried out")
        await clock.true.sleep(chance.random() * weather.slow)  # on its way, whatever the process does
        answer = await self._api.request(method, path, timeout=limit, **rest)
        if chance.random() < weather.hang / 2:
            await clock.sleep(limit)
            raise RequestTimeout("carried out, never answered")
        await clock.true.sleep(chance.random() * weather.slow)  # on its way back
        await clock.awake()
        if chance.random() < weather.drop_after:
            raise ConnectionFailed("carried out, the answer was lost")
        if lease and method in {"POST", "PATCH"} and answer.status < 300:
            self._oracle.renewed[self._name] = sent
        return answer

    async def stream(self, path: str, *, idle_timeout: float, **rest: Any) -> AsyncGenerator[bytes, None]:
        if self.weather.down or self._chance.random() < self.weather.drop_before:
            raise ConnectionFailed("no watch")
        async with aclosing(self._api.stream(path, idle_timeout=idle_timeout, **rest)) as lines:
            while True:
                line = await self._connected(_within(idle_timeout, anext(lines)))
                if self.weather.deaf:
                    await self._connected(_within(idle_timeout, asyncio.Event().wait()))
                yield line


async def _within(seconds: float, wait: Awaitable[T]) -> T:
    loop = asyncio.get_running_loop()
    timer = asyncio.timeout_at(loop.time() + seconds)
    try:
        async with timer:
            return await wait
    except TimeoutError:
        if timer.expired():
            raise RequestTimeout("silence") from None
        raise


class Candidate:
    """One process that wants the lease."""

    def __init__(self, name: str, world: World) -> None:
        chance = world.chance
        skew = timedelta(seconds=chance.uniform(-1e6, 1e6))
        self.name = name
        self.clock = ProcessClock(world.clock, chance.uniform(0, 1e6), skew)
        self.network = Network(name, world.api, self.clock, world.oracle, chance)
        self.stop = asyncio.Event()
        self.working = False
        self._world = world
        options = LeaseOptions(namespace=LEASE.namespace, name=LEASE.name, identity=name)
        self.elector = LeaderElector(
            self.network, options, clock=self.clock, metrics=world.metrics, jitter=chance.random
        )
        self.task = asyncio.create_task(self.elector.run(self._work, self.stop), name=name)

    @property
    def at_work(self) -> bool:
        return self.working and self.elector.leading

    async def _work(self) -> None:
        self.working = True
        fenced = FencedTransport(self.network)
        try:
            while not self.stop.is_set():
                try:
                    await fenced.request("PATCH", f"/api/v1/namespaces/ns/things/{self.name}", body=b"{}")
                except LeadershipLostError:
                    self._world.oracle.stopped[self.name] += 1
                except (ConnectionFailed, RequestTimeout):
                    pass
                await self.clock.sleep(_WORK_SECONDS)
        finally:
            self.working = False


class World:
    """Candidates, a server, and trouble by a seed."""

    def __init__(self, seed: int, metrics: Metrics) -> None:
        self.chance = random.Random(seed)
        self.clock = VirtualClock()
        self.api = MemoryApi("things")
        self.oracle = Oracle(self.api, self.clock)
        self.metrics = metrics.leader("lease")
        self.candidates = [Candidate(f"c{n}", self) for n in range(self.chance.choice((2, 3)))]
        for candidate in self.candidates:
            self.api.put("things", "ns", candidate.name)

    @property
    def living(self) -> list[Candidate]:
        """The candidates that the end of all trouble finds well."""
        return [each for each in self.candidates if not each.network.weather.down]

    async def trouble(self) -> None:
        """Let something go wrong, or right again; for one candidate or for all; then let time pass."""
        chance = self.chance
        if chance.random() < 0.15:
            await self._restart_server()
        everywhere = chance.random() < 0.2
        for candidate in self.candidates if everywhere else [chance.choice(self.candidates)]:
            self._change(candidate)
        await self.clock.sleep(chance.choice((chance.uniform(0, 2), chance.uniform(0, 20))))

    def _change(self, candidate: Candidate) -> None:
        chance, weather = self.chance, candidate.network.weather
        match chance.randrange(8):
            case 0:
                weather.down = not weather.down
                if weather.down and chance.random() < 0.5:
                    candidate.network.break_all()
            case 1:
                weather.drop_before, weather.drop_after = chance.choice(
                    ((0, 0), (0.3, 0.3), (0, 0.8), (0.8, 0))
                )
            case 2:
                weather.slow = chance.choice((0, 0.5, 3, 12))
            case 3:
                weather.hang = chance.choice((0, 0.3, 1))
            case 4:
                weather.deaf = not weather.deaf
            case 5:
                candidate.clock.stop(
                    chance.choice((chance.uniform(0.1, 5), chance.uniform(5, 60))),
                    asleep=chance.random() < 0.5,
                )
            case 6:
                candidate.clock.skew += timedelta(seconds=chance.uniform(-1e5, 1e5))
            case 7 if self.oracle.holder:
                self.api.put("leases", "ns", "lease", metadata={"labels": {"n": str(chance.random())}})

    async def _restart_server(self) -> None:
        before = [candidate.network.weather.down for candidate in self.candidates]
        for candidate in self.candidates:
            candidate.network.weather.down = True
            candidate.network.break_all()
        await self.clock.sleep(self.chance.choice((0.5, 5, 30)))
        for candidate, down in zip(self.candidates, before, strict=True):
            candidate.network.weather.down = down

    async def calm(self) -> float:
        """End all trouble, but perhaps for one candidate, which dies with it; return the true time."""
        dead = self.chance.choice(self.candidates) if self.chance.random() < 0.4 else None
        for candidate in self.candidates:
            await candidate.clock.awake()
        for candidate in self.candidates:
            candidate.network.weather = Weather(down=candidate is dead)
            if candidate is dead:
                candidate.network.break_all()
        return self.clock.monotonic()

    async def somebody_at_work(self) -> float:
        """Wait until a living candidate is at work; return the true time."""
        while not any(candidate.at_work for candidate in self.living):
            await self.clock.sleep(0.05)
        return self.clock.monotonic()

    async def end(self) -> None:
        """Stop every candidate in order."""
        for candidate in self.candidates:
            candidate.stop.set()
        await asyncio.gather(*(candidate.task for candidate in self.candidates))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        problems: What must never happen and did.
        recovery: Seconds from the end of all trouble until somebody was at work.
        handover: Seconds from a release until the next was at work; None where nobody was left to follow.
        written: Writes of all leaders.
        stopped: Writes that a fence stopped.
    """

    problems: tuple[str, ...]
    recovery: float
    handover: float | None
    written: int
    stopped: int


async def simulate(seed: int, metrics: Metrics) -> Outcome:
    """Play one world to its end."""
    world = World(seed, metrics)
    problems = world.oracle.problems
    for _ in range(world.chance.randrange(5, 30)):
        await world.trouble()
    calm_at = await world.calm()
    recovery = _FOREVER
    async with asyncio.timeout(BACK_AT_WORK + 100):
        recovery = await world.somebody_at_work() - calm_at
    if recovery > BACK_AT_WORK:
        problems.append(f"nobody at work for {recovery} s")
    handover = None
    if len(world.living) > 1:
        await world.clock.sleep(WATCHES_RECOVER)
        leader = next(candidate for candidate in world.living if candidate.at_work)
        leader.stop.set()
        await leader.task
        if world.oracle.holder == leader.name:
            problems.append(f"{leader.name} has ended in order and not released")
        released_at = world.clock.monotonic()
        async with asyncio.timeout(BACK_AT_WORK + 100):
            handover = await world.somebody_at_work() - released_at
        if handover > 1:
            problems.append(f"nobody took a released lease for {handover} s")
    await world.end()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        problems.append(f"left behind: {left}")
    return Outcome(
        problems=tuple(problems),
        recovery=recovery,
        handover=handover,
        written=world.oracle.sent.total(),
        stopped=world.oracle.stopped.total(),
    )
