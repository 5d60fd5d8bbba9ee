"""An event loop on which waiting takes no time: when nothing is ready, the clock jumps to the next timer.

Sockets work: what a peer in this process has sent is read before the clock jumps.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from capt.runtime.clock import Timer

T = TypeVar("T")

_MOST_BLOCKING = 10.0  # seconds of real time that a thread may keep the loop waiting
_LAST_LOOK = 1.0


class VirtualClock:
    """The clock of such a loop.

    Args:
        start: The wall clock when the loop's time is zero.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def boottime(self) -> float:
        return self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(max(delay, 0.0), callback)


class _Selector(selectors.DefaultSelector):
    """Looks for what sockets have, and lets time jump when they have nothing."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.loop.threads:
            return super().select(_MOST_BLOCKING)
        if timeout is None:
            ready = super().select(_LAST_LOOK)  # the loop's own executor may be ending
            if not ready:
                raise RuntimeError("nothing is left that could ever happen, and something waits for it")
            return ready
        if len(self.get_map()) > 1:  # the loop's own pipe is always there
            ready = super().select(self.loop.patience)
        if not ready:
            self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop.

    Args:
        patience: Seconds of real time that the kernel is given to carry bytes from one socket to another.
    """

    def __init__(self, patience: float = 0.0) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = 0.0
        self.threads = 0
        self.patience = patience
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Run in a thread, while time stands still."""
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: asyncio.Future[Any] | Future[Any]) -> None:
        self.threads -= 1


def run(main: Coroutine[Any, Any, T], *, patience: float = 0.0) -> T:
    """Run a coroutine on a loop of its own, whose time starts at zero."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(patience)) as runner:
        return runner.run(main)
