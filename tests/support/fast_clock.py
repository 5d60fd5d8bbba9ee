"""A clock that runs faster than the one of the loop that it is made on, for waits that real time decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from capt.runtime.clock import Timer


class FastClock:
    """The loop's clock, with every second `factor` times as short; the rest of the world notices nothing."""

    def __init__(self, factor: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._factor = factor
        self._start = datetime.now(UTC)
        self._zero = self._loop.time()

    def now(self) -> datetime:
        """Return the wall clock, which was right when this clock was made."""
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Return fast seconds since this clock was made."""
        return (self._loop.time() - self._zero) * self._factor

    def boottime(self) -> float:
        """Return fast seconds since this clock was made."""
        return self.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after fast seconds."""
        await asyncio.sleep(seconds / self._factor)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back after fast seconds."""
        return self._loop.call_later(delay / self._factor, callback)
