"""How many machines each set of a deployment should have next.

The planner is a pure function of what was observed, and is asked again after every change: a rollout is the
sequence of its answers. It follows the rules of Cluster API's MachineDeployment, which are stricter than
those of apps/v1.

* A machine that was asked for counts before it is there, and a machine on its way out counts until it is
  gone: each set counts as `max(spec, status)`. This keeps the surge promise while infrastructure is slow to
  go away.
* Nobody knows which machine a shrinking set gives up, because deletion order is the user's choice. A step
  is taken only if enough machines stay available though it took available ones first.
* A set without any available machine can go at once: nothing that works is lost.
* Unavailable machines of the new set slow the rollout down, so that a broken template never replaces a
  working fleet.
* Those rules can block each other for ever when old machines are broken beside good ones. Then, and only when
  nothing else moves, one machine is given up. It is the one deliberate breach of `maxUnavailable`.

Sizes observed are never mixed with sizes just decided: an intent of this pass counts as a removal already
under way, and in nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from capt.controllers.wording import counted

_DEFAULT_MAX_SURGE = 1
_DEFAULT_MAX_UNAVAILABLE = 0
_PERCENTAGE = re.compile(r"(\d+)%")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetState:
    """One CaptMachineSet, as observed.

    Attributes:
        name: Its name.
        spec_replicas: Machines that it was asked to have (`spec.replicas`).
        replicas: Machines that it has, those on their way out included (`status.replicas`).
        available_replicas: Machines that have been Ready for `minReadySeconds` (`status.availableReplicas`).
    """

    name: str
    spec_replicas: int
    replicas: int
    available_replicas: int


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """The next size of every set whose size must change, and why.

    Attributes:
        replicas: New `spec.replicas` by set name; a set that stays as it is does not appear.
        reasons: One sentence for each of these sets, for log, event and condition alike.
    """

    replicas: Mapping[str, int]
    reasons: Mapping[str, str]


def plan_rolling_update(
    *, desired: int, max_surge: int, max_unavailable: int, new: SetState, old: Sequence[SetState]
) -> RolloutPlan:
    """Plan the next step of a RollingUpdate.

    While the desired size stays the same, the sets together never exceed `desired + max_surge`, and no step
    can leave fewer than `desired - max_unavailable` machines available (the deadlock breaker excepted).

    Args:
        desired: Machines that the deployment should have.
        max_surge: Machines allowed above that, as resolved by `resolve_fenceposts`.
        max_unavailable: Machines allowed to be missing, as resolved by `resolve_fenceposts`.
        new: The set of the current template; one that is yet to be made has all sizes 0.
        old: All other sets, oldest first. The oldest gives up its machines first.

    Returns:
        The sets that must change. Empty when the rollout is complete or has to wait.
    """
    draft = _Draft()
    _scale_new_set(draft, desired=desired, surge=max_surge, new=new, old=old)
    _scale_old_sets(draft, desired=desired, max_unavailable=max_unavailable, new=new, old=old)
    if not draft.replicas:
        _break_deadlock(draft, new=new, old=old)
    return draft.plan()


def plan_on_delete(*, desired: int, new: SetState, old: Sequence[SetState]) -> RolloutPlan:
    """Plan the next step of an OnDelete rollout: an old machine is replaced when somebody deletes it.

    Args:
        desired: Machines that the deployment should have.
        new: The set of the current template; one that is yet to be made has all sizes 0.
        old: All other sets, oldest first.

    Returns:
        The sets that must change: old sets stop asking for machines that are gone, the new set fills up
        what is missing, and the oldest sets shrink first when there are more machines than desired.
    """
    draft = _Draft()
    _scale_new_set(draft, desired=desired, surge=0, new=new, old=old)
    asked_of_old = sum(each.spec_replicas for each in old)
    excess = max(asked_of_old + draft.size(new) - desired, 0)
    for each in old:
        missing = max(each.spec_replicas - each.replicas, 0)
        if missing:
            draft.resize(
                each,
                each.spec_replicas - missing,
                f"drops {counted(missing, 'machine')} that are gone: {each.replicas} of {each.spec_replicas} exist",
            )
            excess -= missing
    for each in old:
        step = min(draft.size(each), excess)
        if step > 0:
            draft.resize(
                each,
                draft.size(each) - step,
                f"gives up {counted(step, 'machine')}: the deployment has {excess} more than the desired {desired}",
            )
            excess -= step
    return draft.plan()


def plan_recreate(*, desired: int, new: SetState, old: Sequence[SetState]) -> RolloutPlan:
    """Plan the next step of a Recreate rollout: all old machines are gone before the first new one starts.

    Args:
        desired: Machines that the deployment should have.
        new: The set of the current template; one that is yet to be made has all sizes 0.
        old: All other sets, oldest first.

    Returns:
        The sets that must change. The new set does not grow while any old set has a machine, on its way out
        or not.
    """
    draft = _Draft()
    remaining = sum(max(each.spec_replicas, each.replicas) for each in old)
    for each in old:
        if each.spec_replicas > 0:
            draft.resize(each, 0, "gives up all machines: Recreate starts new ones when the old are gone")
    if new.spec_replicas > desired:
        draft.resize(new, desired, f"shrinks to the desired {counted(desired, 'machine')}")
    elif new.spec_replicas < desired and remaining == 0:
        draft.resize(
            new, desired, f"grows to the desired {counted(desired, 'machine')}: no old machine is left"
        )
    return draft.plan()


def resolve_fenceposts(
    max_surge: int | str | None, max_unavailable: int | str | None, desired: int
) -> tuple[int, int]:
    """Return `maxSurge` and `maxUnavailable` as numbers of machines.

    Percentages are of `desired`; surge is rounded up and unavailable down, and when both come out as 0,
    which would forbid every step, unavailable becomes 1. Unavailable is at most `desired`; surge has no
    such limit.

    Args:
        max_surge: A number, a percentage such as "25%", or None for the default of 1.
        max_unavailable: A number, a percentage, or None for the default of 0.
        desired: Machines that the deployment should have.

    Raises:
        ValueError: When a string is not a percentage.
    """
    surge = _scaled(max_surge, desired, default=_DEFAULT_MAX_SURGE, round_up=True)
    unavailable = _scaled(max_unavailable, desired, default=_DEFAULT_MAX_UNAVAILABLE, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, desired)


def _scaled(value: int | str | None, total: int, *, default: int, round_up: bool) -> int:
    if value is None:
        return default
    if isinstance(value, int):
        return value
    match = _PERCENTAGE.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is neither a number nor a percentage such as '25%'")
    hundredths = int(match[1]) * total
    return -(-hundredths // 100) if round_up else hundredths // 100


class _Draft:
    """A plan while it is made: sizes decided so far, the latest for each set."""

    __slots__ = ("reasons", "replicas")

    def __init__(self) -> None:
        self.replicas: dict[str, int] = {}
        self.reasons: dict[str, str] = {}

    def size(self, machine_set: SetState) -> int:
        """Return the size decided for this set, or the size that it has."""
        return self.replicas.get(machine_set.name, machine_set.spec_replicas)

    def resize(self, machine_set: SetState, replicas: int, reason: str) -> None:
        self.replicas[machine_set.name] = replicas
        self.reasons[machine_set.name] = reason

    def plan(self) -> RolloutPlan:
        return RolloutPlan(replicas=dict(self.replicas), reasons=dict(self.reasons))


def _scale_new_set(
    draft: _Draft, *, desired: int, surge: int, new: SetState, old: Sequence[SetState]
) -> None:
    if new.spec_replicas > desired:
        draft.resize(new, desired, f"shrinks to the desired {counted(desired, 'machine')}")
        return
    total = sum(max(each.spec_replicas, each.replicas) for each in (*old, new))
    step = min(desired + surge - total, desired - new.spec_replicas)
    if step > 0:
        limit = f"{desired} desired + {surge} surge" if surge else f"{desired} desired"
        draft.resize(
            new,
            new.spec_replicas + step,
            f"grows by {step}: {counted(total, 'machine')} now, {limit} are allowed",
        )


def _scale_old_sets(
    draft: _Draft, *, desired: int, max_unavailable: int, new: SetState, old: Sequence[SetState]
) -> None:
    if sum(each.spec_replicas for each in old) == 0:
        return
    everyone = (*old, new)
    min_available = max(desired - max_unavailable, 0)
    going = sum(max(each.replicas - min(each.spec_replicas, draft.size(each)), 0) for each in everyone)
    # an intent to grow the new set is not yet a machine that could be missing: its observed size counts
    new_unavailable = max(new.spec_replicas - new.available_replicas, 0)
    budget = sum(each.spec_replicas for each in everyone) - going - min_available - new_unavailable
    available = sum(each.available_replicas for each in everyone)
    for unavailable_only in (True, False):
        for each in old:
            size = draft.size(each)
            wanted = max(size - each.available_replicas, 0) if unavailable_only else size
            step = min(wanted, budget)
            if step <= 0:
                continue
            step, at_risk = _safe_step(each, size, step, spare=max(available - min_available, 0))
            if step > 0:
                draft.resize(each, size - step, _reason(each, step, at_risk, available, min_available))
                budget -= step
            available -= at_risk


def _safe_step(machine_set: SetState, size: int, step: int, *, spare: int) -> tuple[int, int]:
    """Return how many machines may go safely, and how many available ones that may cost.

    Shrinking from `size` by `step` deletes only as many machines as exist above the new size; of these,
    every one is taken to be available for as long as the set has any.
    """
    if machine_set.available_replicas == 0:
        return step, 0
    deleted = max(machine_set.replicas - (size - step), 0)
    if deleted > spare:
        step = max(size - min(machine_set.replicas - spare, size), 0)
        deleted = max(machine_set.replicas - (size - step), 0)
    return step, min(machine_set.available_replicas, deleted)


def _reason(machine_set: SetState, step: int, at_risk: int, available: int, min_available: int) -> str:
    if at_risk:
        return f"gives up {counted(step, 'machine')}: {available} are available, {min_available} must be"
    if machine_set.available_replicas == 0 < machine_set.replicas:
        return f"gives up {counted(step, 'machine')}: none of its {counted(machine_set.replicas, 'machine')} is available"
    return f"stops asking for {counted(step, 'machine')} that it does not have: {machine_set.replicas} exist"


def _break_deadlock(draft: _Draft, *, new: SetState, old: Sequence[SetState]) -> None:
    existing = sum(each.replicas for each in old)
    if existing == 0 or existing == sum(each.available_replicas for each in old):
        return
    if any(each.spec_replicas != each.replicas for each in (*old, new)):
        return
    # new machines that do not become available would not be helped by deleting old ones
    if new.available_replicas != new.replicas:
        return
    for each in old:
        if each.available_replicas != each.replicas and each.spec_replicas > 0:
            broken = each.replicas - each.available_replicas
            draft.resize(
                each,
                each.spec_replicas - 1,
                f"gives up 1 machine to free a stuck rollout: {broken} of {each.replicas} are unavailable",
            )
            return
