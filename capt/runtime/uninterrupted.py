"""What must not be cut off half-way though its task is cancelled: the start of a process, for one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uninterrupted(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run something short to its end and return its result; a cancellation meanwhile comes at the task's next await.

    asyncio answers the cancellation of ``create_subprocess_exec`` with SIGKILL, and then waits for the end of pipes that
    children of the process may hold for ever. Who has the process can stop it in order::

        process = await uninterrupted(asyncio.create_subprocess_exec("terraform", "apply"))
        try:
            await process.wait()
        finally:
            ...
    """
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    running = asyncio.create_task(coroutine)
    interrupted = False
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            interrupted = True
    if interrupted:
        # put off, not swallowed: whoever counts cancellations finds as many as before
        task.uncancel()
        task.cancel()
    return running.result()
