"""Makes the infrastructure of one machine, and carries back what came of it."""

from __future__ import annotations

from dataclasses import replace

from capt.api import CaptMachine, WorkspaceTemplateApply
from capt.controllers import names, ownership
from capt.controllers.child_apply import Create, Keep, Update, change
from capt.controllers.kinds import APPLY, MACHINE
from capt.controllers.machine.node_group import (
    NODE_GROUP_INDEX,
    NodeGroup,
    named_group,
    node_group,
)
from capt.controllers.machine.plan import Observation, Plan, plan_apply
from capt.controllers.machine.status import Report, report, report_deletion
from capt.controllers.pausing import is_paused
from capt.controllers.second_look import wait_for
from capt.runtime import AlreadyExists, Key, finalizers
from capt.runtime.client import Client
from capt.runtime.clock import Clock
from capt.runtime.logging import get_logger
from capt.runtime.owners import is_controlled_by
from capt.runtime.recorder import Recorder
from capt.runtime.result import Done, Request, Result


class CaptMachineReconciler:
    """Reconciles CaptMachines.

    Args:
        client: Reads and writes.
        recorder: Tells events.
        clock: The time.
        cross_namespace: True lets a node join a group of another namespace without its consent.
    """

    def __init__(self, client: Client, recorder: Recorder, clock: Clock, *, cross_namespace: bool) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._cross_namespace = cross_namespace
        self._log = get_logger()

    async def reconcile(self, request: Request) -> Result:
        """Bring one machine a step further, and say how far it is.

        Raises:
            ApiError: A write failed.
        """
        machine = await self._client.get(MACHINE, request.namespace, request.name)
        if machine is None or is_paused(machine):
            return Done()
        if machine.metadata.deletion_timestamp is not None:
            return await self._delete(machine)
        machine = await finalizers.add(self._client, MACHINE, machine, names.MACHINE_FINALIZER)
        observation = await self._observe(machine)
        await self._tell(machine, await self.reconcile_workspace_template_apply(observation))
        return Done()

    async def reconcile_workspace_template_apply(self, observation: Observation) -> Report:
        """Make or change the WorkspaceTemplateApply as the machine's spec says, and return what is to be told."""
        plan = plan_apply(observation)
        try:
            plan = await self._act(observation, plan)
        except AlreadyExists:
            # made earlier, by us with the answer lost, or by somebody else: the cache has yet to show it
            observation = replace(observation, apply=await self._live_apply(observation.machine))
            plan = await self._act(observation, plan_apply(observation))
        return report(observation, plan)

    async def _observe(self, machine: CaptMachine) -> Observation:
        namespace = machine.metadata.namespace or ""
        return Observation(
            machine=machine,
            apply=await self._client.get(APPLY, namespace, names.apply_name(machine.metadata.name)),
            group=await self._group(machine),
            now=self._clock.now(),
        )

    async def _group(self, machine: CaptMachine) -> NodeGroup | None:
        key = named_group(machine)
        if key is None:
            return None
        found = await self._client.get(MACHINE, key.namespace, key.name)
        return node_group(machine, found, cross_namespace=self._cross_namespace)

    async def _act(self, observation: Observation, plan: Plan) -> Plan:
        """Carry out a plan, and return it; or what it came to, when the API server took it and changed nothing."""
        match plan:
            case Create(body=body):
                await self._client.create(APPLY, body)
            case Update(patch=patch) if observation.apply is not None:
                stored = await change(self._client, observation.apply, plan)
                if stored.metadata.resource_version == observation.apply.metadata.resource_version:
                    # fields that the server's definition does not have yet: what stands is not wrong for that
                    self._log.warning(
                        "the API server drops fields of WorkspaceTemplateApply: its definition is older than this manager",
                        fields=sorted(patch.get("spec", ())),
                    )
                    return Keep()
            case _:
                pass
        return plan

    async def _tell(self, machine: CaptMachine, told: Report) -> None:
        await self._client.patch_status(MACHINE, machine, told.status)
        match told.event:
            case ("Normal", reason, message):
                self._recorder.normal(MACHINE, machine, reason, message)
            case ("Warning", reason, message):
                self._recorder.warning(MACHINE, machine, reason, message)

    async def _delete(self, machine: CaptMachine) -> Result:
        """Take the next step of a deletion: first a group's nodes go, then its infrastructure, then the finalizer."""
        if names.MACHINE_FINALIZER not in machine.metadata.finalizers:
            return Done()
        if not ownership.is_orphaning(machine):
            observation = await self._observe(machine)
            nodes = await self._nodes(machine)
            if nodes:
                await self._tell(machine, report_deletion(observation, nodes))
                return Done()
            # only a look past the cache proves that nothing is there
            apply = observation.apply or await self._live_apply(machine)
            if apply is not None and is_controlled_by(apply, machine):
                if apply.metadata.deletion_timestamp is None:
                    metadata = apply.metadata
                    await self._client.delete(
                        APPLY, metadata.namespace or "", metadata.name, uid=metadata.uid
                    )
                await self._tell(machine, report_deletion(replace(observation, apply=apply), ()))
                return wait_for(APPLY.resource.kind, cached=observation.apply is not None)
        await finalizers.remove(self._client, MACHINE, machine, names.MACHINE_FINALIZER)
        return Done()

    async def _nodes(self, machine: CaptMachine) -> tuple[str, ...]:
        """Return the nodes of a group; their Terraform reads it when they are destroyed, so it goes after them."""
        if machine.spec.node_group_config is None:
            return ()
        key = Key(machine.metadata.namespace or "", machine.metadata.name)
        nodes = await self._client.list(MACHINE, index=(NODE_GROUP_INDEX, str(key)))
        return tuple(
            node.metadata.name
            for node in nodes
            if (group := node_group(node, machine, cross_namespace=self._cross_namespace)) is not None
            and group.consents
        )

    async def _live_apply(self, machine: CaptMachine) -> WorkspaceTemplateApply | None:
        namespace, name = machine.metadata.namespace or "", names.apply_name(machine.metadata.name)
        return await self._client.get_live(APPLY, namespace, name)
