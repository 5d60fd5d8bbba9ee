"""Where a story is told: what there is, shown at every change, until something is reached."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from capt.demo.screen import Screen
from capt.demo.tree import Row
from capt.runtime import Client, Event

T = TypeVar("T")

_STEP_SECONDS = 90.0


class StoryError(Exception):
    """The demo did not go as promised; the message says what was seen."""


class Stage(Generic[T]):
    """Shows states of the world.

    Args:
        client: Reads and writes; somebody watches what `read` reads.
        screen: Where states are shown.
        read: Reads the state as it is now.
        rows: Lays it out.
    """

    def __init__(
        self,
        client: Client,
        screen: Screen,
        read: Callable[[Client], Awaitable[T]],
        rows: Callable[[T], list[Row]],
    ) -> None:
        self.client = client
        self.screen = screen
        self._read = read
        self._rows = rows
        self._changed = asyncio.Event()

    def on_change(self, _event: Event) -> None:
        """Look again."""
        self._changed.set()

    async def state(self) -> T:
        """Return the state as it is now."""
        return await self._read(self.client)

    async def until(
        self, what: str, reached: Callable[[T], bool], check: Callable[[T], None] = lambda _: None
    ) -> T:
        """Show every state until one is `reached`; `check` sees each of them.

        Raises:
            StoryError: It was not reached within 90 seconds.
        """
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                while True:
                    self._changed.clear()
                    state = await self.state()
                    check(state)
                    self.screen.show(self._rows(state))
                    if reached(state):
                        return state
                    await self._changed.wait()
        except TimeoutError:
            raise StoryError(f"{what}: not reached within {_STEP_SECONDS:.0f} s") from None
