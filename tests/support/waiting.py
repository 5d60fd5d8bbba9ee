"""Waiting for a state of something that cannot wake us: another process, a page, a list that nobody watches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from capt.runtime import CacheLagError, ConnectionFailed, RequestTimeout, ServerError

MAY_PASS = (CacheLagError, ConnectionFailed, RequestTimeout, ServerError)
"""Errors for which a look at an API server has not found what it looked for, and the next one may."""

_INTERVAL = 0.02


async def until(reached: Callable[[], Awaitable[bool]], *, seconds: float = 120.0) -> None:
    """Look again and again until a state is reached; where there is a watch, an `Observer` is the better choice.

    Raises:
        TimeoutError: It was not reached within `seconds`.
    """
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(*MAY_PASS):
                if await reached():
                    return
            await asyncio.sleep(_INTERVAL)
