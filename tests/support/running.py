"""Runs a manager for as long as a block of a test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from capt.runtime import Manager, ManagerOptions

QUIET = ManagerOptions(metrics_bind_address="0", health_probe_bind_address="0")


@contextlib.asynccontextmanager
async def running(manager: Manager) -> AsyncIterator[Manager]:
    """Run a manager until the block ends, then stop it in order."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(manager.run(stop), name="manager")
        try:
            yield manager
        finally:
            stop.set()
