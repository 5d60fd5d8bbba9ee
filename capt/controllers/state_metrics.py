"""What the objects are like, as metrics: how many in which phase, how many replicas, how long things take.

Gauges are computed from the caches when Prometheus asks, so they cost nothing in between, agree with what
`kubectl get` shows, and cannot drift. Only the leader shows them: a sum over replicas counts every object once.
How long Terraform takes shows in the WorkspaceTemplateApplies, whoever runs it; the built-in engine tells of each command
besides (`capt_terraform_command_seconds`). Of failures tells `capt_events_total` with type Warning.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from prometheus_client import Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from capt.controllers.kinds import APPLY
from capt.runtime.clock import Clock
from capt.runtime.event import Event
from capt.runtime.manager import Manager
from capt.runtime.metrics import MakeMetrics
from capt.runtime.object import Object
from capt.runtime.resource import Kind

READY_BUCKETS: Final = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600)
"""Seconds; an EKS control plane takes 10 to 15 minutes, a node group a few."""


class _Condition(msgspec.Struct, rename="camel"):
    type: str
    status: str
    reason: str = ""
    last_transition_time: datetime | None = None


class _Status(msgspec.Struct, rename="camel"):
    phase: str | None = None
    failure_reason: str | None = None
    replicas: int | None = None
    ready_replicas: int | None = None
    available_replicas: int | None = None
    updated_replicas: int | None = None
    conditions: list[_Condition] = []


class _Spec(msgspec.Struct):
    replicas: int | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    creation_timestamp: datetime


class _State(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)

    @property
    def ready(self) -> _Condition | None:
        return next((each for each in self.status.conditions if each.type == "Ready"), None)


_decode = msgspec.json.Decoder(_State).decode

_REPLICAS: Final = {
    "desired": "Replicas that the spec asks for",
    "current": "Replicas that exist",
    "ready": "Replicas that are ready",
    "available": "Replicas that have been ready for minReadySeconds",
    "updated": "Replicas made from the current template",
}


def add_to(manager: Manager, kinds: Sequence[Kind[Any]]) -> None:
    """Show the state of all objects of `kinds` in a manager's metrics; each must be watched by a controller."""
    informers = manager.informers
    ready_times = Histogram(
        "capt_time_to_ready_seconds",
        "Seconds from an object's creation until it was Ready for the first time.",
        ["kind"],
        buckets=READY_BUCKETS,
        registry=manager.metrics.registry,
    )
    operations = Operations(
        Histogram(
            "capt_terraform_operation_seconds",
            "Seconds until Terraform had done what a WorkspaceTemplateApply asked for.",
            ["operation"],
            buckets=READY_BUCKETS,
            registry=manager.metrics.registry,
        ),
        manager.clock,
    )

    def take() -> MakeMetrics:
        if not manager.leading:
            return lambda: ()
        return partial(gauges, {kind.resource.kind: informers.store(kind).list() for kind in kinds})

    async def follow() -> None:
        async with AsyncExitStack() as watches:
            for kind in kinds:
                newcomers = Newcomers(ready_times.labels(kind.resource.kind))
                handle = await informers.watch(kind, newcomers.on_event)
                watches.push_async_callback(handle.close)
            if APPLY in kinds:
                handle = await informers.watch(APPLY, operations.on_event)
                watches.push_async_callback(handle.close)
            await asyncio.Event().wait()

    manager.metrics.add_state(take)
    manager.add_runnable("state metrics", follow)


