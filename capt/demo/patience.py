"""How long the demo waits, when the machine itself may stand still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def patience(seconds: int) -> AsyncIterator[None]:
    """Bound a block by so many seconds in which this process ran.

    A virtual machine whose host has no time for it may do next to nothing for minutes. The demo's manager has not had
    that time either, so that is no reason to call it stuck.

    Raises:
        TimeoutError: The block took longer.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def count(left: int) -> None:
        nonlocal timer
        if left > 0:
            timer = loop.call_later(1.0, count, left - 1)
        else:
            scope.reschedule(loop.time())

    async with asyncio.timeout(None) as scope:
        count(seconds)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
