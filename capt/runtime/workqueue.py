"""The queue between watches and workers.

One object replaces the three that client-go stacks (queue, delaying queue, rate-limiting queue) and the five
goroutines of controller-runtime's priority queue. That works because everything runs on one event loop: each
transition is a synchronous method, so what follows holds whenever anyone can look.

* A key waits at most once: ready, delayed, or parked. Asking for it again merges: highest priority, earliest
  time, union of the reasons.
* A key is in processing from :meth:`WorkQueue.get` to :meth:`WorkQueue.done` and is not handed out meanwhile:
  when its time comes it is parked, and becomes ready on ``done``.
* The ready keys form one FIFO per priority. A key whose priority is raised goes behind those that were in the
  higher class before it.
* One timer is armed, for the earliest delayed key.

The FIFOs are ordered dicts, so that a raised key leaves its class in constant time. The delayed keys are a
heap; what left it early stays in it as a blank, which holds no key, and the heap is rebuilt when blanks
outnumber the rest.
"""

from __future__ import annotations

import asyncio
import heapq
from bisect import insort
from collections import Counter, OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Generic, TypeVar

from msgspec import Struct

from capt.runtime.clock import Clock, Timer
from capt.runtime.metrics import QueueMetrics

K = TypeVar("K", bound=Hashable)

LOW_PRIORITY: Final = -100
"""Priority of keys from an initial list, as in controller-runtime: changes overtake them."""

MAX_REASONS: Final = 8
"""Most reasons kept per key; the first ones win, since they tell what began it."""

STARVATION_SECONDS: Final = 10.0
"""How long higher priorities may overtake a ready key before it counts as starving."""

STARVATION_SHARE: Final = 4
"""While a key starves, one hand-out in so many goes to the key that waits longest in the lower classes."""


class Item(Struct, Generic[K], frozen=True):
    """One key, handed to a worker.

    Attributes:
        key: what to process.
        priority: the highest that was asked for; a retry keeps it.
        reasons: why, merged, at most :data:`MAX_REASONS`.
    """

    key: K
    priority: int
    reasons: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatistics:
    """A queue at one moment.

    Attributes:
        ready: keys that could be handed out now, by priority.
        longest_wait: seconds that the oldest of them has been ready.
        delayed: keys whose time has not come.
        parked: keys that wait for the end of their own processing.
        processing: keys that were handed out.
    """

    ready: dict[int, int]
    longest_wait: float
    delayed: int
    parked: int
    processing: int


class _Place(Enum):
    NOWHERE = auto()
    READY = auto()
    DELAYED = auto()
    PARKED = auto()


class _State(Enum):
    OPEN = auto()
    DRAINING = auto()
    SHUT = auto()


class _Entry(Generic[K]):
    """A key that waits. ``key`` is blanked when it is handed out, since the delay heap may still hold the entry."""

    __slots__ = ("due", "key", "place", "priority", "reasons", "since")

    def __init__(self, key: K, priority: int) -> None:
        self.key: K | None = key
        self.priority = priority
        self.reasons: list[str] = []
        self.place = _Place.NOWHERE
        self.due = 0.0  # when it becomes ready; meaningful while delayed
        self.since = 0.0  # when it became ready; meaningful while ready


