"""The runtime of this project, as a peer."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from capt.runtime import (
    ClusterConfig,
    Controller,
    Done,
    Event,
    Kind,
    Manager,
    ManagerOptions,
    Request,
    Resource,
    Result,
    SystemClock,
    configure_logging,
    controller_reference,
    watch_self,
)
from capt.runtime.metrics import Metrics
from capt.runtime.workqueue import WorkQueue
from hack.bench.peers.reporting import Span, say, say_synced
from hack.bench.replay import PROBED

Reconcile = Callable[[Manager, Request], Awaitable[None]]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class _Owner(_Model):
    uid: str
    controller: bool = False


class _Metadata(_Model):
    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[_Owner, ...] = ()


class _ConfigMap(_Model):
    metadata: _Metadata
    data: dict[str, str] = Field(default_factory=dict)


class _Status(_Model):
    observed_generation: int = 0


class _Thing(_Model):
    metadata: _Metadata
    spec: dict[str, Any] = Field(default_factory=dict)
    status: _Status = _Status()


_TICK = 0.001
_GROUP = "bench.capt.dev"
CONFIG_MAP = Kind(Resource(group="", version="v1", kind="ConfigMap", plural="configmaps"), _ConfigMap)
SOURCE = Kind(Resource(group=_GROUP, version="v1", kind="Source", plural="sources"), _Thing)
MIRROR = Kind(Resource(group=_GROUP, version="v1", kind="Mirror", plural="mirrors"), _Thing)


class _Reconciler:
    def __init__(self, manager: Manager, reconcile: Reconcile) -> None:
        self._manager, self._reconcile = manager, reconcile

    async def reconcile(self, request: Request) -> Result:
        await self._reconcile(self._manager, request)
        return Done()


class _Stalls:
    """How long the event loop let others wait, at worst."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        while True:
            asleep = time.perf_counter()
            await asyncio.sleep(_TICK)
            self.longest = max(self.longest, time.perf_counter() - asleep - _TICK)


async def _run(kind: Kind[Any], *also: Kind[Any], on: Any = None, reconcile: Reconcile | None = None) -> None:
    """Run a manager that caches kinds and reconciles the first, until the process is ended."""
    options = ManagerOptions(metrics_bind_address="0", health_probe_bind_address="0")
    manager = Manager(ClusterConfig.default(), options)

    async def watch() -> None:
        async with asyncio.TaskGroup() as tasks:
            stalls = _Stalls()
            watching = tasks.create_task(stalls.watch())
            for each in (kind, *also):
                await (await manager.informers.watch(each, on or _ignore)).wait_synced()
            watching.cancel()
        say_synced(stall=stalls.longest)

    manager.add_runnable("watch", watch)
    if reconcile is not None:
        watches = (watch_self(kind),)
        manager.add(Controller(name="bench", reconciler=_Reconciler(manager, reconcile), watches=watches))
    await manager.run(asyncio.Event())


def _ignore(_event: Event) -> None:
    """Keep the cache, hear nothing."""


async def cache(_count: int) -> None:
    """Fill a cache and keep it."""
    await _run(CONFIG_MAP)


async def ingest(count: int) -> None:
    """Count modifications that a handler hears of."""
    span = Span(count)

    def hear(event: Event) -> None:
        if event.old is not None and event.new is not None:
            span.step()

    await _run(CONFIG_MAP, on=hear)


async def noop(count: int) -> None:
    """Reconcile each object once: do nothing."""
    span = Span(count)

    async def reconcile(_manager: Manager, _request: Request) -> None:
        span.step()

    await _run(CONFIG_MAP, reconcile=reconcile)


async def read(count: int) -> None:
    """Reconcile each object once: read it, be content."""
    span = Span(count)

    async def reconcile(manager: Manager, request: Request) -> None:
        await manager.client.get(CONFIG_MAP, request.namespace, request.name)
        span.step()

    await _run(CONFIG_MAP, reconcile=reconcile)


async def latency(count: int) -> None:
    """Compare the time at which a reconcile starts with that at which the change was sent."""
    waited: list[float] = []
    last = "0"

    async def reconcile(manager: Manager, request: Request) -> None:
        nonlocal last
        now = time.time_ns()
        if request.name != PROBED:
            return
        found = await manager.client.get(CONFIG_MAP, request.namespace, request.name)
        assert found is not None
        sent = found.data["sent"]
        if sent in {"0", last}:
            return
        last = sent
        waited.append((now - int(sent)) / 1e9)
        if len(waited) == count:
            waited.sort()
            say("done", p50=waited[count // 2], p99=waited[count * 99 // 100])

    await _run(CONFIG_MAP, reconcile=reconcile)


async def mirror(count: int) -> None:
    """Make a Mirror of each Source, then patch the status of the Source."""
    span = Span(count)

    async def reconcile(manager: Manager, request: Request) -> None:
        source = await manager.client.get(SOURCE, request.namespace, request.name)
        if source is None or source.status.observed_generation == source.metadata.generation:
            return
        if await manager.client.get(MIRROR, request.namespace, request.name) is None:
            metadata = {
                "name": request.name,
                "namespace": request.namespace,
                "ownerReferences": [controller_reference(SOURCE, source)],
            }
            await manager.client.create(MIRROR, {"metadata": metadata, "spec": source.spec})
        observed = {"observedGeneration": source.metadata.generation}
        await manager.client.patch_status(SOURCE, source, observed)
        span.step()

    await _run(SOURCE, MIRROR, reconcile=reconcile)


async def queue(count: int) -> None:
    """Pass keys through the queue."""
    keys = [("default", f"c{number}") for number in range(count)]
    subject: WorkQueue[tuple[str, str]] = WorkQueue(clock=SystemClock(), metrics=Metrics().queue("bench"))
    span = Span(count)
    span.begin()
    for key in keys:
        subject.add(key)
    for _ in keys:
        item = await subject.get()
        assert item is not None
        subject.done(item.key)
        span.step()


if __name__ == "__main__":
    configure_logging(format="console", level="error")
    modes = {each.__name__: each for each in (cache, ingest, noop, read, latency, mirror, queue)}
    asyncio.run(modes[sys.argv[1]](int(sys.argv[2])))
