"""A transport on which things go wrong by a seed: conflicts, timeouts, broken connections, and the death of the process."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from capt.runtime import ConnectionFailed, RequestTimeout, Response, Transport

_CONFLICT = b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","message":"injected","code":409}'
_OVERLOADED = (
    b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"ServiceUnavailable","message":"injected",'
    b'"code":503}'
)


@dataclass(slots=True)
class Chaos:
    """What goes wrong, and how often it has.

    Attributes:
        seed: Of all chance.
        rate: Share of the requests that something happens to.
        lifetime: Writes after which the process dies.
        died: Set when it has.
        done: What has gone wrong, by kind.
    """

    seed: int
    rate: float
    lifetime: int
    died: asyncio.Event = field(default_factory=asyncio.Event)
    done: Counter[str] = field(default_factory=Counter)
    _counts: Counter[str] = field(default_factory=Counter)

    def roll(self, method: str, path: str) -> str:
        """Return what happens to a request; by its path and how often it came, so that a run can be repeated."""
        self._counts[method + path] += 1
        chance = random.Random(f"{self.seed}/{method}{path}/{self._counts[method + path]}")
        if chance.random() >= self.rate:
            return ""
        what = chance.choice(("conflict", "overloaded", "lost before", "lost after", "timeout"))
        return what if what != "conflict" or method == "PATCH" else "overloaded"


class ChaoticTransport:
    """Passes on what chance lets through."""

    def __init__(self, inner: Transport, chaos: Chaos) -> None:
        self._inner = inner
        self._chaos = chaos

    @property
    def base_url(self) -> str:
        return self._inner.base_url

    def with_user_agent(self, user_agent: str) -> ChaoticTransport:
        return ChaoticTransport(self._inner.with_user_agent(user_agent), self._chaos)

    async def request(self, method: str, path: str, **arguments: Any) -> Response:
        chaos = self._chaos
        if "/namespaces/" not in path or "/leases" in path:
            return await self._inner.request(method, path, **arguments)
        chaos.lifetime -= method != "GET"
        if chaos.lifetime <= 0:
            chaos.done["death"] += not chaos.died.is_set()
            chaos.died.set()
            await asyncio.Event().wait()
        what = chaos.roll(method, path)
        chaos.done[what] += bool(what)
        match what:
            case "conflict":
                return Response(status=409, headers={}, body=_CONFLICT)
            case "overloaded":
                return Response(status=503, headers={}, body=_OVERLOADED)
            case "lost before":
                raise ConnectionFailed("injected")
            case "lost after":
                await self._inner.request(method, path, **arguments)
                raise ConnectionFailed("injected")
            case "timeout":
                await self._inner.request(method, path, **arguments)
                raise RequestTimeout("injected")
        return await self._inner.request(method, path, **arguments)

    def stream(self, path: str, **arguments: Any) -> Any:
        return self._inner.stream(path, **arguments)

    async def close(self) -> None:
        await self._inner.close()
