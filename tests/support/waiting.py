"""Waiting for a state of something that cannot wake us: another process, a page, a list that nobody watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_INTERVAL = 0.02


async def until(reached: Callable[[], Awaitable[bool]], *, seconds: float = 120.0) -> None:
    """Look again and again until a state is reached; where there is a watch, an `Observer` is the better choice.

    Raises:
        TimeoutError: It was not reached within `seconds`.
    """
    async with asyncio.timeout(seconds):
        while not await reached():  # noqa: ASYNC110 - nothing else tells when it is
            await asyncio.sleep(_INTERVAL)
