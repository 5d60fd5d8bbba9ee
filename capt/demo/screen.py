"""How the demo shows the tree: a live table on a terminal, a line for every change elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from capt.demo.tree import Row

_COLOURS = {"Ready": "green", "Deleting": "yellow", "New": "dim"}


class Screen(Protocol):
    """Where the demo speaks."""

    def say(self, sentence: str) -> None:
        """Show a sentence that stays."""

    def show(self, lines: list[Row]) -> None:
        """Show the tree as it is now."""


@contextlib.contextmanager
def screen() -> Iterator[Screen]:
    """Return the right screen for standard output."""
    console = Console(highlight=False, soft_wrap=True)
    if console.is_terminal:
        with _LiveTable(console) as table:
            yield table
    else:
        yield _Lines(console)


class _LiveTable:
    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def say(self, sentence: str) -> None:
        self._live.console.print(sentence)

    def show(self, lines: list[Row]) -> None:
        table = Table(box=None, pad_edge=False)
        for heading, least in (("", 40), ("state", 20), ("what it is, or waits for", 20)):
            table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=least)
        for row in lines:
            table.add_row(
                Text(f"{'  ' * row.depth}{row.kind} {row.name}"),
                Text(row.state, style=_COLOURS.get(row.state, "cyan")),
                Text(row.detail),
            )
        self._live.update(table, refresh=True)


class _Lines:
    """Plain lines for logs and pipes: each row is printed when it is new or has changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[tuple[str, str], Row] = {}

    def say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False)

    def show(self, lines: list[Row]) -> None:
        current = {(row.kind, row.name): row for row in lines}
        for key, row in current.items():
            if self._shown.get(key) != row:
                text = f"{'  ' * (row.depth + 1)}{row.kind} {row.name}: {row.state}"
                self._console.print(f"{text} ({row.detail})" if row.detail else text, markup=False)
        for kind, name in self._shown.keys() - current.keys():
            self._console.print(f"  {kind} {name}: gone", markup=False)
        self._shown = current
