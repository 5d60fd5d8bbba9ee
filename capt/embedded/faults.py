"""Faults for tests: what a real API server and the network before it do on a bad day, on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from capt.embedded.audit import RequestInfo
from capt.embedded.errors import StatusError

# Where the API's reason is not HTTP's phrase.
_REASONS = {410: "Expired", 500: "InternalError", 504: "Timeout"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer with this HTTP status (409, 410, 429, 500, 503, ...) and do nothing. ``retry_after`` in seconds."""

    code: int
    retry_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Wait so many seconds, then serve as usual."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer; the connection stays open until the client or the server gives up. Nothing is stored."""


@dataclass(frozen=True, slots=True)
class DropBefore:
    """Close the connection before anything is done."""


@dataclass(frozen=True, slots=True)
class DropAfter:
    """Serve the request - a write is stored - and close the connection instead of answering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruncateWatch:
    """Let a watch send so many lines, then cut the next one in its middle and close the connection."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class ExpireHistory:
    """Forget all watch history first: running watches end with 410 in the stream, old versions are gone."""


Action = Answer | Delay | Hang | DropBefore | DropAfter | TruncateWatch | ExpireHistory


@dataclass(slots=True, kw_only=True)
class Fault:
    """Do ``action`` for the next ``times`` requests that ``match`` says yes to; ``times`` None means always."""

    match: Callable[[RequestInfo], bool]
    action: Action
    times: int | None = 1


class Faults:
    """The faults in force, first added first used; a request meets at most one."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Put ``fault`` in force; returns it, so that it can be removed."""
        self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take ``fault`` out of force; nothing happens if it is used up already."""
        self._faults = [other for other in self._faults if other is not fault]

    def clear(self) -> None:
        """Take all faults out of force."""
        self._faults.clear()

    def take(self, info: RequestInfo) -> Action | None:
        """The action for this request, if any; counts it."""
        for fault in self._faults:
            if fault.match(info):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.remove(fault)
                return fault.action
        return None


class DropConnectionError(Exception):
    """A fault wants the connection closed instead of an answer."""


async def meet(action: Action | None) -> None:
    """Do what a fault does before the request is served.

    Raises:
        DropConnectionError: No answer at all.
        StatusError: This answer.
    """
    match action:
        case Answer(code=code, retry_after=retry_after):
            headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
            details = None if retry_after is None else {"retryAfterSeconds": retry_after}
            reason = _REASONS.get(code) or HTTPStatus(code).phrase.title().replace(" ", "")
            raise StatusError(code, reason, f"injected fault: {code}", details=details, headers=headers)
        case Delay(seconds=seconds):
            await asyncio.sleep(seconds)
        case Hang():
            await asyncio.Event().wait()
        case DropBefore():
            raise DropConnectionError
