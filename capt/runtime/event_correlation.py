"""Which events are worth an Event: client-go's rules, with its numbers.

Two things fill a namespace with Events. A controller that says the same again and again about one object is given 25
Events, and then one in five minutes. And one that says almost the same, each time with another number in the text, is
told in one Event from the tenth text on: its count grows and its text is the newest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

BURST: Final = 25
"""Events on one object in the name of one component, before they are rationed."""

REFILL_SECONDS: Final = 300.0
"""Seconds until one more is granted."""

SIMILAR: Final = 10
"""Texts that differ, for the same object, type and reason, from which on they are one Event."""

SIMILAR_SECONDS: Final = 600.0
"""After so long without any of them they are told apart again."""

REMEMBERED: Final = 4096
"""Objects, and groups of similar events, that are remembered."""

S = TypeVar("S")


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(slots=True)
class _Group:
    texts: set[str] = field(default_factory=set)
    at: float = 0.0


class Correlator:
    """Remembers what was said lately. Time is handed in, in seconds."""

    def __init__(self) -> None:
        self._buckets: _Newest[_Bucket] = _Newest()
        self._groups: _Newest[_Group] = _Newest()

    def is_granted(self, source: Hashable, now: float) -> bool:
        """Tell whether one more event of ``source`` (component and object) may be written; if so, it is counted."""
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets.put(source, _Bucket(float(BURST), now))
        bucket.tokens = min(float(BURST), bucket.tokens + (now - bucket.at) / REFILL_SECONDS)
        bucket.at = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def is_combined(self, kind: Hashable, text: str, now: float) -> bool:
        """Tell whether ``text`` is one too many of its kind (component, object, type, reason), to be told in one Event."""
        group = self._groups.get(kind)
        if group is None or now - group.at > SIMILAR_SECONDS:
            group = self._groups.put(kind, _Group())
        group.at = now
        group.texts.add(text)
        if len(group.texts) < SIMILAR:
            return False
        group.texts.pop()  # any: only their number counts, which must not grow
        return True


class _Newest(Generic[S]):
    """What was used last, up to :data:`REMEMBERED`."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, S] = OrderedDict()

    def get(self, key: Hashable) -> S | None:
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def put(self, key: Hashable, state: S) -> S:
        self._known[key] = state
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return state
