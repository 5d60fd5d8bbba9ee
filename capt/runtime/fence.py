"""No write after the deadline: the last line of leader election.

A process that was suspended past the end of its lease wakes up believing what it believed before. Whatever its tasks
do next, their writes pass here first, and here the clock is asked: when the write is wanted, and once more when it has
its connection and its first byte is about to go out. Between the two it may have waited for seconds.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncGenerator, Mapping

from capt.runtime.clock import Clock
from capt.runtime.transport import REQUEST_TIMEOUT, Response, Transport


class LeadershipLostError(ConnectionError):
    """A leader's write was stopped, since its time as leader is over. Nothing was sent.

    Let it through: the work that wanted it is being cancelled. controller-runtime stops the process instead, and what its
    reconciles send until then is sent.
    """


class Term:
    """One time of leading.

    Attributes:
        deadline: boot time at which it ends, unless it is renewed before.
    """

    __slots__ = ("_clock", "deadline")

    def __init__(self, clock: Clock, deadline: float) -> None:
        self._clock = clock
        self.deadline = deadline

    @property
    def active(self) -> bool:
        """Whether the deadline has not passed."""
        return self._clock.boottime() < self.deadline

    def end(self) -> None:
        """End it now."""
        self.deadline = float("-inf")


current_term: contextvars.ContextVar[Term | None] = contextvars.ContextVar("capt_leader_term", default=None)
"""The term of the work that is running: inherited by every task that the leader's work starts, and by no other."""


def refuse_late_write(method: str) -> None:
    """Raise if a write with ``method``, in the name of the work that is running, would come after its term.

    Raises:
        LeadershipLostError: it is a write of the leader's work, and its term is over.
    """
    term = current_term.get()
    if term is not None and method != "GET" and not term.active:
        raise LeadershipLostError(f"{method} not sent: this process leads no more")


class FencedTransport:
    """Stops writes of a leader whose term is over; all others pass.

    Args:
        transport: what they pass on to. An ``HttpTransport`` wants :func:`refuse_late_write` as its ``before_send``.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = REQUEST_TIMEOUT,  # noqa: ASYNC109 - passed on; the transport enforces it
    ) -> Response:
        """Send one request; see :meth:`capt.runtime.transport.Transport.request`.

        Raises:
            LeadershipLostError: it is a write of the leader's work, and its term is over.
        """
        refuse_late_write(method)
        return await self._transport.request(
            method, path, query=query, body=body, content_type=content_type, accept=accept, timeout=timeout
        )

    def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        idle_timeout: float,
    ) -> AsyncGenerator[bytes, None]:
        """Open a watch; see :meth:`capt.runtime.transport.Transport.stream`."""
        return self._transport.stream(path, query=query, accept=accept, idle_timeout=idle_timeout)

    def with_user_agent(self, user_agent: str) -> FencedTransport:
        """Return a fenced transport under another User-Agent."""
        return FencedTransport(self._transport.with_user_agent(user_agent))

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()