class WorkQueue(Generic[K]):
    """Keys that need work: deduplicated, prioritised, delayed, never given to two workers at once.

    Not thread-safe; everything but :meth:`get` and :meth:`drain` is synchronous.

    Args:
        clock: where time comes from.
        metrics: ``workqueue_*`` series.
        min_interval: least seconds between two hand-outs of one key; the first is immediate.
    """

    def __init__(self, *, clock: Clock, metrics: QueueMetrics, min_interval: float = 0.0) -> None:
        self._clock = clock
        self._metrics = metrics
        self._min_interval = min_interval
        self._state = _State.OPEN
        self._waiting: dict[K, _Entry[K]] = {}  # every key that waits, in whichever place
        self._ready: dict[int, OrderedDict[K, _Entry[K]]] = {}
        self._classes: list[int] = []  # priorities that have a ready key, ascending
        self._overtaken = 0  # hand-outs since a starving key was served
        self._delayed: list[tuple[float, int, _Entry[K]]] = []
        self._blanks = 0
        self._sequence = 0
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._processing: dict[K, float] = {}
        self._started: OrderedDict[K, float] = OrderedDict()  # recent hand-outs, for min_interval
        self._getters: deque[asyncio.Future[None]] = deque()
        self._drained = asyncio.Event()
        metrics.unfinished.set_function(lambda: sum(self._ages()))
        metrics.longest.set_function(lambda: max(self._ages(), default=0.0))

    def __len__(self) -> int:
        """Return how many keys could be handed out now."""
        return sum(map(len, self._ready.values()))

    def add(self, key: K, *, reason: str = "", priority: int = 0, after: float = 0.0) -> None:
        """Ask for ``key`` to be processed.

        Merges with what was asked before: the highest priority, the earliest time, and all reasons hold.
        Ignored once the queue is shutting down.

        Args:
            key: what to process.
            reason: why; "" adds none.
            priority: higher goes first.
            after: seconds to wait first; zero or less for none.
        """
        if self._state is not _State.OPEN:
            return
        now = self._clock.monotonic()
        due = now
        if after > 0:
            self._metrics.retries.inc()
            due += after
        if self._min_interval:
            due = max(due, self._started.get(key, -self._min_interval) + self._min_interval)
        entry = self._waiting.get(key)
        if entry is None:
            entry = self._waiting[key] = _Entry(key, priority)
        if reason and reason not in entry.reasons and len(entry.reasons) < MAX_REASONS:
            entry.reasons.append(reason)
        if priority > entry.priority:
            self._raise(key, entry, priority)
        if entry.place is _Place.READY or entry.place is _Place.PARKED:
            return
        if due <= now:
            self._make_ready(key, entry, now)
        elif entry.place is _Place.NOWHERE or due < entry.due:
            self._delay(entry, due)

    async def get(self) -> Item[K] | None:
        """Wait for a key, and take it: the caller must call :meth:`done` with it.

        Higher priorities go first, without exception for :data:`STARVATION_SECONDS`; a ready key that has
        waited longer gets one hand-out in :data:`STARVATION_SHARE`. Cancelling the wait loses no key.

        Returns:
            The key, or ``None`` once the queue is shut down.
        """
        while self._state is not _State.SHUT:
            if self._classes:
                return self._take()
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if not getter.cancelled():
                    self._wake()  # it had been woken for a key: somebody else must have that
                elif getter in self._getters:
                    self._getters.remove(getter)
                raise
        return None

    def done(self, key: K) -> None:
        """Tell that ``key`` is processed; what was asked for it meanwhile is due now. A stray call is ignored."""
        started = self._processing.pop(key, None)
        if started is None:
            return
        now = self._clock.monotonic()
        self._metrics.work_seconds.observe(now - started)
        entry = self._waiting.get(key)
        if entry is not None and entry.place is _Place.PARKED:
            self._make_ready(key, entry, now)
        self._check_drained()

    def shut_down(self) -> None:
        """Drop all waiting keys, ignore further ones, and end every :meth:`get` and :meth:`drain`.

        Keys in processing are not waited for. Dropping is right for keys of a level-triggered controller:
        its next start finds them again.
        """
        self._state = _State.SHUT
        self._waiting.clear()
        self._ready.clear()
        self._classes.clear()
        self._started.clear()
        self._drop_delayed()
        self._drained.set()
        while self._getters:
            self._wake()

    async def drain(self) -> None:
        """Ignore further keys, drop delayed ones, wait until the rest is processed, then shut down.

        A key that was asked for again while in processing is still processed once more. Unlike client-go's
        ``ShutDownWithDrain``, this also waits for ready keys that no worker has taken yet.
        """
        if self._state is _State.OPEN:
            self._state = _State.DRAINING
            self._drop_delayed()
            self._waiting = {k: e for k, e in self._waiting.items() if e.place is not _Place.DELAYED}
            self._check_drained()
        await self._drained.wait()
        self.shut_down()

    def statistics(self) -> QueueStatistics:
        """Return what waits, and how."""
        places = Counter(entry.place for entry in self._waiting.values())
        heads = [next(iter(keys.values())).since for keys in self._ready.values()]
        return QueueStatistics(
            ready={priority: len(self._ready[priority]) for priority in self._classes},
            longest_wait=self._clock.monotonic() - min(heads) if heads else 0.0,
            delayed=places[_Place.DELAYED],
            parked=places[_Place.PARKED],
            processing=len(self._processing),
        )

    def _take(self) -> Item[K]:
        now = self._clock.monotonic()
        priority = self._next_class(now)
        keys = self._ready[priority]
        key, entry = keys.popitem(last=False)
        if not keys:
            self._drop_class(priority)
        del self._waiting[key]
        entry.key = None
        entry.place = _Place.NOWHERE
        self._processing[key] = now
        if self._min_interval:
            self._remember_start(key, now)
        self._metrics.queue_seconds.observe(now - entry.since)
        return Item(key, priority, frozenset(entry.reasons))

    def _next_class(self, now: float) -> int:
        highest = self._classes[-1]
        if len(self._classes) == 1:
            return highest
        self._overtaken += 1
        if self._overtaken < STARVATION_SHARE:
            return highest
        heads = ((next(iter(self._ready[lower].values())).since, lower) for lower in self._classes[:-1])
        since, hungriest = min(heads)
        if now - since < STARVATION_SECONDS:
            return highest
        self._overtaken = 0
        return hungriest

    def _raise(self, key: K, entry: _Entry[K], priority: int) -> None:
        if entry.place is _Place.READY:
            keys = self._ready[entry.priority]
            del keys[key]
            if not keys:
                self._drop_class(entry.priority)
            self._class(priority)[key] = entry
        entry.priority = priority

    def _make_ready(self, key: K, entry: _Entry[K], now: float) -> None:
        if entry.place is _Place.DELAYED:
            self._blanks += 1
        if key in self._processing:
            entry.place = _Place.PARKED
            return
        entry.place = _Place.READY
        entry.since = now
        self._class(entry.priority)[key] = entry
        self._metrics.adds.inc()
        self._wake()

    def _class(self, priority: int) -> OrderedDict[K, _Entry[K]]:
        keys = self._ready.get(priority)
        if keys is None:
            keys = self._ready[priority] = OrderedDict()
            insort(self._classes, priority)
            self._metrics.watch_depth(priority, lambda: len(self._ready.get(priority, ())))
        return keys

    def _drop_class(self, priority: int) -> None:
        del self._ready[priority]
        self._classes.remove(priority)

    def _delay(self, entry: _Entry[K], due: float) -> None:
        if entry.place is _Place.DELAYED:
            self._blanks += 1  # its later place in the heap
        entry.place = _Place.DELAYED
        entry.due = due
        self._sequence += 1
        if self._blanks > len(self._delayed) // 2 + 16:
            self._delayed = [alarm for alarm in self._delayed if _counts(alarm)]
            heapq.heapify(self._delayed)
            self._blanks = 0
        heapq.heappush(self._delayed, (due, self._sequence, entry))
        self._arm()

    def _arm(self) -> None:
        due = self._delayed[0][0]
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._clock.call_later(due - self._clock.monotonic(), self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        while self._delayed and (self._delayed[0][0] <= now or not _counts(self._delayed[0])):
            alarm = heapq.heappop(self._delayed)
            if not _counts(alarm):
                self._blanks -= 1
                continue
            entry = alarm[2]
            assert entry.key is not None
            entry.place = _Place.NOWHERE
            self._make_ready(entry.key, entry, now)
        if self._delayed:
            self._arm()

    def _drop_delayed(self) -> None:
        self._delayed.clear()
        self._blanks = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _remember_start(self, key: K, now: float) -> None:
        self._started.pop(key, None)
        self._started[key] = now
        while next(iter(self._started.values())) + self._min_interval <= now:
            self._started.popitem(last=False)

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _check_drained(self) -> None:
        if self._state is _State.DRAINING and not self._waiting and not self._processing:
            self._drained.set()

    def _ages(self) -> list[float]:
        # metrics are rendered in a thread: list() copies in one step that the loop's thread cannot interrupt
        now = self._clock.monotonic()
        return [now - started for started in list(self._processing.values())]


def _counts(alarm: tuple[float, int, _Entry[K]]) -> bool:
    due, _, entry = alarm
    return entry.place is _Place.DELAYED and entry.due == due
