"""A clock on which one wait lasts until the test ends it: Terraform is done when the test says so."""

from __future__ import annotations

import asyncio

from capt.runtime import SystemClock

HELD = 3600.0
"""Seconds that the held wait seems to ask for."""


class HeldClock(SystemClock):
    """The system's clock, but whoever sleeps for `HELD` seconds sleeps until `free` is set.

    Attributes:
        free: Set in the beginning: the wait is over at once.
    """

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()

    async def sleep(self, seconds: float) -> None:
        """Return after real seconds, or when what is held is let go."""
        await (self.free.wait() if seconds == HELD else super().sleep(seconds))
