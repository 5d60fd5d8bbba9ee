"""Stands in for the provider of Workspaces: believes every module, runs nothing, answers at once.

It shows how CAPT gets along with providers of both kinds: those that say which generation a condition is about, and
those that do not.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from capt.api import Workspace
from capt.controllers.kinds import WORKSPACE_FLAVOURS
from capt.runtime import (
    Client,
    Clock,
    ClusterConfig,
    Controller,
    Done,
    Kind,
    Manager,
    Request,
    Result,
    finalizers,
    watch_self,
)
from tests.support.running import QUIET, running

FINALIZER = "finalizer.managedresource.crossplane.io"
WORKSPACE: Kind[Workspace] = next(
    kind for kind in WORKSPACE_FLAVOURS if kind.resource.group == "tf.upbound.io"
)


@dataclass(slots=True)
class NeutralProvider:
    """Makes every Workspace Ready, with its variables as outputs.

    Attributes:
        client: Its reads and writes, told apart from capt's by their User-Agent.
        clock: The time.
        ages: Whether conditions carry observedGeneration.
        kind: The flavour of Workspace that it serves.
        idle: True while it does nothing at all.
        failures: Error messages by the module text that causes them.
        stuck: True while nothing can be destroyed.
    """

    client: Client
    clock: Clock
    ages: bool
    kind: Kind[Workspace] = WORKSPACE
    idle: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    stuck: bool = False

    async def reconcile(self, request: Request) -> Result:
        """Bring the status of one Workspace up to date."""
        client = self.client
        workspace = await client.get(self.kind, request.namespace, request.name)
        if workspace is None or self.idle:
            return Done()
        if workspace.metadata.deletion_timestamp is not None:
            if self.stuck:
                await self._write(workspace, "Deleting", error="delete failed: cannot destroy: it is in use")
            else:
                await finalizers.remove(client, self.kind, workspace, FINALIZER)
            return Done()
        workspace = await finalizers.add(client, self.kind, workspace, FINALIZER)
        parameters = workspace.spec.for_provider
        error = next((text for part, text in self.failures.items() if part in parameters.module), "")
        await self._write(workspace, "Creating" if error else "Available", error=error)
        return Done()

    async def awake(self) -> None:
        """End the idleness, and look at every Workspace."""
        self.idle = False
        for workspace in await self.client.list(self.kind):
            await self.reconcile(
                Request(namespace=workspace.metadata.namespace or "", name=workspace.metadata.name)
            )

    async def _write(self, workspace: Workspace, reason: str, *, error: str) -> None:
        age = {"observedGeneration": workspace.metadata.generation} if self.ages else {}
        ready = "True" if reason == "Available" else "False"
        synced = "False" if error else "True"
        old = {condition.type: condition for condition in workspace.status.conditions}

        def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
            before = old.get(kind)
            since = before.last_transition_time if before and before.status == status else None
            when = (since or self.clock.now()).strftime("%Y-%m-%dT%H:%M:%SZ")
            return {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": when,
                **age,
            }

        outputs = {"id": f"i-{workspace.metadata.name}", **workspace.spec.for_provider.varmap}
        status = {
            "atProvider": {"outputs": outputs},
            "conditions": [
                condition("Ready", ready, reason),
                condition("Synced", synced, "ReconcileError" if error else "ReconcileSuccess", error),
            ],
        }
        await self.client.patch_status(self.kind, workspace, status)


@contextlib.asynccontextmanager
async def neutral_provider(
    config: ClusterConfig, *, ages: bool, kind: Kind[Workspace] = WORKSPACE
) -> AsyncIterator[NeutralProvider]:
    """Run a provider until the block ends."""
    manager = Manager(config, QUIET)
    provider = NeutralProvider(
        client=manager.client_as("neutral-provider"), clock=manager.clock, ages=ages, kind=kind
    )
    manager.add(Controller(name="provider", reconciler=provider, watches=(watch_self(kind),)))
    async with running(manager):
        yield provider
