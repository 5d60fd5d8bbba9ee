"""Rolls the machines of a deployment from one template to the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from capt.api import (
    CaptMachine,
    CaptMachineDeployment,
    CaptMachineDeploymentStatus,
    CaptMachineSet,
)
from capt.controllers import names, ownership
from capt.controllers.kinds import MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET
from capt.controllers.machine_deployment import progress
from capt.controllers.machine_deployment.history import current_revision, surplus_sets
from capt.controllers.machine_deployment.observation import Observation, effective_selector, observe, serves
from capt.controllers.machine_deployment.rollout import (
    RolloutPlan,
    plan_on_delete,
    plan_recreate,
    plan_rolling_update,
)
from capt.controllers.machine_deployment.scaling import plan_paused
from capt.controllers.machine_deployment.set_manifest import new_set, set_patch
from capt.controllers.machine_deployment.status import (
    Outcome,
    deleting_status,
    deployment_status,
    is_complete,
)
from capt.controllers.news import Discretion
from capt.controllers.pausing import is_paused
from capt.runtime import AlreadyExists, ApiError, BadRequest, Forbidden, Invalid, Key, finalizers
from capt.runtime.client import Client
from capt.runtime.clock import Clock
from capt.runtime.conditions import find_condition
from capt.runtime.logging import get_logger
from capt.runtime.owners import is_controlled_by
from capt.runtime.recorder import Recorder
from capt.runtime.result import After, Done, Request, Result


class CaptMachineDeploymentReconciler:
    """Reconciles CaptMachineDeployments."""

    def __init__(self, client: Client, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._log = get_logger()
        self._discretion = Discretion(clock)

    async def reconcile(self, request: Request) -> Result:
        """Bring one deployment a step further, and say how far it is.

        Raises:
            ApiError: A write was refused or failed; what could be reported has been.
        """
        deployment = await self._client.get(MACHINE_DEPLOYMENT, request.namespace, request.name)
        if deployment is None:
            self._discretion.forget(request.key)
            return Done()
        if is_paused(deployment):
            return Done()
        if deployment.metadata.deletion_timestamp is not None:
            return await self._delete(deployment)
        deployment = await finalizers.add(
            self._client, MACHINE_DEPLOYMENT, deployment, names.MACHINE_DEPLOYMENT_FINALIZER
        )
        sets = [*await self._own_sets(deployment), *await self._adopt_sets(deployment)]
        observation = await self._observe(deployment, sets)
        refusal: ApiError | None = None
        try:
            outcome = await self._act(observation)
        except (Invalid, Forbidden, BadRequest) as error:
            outcome, refusal = Outcome(failure=error.message), error
        status = deployment_status(observation, outcome)
        held_back = await self._report(observation, outcome, status)
        if refusal is not None:
            raise refusal
        return self._next(observation, outcome, status, held_back)

    async def rollout_rolling(self, observation: Observation) -> Outcome:
        """Take the next step of a RollingUpdate."""
        max_surge, max_unavailable = observation.fenceposts
        plan = plan_rolling_update(
            desired=observation.desired,
            max_surge=max_surge,
            max_unavailable=max_unavailable,
            new=observation.new_state,
            old=observation.old_states,
        )
        return await self._apply(observation, plan, create=True)

    async def rollout_recreate(self, observation: Observation) -> Outcome:
        """Take the next step of a Recreate: nothing new is made before everything old is gone."""
        old = observation.old_states_at_most
        plan = plan_recreate(desired=observation.desired, new=observation.new_state, old=old)
        old_are_gone = not any(each.spec_replicas or each.replicas for each in old)
        return await self._apply(observation, plan, create=old_are_gone)

    async def rollout_on_delete(self, observation: Observation) -> Outcome:
        """Take the next step of an OnDelete: what users deleted is replaced."""
        plan = plan_on_delete(
            desired=observation.desired, new=observation.new_state, old=observation.old_states
        )
        return await self._apply(observation, plan, create=True)

    async def scale_paused(self, observation: Observation) -> Outcome:
        """Follow `replicas` while rollouts are held."""
        max_surge, _ = observation.fenceposts
        plan = plan_paused(
            desired=observation.desired,
            max_surge=max_surge,
            new=observation.new_state if observation.new is not None else None,
            old=observation.old_states,
        )
        return await self._apply(observation, plan, create=False)

    async def _own_sets(self, deployment: CaptMachineDeployment) -> list[CaptMachineSet]:
        # a set stays whose labels were changed by hand: it is known by its owner, and its machines are counted
        owner = ("owner", deployment.metadata.uid)
        return await self._client.list(MACHINE_SET, deployment.metadata.namespace or "", index=owner)

    async def _adopt_sets(self, deployment: CaptMachineDeployment) -> list[CaptMachineSet]:
        """Take the sets that match and that nobody owns, and return them."""
        namespace = deployment.metadata.namespace or ""
        orphans = await self._client.list(MACHINE_SET, namespace, index=(ownership.ORPHANS_INDEX, namespace))
        claimed = ownership.claim(
            owner=deployment, selector=effective_selector(deployment), children=(), orphans=orphans
        )
        adopted = []
        for orphan in claimed.adopted:
            taken = await ownership.adopt(self._client, MACHINE_SET, orphan, MACHINE_DEPLOYMENT, deployment)
            if taken is not None:
                message = f"Adopted CaptMachineSet {orphan.metadata.name}"
                self._tell(deployment, "SuccessfulAdopt", message)
                adopted.append(taken)
        return adopted

    async def _observe(
        self, deployment: CaptMachineDeployment, sets: Sequence[CaptMachineSet]
    ) -> Observation:
        namespace = deployment.metadata.namespace or ""
        machines: dict[str, list[CaptMachine]] = {}
        for each in sets:
            owner = ("owner", each.metadata.uid)
            machines[each.metadata.uid] = await self._client.list(MACHINE, namespace, index=owner)
        return observe(
            deployment=deployment,
            selector=effective_selector(deployment),
            sets=sets,
            machines=machines,
            now=self._clock.now(),
        )

    async def _act(self, observation: Observation) -> Outcome:
        if observation.deployment.spec.paused:
            return await self.scale_paused(observation)
        match observation.deployment.spec.strategy.type:
            case "RollingUpdate":
                return await self.rollout_rolling(observation)
            case "Recreate":
                return await self.rollout_recreate(observation)
            case "OnDelete":
                return await self.rollout_on_delete(observation)

    async def _apply(self, observation: Observation, plan: RolloutPlan, *, create: bool) -> Outcome:
        """Write a plan: the new set first, so that what it gains is on its way before others lose."""
        changed = collided = False
        if observation.new is not None:
            changed |= await self._write_set(observation, observation.new, plan)
        elif create and not observation.name_is_leaving:
            collided = not await self._create_set(observation, plan)
            changed = True
        for machine_set in observation.old:
            if machine_set.metadata.deletion_timestamp is None:
                changed |= await self._write_set(observation, machine_set, plan)
        return Outcome(changed=changed, collided=collided)

    async def _create_set(self, observation: Observation, plan: RolloutPlan) -> bool:
        """Make the set of the current template; False when something else has its name."""
        deployment, name = observation.deployment, observation.new_name
        replicas = plan.replicas.get(name, 0)
        try:
            await self._client.create(MACHINE_SET, new_set(observation, replicas))
        except AlreadyExists:
            namespace = deployment.metadata.namespace or ""
            live = await self._client.get_live(MACHINE_SET, namespace, name)
            if live is None:
                raise  # gone again: the next attempt may have the name
            # the very set that was to be made, which the cache has yet to show, or something else
            return is_controlled_by(live, deployment) and serves(live, deployment)
        why = f": {plan.reasons[name]}" if name in plan.reasons else ""
        message = f"Created CaptMachineSet {name} with {replicas} replicas{why}"
        self._tell(deployment, "SuccessfulCreate", message)
        return True

    async def _write_set(
        self, observation: Observation, machine_set: CaptMachineSet, plan: RolloutPlan
    ) -> bool:
        patch = set_patch(observation, machine_set, plan.replicas)
        if not patch:
            return False
        metadata = machine_set.metadata
        await self._client.patch(
            MACHINE_SET, metadata.namespace or "", metadata.name, patch, uid=metadata.uid
        )
        if metadata.name in plan.replicas:
            message = (
                f"Scaled CaptMachineSet {metadata.name} from {machine_set.spec.replicas} to "
                f"{plan.replicas[metadata.name]}: it {plan.reasons[metadata.name]}"
            )
            self._tell(observation.deployment, "SuccessfulScale", message)
        return True

    def _tell(self, deployment: CaptMachineDeployment, reason: str, message: str) -> None:
        self._log.info(message, event_reason=reason)
        self._recorder.normal(MACHINE_DEPLOYMENT, deployment, reason, message)

    async def _report(
        self, observation: Observation, outcome: Outcome, status: CaptMachineDeploymentStatus
    ) -> float:
        """Write what follows from a pass, and return for how many seconds the status is held back."""
        deployment = observation.deployment
        if is_complete(observation, status, outcome):
            await self._delete_sets(surplus_sets(observation.old, deployment.spec.revision_history_limit))
        if observation.new is not None:
            revision = str(current_revision(observation.new, observation.old))
            annotations = {names.DEPLOYMENT_REVISION_ANNOTATION: revision}
            deployment = await self._client.apply_difference(
                MACHINE_DEPLOYMENT, deployment, {"metadata": {"annotations": annotations}}
            )
        self._announce_deadline(observation, status.conditions)
        if outcome.failure and not _reported(observation.deployment, outcome.failure):
            self._recorder.warning(MACHINE_DEPLOYMENT, deployment, "FailedCreate", outcome.failure)
        key = Key(deployment.metadata.namespace or "", deployment.metadata.name)
        seconds = self._discretion.hold_back(key, deployment.status, status, desired=observation.desired)
        if not seconds:
            await self._client.patch_status(MACHINE_DEPLOYMENT, deployment, status)
        return seconds

    def _announce_deadline(self, observation: Observation, conditions: Iterable[Any]) -> None:
        exceeded = "ProgressDeadlineExceeded"
        before = find_condition(observation.deployment.status.conditions, "Progressing")
        after = find_condition(conditions, "Progressing")
        if after is not None and after.reason == exceeded and (before is None or before.reason != exceeded):
            self._recorder.warning(MACHINE_DEPLOYMENT, observation.deployment, exceeded, after.message)

    def _next(
        self,
        observation: Observation,
        outcome: Outcome,
        status: CaptMachineDeploymentStatus,
        held_back: float,
    ) -> Result:
        """Return when time alone makes the next reconcile needed; everything else wakes it by a watch."""
        deployment = observation.deployment
        if outcome.collided:
            return After(0.0, "another name for the new set")
        waits = [(held_back, "counts to be told")]
        if not deployment.spec.paused and not is_complete(observation, status, outcome):
            waits.append((progress.remaining(observation), "progress deadline"))
        if deployment.spec.rollout_after is not None:
            until = (deployment.spec.rollout_after - observation.now).total_seconds()
            waits.append((until, "rolloutAfter"))
        ahead = [wait for wait in waits if wait[0] > 0]
        return After(*min(ahead)) if ahead else Done()

    async def _delete(self, deployment: CaptMachineDeployment) -> Result:
        if names.MACHINE_DEPLOYMENT_FINALIZER not in deployment.metadata.finalizers:
            return Done()
        observation = await self._observe(deployment, await self._own_sets(deployment))
        if observation.sets and not ownership.is_orphaning(deployment):
            await self._delete_sets(observation.sets)
            await self._client.patch_status(MACHINE_DEPLOYMENT, deployment, deleting_status(observation))
            return Done()
        await finalizers.remove(
            self._client, MACHINE_DEPLOYMENT, deployment, names.MACHINE_DEPLOYMENT_FINALIZER
        )
        return Done()

    async def _delete_sets(self, sets: Iterable[CaptMachineSet]) -> None:
        for each in sets:
            metadata = each.metadata
            if metadata.deletion_timestamp is None:
                await self._client.delete(
                    MACHINE_SET, metadata.namespace or "", metadata.name, uid=metadata.uid
                )


def _reported(deployment: CaptMachineDeployment, failure: str) -> bool:
    condition = find_condition(deployment.status.conditions, "ReplicaFailure")
    return condition is not None and condition.message == failure
