"""Which changes of a watched object matter.

A predicate drops an event before it becomes work. It sees the slim cached objects, old and new; no spec is
decoded for an event that is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from capt.runtime.event import Event
from capt.runtime.object import Object

Predicate = Callable[[Event], bool]
"""Tells whether an event is worth a reconcile. Must be quick, and not raise: it runs in the loop step of the event."""


def generation_changed(event: Event) -> bool:
    """Accept additions, deletions, and changes of ``metadata.generation``: a new spec, a deletion begun.

    An object that has no generation (a Secret) always passes. controller-runtime drops every update of such
    an object, which is never what was meant.
    """
    if event.old is None or event.new is None:
        return True
    return event.new.generation == 0 or event.old.generation != event.new.generation


def labels_changed(event: Event) -> bool:
    """Accept additions, deletions, and changes of the labels: controller-runtime's ``LabelChangedPredicate``."""
    return event.old is None or event.new is None or event.old.labels != event.new.labels


def annotations_changed(event: Event) -> bool:
    """Accept additions, deletions, and changes of the annotations: ``AnnotationChangedPredicate``.

    Decodes both objects, as no other predicate here does: it costs tens of microseconds per event.
    """
    return event.old is None or event.new is None or _annotations(event.old) != _annotations(event.new)


def any_of(*predicates: Predicate) -> Predicate:
    """Accept what at least one of ``predicates`` accepts (``predicate.Or``); of none, nothing."""
    return lambda event: any(predicate(event) for predicate in predicates)


def all_of(*predicates: Predicate) -> Predicate:
    """Accept what every one of ``predicates`` accepts (``predicate.And``); of none, everything."""
    return lambda event: all(predicate(event) for predicate in predicates)


def not_(predicate: Predicate) -> Predicate:
    """Accept what ``predicate`` drops (``predicate.Not``)."""
    return lambda event: not predicate(event)


def _annotations(obj: Object) -> dict[str, Any]:
    return obj.decode().get("metadata", {}).get("annotations") or {}
