"""An event loop whose time stands still while the machine does.

Deadlines in tests end what would hang for ever. A host that does not run its virtual machine for minutes, or hardly, makes
every deadline pass though nothing hangs, so none of them may be measured by the machine's clock. Here time passes in turns
of the loop, and one turn counts for so much at most.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_TURN: Final = 0.1  # seconds after which the loop takes a turn even if there is nothing to do
_MOST: Final = 0.25  # seconds that a turn counts for at most; a machine that is only busy keeps within that


class _Turns(selectors.DefaultSelector):
    """Waits for sockets for one turn at most, and adds up how much longer than they count for turns have taken."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0.0
        self._begun = time.monotonic()

    def now(self) -> float:
        return min(time.monotonic(), self._begun + _MOST) - self.lost

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(_TURN if timeout is None else min(timeout, _TURN))
        now = time.monotonic()
        self.lost += max(0.0, now - self._begun - _MOST)
        self._begun = now
        return ready


class SteadyLoop(asyncio.SelectorEventLoop):
    """The loop that tests run on; what they run as a process of its own has the system's."""

    def __init__(self) -> None:
        self._turns = _Turns()
        super().__init__(self._turns)

    def time(self) -> float:
        """Return seconds, as the machine has lived them."""
        return self._turns.now()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on such a loop of its own, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(main)