def gauges(objects: Mapping[str, Iterable[Object]]) -> list[Metric]:
    """Return the gauges of objects, given by kind."""
    phases = GaugeMetricFamily("capt_objects", "Objects by phase", labels=["kind", "phase"])
    waiting = GaugeMetricFamily(
        "capt_objects_not_ready",
        "Objects that are not Ready, by the reason of their condition",
        labels=["kind", "reason"],
    )
    replicas = {
        name: GaugeMetricFamily(f"capt_replicas_{name}", text, labels=["kind", "namespace", "name"])
        for name, text in _REPLICAS.items()
    }
    for kind, found in objects.items():
        in_phase, by_reason = Counter({"Ready": 0}), Counter[str]()
        for obj in found:
            state = _decode(obj.raw)
            in_phase[phase_of(state, deleting=obj.deleting)] += 1
            if state.ready is not None and state.ready.status != "True":
                by_reason[state.ready.reason] += 1
            for name, count in _counts(state):
                replicas[name].add_metric([kind, obj.namespace, obj.name], count)
        for phase, count in in_phase.items():
            phases.add_metric([kind, phase], count)
        for reason, count in by_reason.items():
            waiting.add_metric([kind, reason], count)
    return [phases, waiting, *replicas.values()]


def phase_of(state: _State, *, deleting: bool) -> str:
    """Return the phase of an object: its own word, or Ready, Failed or Pending; Deleting comes before all."""
    if deleting:
        return "Deleting"
    if state.status.phase:
        return state.status.phase
    if state.ready is not None and state.ready.status == "True":
        return "Ready"
    return "Failed" if state.status.failure_reason else "Pending"


def _counts(state: _State) -> Iterable[tuple[str, int]]:
    status = state.status
    counts = {
        "desired": state.spec.replicas,
        "current": status.replicas,
        "ready": status.ready_replicas,
        "available": status.available_replicas,
        "updated": status.updated_replicas,
    }
    return [(name, count) for name, count in counts.items() if count is not None]


class Newcomers:
    """Measures objects of one kind from their creation until they are Ready for the first time.

    Only those count that came while this process watched: of the others nobody can say whether they were Ready
    before.

    Args:
        seconds: takes each measurement.
    """

    def __init__(self, seconds: Histogram) -> None:
        self._seconds = seconds
        self._waiting: set[str] = set()

    def on_event(self, event: Event) -> None:
        """Look at a change."""
        uid = event.obj.uid
        if event.type == "added" and not event.initial:
            self._waiting.add(uid)
        if uid not in self._waiting:
            return
        if event.new is None:
            self._waiting.discard(uid)
            return
        state = _decode(event.new.raw)
        ready = state.ready
        if ready is not None and ready.status == "True" and ready.last_transition_time is not None:
            self._waiting.discard(uid)
            took = ready.last_transition_time - state.metadata.creation_timestamp
            self._seconds.observe(max(0.0, took.total_seconds()))


class Operations:
    """Measures how long it takes from a wish to its fulfilment: what is waited for in between counts.

    `create` lasts from when a WorkspaceTemplateApply came until it was Ready, `update` from when it ceased to be Ready
    until it was again, `delete` from when its deletion was asked for until it was gone. What began before this process
    watched is not measured.

    Args:
        seconds: takes each measurement, labelled by operation.
        clock: The time.
    """

    def __init__(self, seconds: Histogram, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._begun: dict[str, tuple[str, float]] = {}

    def on_event(self, event: Event) -> None:
        """Look at a change."""
        old, new, uid = event.old, event.new, event.obj.uid
        if new is None:
            if self._begun.get(uid, ("", 0))[0] == "delete":
                self._observe(uid)
            self._begun.pop(uid, None)
        elif new.deleting:
            if old is not None and not old.deleting:
                self._begin(uid, "delete")
        elif _is_ready(new):
            self._observe(uid)
        elif event.type == "added" and not event.initial:
            self._begin(uid, "create")
        elif old is not None and _is_ready(old):
            self._begin(uid, "update")

    def _begin(self, uid: str, operation: str) -> None:
        self._begun[uid] = operation, self._clock.monotonic()

    def _observe(self, uid: str) -> None:
        if (begun := self._begun.pop(uid, None)) is not None:
            operation, since = begun
            self._seconds.labels(operation).observe(self._clock.monotonic() - since)


def _is_ready(obj: Object) -> bool:
    ready = _decode(obj.raw).ready
    return ready is not None and ready.status == "True"
