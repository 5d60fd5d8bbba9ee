"""Scaling while the rollout is paused: sizes follow `replicas`, the mix of templates stays."""

from __future__ import annotations

from collections.abc import Sequence

from capt.controllers.machine_deployment.rollout import RolloutPlan, SetState
from capt.controllers.wording import counted


def plan_paused(
    *, desired: int, max_surge: int, new: SetState | None, old: Sequence[SetState]
) -> RolloutPlan:
    """Plan the sizes of a paused deployment.

    A single set that has machines, or the newest one when none has, gets all of them. Several share what is
    added or removed in proportion to their sizes; what rounding leaves goes to the largest. A surge that
    the pause caught under way is neither used up nor filled up.

    Args:
        desired: Machines that the deployment should have.
        max_surge: Machines allowed above that.
        new: The set of the current template; None when there is none, and then none is made.
        old: All other sets, oldest first.
    """
    everyone = [*old, *([new] if new is not None else [])]
    active = [each for each in everyone if each.spec_replicas > 0]
    if len(active) <= 1:
        only = active or everyone[-1:]
        return _plan([(each, desired) for each in only], desired)
    total = sum(each.spec_replicas for each in active)
    target = min(max(total, desired), desired + max_surge) if desired else 0
    sizes = [each.spec_replicas * target // total for each in active]
    largest_first = sorted(range(len(active)), key=lambda index: -active[index].spec_replicas)
    for position in range(target - sum(sizes)):
        sizes[largest_first[position % len(active)]] += 1
    return _plan(list(zip(active, sizes, strict=True)), desired)


def _plan(sizes: Sequence[tuple[SetState, int]], desired: int) -> RolloutPlan:
    changed = [(each, size) for each, size in sizes if size != each.spec_replicas]
    return RolloutPlan(
        replicas={each.name: size for each, size in changed},
        reasons={
            each.name: f"{'grows' if size > each.spec_replicas else 'shrinks'} by {abs(size - each.spec_replicas)}: "
            f"{counted(desired, 'machine')} desired, the rollout is paused"
            for each, size in changed
        },
    )
