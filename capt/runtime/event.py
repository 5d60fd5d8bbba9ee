"""What an informer tells its handlers."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from capt.runtime.object import Object


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """One object appeared in, changed in, or left a cache.

    controller-runtime's create, update and delete events in one. An object that was deleted and made anew is two events,
    also where a list was the first to tell; upstream that can be one update. There are no generic events.

    Attributes:
        type: what happened.
        old: the object before; ``None`` when it was added.
        new: the object after; ``None`` when it was deleted.
        initial: the object was there when the handler began to listen (an initial list, not a change).
    """

    type: Literal["added", "modified", "deleted"]
    old: Object | None = None
    new: Object | None = None
    initial: bool = False

    @property
    def obj(self) -> Object:
        """The newest known state: ``new``, or ``old`` after a deletion."""
        obj = self.new or self.old
        assert obj is not None, "an event without objects"
        return obj
