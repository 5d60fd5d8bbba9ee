"""An API server with capt's kinds on it, managers to run against it, and an observer that sees every state."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from capt import controllers, terraform
from capt.api import Event as ApiEvent
from capt.assets import manifests
from capt.controllers.kinds import (
    APPLY,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
    TEMPLATE,
    WORKSPACE_FLAVOURS,
    kind_of,
)
from capt.embedded import AuditEvent
from capt.install import definitions, install_definitions
from capt.manager import CONTROLLERS
from capt.runtime import (
    Client,
    Clock,
    ClusterConfig,
    Event,
    HttpTransport,
    Informers,
    Key,
    Kind,
    Manager,
    ManagerOptions,
    SystemClock,
    Transport,
)
from hack.envtest import ControlPlane
from tests.support import project
from tests.support.api_servers import Api, api
from tests.support.waiting import MAY_PASS

NAMESPACE = "default"
WORKSPACE = WORKSPACE_FLAVOURS[0]
KINDS: dict[str, Kind[Any]] = {
    kind.resource.kind: kind for kind in (TEMPLATE, APPLY, MACHINE, MACHINE_SET, MACHINE_DEPLOYMENT)
}
EVENT = kind_of(ApiEvent)
QUIET = ManagerOptions(metrics_bind_address="0", health_probe_bind_address="0")
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

_SECONDS = 120.0  # a state that does not come fails a test, so a busy machine may take its time; so may a garbage collector
_LOOK_AGAIN = 0.25


@dataclass(slots=True)
class Cluster:
    """A running API server with capt's definitions installed.

    Attributes:
        api: The API server, embedded or real.
        config: How a user reaches it, who may do anything.
        manager_config: How a manager reaches it; on a real API server it is a ServiceAccount with the manager's role.
        client: Live reads and writes as the user.
        observer: Cached reads, and a wake-up at every change.
        data_dir: For the engine's state.
    """

    api: Api
    config: ClusterConfig
    manager_config: ClusterConfig
    client: Client
    observer: Observer
    data_dir: Path

    async def apply(self, *documents: dict[str, Any]) -> None:
        """Create the objects of the documents."""
        for document in documents:
            body = {**document, "metadata": {"namespace": NAMESPACE, **document["metadata"]}}
            await self.client.create(KINDS[document["kind"]], body)

    @contextlib.asynccontextmanager
    async def manager(
        self,
        *,
        engine: str = "simulated",
        options: ManagerOptions = QUIET,
        transport: Transport | None = None,
        simulation: terraform.Simulation | None = None,
        data_dir: Path | None = None,
        clock: Clock | None = None,
        watch_filter: str = "",
    ) -> AsyncIterator[Manager]:
        """Run a manager with all controllers until the block ends, then stop it in order."""
        stop = asyncio.Event()
        manager = self.new_manager(
            engine=engine,
            options=options,
            transport=transport,
            simulation=simulation,
            data_dir=data_dir,
            clock=clock,
            watch_filter=watch_filter,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(manager.run(stop), name="manager")
            try:
                yield manager
            finally:
                stop.set()

    def new_manager(
        self,
        *,
        engine: str = "simulated",
        options: ManagerOptions = QUIET,
        transport: Transport | None = None,
        simulation: terraform.Simulation | None = None,
        data_dir: Path | None = None,
        clock: Clock | None = None,
        watch_filter: str = "",
    ) -> Manager:
        """Return a manager with all controllers and an engine, not yet running."""
        manager = Manager(self.manager_config, options, transport=transport, clock=clock)
        controllers.add_to(manager, enabled=frozenset(CONTROLLERS), watch_filter=watch_filter)
        if engine != "external":
            terraform.add_to(
                manager, engine=engine, data_dir=data_dir or self.data_dir, simulation=simulation
            )
        return manager

    def audit(self) -> list[AuditEvent]:
        """Return every request so far that came to its end."""
        return self.api.audit()

    def write_kubeconfig(self, path: Path) -> None:
        """Write a superuser's kubeconfig."""
        path.write_text(yaml.safe_dump(self.api.kubeconfig()))

    def write_manager_kubeconfig(self, path: Path) -> None:
        """Write a kubeconfig with a manager's rights."""
        path.write_text(yaml.safe_dump(self.api.manager_kubeconfig()))

    def writes(self, *, user_agent: str) -> list[str]:
        """Return the writes that a user agent sent, as `verb resource/subresource`, Leases left out."""
        return [
            f"{event.verb} {'/'.join(filter(None, (event.resource, event.subresource)))}"
            for event in self.audit()
            if event.verb in WRITES and event.user_agent.startswith(user_agent) and event.resource != "leases"
        ]


