"""One line of a benchmark's table: what was measured, ours first, and how it compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measure.

    Attributes:
        what: is measured.
        unit: of all values.
        values: by peer; the first one is ours.
        less_is_better: as with memory and waiting.
    """

    what: str
    unit: str
    values: Mapping[str, float]
    less_is_better: bool = False


def render(row: Row) -> str:
    """Return one line: the measure, our value, then each peer's with ours in relation to it."""
    (_, ours), *others = row.values.items()
    what = f"{row.what} (less is better)" if row.less_is_better else row.what
    cells = [f"{what:<62}{_number(ours):>9} {row.unit:<4}"]
    cells += [
        f"{name} {_number(value)} ({ours / value:.2f}x)" if value else f"{name} {_number(value)}"
        for name, value in others
    ]
    return "  ".join(cells)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
