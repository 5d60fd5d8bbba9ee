"""Bad days, by a seed: managers against an embedded API server that fails them in every way, on virtual time.

Everything is real but time: HTTPS over sockets, watches, leases, caches, queues. A run has a storm, then calm; what it must
show is that all is as it should be soon after, and that nothing was done in haste or left behind on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from blockbuster import blockbuster_ctx

from capt.embedded import (
    Answer,
    ApiServer,
    Delay,
    DropAfter,
    DropBefore,
    ExpireHistory,
    Fault,
    Hang,
    RequestInfo,
    TruncateWatch,
)
from capt.embedded.faults import Action
from capt.runtime import Response, Transport
from tests.support.virtual_time import VirtualClock

CALM_SECONDS = 400.0
"""Within this time after a storm all must be well: a watch that hangs is given up after 120 s, and tried again within 60."""

MOST_REQUESTS = 40.0
"""Requests per second, over any ten seconds, that one process may send in the worst of storms."""

PATIENCE = 0.0005
"""Seconds of real time for the kernel to carry bytes over the loopback."""

_WINDOW = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BadDay:
    """How a run went.

    Attributes:
        recovery: Seconds from the end of the storm until all was as it should be.
        fastest: Most requests per second over ten seconds.
        met: What went wrong, and how often.
    """

    recovery: float
    fastest: float
    met: dict[str, int]


@dataclass(slots=True)
class Storm:
    """What goes wrong in one run.

    Attributes:
        server: Whose requests go wrong.
        chance: Decides everything.
        watched: Packages in which a call that blocks the event loop is an error.
        agent: The User-Agent of those that it hits.
        met: How often what went wrong.
        fastest: Most requests per second, over ten seconds.
    """

    server: ApiServer
    chance: random.Random
    watched: str
    agent: str = "capt/"
    met: dict[str, int] = field(default_factory=dict)
    fastest: float = 0.0

    async def blow(self, seconds: float) -> None:
        """Let things go wrong for a while, each for a while of its own; then take every fault back.

        Meanwhile a call from what is watched that blocks the event loop is an error.
        """
        with blockbuster_ctx(self.watched) as guard:
            for function in guard.functions.values():
                # credentials are read from files once and when they are replaced, which their loader cannot do otherwise
                function.can_block_in("capt/runtime/config.py", {"connect", "_load"})
            await self._blow(seconds)

    async def _blow(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (now := loop.time()) < end:
            fault = self.server.faults.add(self._fault())
            await asyncio.sleep(min(self.chance.choice((0.1, 1.0, 5.0, 20.0)), end - now))
            if self.chance.random() < 0.7:
                self.server.faults.remove(fault)
        self.server.faults.clear()

    async def measure(self) -> None:
        """Watch the rate of requests, until cancelled."""
        while True:
            before = self._requests()
            await asyncio.sleep(_WINDOW)
            self.fastest = max(self.fastest, (self._requests() - before) / _WINDOW)

    def _requests(self) -> int:
        return sum(event.user_agent.startswith(self.agent) for event in self.server.audit)

    def _fault(self) -> Fault:
        chance = self.chance
        action, verbs = chance.choice(self._kinds())
        share = chance.choice((0.1, 0.5, 1.0))

        def hit(info: RequestInfo) -> bool:
            if not info.user_agent.startswith(self.agent) or info.verb not in verbs:
                return False
            if chance.random() >= share:
                return False
            name = type(action).__name__
            self.met[name] = self.met.get(name, 0) + 1
            return True

        return Fault(match=hit, action=action, times=chance.choice((1, 5, None)))

    def _kinds(self) -> tuple[tuple[Action, frozenset[str]], ...]:
        chance = self.chance
        reads, writes = frozenset({"get", "list", "watch"}), frozenset({"create", "patch", "delete"})
        return (
            (Answer(code=409), frozenset({"patch", "delete"})),
            (Answer(code=410), frozenset({"list", "watch"})),
            (Answer(code=429, retry_after=chance.choice((None, 1, 5))), reads | writes),
            (Answer(code=chance.choice((500, 503, 504))), reads | writes),
            (Delay(seconds=chance.choice((0.1, 3.0, 20.0, 60.0))), reads | writes),
            (Hang(), reads | writes),
            (DropBefore(), reads | writes),
            (DropAfter(), reads | writes),
            (TruncateWatch(after=chance.randrange(4)), frozenset({"watch"})),
            (ExpireHistory(), reads | writes),
        )


class LaggingTransport:
    """A way to the server on which watch events come late, so that caches are stale, and some come twice.

    Some reads of an object are answered with what was read of it before. The API promises that none is, so controllers may
    build on it for what they decide; but when all is well again, none may be left waiting for what has come long ago.
    """

    def __init__(self, inner: Transport, chance: random.Random) -> None:
        self._inner = inner
        self._chance = chance
        self._read: dict[str, Response] = {}
        self._calm = asyncio.Event()

    def calm(self) -> None:
        """Lag no more."""
        self._calm.set()

    async def request(self, method: str, path: str, **arguments: Any) -> Response:
        old = self._read.get(path)
        if old is not None and not self._calm.is_set() and method == "GET" and self._chance.random() < 0.2:
            return old
        answer = await self._inner.request(method, path, **arguments)
        if (
            method == "GET"
            and "/namespaces/" in path
            and "/leases" not in path
            and answer.status in {200, 404}
        ):
            self._read[path] = answer
        return answer

    async def stream(self, path: str, **arguments: Any) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._inner.stream(path, **arguments)) as lines:
            async for line in lines:
                if not self._calm.is_set() and self._chance.random() < 0.1:
                    await asyncio.sleep(self._chance.choice((0.1, 2.0, 8.0)))
                yield line
                if not self._calm.is_set() and b'"BOOKMARK"' not in line[:30] and self._chance.random() < 0.2:
                    yield line

    def with_user_agent(self, user_agent: str) -> Transport:
        other = copy(self)
        other._inner = self._inner.with_user_agent(user_agent)
        return other

    async def close(self) -> None:
        await self._inner.close()


def skewed_clock(chance: random.Random) -> VirtualClock:
    """Return a clock whose wall clock is wrong by up to a day."""
    return VirtualClock(datetime.now(UTC) + timedelta(seconds=chance.uniform(-86_400, 86_400)))


async def until(reached: Callable[[], Awaitable[bool]], seconds: float = CALM_SECONDS) -> float:
    """Look every second until a state is reached; return how long that took.

    Raises:
        TimeoutError: It was not.
    """
    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while not await reached():  # noqa: ASYNC110 - what is waited for is elsewhere
            await asyncio.sleep(1)
    return asyncio.get_running_loop().time() - started


@contextlib.asynccontextmanager
async def storm_over(server: ApiServer, seed: int, watched: str) -> AsyncIterator[Storm]:
    """Prepare a storm over a server, and measure what it is asked."""
    storm = Storm(server, random.Random(seed), watched)
    measuring = asyncio.create_task(storm.measure(), name="measure")
    try:
        yield storm
    finally:
        measuring.cancel()
        await asyncio.wait({measuring})
