"""JSON patches (RFC 6902), as far as they are needed: the difference of two documents.

They are longer than merge patches and say the same, save one thing: that a field is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def difference(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> list[dict[str, Any]]:
    """Return the operations that turn ``before`` into ``after``, exactly; empty when they are equal.

    A list is replaced as a whole. 1 and true are different values.

    Args:
        before: a JSON object.
        after: what it is to be.
        path: JSON pointer of the object within its document.
    """
    operations: list[dict[str, Any]] = [
        {"op": "remove", "path": _pointer(path, name)} for name in before if name not in after
    ]
    for name, new in after.items():
        where = _pointer(path, name)
        old = before.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            operations += difference(old, new, where)
        elif name not in before or not equal(old, new):
            operations.append({"op": "add", "path": where, "value": new})
    return operations


def equal(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same; null is a value, and a bool is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def needed(before: Any, after: Any) -> bool:
    """Tell whether a merge patch cannot turn ``before`` into ``after``: they differ, and null is part of one of them.

    In a merge patch null means "remove", and API servers take nulls out of lists that one puts in place.
    """
    return not equal(before, after) and (_holds_null(before) or _holds_null(after))


def _holds_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_null, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_null, value))
    return value is None


def _pointer(path: str, name: str) -> str:
    return f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
