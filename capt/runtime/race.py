"""Work that ends early when an event is set."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Run ``work``; when ``event`` is set first, cancel it and wait for its end.

    Returns:
        The result of ``work``, ``None`` when the event came first.

    Raises:
        Exception: whatever ``work`` raises, as it is.
    """
    if event.is_set():
        work.close()
        return None
    task = asyncio.create_task(work, name=getattr(work, "__qualname__", None))
    watcher = asyncio.create_task(event.wait(), name="unless")
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watcher.cancel()
        task.cancel()
        await asyncio.wait({task, watcher})
        error = None if task.cancelled() else task.exception()
    if error is not None:
        raise error
    return None if task.cancelled() else task.result()
