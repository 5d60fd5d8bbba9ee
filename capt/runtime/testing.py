"""What tests of controllers need from the runtime; ships with it, for its users' tests too."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from capt.runtime.clock import Timer

# how often settle() lets the loop turn: until nothing is ready where the loop shows it (asyncio's own; the bound
# catches what never rests), else (uvloop) more often than any chain of wake-ups in the runtime is long
_MOST_TURNS = 100_000
_BLIND_TURNS = 100


class _FakeTimer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """A clock that moves only when told.

    Args:
        start: the wall clock at the beginning, aware.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._wall = timedelta()
        self._monotonic = 0.0
        self._suspended = 0.0
        self._timers: list[tuple[float, int, _FakeTimer]] = []
        self._sequence = 0

    def now(self) -> datetime:
        """Return the wall clock."""
        return self._start + self._wall + timedelta(seconds=self._monotonic + self._suspended)

    def monotonic(self) -> float:
        """Return seconds advanced."""
        return self._monotonic

    def boottime(self) -> float:
        """Return seconds advanced or suspended."""
        return self._monotonic + self._suspended

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of fake time."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = self.call_later(seconds, wake)
        try:
            await woken
        finally:
            timer.cancel()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` when time has been advanced by ``delay``."""
        timer = _FakeTimer(callback)
        self._sequence += 1
        heapq.heappush(self._timers, (self._monotonic + max(delay, 0.0), self._sequence, timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let time pass: run what is due in order, and after each let everything settle."""
        await settle()
        end = self._monotonic + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            if timer.callback is None:
                continue
            self._monotonic = max(self._monotonic, due)
            timer.callback()
            await settle()
        self._monotonic = end

    def suspend(self, seconds: float) -> None:
        """Put the machine to sleep: boot time and wall clock go on, the monotonic clock and timers do not."""
        self._suspended += seconds

    def set_wall_clock(self, now: datetime) -> None:
        """Step the wall clock, as NTP or an administrator does; no other clock notices."""
        self._wall += now - self.now()

    @property
    def pending(self) -> int:
        """How many timers are armed."""
        return sum(timer.callback is not None for _, _, timer in self._timers)


async def settle() -> None:
    """Return when nothing on the loop can run before time passes, input arrives, or a thread ends."""
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    for _ in range(_BLIND_TURNS if ready is None else _MOST_TURNS):
        await asyncio.sleep(0)
        if ready is not None and not ready:
            return
