"""JSON merge patches (RFC 7386): the difference of two documents, and its application.

A merge patch cannot say "set to null", because null means "remove"; the API server drops nulls from most
objects anyway, so both functions take a null for an absent field. A list is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capt.runtime.json_patch import equal


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that turns ``before`` into ``after``; ``{}`` when they are equal.

    Fields of ``before`` that ``after`` lacks are removed. Values are compared as JSON: 1 and 1.0 are equal,
    1 and true are not.
    """
    patch: dict[str, Any] = {
        name: None for name, old in before.items() if old is not None and after.get(name) is None
    }
    for name, new in after.items():
        if new is None:
            continue
        old = before.get(name)
        if isinstance(new, Mapping) and isinstance(old, Mapping):
            if inner := difference(old, new):
                patch[name] = inner
        elif isinstance(new, Mapping):
            patch[name] = _without_nulls(new)
        elif not equal(old, new):
            patch[name] = new
    return patch


def overlay(before: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that gives ``before`` the fields of ``desired``, and leaves all others alone.

    ``None`` in ``desired`` removes the field. ``{}`` when nothing differs: it is ``desired`` without what
    ``before`` already has.
    """
    patch: dict[str, Any] = {}
    for name, new in desired.items():
        old = before.get(name)
        if new is None:
            if old is not None:
                patch[name] = None
        elif isinstance(new, Mapping):
            if not isinstance(old, Mapping):
                patch[name] = _without_nulls(new)
            elif inner := overlay(old, new):
                patch[name] = inner
        elif not equal(old, new):
            patch[name] = new
    return patch


def apply(target: Any, patch: Any) -> Any:
    """Return ``target`` with the merge patch applied; ``target`` itself is left as it is.

    Unchanged parts are shared between the result and ``target``.
    """
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nulls(inner) if isinstance(inner, Mapping) else inner
        for name, inner in value.items()
        if inner is not None
    }
