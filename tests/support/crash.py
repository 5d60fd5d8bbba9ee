"""A transport that dies at a chosen write, as a process does that is killed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

from capt.runtime import ConnectionFailed, Response, Transport


@dataclass(slots=True)
class Crash:
    """Where a manager dies, and whether it has.

    Attributes:
        at: Which write of the controllers it dies at, from 1; 0 while it is to live.
        when: Before the write is sent, or after it is stored and before the answer arrives.
        writes: How many writes the controllers have sent.
        happened: Set when the write was reached.
    """

    when: Literal["before", "after"]
    at: int = 0
    writes: int = 0
    happened: asyncio.Event = field(default_factory=asyncio.Event)


class CrashingTransport:
    """Passes everything on until the crash; afterwards nothing gets through in either direction."""

    def __init__(self, inner: Transport, crash: Crash, *, counts: bool = True) -> None:
        self._inner = inner
        self._crash = crash
        self._counts = counts

    @property
    def base_url(self) -> str:
        return self._inner.base_url

    def with_user_agent(self, user_agent: str) -> CrashingTransport:
        return CrashingTransport(self._inner.with_user_agent(user_agent), self._crash, counts=False)

    async def request(self, method: str, path: str, **arguments: Any) -> Response:
        crash = self._crash
        if crash.happened.is_set():
            raise ConnectionFailed("the process is dead")
        if self._counts and method != "GET" and "/leases" not in path:
            crash.writes += 1
            if crash.writes == crash.at:
                if crash.when == "after":
                    await self._inner.request(method, path, **arguments)
                crash.happened.set()
                await asyncio.Event().wait()
        return await self._inner.request(method, path, **arguments)

    def stream(self, path: str, **arguments: Any) -> Any:
        return self._inner.stream(path, **arguments)

    async def close(self) -> None:
        await self._inner.close()
