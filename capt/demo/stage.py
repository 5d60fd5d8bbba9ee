"""Where a story is told: what there is, shown at every change, until something is reached."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from capt.demo.patience import patience
from capt.demo.screen import Screen
from capt.demo.tree import Row
from capt.runtime import Client, Event, Kind, SystemClock

T = TypeVar("T")

_STEP_SECONDS = 90
# Kubernetes' garbage collector learns of new kinds every 30 s, and keeps what their objects own until then
_COLLECTOR_SECONDS = 40.0
_POLL_SECONDS = 0.2


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
            async with patience(_STEP_SECONDS):
                while True:
                    self._changed.clear()
                    state = await self.state()
                    check(state)
                    self.screen.show(self._rows(state))
                    if reached(state):
                        return state
                    await self._changed.wait()
        except TimeoutError:
            raise StoryError(f"{what}: not reached within {_STEP_SECONDS} s") from None

    async def prove_empty(self, kinds: Sequence[Kind[Any]], namespace: str) -> None:
        """Say how much is left of each kind: nothing, once those who follow the last deletions have done their part.

        Raises:
            StoryError: Something was left behind.
        """
        clock = SystemClock()
        deadline = clock.monotonic() + _COLLECTOR_SECONDS
        while any((left := await self._left(kinds, namespace)).values()) and clock.monotonic() < deadline:
            await clock.sleep(_POLL_SECONDS)
        self.screen.say("left: " + ", ".join(f"{count} {plural}" for plural, count in left.items()))
        if any(left.values()):
            raise StoryError(
                "left behind: " + ", ".join(f"{count} {plural}" for plural, count in left.items() if count)
            )

    async def _left(self, kinds: Sequence[Kind[Any]], namespace: str) -> dict[str, int]:
        return {kind.resource.plural: len(await self.client.list_live(kind, namespace)) for kind in kinds}
