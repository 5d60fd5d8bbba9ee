"""How a controller is run: events become keys, keys become reconciles, outcomes become the next keys.

The outcome of a reconcile decides what happens to its key, in one place (:meth:`ReconcileLoop._settle`):

===================  ==========================================  =======================  ===================
outcome              the key                                     log                      ``result`` label
===================  ==========================================  =======================  ===================
``Done``             waits for the next event                    debug                    success
``After``            comes back after exactly that time          debug                    requeue_after
conflict             at once; from the second in a row, backoff  debug                    requeue
transient error      backoff (or what the server asked for)      one line, warning        error
terminal error       waits for the next event                    one line, error          error
anything else        backoff                                     traceback, once; error   error
===================  ==========================================  =======================  ===================
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import structlog

from capt.runtime.backoff import ItemBackoff
from capt.runtime.clock import Clock, timeout
from capt.runtime.controller import Controller, Watch, own_key
from capt.runtime.errors import ApiError, ErrorClass, TransientError, classify
from capt.runtime.event import Event
from capt.runtime.informer import Informers
from capt.runtime.logging import get_logger
from capt.runtime.metrics import Metrics
from capt.runtime.race import unless
from capt.runtime.resource import Key
from capt.runtime.result import After, Done, Request, Result
from capt.runtime.watch_handle import WatchHandle
from capt.runtime.workqueue import LOW_PRIORITY, Item, QueueStatistics, WorkQueue

_MOST_KNOWN_BUGS = 256  # tracebacks remembered as logged; forgetting them only logs one again


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A reconcile that is under way.

    Attributes:
        key: of what.
        reasons: why.
        seconds: for how long.
        task: in which it runs.
    """

    key: Key
    reasons: frozenset[str]
    seconds: float
    task: asyncio.Task[Any]


