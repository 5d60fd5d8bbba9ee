"""Terraform outputs in the status: which of them, and how much."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

OUTPUT_LIMIT: Final = 16 * 1024
"""Most bytes of one output's JSON."""

TOTAL_LIMIT: Final = 128 * 1024
"""Most bytes of all outputs' JSON: an object may have 1.5 MB, and every watcher gets every change of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Outputs for the status.

    Attributes:
        values: Those that fit, in the order of their names.
        left_out: Names of those that do not; the connection secret has them.
    """

    values: Mapping[str, JsonValue]
    left_out: tuple[str, ...] = ()


def bounded(
    outputs: Mapping[str, JsonValue], *, each: int = OUTPUT_LIMIT, total: int = TOTAL_LIMIT
) -> Outputs:
    """Return the outputs that fit into a status; which ones does not depend on the order in which they came."""
    values: dict[str, JsonValue] = {}
    left_out: list[str] = []
    room = total
    for name, value in sorted(outputs.items()):
        size = len(name.encode()) + len(json.dumps(value, ensure_ascii=False).encode())
        if size <= min(each, room):
            values[name] = value
            room -= size
        else:
            left_out.append(name)
    return Outputs(values=values, left_out=tuple(left_out))
