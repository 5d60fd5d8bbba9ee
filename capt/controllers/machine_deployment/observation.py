"""What a deployment's decisions are taken from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from capt.api import CaptMachine, CaptMachineDeployment, CaptMachineSet, LabelSelector
from capt.controllers import names
from capt.controllers.in_place import replacing_fields
from capt.controllers.machine_deployment.rollout import SetState, resolve_fenceposts
from capt.controllers.machine_deployment.template_hash import template_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A deployment and its sets at one moment.

    Attributes:
        deployment: The deployment.
        selector: What it selects, defaulted.
        new: The set of the current template; None when it is yet to be made.
        new_name: The name that such a set gets.
        new_hash: The hash in that name.
        old: All other sets, oldest first, those being deleted included.
        machines: Machines of each set, by the set's uid.
        now: The time of the observation.
    """

    deployment: CaptMachineDeployment
    selector: LabelSelector
    new: CaptMachineSet | None
    new_name: str
    new_hash: str
    old: tuple[CaptMachineSet, ...]
    machines: Mapping[str, Sequence[CaptMachine]]
    now: datetime

    @property
    def sets(self) -> tuple[CaptMachineSet, ...]:
        """All sets, the new one last."""
        return self.old if self.new is None else (*self.old, self.new)

    @property
    def desired(self) -> int:
        """How many machines the deployment should have."""
        return self.deployment.spec.replicas

    @property
    def rolling(self) -> bool:
        """Whether the strategy is RollingUpdate."""
        return self.deployment.spec.strategy.type == "RollingUpdate"

    @property
    def fenceposts(self) -> tuple[int, int]:
        """`maxSurge` and `maxUnavailable` as numbers of machines; both 0 unless the strategy is RollingUpdate."""
        if not self.rolling:
            return 0, 0
        limits = self.deployment.spec.strategy.rolling_update
        if limits is None:
            return resolve_fenceposts(None, None, self.desired)
        return resolve_fenceposts(limits.max_surge, limits.max_unavailable, self.desired)

    @property
    def new_state(self) -> SetState:
        """The new set for the planner; all zero when it is yet to be made."""
        if self.new is None:
            return SetState(name=self.new_name, spec_replicas=0, replicas=0, available_replicas=0)
        return self._state(self.new)

    @property
    def old_states(self) -> tuple[SetState, ...]:
        """The old sets for the planner, oldest first."""
        return tuple(map(self._state, self.old))

    @property
    def name_is_leaving(self) -> bool:
        """Whether the name of the set to be made belongs to one that is being deleted: it has to go first."""
        return any(
            each.metadata.name == self.new_name and each.metadata.deletion_timestamp is not None
            for each in self.old
        )

    @property
    def old_states_at_most(self) -> tuple[SetState, ...]:
        """The old sets with the machines that they may have.

        A set that has not yet answered to its latest spec may just be making machines for the one before.
        """
        return tuple(
            state
            if each.status.observed_generation == each.metadata.generation
            else replace(state, replicas=max(state.replicas, 1))
            for each, state in zip(self.old, self.old_states, strict=True)
        )

    def _state(self, machine_set: CaptMachineSet) -> SetState:
        # one that is being deleted asks for no machines, but still has some
        leaving = machine_set.metadata.deletion_timestamp is not None
        existing = len(self.machines.get(machine_set.metadata.uid, ()))
        return SetState(
            name=machine_set.metadata.name,
            spec_replicas=0 if leaving else machine_set.spec.replicas,
            # the cache may know of machines that the set has not reported yet
            replicas=max(machine_set.status.replicas, existing),
            available_replicas=machine_set.status.available_replicas,
        )


def observe(
    *,
    deployment: CaptMachineDeployment,
    selector: LabelSelector,
    sets: Sequence[CaptMachineSet],
    machines: Mapping[str, Sequence[CaptMachine]],
    now: datetime,
) -> Observation:
    """Tell the set of the current template from the others.

    It is the set whose template equals the deployment's in all fields that need new machines; of several the
    fullest, then the oldest. Once `rolloutAfter` has come, only sets made since then count.
    """
    namespace = deployment.metadata.namespace or ""
    after = deployment.spec.rollout_after
    restarted_at = after if after is not None and after <= now else None
    new_hash = template_hash(
        deployment.spec.template.spec,
        namespace,
        restarted_at=restarted_at,
        collisions=deployment.status.collision_count or 0,
    )
    new_name = names.machine_set_name(deployment.metadata.name, new_hash)

    def is_current(each: CaptMachineSet) -> bool:
        if each.metadata.deletion_timestamp is not None:
            return False
        if not serves(each, deployment):
            return False
        # its name says it was made for this restart, even where the server's clock is behind ours
        return restarted_at is None or created(each) >= restarted_at or each.metadata.name == new_name

    oldest_first = sorted(sets, key=lambda each: (created(each), each.metadata.name))
    candidates = [each for each in oldest_first if is_current(each)]
    new = max(candidates, key=lambda each: each.spec.replicas, default=None)
    return Observation(
        deployment=deployment,
        selector=selector,
        new=new,
        new_name=new_name,
        new_hash=new_hash,
        old=tuple(each for each in oldest_first if each is not new),
        machines=machines,
        now=now,
    )


def serves(machine_set: CaptMachineSet, deployment: CaptMachineDeployment) -> bool:
    """Tell whether the machines of a set can become those of the deployment's template in place."""
    namespace = deployment.metadata.namespace or ""
    theirs = replacing_fields(machine_set.spec.template.spec, namespace)
    return theirs == replacing_fields(deployment.spec.template.spec, namespace)


def effective_selector(deployment: CaptMachineDeployment) -> LabelSelector:
    """Return what a deployment selects: its `selector`, or by default its own name as a label."""
    return deployment.spec.selector or LabelSelector(
        match_labels={names.DEPLOYMENT_NAME_LABEL: names.label_value(deployment.metadata.name)}
    )


def created(machine_set: CaptMachineSet) -> datetime:
    """Return when a set was made."""
    timestamp = machine_set.metadata.creation_timestamp
    assert timestamp is not None, "the API server sets creationTimestamp"
    return timestamp
