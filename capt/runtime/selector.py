"""Label selectors: parsed once, matched in memory, and sent to the server as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALITY = re.compile(r"^(?P<key>[^\s=!]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s=!]*)$")
_PRESENCE = re.compile(r"^(?P<absent>!?)\s*(?P<key>[^\s=!(),]+)$")
# a comma inside the parentheses of a set does not end the requirement
_SEPARATOR = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. An absent label meets ``notin`` and ``absent``."""

    key: str
    operator: Literal["in", "notin", "exists", "absent"]
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether ``labels`` meet the requirement."""
        match self.operator:
            case "in":
                return labels.get(self.key) in self.values
            case "notin":
                return labels.get(self.key) not in self.values
            case "exists":
                return self.key in labels
            case "absent":
                return self.key not in labels

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "absent":
                return f"!{self.key}"
        return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that must all hold; an empty selector matches everything. Build it with :func:`parse_selector`.

    Attributes:
        requirements: what must hold.
    """

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether ``labels`` meet every requirement."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def parse_selector(labels: str | Mapping[str, str]) -> Selector:
    """Return the selector that ``labels`` stands for, as ``labels.Parse`` does, but for ``>`` and ``<``, which it refuses.

    Args:
        labels: kubectl's notation (``a=b,c!=d,e in (x,y),f,!g``), or a mapping of labels that must be equal.
            "" and an empty mapping match everything.

    Raises:
        ValueError: the text is no selector.
    """
    if isinstance(labels, str):
        return _parse(labels)
    return Selector(
        tuple(Requirement(key, "in", frozenset((value,))) for key, value in sorted(labels.items()))
    )


@lru_cache(maxsize=256)
def _parse(text: str) -> Selector:
    parts = [part.strip() for part in _SEPARATOR.split(text)] if text.strip() else []
    return Selector(tuple(_requirement(part) for part in parts))


def _requirement(text: str) -> Requirement:
    if found := _SET.match(text):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], "in" if found["operator"] == "in" else "notin", values)
    if found := _EQUALITY.match(text):
        return Requirement(
            found["key"], "notin" if found["operator"] == "!=" else "in", frozenset((found["value"],))
        )
    if found := _PRESENCE.match(text):
        return Requirement(found["key"], "absent" if found["absent"] else "exists")
    raise ValueError(f"not a label selector: {text!r}")
