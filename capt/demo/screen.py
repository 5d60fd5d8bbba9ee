"""How the demo shows the tree: a live table on a terminal, a line for every change elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from capt.demo.tree import Row

_COLOURS = {"Ready": "green", "Deleting": "yellow", "New": "dim", "Changed": "dim"}
_HEADINGS = ("", "state", "what it is, or waits for")
_GAP = 2


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
    if console.is_terminal and not console.is_dumb_terminal:
        with _LiveTable(console) as live:
            yield live
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
        self._live.console.print(sentence, markup=False)

    def show(self, lines: list[Row]) -> None:
        self._live.update(table(lines, self._live.console.width), refresh=True)


def table(lines: Sequence[Row], width: int) -> Table:
    """Lay rows out in a table for a terminal of `width` columns.

    States are never shortened. Names have three fifths of the rest, or what details leave them, and are shortened in
    the middle: their ends tell them apart.
    """
    # without lines the headings alone
    state = max(len(text) for text in (_HEADINGS[1], *(row.state for row in lines)))
    details = max(len(text) for text in (_HEADINGS[2], *(row.detail for row in lines)))
    names = max((len(_label(row, row.name)) for row in lines), default=1)
    rest = max(width - state - 2 * _GAP, 2)
    name = min(names, max(rest * 3 // 5, rest - details))
    grid = Table(box=None, pad_edge=False, padding=(0, _GAP // 2))
    for heading, columns in zip(_HEADINGS, (name, state, rest - name), strict=True):
        grid.add_column(heading, no_wrap=True, overflow="ellipsis", width=columns)
    for row in lines:
        grid.add_row(
            Text(_label(row, _shortened(row.name, name - len(_label(row, ""))))),
            Text(row.state, style=_COLOURS.get(row.state, "cyan")),
            Text(row.detail),
        )
    return grid


def _label(row: Row, name: str) -> str:
    return f"{'  ' * row.depth}{row.kind} {name}"


def _shortened(text: str, columns: int) -> str:
    if len(text) <= columns or columns < 3:
        return text
    tail = columns // 2
    return f"{text[: columns - 1 - tail]}…{text[-tail:]}"


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
