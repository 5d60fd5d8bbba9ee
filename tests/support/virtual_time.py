"""An event loop on which waiting takes no time: when nothing is ready, the clock jumps to the next timer.

Sockets work: what a peer in this process has sent is read before the clock jumps.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from capt.runtime.clock import Timer
from capt.runtime.debug import stack

T = TypeVar("T")

_MOST_BLOCKING = 60.0  # seconds of real time that a thread may keep the loop waiting
_LAST_LOOK = 1.0
_TURN = 0.1
_LAST_CPU_SECONDS = 5.0  # for what is cancelled when a limit is exceeded
_MOST_CPU = 1.0  # seconds that a turn counts for at most: a process is charged for what a host withholds
_TIMERS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a run may take.

    Attributes:
        virtual: Seconds on the loop's own clock.
        cpu: Seconds of this process's CPU time: a run that never lets time pass is bounded by it, and a busy machine
            is not.
        more: Says what else is pending, for the error.
    """

    virtual: float = math.inf
    cpu: float = math.inf
    more: Callable[[], str] = str


class OverdueError(Exception):
    """A run exceeded a limit, or nothing in it could ever happen any more; the message shows what is pending."""


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
        self.loop.check()
        ready = super().select(0)
        if timeout is not None and 0 < timeout <= self.loop.resolution:
            # the loop is about to run a timer that is due so soon, and who asks then for the time must find it passed
            self.loop.now += timeout
            return ready
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.loop.threads:
            ready = self._wait(_MOST_BLOCKING)
            if not ready:
                raise self.loop.overdue(f"a thread has kept the loop waiting for {_MOST_BLOCKING:g} s")
            return ready
        if timeout is None:
            ready = self._wait(_LAST_LOOK)  # the loop's own executor may be ending
            if not ready:
                raise self.loop.overdue("nothing is left that could ever happen, and something waits for it")
            return ready
        if len(self.get_map()) > 1:  # the loop's own pipe is always there
            ready = super().select(self.loop.patience)
        if not ready:
            self.loop.now += timeout
        return ready

    def _wait(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        for _ in range(round(seconds / _TURN)):  # a machine that stands still meanwhile loses one turn only
            if ready := super().select(_TURN):
                return ready
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop.

    Args:
        patience: Seconds of real time that the kernel is given to carry bytes from one socket to another.
        limits: How long it may run.
    """

    def __init__(self, patience: float = 0.0, limits: Limits | None = None) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = 0.0
        self.threads = 0
        self.patience = patience
        self.resolution = time.get_clock_info("monotonic").resolution
        self._limits = limits = limits or Limits()
        self._cpu_left = limits.cpu
        self._cpu_seen = time.process_time()
        super().__init__(selector)

    def check(self) -> None:
        """See whether it runs too long.

        Raises:
            OverdueError: it does.
        """
        if self.now > self._limits.virtual:
            raise self.overdue(f"not done after {self._limits.virtual:g} virtual seconds")
        used = time.process_time() - self._cpu_seen
        self._cpu_seen += used
        self._cpu_left -= min(used, _MOST_CPU)
        if self._cpu_left < 0:
            raise self.overdue(f"not done after {self._limits.cpu:g} s of CPU time")

    def overdue(self, problem: str) -> OverdueError:
        """Return the error that ends the run, and leave a little time for what is cancelled by it."""
        error = OverdueError(
            f"{problem}, at {self.now:.3f}; pending:\n{self.pending()}\n{self._limits.more()}"
        )
        self._limits = Limits()
        self._cpu_left = _LAST_CPU_SECONDS
        return error

    def pending(self) -> str:
        """Return every task with its stack, and the next timers."""
        lines = []
        for task in sorted(asyncio.all_tasks(self), key=asyncio.Task.get_name):
            lines += [f"task {task.get_name()}", *(f"    {line}" for line in stack(task))]
        timers = sorted(handle for handle in self._scheduled if not handle.cancelled())
        lines += [f"timer in {each.when() - self.now:.9f} s: {each}" for each in timers[:_TIMERS_SHOWN]]
        return "\n".join(lines)

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


def run(main: Coroutine[Any, Any, T], *, patience: float = 0.0, limits: Limits | None = None) -> T:
    """Run a coroutine on a loop of its own, whose time starts at zero.

    Raises:
        OverdueError: It exceeded a limit, or waits for what cannot happen.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(patience, limits)) as runner:
        return runner.run(main)
