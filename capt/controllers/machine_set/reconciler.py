"""Keeps as many machines as a set asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capt.api import CaptMachine, CaptMachineSet
from capt.controllers import names, ownership
from capt.controllers.batches import in_batches
from capt.controllers.kinds import MACHINE, MACHINE_SET
from capt.controllers.machine_set.machine_manifest import (
    effective_selector,
    labels_with_pending,
    machine_template,
    new_machine,
)
from capt.controllers.machine_set.plan import (
    MachinePlan,
    Observation,
    free_names,
    plan_machines,
    summary,
)
from capt.controllers.machine_set.status import Refusal, next_maturity, set_status
from capt.controllers.news import Discretion
from capt.controllers.pausing import is_paused
from capt.runtime import AlreadyExists, ApiError, BadRequest, Forbidden, Invalid, Key, NotFound, finalizers
from capt.runtime.client import Client
from capt.runtime.clock import Clock
from capt.runtime.conditions import find_condition
from capt.runtime.logging import get_logger
from capt.runtime.owners import is_controlled_by
from capt.runtime.recorder import Recorder
from capt.runtime.result import After, Done, Request, Result


class CaptMachineSetReconciler:
    """Reconciles CaptMachineSets."""

    def __init__(self, client: Client, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._log = get_logger()
        self._discretion = Discretion(clock)

    async def reconcile(self, request: Request) -> Result:
        """Bring one set a step further, and say how far it is.

        Raises:
            ApiError: A write was refused or failed; what could be reported has been.
        """
        machine_set = await self._client.get(MACHINE_SET, request.namespace, request.name)
        if machine_set is None:
            self._discretion.forget(request.key)
            return Done()
        if is_paused(machine_set):
            return Done()
        if machine_set.metadata.deletion_timestamp is not None:
            return await self._delete(machine_set)
        machine_set = await finalizers.add(
            self._client, MACHINE_SET, machine_set, names.MACHINE_SET_FINALIZER
        )
        observation = await self._observe(machine_set, await self._claim(machine_set))
        plan = plan_machines(observation)
        failures = await self.reconcile_machines(observation, plan)
        held_back = await self._report(observation, plan, _refusal(failures))
        if failures:
            raise failures[0].error
        seconds = next_maturity(observation.machines, machine_set.spec.min_ready_seconds, observation.now)
        waits = [] if seconds is None else [(seconds, "minReadySeconds")]
        if held_back:
            waits.append((held_back, "counts to be told"))
        return After(*min(waits)) if waits else Done()

    async def reconcile_machines(self, observation: Observation, plan: MachinePlan) -> tuple[_Failure, ...]:
        """Carry out a plan: make, change and delete machines.

        Returns:
            What did not succeed.
        """
        machine_set = observation.machine_set
        by_name = {each.metadata.name: each for each in observation.machines}

        async def change(name: str) -> None:
            metadata = by_name[name].metadata
            try:
                await self._client.patch(
                    MACHINE, metadata.namespace or "", name, plan.patches[name], uid=metadata.uid
                )
            except NotFound:
                return  # it is gone, and its deletion wakes the set

        changed = await in_batches(list(plan.patches), change)
        deleted = await self._delete_machines(machine_set, plan.delete)
        made = await in_batches(plan.create, lambda name: self._create(machine_set, name))
        if made.done:
            self._tell(machine_set, "SuccessfulCreate", summary("Created", made.done))
        return (
            *(_Failure("FailedUpdate", error) for error in changed.errors),
            *(_Failure("FailedDelete", error) for error in deleted),
            *(_Failure("FailedCreate", error) for error in made.errors),
        )

    async def _claim(self, machine_set: CaptMachineSet) -> tuple[CaptMachine, ...]:
        """Settle which machines are the set's own, and return them."""
        namespace, uid = machine_set.metadata.namespace or "", machine_set.metadata.uid
        template = machine_template(machine_set)
        claimed = ownership.claim(
            owner=machine_set,
            selector=effective_selector(machine_set),
            children=await self._client.list(MACHINE, namespace, index=("owner", uid)),
            orphans=await self._client.list(MACHINE, namespace, index=(ownership.ORPHANS_INDEX, namespace)),
            labels_of=lambda machine: labels_with_pending(template, machine),
        )
        for machine in claimed.released:
            await ownership.release(self._client, MACHINE, machine, machine_set)
            message = f"Released machine {machine.metadata.name}: its labels no longer match"
            self._tell(machine_set, "SuccessfulRelease", message)
        machines = list(claimed.kept)
        for machine in claimed.adopted:
            adopted = await ownership.adopt(self._client, MACHINE, machine, MACHINE_SET, machine_set)
            if adopted is not None:
                message = f"Adopted machine {machine.metadata.name}"
                self._tell(machine_set, "SuccessfulAdopt", message)
                machines.append(adopted)
        return tuple(machines)

    async def _observe(self, machine_set: CaptMachineSet, machines: tuple[CaptMachine, ...]) -> Observation:
        missing = machine_set.spec.replicas - len(machines)
        return Observation(
            machine_set=machine_set,
            selector=effective_selector(machine_set),
            machines=machines,
            taken_names=await self._taken_names(machine_set, machines, missing),
            now=self._clock.now(),
        )

    async def _taken_names(
        self, machine_set: CaptMachineSet, machines: tuple[CaptMachine, ...], missing: int
    ) -> frozenset[str]:
        """Return which of the names that would come next belong to machines that are not, or no longer, the set's."""
        namespace = machine_set.metadata.namespace or ""
        taken = {each.metadata.name for each in machines}
        while True:
            candidates = free_names(machine_set, max(missing, 0), taken.__contains__)
            found = [
                name for name in candidates if await self._client.get(MACHINE, namespace, name) is not None
            ]
            if not found:
                return frozenset(taken)
            taken.update(found)

    async def _create(self, machine_set: CaptMachineSet, name: str) -> None:
        try:
            await self._client.create(MACHINE, new_machine(machine_set, name))
        except AlreadyExists:
            # an earlier create whose answer was lost; the cache will show it
            live = await self._client.get_live(MACHINE, machine_set.metadata.namespace or "", name)
            if live is None or not is_controlled_by(live, machine_set):
                raise

    async def _delete_machines(
        self, machine_set: CaptMachineSet, machines: tuple[CaptMachine, ...]
    ) -> tuple[ApiError, ...]:
        by_name = {each.metadata.name: each for each in machines if each.metadata.deletion_timestamp is None}

        async def delete(name: str) -> None:
            metadata = by_name[name].metadata
            await self._client.delete(MACHINE, metadata.namespace or "", name, uid=metadata.uid)

        deleted = await in_batches(list(by_name), delete)
        if deleted.done:
            self._tell(machine_set, "SuccessfulDelete", summary("Deleted", deleted.done))
        return deleted.errors

    def _tell(self, machine_set: CaptMachineSet, reason: str, message: str) -> None:
        self._log.info(message, event_reason=reason)
        self._recorder.normal(MACHINE_SET, machine_set, reason, message)

    async def _report(self, observation: Observation, plan: MachinePlan, refusal: Refusal | None) -> float:
        """Write the status, or return for how many seconds it is held back."""
        machine_set = observation.machine_set
        before = find_condition(machine_set.status.conditions, "ReplicaFailure")
        if refusal is not None and (before is None or before.message != refusal.message):
            self._recorder.warning(MACHINE_SET, machine_set, refusal.reason, refusal.message)
        status = set_status(observation, plan, refusal)
        key = Key(machine_set.metadata.namespace or "", machine_set.metadata.name)
        desired = machine_set.spec.replicas
        seconds = self._discretion.hold_back(key, machine_set.status, status, desired=desired)
        if not seconds:
            await self._client.patch_status(MACHINE_SET, machine_set, status)
        return seconds

    async def _delete(self, machine_set: CaptMachineSet) -> Result:
        if names.MACHINE_SET_FINALIZER not in machine_set.metadata.finalizers:
            return Done()
        namespace, uid = machine_set.metadata.namespace or "", machine_set.metadata.uid
        machines = await self._client.list(MACHINE, namespace, index=("owner", uid))
        if not machines or ownership.is_orphaning(machine_set):
            await finalizers.remove(self._client, MACHINE_SET, machine_set, names.MACHINE_SET_FINALIZER)
            return Done()
        errors = await self._delete_machines(machine_set, tuple(machines))
        observation = Observation(
            machine_set=machine_set,
            selector=effective_selector(machine_set),
            machines=tuple(machines),
            taken_names=frozenset(),
            now=self._clock.now(),
        )
        failures = tuple(_Failure("FailedDelete", error) for error in errors)
        plan = MachinePlan(delete=tuple(machines), patches={})
        await self._report(observation, plan, _refusal(failures))
        if failures:
            raise failures[0].error
        return Done()


@dataclass(frozen=True, slots=True)
class _Failure:
    """A request that did not succeed; `reason` says what it was to do, in the words of apps/v1."""

    reason: str
    error: ApiError


def _refusal(failures: Sequence[_Failure]) -> Refusal | None:
    """Return the first refusal; what merely did not work out this time is retried and not told."""
    refused = (
        Refusal(failure.reason, failure.error.message)
        for failure in failures
        if isinstance(failure.error, Invalid | Forbidden | BadRequest)
    )
    return next(refused, None)
