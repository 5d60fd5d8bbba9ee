"""Metrics under controller-runtime's names, so that existing dashboards and alerts work unchanged.

Names, labels, buckets and the series that exist from the first scrape (so that ``rate()`` sees the first
increment) are those of controller-runtime and client-go. What they lack carries the prefix ``capt_``; beside
it stands ``controller_reconcile_errors_total``, which the seeds name.

Nothing is global: each manager owns one :class:`Metrics` and its registry. Children are bound once, where
the thing they measure is made, because ``labels()`` costs four times the increment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from capt.runtime.exposition import Family, Registry, slices

RECONCILE_BUCKETS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    *(1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0),
    *(15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0),
)
"""Buckets of ``controller_runtime_reconcile_time_seconds``."""


def _exponential(start: float, factor: float, count: int) -> tuple[float, ...]:
    # multiplied step by step, as the Go library does: start * factor**n rounds to other bounds
    bounds = [start]
    while len(bounds) < count:
        bounds.append(bounds[-1] * factor)
    return tuple(bounds)


QUEUE_BUCKETS: Final = _exponential(10e-9, 10, 12)
"""Buckets of ``workqueue_queue_duration_seconds`` and ``workqueue_work_duration_seconds``."""

MakeMetrics = Callable[[], Iterable[Metric]]
"""Makes metrics of what has been taken; runs in a thread."""

MAX_PRIORITIES: Final = 25
"""Most values of the ``priority`` label; further ones share ``exceeded_cardinality_limit``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerMetrics:
    """One controller's series, bound."""

    results: dict[str, Counter]
    errors: Counter
    reconcile_errors: Counter
    terminal_errors: Counter
    panics: Counter
    timeouts: Counter
    conflicts: Counter
    seconds: Histogram
    max_concurrent: Gauge
    active_workers: Gauge
    reasons: Callable[[str], Counter]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMetrics:
    """One work queue's series, bound."""

    adds: Counter
    retries: Counter
    queue_seconds: Histogram
    work_seconds: Histogram
    unfinished: Gauge
    longest: Gauge
    watch_depth: Callable[[int, Callable[[], float]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InformerMetrics:
    """One informer's series, bound."""

    objects: Gauge
    bytes: Gauge
    last_event_age: Gauge
    resource_version: Gauge
    synced: Gauge
    silent_watches: Counter
    relists: Callable[[str], Counter]
    events: Callable[[str], Counter]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderMetrics:
    """One lease's series, bound."""

    status: Gauge
    slowpath: Counter
    lease_age: Gauge


class Metrics:
    """All metrics of one manager.

    controller-runtime has one registry per process; here two managers do not count in common.

    Attributes:
        registry: where parts register metrics of their own.
        certificate_reads: how often a certificate of a server was read.
        certificate_errors: how often it could not be used.
        loop_lag: how late the event loop ran a timer, in seconds; what blocks it delays everything at once.
    """

    def __init__(self) -> None:
        self.registry = Registry()
        ProcessCollector(registry=self.registry)
        self._controllers = _ControllerFamilies(self.registry)
        self._queues = _QueueFamilies(self.registry)
        self._informers = _InformerFamilies(self.registry)
        self._requests = self._counter(
            "rest_client_requests_total",
            "Number of HTTP requests, partitioned by status code, method, and host.",
            "code", "method", "host",
        )  # fmt: skip
        self._request_children: dict[tuple[str, str, str], Counter] = {}
        self._cache_wait = Histogram(
            "capt_cache_read_wait_seconds",
            "How long a read waited for the cache to hold this process's own last write.",
            ["resource"],
            registry=self.registry,
        )
        self._cache_timeouts = self._counter(
            "capt_cache_read_timeouts_total",
            "Reads that gave up waiting for the cache to hold this process's own last write.",
            "resource",
        )
        self._leader_status = self._gauge(
            "leader_election_master_status",
            "Gauge of if the reporting system is master of the relevant lease, "
            "0 indicates backup, 1 indicates master. 'name' is the string used to identify the lease.",
            "name",
        )
        self._leader_slowpath = self._counter(
            "leader_election_slowpath_total",
            "Total number of slow path exercised in renewing leader leases. "
            "'name' is the string used to identify the lease.",
            "name",
        )
        self._events = self._counter(
            "capt_events_total",
            "Events recorded, written or not; those of type Warning are failures.",
            "component", "type", "reason",
        )  # fmt: skip
        self.certificate_reads = self._counter(
            "certwatcher_read_certificate_total", "Total number of certificate reads"
        )
        self.certificate_errors = self._counter(
            "certwatcher_read_certificate_errors_total", "Total number of certificate read errors"
        )
        self._states: list[Callable[[], MakeMetrics]] = []
        self._lease_age = self._gauge(
            "leader_election_lease_age_seconds", "Seconds since this process renewed its lease.", "name"
        )
        self.loop_lag = Histogram(
            "capt_event_loop_lag_seconds",
            "How late the event loop ran a timer.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=self.registry,
        )

    def controller(self, name: str, *, workers: int) -> ControllerMetrics:
        """Return a controller's series, all present from now on, at zero.

        Args:
            name: the ``controller`` label.
            workers: ``controller_runtime_max_concurrent_reconciles``.
        """
        return self._controllers.bind(name, workers)

    def queue(self, name: str) -> QueueMetrics:
        """Return a work queue's series; ``name`` is the controller's."""
        return self._queues.bind(name)

    def informer(self, resource: str) -> InformerMetrics:
        """Return an informer's series; ``resource`` is e.g. ``secrets`` or ``leases.coordination.k8s.io``."""
        return self._informers.bind(resource)

    def leader(self, name: str) -> LeaderMetrics:
        """Return a lease's series; ``name`` is the Lease's."""
        return LeaderMetrics(
            status=self._leader_status.labels(name),
            slowpath=self._leader_slowpath.labels(name),
            lease_age=self._lease_age.labels(name),
        )

    def rest_request(self, code: str, method: str, host: str) -> None:
        """Count a request to the API server, in ``rest_client_requests_total``.

        Args:
            code: HTTP status; ``<error>`` when no answer came, as in client-go.
            method: HTTP method.
            host: host and port.
        """
        child = self._request_children.get((code, method, host))
        if child is None:
            child = self._request_children[code, method, host] = self._requests.labels(code, method, host)
        child.inc()

    def cache_read_wait(self, resource: str) -> Histogram:
        """Return the histogram of waits for one's own writes, in seconds; ``resource`` as for :meth:`informer`."""
        return self._cache_wait.labels(resource)

    def cache_read_timeouts(self, resource: str) -> Counter:
        """Return the counter of reads that gave up waiting for one's own writes; ``resource`` as for :meth:`informer`."""
        return self._cache_timeouts.labels(resource)

    def event(self, component: str, type: str, reason: str) -> None:  # noqa: A002 - the field's name in the API
        """Count an event that was recorded, in ``capt_events_total``.

        Args:
            component: who told it.
            type: ``Normal`` or ``Warning``.
            reason: its one word for programs.
        """
        self._events.labels(component, type, reason).inc()

    def add_state(self, take: Callable[[], MakeMetrics]) -> None:
        """Show metrics that are computed at each scrape from state which only the event loop may read.

        Args:
            take: called on the loop, must be quick; what it returns makes the metrics, and may take its time.
        """
        self._states.append(take)

    async def text(self) -> bytes:
        """Return all metrics in the Prometheus text format 0.0.4.

        The event loop is given a turn after every hundred series; what must be made all at once is made in a thread.
        """
        own, foreign = self.registry.families()
        makers = [take() for take in self._states]
        made = await asyncio.to_thread(_made, foreign, makers)
        parts = []
        for part in slices([*own, *made]):
            parts.append(part)
            await asyncio.sleep(0)
        return b"".join(parts)

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format at once, for where no event loop waits."""
        own, foreign = self.registry.families()
        return b"".join(slices([*own, *_made(foreign, [take() for take in self._states])]))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


class _ControllerFamilies:
    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, ["controller", *labels], registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, ["controller"], registry=registry)

        runtime = "controller_runtime_"
        self.results = counter(
            runtime + "reconcile_total", "Total number of reconciliations per controller", "result"
        )
        self.errors = counter(
            runtime + "reconcile_errors_total", "Total number of reconciliation errors per controller"
        )
        self.terminal = counter(
            runtime + "terminal_reconcile_errors_total",
            "Total number of terminal reconciliation errors per controller",
        )
        self.panics = counter(
            runtime + "reconcile_panics_total", "Total number of reconciliation panics per controller"
        )
        self.timeouts = counter(
            runtime + "reconcile_timeouts_total", "Total number of reconciliation timeouts per controller"
        )
        self.seconds = Histogram(
            runtime + "reconcile_time_seconds",
            "Length of time per reconciliation per controller",
            ["controller"],
            buckets=RECONCILE_BUCKETS,
            registry=registry,
        )
        self.max_concurrent = gauge(
            runtime + "max_concurrent_reconciles", "Maximum number of concurrent reconciles per controller"
        )
        self.active_workers = gauge(
            runtime + "active_workers", "Number of currently used workers per controller"
        )
        self.seeds_errors = counter(
            "controller_reconcile_errors_total", "Total number of reconciliation errors per controller"
        )
        self.conflicts = counter(
            "capt_reconcile_conflicts_total", "Reconciles that lost a race for a write and were repeated"
        )
        self.reasons = counter("capt_reconcile_reasons_total", "What caused reconciles", "reason")

    def bind(self, name: str, workers: int) -> ControllerMetrics:
        def reason(reason: str) -> Counter:
            return self.reasons.labels(name, reason)

        bound = ControllerMetrics(
            results={
                result: self.results.labels(name, result)
                for result in ("success", "error", "requeue", "requeue_after")
            },
            errors=self.errors.labels(name),
            reconcile_errors=self.seeds_errors.labels(name),
            terminal_errors=self.terminal.labels(name),
            panics=self.panics.labels(name),
            timeouts=self.timeouts.labels(name),
            conflicts=self.conflicts.labels(name),
            seconds=self.seconds.labels(name),
            max_concurrent=self.max_concurrent.labels(name),
            active_workers=self.active_workers.labels(name),
            reasons=_cached(reason),
        )
        bound.max_concurrent.set(workers)
        return bound


class _QueueFamilies:
    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["name", "controller"]

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(name, text, labels, buckets=QUEUE_BUCKETS, registry=registry)

        self.depth = Gauge(
            "workqueue_depth",
            "Current depth of workqueue by workqueue and priority",
            [*labels, "priority"],
            registry=registry,
        )
        self.adds = Counter(
            "workqueue_adds_total", "Total number of adds handled by workqueue", labels, registry=registry
        )
        self.retries = Counter(
            "workqueue_retries_total",
            "Total number of retries handled by workqueue",
            labels,
            registry=registry,
        )
        self.queue_seconds = histogram(
            "workqueue_queue_duration_seconds",
            "How long in seconds an item stays in workqueue before being requested",
        )
        self.work_seconds = histogram(
            "workqueue_work_duration_seconds",
            "How long in seconds processing an item from workqueue takes.",
        )
        self.unfinished = Gauge(
            "workqueue_unfinished_work_seconds",
            "How many seconds of work has been done that is in progress and hasn't been observed by "
            "work_duration. Large values indicate stuck workers.",
            labels,
            registry=registry,
        )
        self.longest = Gauge(
            "workqueue_longest_running_processor_seconds",
            "How many seconds has the longest running processor for workqueue been running.",
            labels,
            registry=registry,
        )

    def bind(self, name: str) -> QueueMetrics:
        depths: dict[int, Callable[[], float]] = {}

        def watch_depth(priority: int, depth: Callable[[], float]) -> None:
            first = priority not in depths
            depths[priority] = depth
            if len(depths) <= MAX_PRIORITIES:
                self.depth.labels(name, name, str(priority)).set_function(depth)
            elif first:
                rest = list(depths.values())[MAX_PRIORITIES:]
                label = "exceeded_cardinality_limit"
                self.depth.labels(name, name, label).set_function(lambda: sum(each() for each in rest))

        return QueueMetrics(
            adds=self.adds.labels(name, name),
            retries=self.retries.labels(name, name),
            queue_seconds=self.queue_seconds.labels(name, name),
            work_seconds=self.work_seconds.labels(name, name),
            unfinished=self.unfinished.labels(name, name),
            longest=self.longest.labels(name, name),
            watch_depth=watch_depth,
        )


class _InformerFamilies:
    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge("capt_informer_" + name, text, ["resource"], registry=registry)

        def counter(name: str, text: str, label: str) -> Counter:
            return Counter("capt_informer_" + name, text, ["resource", label], registry=registry)

        self.objects = gauge("objects", "Objects in the cache")
        self.bytes = gauge("bytes", "Bytes of JSON in the cache")
        self.age = gauge(
            "last_event_age_seconds", "Seconds since the watch said anything, bookmarks included"
        )
        self.version = gauge("resource_version", "Newest resourceVersion seen")
        self.synced = gauge("synced", "1 when the cache holds everything the server had at the start")
        self.silent = Counter(
            "capt_informer_silent_watches_total",
            "Watches that brought not a byte, not even a bookmark, for two minutes, and were opened anew",
            ["resource"],
            registry=registry,
        )
        self.relists = counter("relists_total", "Full lists, by cause (start, gone, error)", "reason")
        self.events = counter("watch_events_total", "Watch events by type", "type")

    def bind(self, resource: str) -> InformerMetrics:
        def relists(reason: str) -> Counter:
            return self.relists.labels(resource, reason)

        def events(type: str) -> Counter:  # noqa: A002 - the field's name on the wire
            return self.events.labels(resource, type)

        return InformerMetrics(
            objects=self.objects.labels(resource),
            bytes=self.bytes.labels(resource),
            last_event_age=self.age.labels(resource),
            resource_version=self.version.labels(resource),
            synced=self.synced.labels(resource),
            silent_watches=self.silent.labels(resource),
            relists=_cached(relists),
            events=_cached(events),
        )


def _cached(bind: Callable[[str], Counter]) -> Callable[[str], Counter]:
    children: dict[str, Counter] = {}

    def child(label: str) -> Counter:
        bound = children.get(label)
        if bound is None:
            bound = children[label] = bind(label)
        return bound

    return child


def _made(collectors: Sequence[Collector], makers: Sequence[MakeMetrics]) -> list[Family]:
    metrics = chain.from_iterable([*(each.collect() for each in collectors), *(make() for make in makers)])
    return [Family(metric) for metric in metrics]
