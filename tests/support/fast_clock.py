"""A clock that runs faster than the system's, for waits that real time decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from capt.runtime import SystemClock
from capt.runtime.clock import Timer


class FastClock:
    """The system's clock, with every second `factor` times as short; the rest of the world notices nothing."""

    def __init__(self, factor: float) -> None:
        self._system = SystemClock()
        self._factor = factor
        self._start = self._system.now()
        self._zero = self._system.monotonic()

    def now(self) -> datetime:
        """Return the wall clock, which was right when this clock was made."""
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Return fast seconds since this clock was made."""
        return (self._system.monotonic() - self._zero) * self._factor

    def boottime(self) -> float:
        """Return fast seconds since this clock was made."""
        return self.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after fast seconds."""
        await asyncio.sleep(seconds / self._factor)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back after fast seconds."""
        return self._system.call_later(delay / self._factor, callback)
