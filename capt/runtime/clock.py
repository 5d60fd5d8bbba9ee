"""Time as an argument.

Three clocks answer three questions, and mixing them up is how leader election goes wrong:

* :meth:`Clock.now` is the wall clock: timestamps that people read. It jumps; no duration is ever taken from
  it.
* :meth:`Clock.monotonic` measures durations. On Linux it stands still while the machine is suspended.
* :meth:`Clock.boottime` measures durations and keeps counting through a suspend. A process that wakes up
  after its lease ran out learns it from this clock only.

Every part of the runtime gets a ``Clock``; :class:`capt.runtime.testing.FakeClock` is the one for tests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

# Where the platform lacks CLOCK_BOOTTIME (macOS), its monotonic clock counts through a suspend anyway.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Timer(Protocol):
    """A callback that was scheduled and can still be called off; ``asyncio.TimerHandle`` is one."""

    def cancel(self) -> None:
        """Call the callback off; without effect when it has run already."""


class Clock(Protocol):
    """What the runtime knows of time. Durations are seconds."""

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back; stands still during suspend."""

    def boottime(self) -> float:
        """Return seconds on a clock that never goes back and counts through suspend."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` on the monotonic clock; zero or less gives the loop one turn."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` on the running loop after ``delay`` seconds on the monotonic clock."""


class SystemClock:
    """The machine's clocks: what the runtime uses where none is given."""

    __slots__ = ()

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return ``CLOCK_MONOTONIC`` in seconds."""
        return time.monotonic()

    def boottime(self) -> float:
        """Return ``CLOCK_BOOTTIME`` in seconds."""
        return time.clock_gettime(_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await asyncio.sleep(seconds)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` on the running loop after ``delay`` seconds."""
        return asyncio.get_running_loop().call_later(delay, callback)


@asynccontextmanager
async def timeout(clock: Clock, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
    """Bound a block by ``seconds`` on ``clock``; ``None`` is no bound.

    The yielded scope's ``expired()`` tells this bound from a ``TimeoutError`` that came from inside.

    Raises:
        TimeoutError: the block took longer.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:
        timer = None if seconds is None else clock.call_later(seconds, lambda: scope.reschedule(loop.time()))
        try:
            yield scope
        finally:
            if timer is not None:
                timer.cancel()