class ReconcileLoop:
    """One run of a controller: from its start, or from winning an election, to its end. Not reusable.

    Args:
        controller: what to run.
        informers: whose caches to watch.
        clock: where time comes from.
        metrics: ``controller_runtime_*`` and ``workqueue_*`` series.
    """

    def __init__(
        self, controller: Controller, *, informers: Informers, clock: Clock, metrics: Metrics
    ) -> None:
        self._controller = controller
        self._kind = controller.kind
        self._informers = informers
        self._clock = clock
        self._metrics = metrics.controller(controller.name, workers=controller.workers)
        self._queue: WorkQueue[Key] = WorkQueue(
            clock=clock, metrics=metrics.queue(controller.name), min_interval=controller.min_interval
        )
        self._backoff: ItemBackoff[Key] = ItemBackoff(controller.backoff)
        self._own: list[WatchHandle] = []  # watches of the kind that is reconciled
        self._running: dict[Key, tuple[Item[Key], float, asyncio.Task[Any]]] = {}
        self._stopping = asyncio.Event()
        self._known_bugs: set[tuple[object, ...]] = set()
        self._metrics.active_workers.set_function(lambda: len(self._running))
        self._log = get_logger().bind()  # bound here and not at each line, most of which are not written

    async def run(self) -> None:
        """Reconcile until :meth:`stop`; returns when the reconciles that were running then have ended.

        Cancelling it cancels them instead.
        """
        async with AsyncExitStack() as watches:
            watches.callback(self.stop)  # however it ends, nothing waits in the queue afterwards
            handles = []
            for watch in self._controller.watches:
                for handle in await watch.open(self._informers, self._handler(watch)):
                    watches.push_async_callback(handle.close)
                    handles.append(handle)
                    if watch.keys is own_key:
                        self._own.append(handle)
            for handle in handles:
                # no reconcile before every cache that it may read holds everything (an optional kind may be missing)
                await unless(
                    self._stopping, handle.wait_settled() if handle.optional else handle.wait_synced()
                )
            async with asyncio.TaskGroup() as group:
                for number in range(self._controller.workers):
                    group.create_task(self._work(), name=f"{self._controller.name}/{number}")
                try:
                    await self._stopping.wait()
                finally:
                    # also when cancelled: a reconcile that keeps that to itself must be the last of its worker
                    self.stop()

    def stop(self) -> None:
        """Start no further reconcile."""
        self._stopping.set()
        self._queue.shut_down()

    def in_flight(self) -> list[InFlight]:
        """Return the reconciles that are under way."""
        now = self._clock.monotonic()
        return [
            InFlight(key=key, reasons=item.reasons, seconds=now - started, task=task)
            for key, (item, started, task) in self._running.items()
        ]

    def queue_statistics(self) -> QueueStatistics:
        """Return what waits in the queue."""
        return self._queue.statistics()

    def _handler(self, watch: Watch) -> Callable[[Event], None]:
        def handle(event: Event) -> None:
            if watch.predicate is not None and not watch.predicate(event):
                return
            keys: dict[Key, None] = {}
            if event.old is not None:
                keys.update(dict.fromkeys(watch.keys(event.old)))
            if event.new is not None:
                keys.update(dict.fromkeys(watch.keys(event.new)))
            reason = f"{watch.reason} {event.type}"
            priority = LOW_PRIORITY if event.initial else 0
            for key in keys:
                self._queue.add(key, reason=reason, priority=priority)

        return handle

    async def _work(self) -> None:
        # the context is this worker's own, and each reconcile overwrites the last one's values: nothing to unbind
        structlog.contextvars.bind_contextvars(
            controller=self._controller.name, kind=self._kind.resource.kind
        )
        task = asyncio.current_task()
        assert task is not None
        while (item := await self._queue.get()) is not None:
            try:
                await self._process(item)
            finally:
                self._queue.done(item.key)
            # up to Python 3.12, a task group whose child fails while it waits leaves its task marked as being cancelled,
            # and the next group in the same task would take that for its own end
            while task.cancelling() and not self._stopping.is_set():
                task.uncancel()
            # a reconcile that finds all in the cache never waits: without this, a full queue would hold the loop
            await asyncio.sleep(0)

    async def _process(self, item: Item[Key]) -> None:
        key = item.key
        started = self._clock.monotonic()
        cached = next(filter(None, (handle.cached(key) for handle in self._own)), None)
        for reason in item.reasons:
            self._metrics.reasons(reason.partition(":")[0]).inc()
        structlog.contextvars.bind_contextvars(
            namespace=key.namespace,
            name=key.name,
            generation=cached.generation if cached is not None else 0,
            reconcile_id=f"{random.getrandbits(64):016x}",
            reasons=sorted(item.reasons),
        )
        task = asyncio.current_task()
        assert task is not None
        self._running[key] = (item, started, task)
        try:
            outcome = await self._outcome(Request(key.namespace, key.name, item.reasons))
            self._settle(item, outcome, self._clock.monotonic() - started)
        finally:
            del self._running[key]
            self._metrics.seconds.observe(self._clock.monotonic() - started)

    async def _outcome(self, request: Request) -> Result | Exception:
        """Reconcile; an exception is an outcome, unless it is our own cancellation."""
        scope = None
        failure: Exception
        try:
            if self._controller.timeout is None:
                result: object = await self._controller.reconciler.reconcile(request)
            else:
                async with timeout(self._clock, self._controller.timeout) as scope:
                    result = await self._controller.reconciler.reconcile(request)
        except asyncio.CancelledError as error:
            if self._stopping.is_set():
                raise
            # something inside was cancelled by somebody else, and nobody caught it
            failure = RuntimeError(f"reconcile ended with CancelledError, but nobody cancelled it: {error!r}")
        except Exception as error:  # noqa: BLE001 - isolation: whatever one reconcile raises stays its own
            failure = error
        else:
            if isinstance(result, Done | After):
                return result
            return TypeError(f"reconcile returned {result!r}, neither Done nor After")
        if scope is not None and scope.expired():
            self._metrics.timeouts.inc()
            return TimeoutError(f"reconcile took longer than {self._controller.timeout} s")
        return failure

    def _settle(self, item: Item[Key], outcome: Result | Exception, seconds: float) -> None:
        match outcome:
            case Done():
                self._backoff.forget(item.key)
                self._metrics.results["success"].inc()
                self._tell(self._log.debug, "reconciled", seconds=seconds)
            case After(delay, reason):
                self._backoff.forget(item.key)
                self._again(item, f"after: {reason}" if reason else "after", delay)
                self._metrics.results["requeue_after"].inc()
                self._tell(
                    self._log.debug, "reconciled", seconds=seconds, again_after=delay, waiting_for=reason
                )
            case Exception():
                self._failed(item, outcome)

    def _failed(self, item: Item[Key], error: Exception) -> None:
        kind = classify(error)
        if kind is ErrorClass.MOOT:
            self._backoff.forget(item.key)
            self._metrics.results["success"].inc()
            self._tell(self._log.debug, "nothing left to do", why=one_line(error))
            return
        if kind is ErrorClass.CONFLICT:
            first = self._backoff.failures(item.key) == 0
            delay = self._backoff.charge(item.key)
            self._again(item, "conflict", 0.0 if first else delay)
            self._metrics.conflicts.inc()
            self._metrics.results["requeue"].inc()
            self._tell(self._log.debug, "lost a race for a write, deciding again", error=one_line(error))
            return
        self._metrics.errors.inc()
        self._metrics.reconcile_errors.inc()
        self._metrics.results["error"].inc()
        if kind is ErrorClass.TERMINAL:
            self._metrics.terminal_errors.inc()
            self._tell(
                self._log.error, "reconcile failed; no retry until the object changes", error=one_line(error)
            )
            return
        delay = self._backoff.charge(item.key)
        if isinstance(error, ApiError | TransientError) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
        self._again(item, "retry", delay)
        failures = self._backoff.failures(item.key)
        if kind is ErrorClass.BUG:
            self._metrics.panics.inc()
            self._log_bug(error, retry_in=delay, failures=failures)
        else:
            self._tell(
                self._log.warning,
                "reconcile failed",
                error=one_line(error),
                retry_in=delay,
                failures=failures,
            )

    def _again(self, item: Item[Key], reason: str, delay: float) -> None:
        self._queue.add(item.key, reason=reason, priority=item.priority, after=delay)

    def _log_bug(self, error: Exception, **details: Any) -> None:
        bug = _place(error)
        known = bug in self._known_bugs
        if len(self._known_bugs) >= _MOST_KNOWN_BUGS:
            self._known_bugs.clear()
        self._known_bugs.add(bug)
        # one traceback says it all; a thousand of them hide everything else
        self._tell(
            self._log.error,
            "reconcile raised an unexpected error",
            error=one_line(error),
            exc_info=None if known else error,
            **details,
        )

    def _tell(self, log: Callable[..., object], event: str, **details: Any) -> None:
        """Log, and go on whatever the logger raises: a full disk or a closed pipe must not end the controller."""
        try:
            log(event, **details)
        except Exception as error:  # noqa: BLE001 - see above
            # what could not be shown may have been in the details
            with contextlib.suppress(Exception):
                self._log.error("could not log", what=event, error=type(error).__name__)


def one_line(error: BaseException) -> str:
    """Return type and message of an error as one line of at most 500 characters; of a group, those of its leaves."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(one_line(leaf) for leaf in error.exceptions)[:500]
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - whatever an error's own code does, there is something to tell of it
        text = "(its text cannot be had)"
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__


def _place(error: BaseException) -> tuple[object, ...]:
    """Return what tells one bug from another: the type, and the line that raised."""
    if isinstance(error, BaseExceptionGroup):
        return tuple(_place(leaf) for leaf in error.exceptions)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (type(error), trace.tb_frame.f_code if trace else None, trace.tb_lineno if trace else 0)