@dataclass(slots=True)
class Observer:
    """Sees every state that the API server goes through, as a client with a watch does.

    Attributes:
        client: Cached reads.
        informers: What it watches with.
        checks: Run at every event, before anything else happens.
        deletions: Resource version and kind of every object that has gone.
    """

    client: Client
    informers: Informers
    checks: list[Callable[[], None]] = field(default_factory=list)
    deletions: list[tuple[int, str]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, kind: Kind[Any], event: Event) -> None:
        """Run every check on the new state, before anything else happens."""
        if event.type == "deleted":
            self.deletions.append((self.informers.store(kind).resource_version, kind.resource.kind))
        for check in self.checks:
            check()
        self._changed.set()

    async def until(self, reached: Callable[[], Awaitable[bool]], *, seconds: float = _SECONDS) -> None:
        """Wait for a state, looking again after every change, and now and then: not all that tests wait for is watched.

        A look that failed for a reason that may pass has not found it.

        Raises:
            TimeoutError: It did not come; the message shows what there is.
        """
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self._changed.clear()
                    with contextlib.suppress(*MAY_PASS):
                        if await reached():
                            return
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_AGAIN):
                            await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(await self.describe()) from None

    async def met(
        self, kind: Kind[Any], name: str, reached: Callable[[Any], bool], *, namespace: str = NAMESPACE
    ) -> Any:
        """Wait until an object of a kind that is watched is as wanted, be it for an instant; return it as it was then.

        States that are older than what the test itself wrote of it last do not count.

        Raises:
            TimeoutError: It did not come to that; the message shows what there is.
        """
        present = await self.client.get(kind, namespace, name)
        oldest = int(present.metadata.resource_version) if present is not None else 0
        found = [present] if present is not None and reached(present) else []

        def check() -> None:
            item = self.informers.store(kind).get(Key(namespace, name))
            if not found and item is not None and item.resource_version >= oldest:
                found.extend(filter(reached, [kind.model.model_validate_json(item.raw)]))

        async def was_reached() -> bool:
            return bool(found)

        self.checks.append(check)
        try:
            await self.until(was_reached)
        finally:
            self.checks.remove(check)
        return found[0]

    async def describe(self) -> str:
        """Return a line per object, for a failing test."""
        lines = ["the state was not reached; there is:"]
        for kind in (MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, APPLY, WORKSPACE, TEMPLATE):
            for item in await self.client.list_live(kind):
                deleting = " (deleting)" if item.metadata.deletion_timestamp else ""
                status = item.status.model_dump(mode="json", by_alias=True, exclude_none=True)
                lines.append(f"{kind.resource.kind} {item.metadata.name}{deleting}: {status}")
        return "\n".join(lines)

    async def gone(self, *kinds: Kind[Any]) -> None:
        """Wait until no object of the kinds is left."""

        async def empty() -> bool:
            return not any([await self.client.list(kind) for kind in kinds])

        await self.until(empty)

    async def collector_knows(self, kind: Kind[Any], spec: Mapping[str, Any]) -> None:
        """Wait until the garbage collector watches a kind; a real one looks for new kinds every 30 s.

        It orphans nothing of a kind that it does not know yet, and deletes that as ownerless once it does.

        Args:
            kind: What is to be orphaned.
            spec: Of an object of this kind that causes no work.
        """
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": str(uuid.uuid4())}
        metadata = {"name": "ownerless", "namespace": NAMESPACE, "ownerReferences": [owner]}
        await self.client.create(kind, {"metadata": metadata, "spec": dict(spec)})

        async def collected() -> bool:
            return await self.client.get(kind, NAMESPACE, "ownerless") is None

        await self.until(collected)

    async def told(self, kind: Kind[Any], reason: str, words: str = "", *, of_type: str = "Warning") -> None:
        """Wait for an Event about an object of a kind; Events are written after what they tell of.

        Args:
            kind: What the Event is about.
            reason: Its reason; "" for any.
            words: What its message must contain.
            of_type: Normal or Warning.
        """

        async def written() -> bool:
            return any(
                (event.involved_object.kind, event.type) == (kind.resource.kind, of_type)
                and reason in {"", event.reason}
                and words in event.message
                for event in await self.client.list(EVENT)
            )

        await self.until(written)

    async def settled(self, name: str, *, replicas: int) -> None:
        """Wait until a deployment has exactly `replicas` machines, all of its current template and available."""

        async def reached() -> bool:
            deployment = await self.client.get(MACHINE_DEPLOYMENT, NAMESPACE, name)
            machines = await self.client.list(MACHINE, NAMESPACE)
            if deployment is None:
                return False
            status = deployment.status
            counts = (
                deployment.spec.replicas,
                status.replicas,
                status.updated_replicas,
                status.available_replicas,
                len(machines),
                sum(machine.status.ready for machine in machines),
            )
            return status.observed_generation == deployment.metadata.generation and set(counts) == {replicas}

        await self.until(reached)


@cache
def own_definitions() -> Sequence[dict[str, Any]]:
    """Return capt's definitions, read once; they are not to be changed."""
    return tuple(definitions(manifests() / "crds", manifests() / "workspace"))


@contextlib.asynccontextmanager
async def cluster(
    data_dir: Path, plane: ControlPlane | None = None, clock: Clock | None = None
) -> AsyncIterator[Cluster]:
    """Give a test capt's definitions on an API server, an admin client and an observer.

    Args:
        data_dir: For the engine's state.
        plane: A real control plane to use; None for an embedded server.
        clock: The user's and the observer's: how long they wait before they ask again; the system's by default.
    """
    clock = clock or SystemClock()
    async with api(plane) as server:
        config = ClusterConfig.from_dict(server.kubeconfig())
        async with (
            HttpTransport(config, user_agent="test") as transport,
            Informers(transport, clock=clock) as informers,
        ):
            client = Client(transport, informers, clock=clock)
            await install_definitions(client, own_definitions(), SystemClock())
            observer = Observer(client, informers)
            handles = [
                await informers.watch(kind, partial(observer.on_event, kind))
                for kind in (*KINDS.values(), WORKSPACE, EVENT)
            ]
            for handle in handles:
                await handle.wait_synced()
            yield Cluster(
                api=server,
                config=config,
                manager_config=ClusterConfig.from_dict(server.manager_kubeconfig()),
                client=client,
                observer=observer,
                data_dir=data_dir,
            )


def documents(*files: Path) -> list[dict[str, Any]]:
    """Return the YAML documents of the files."""
    return [document for file in files for document in project.yaml_documents(file.read_text()) if document]


def samples() -> list[dict[str, Any]]:
    """Return the sample manifests, in order."""
    return documents(*sorted((manifests() / "samples").glob("*.yaml")))


def names(items: Iterable[Any]) -> Sequence[str]:
    """Return the names of the objects, sorted."""
    return sorted(item.metadata.name for item in items)
