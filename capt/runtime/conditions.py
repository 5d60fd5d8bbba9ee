"""Conditions, as ``metav1.Condition`` wants them kept.

``lastTransitionTime`` says when ``status`` changed last, not when the condition was written last; writing it
anew at each reconcile turns a status that did not change into a write, and each write into another reconcile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar


class ConditionLike(Protocol):
    """A frozen pydantic model of ``metav1.Condition``."""

    @property
    def type(self) -> str:
        """What the condition is about, e.g. ``Ready``."""

    @property
    def status(self) -> str:
        """``True``, ``False`` or ``Unknown``."""

    @property
    def last_transition_time(self) -> datetime | None:
        """When ``status`` changed last."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Return a copy with some attributes replaced."""


C = TypeVar("C", bound=ConditionLike)


def find_condition(conditions: Iterable[C], type: str) -> C | None:  # noqa: A002 - the field's name in the API
    """Return the one of ``conditions`` that has that ``type``, or ``None``, as ``meta.FindStatusCondition`` does."""
    return next((condition for condition in conditions if condition.type == type), None)


def is_true(conditions: Iterable[ConditionLike], type: str) -> bool:  # noqa: A002 - the field's name in the API
    """Tell whether ``conditions`` have one of that ``type`` that is ``True``, as ``meta.IsStatusConditionTrue`` does."""
    condition = find_condition(conditions, type)
    return condition is not None and condition.status == "True"


def set_condition(conditions: Iterable[C], new: C) -> tuple[C, ...]:
    """Return ``conditions`` with ``new`` in the place of the one of its type, or at the end.

    The old transition time is kept when the status is equal (``meta.SetStatusCondition`` in apimachinery).
    The order of the others never changes, so that equal facts give equal lists and no write.

    Args:
        conditions: as they are; they are not changed.
        new: with the transition time that counts if its status is a new one. Upstream fills in the present time where
            there is none; here the caller says what time it is.
    """
    conditions = tuple(conditions)
    old = find_condition(conditions, new.type)
    if old is None:
        return (*conditions, new)
    if old.status == new.status and old.last_transition_time is not None:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return tuple(new if condition.type == new.type else condition for condition in conditions)
