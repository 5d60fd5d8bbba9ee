"""Revisions of a deployment, and how many of its past templates are kept."""

from __future__ import annotations

from collections.abc import Sequence

from capt.api import CaptMachineSet
from capt.controllers.machine_deployment.observation import created
from capt.controllers.names import DEPLOYMENT_REVISION_ANNOTATION


def revision_of(machine_set: CaptMachineSet) -> int:
    """Return the revision that a set stands for; 0 when it has none."""
    text = machine_set.metadata.annotations.get(DEPLOYMENT_REVISION_ANNOTATION, "")
    return int(text) if text.isdecimal() else 0


def current_revision(new: CaptMachineSet | None, old: Sequence[CaptMachineSet]) -> int:
    """Return the revision of the set of the current template.

    It is above that of every other set, so an old set that becomes current again gets a new number; it
    never goes down.
    """
    after_others = max(map(revision_of, old), default=0) + 1
    return after_others if new is None else max(revision_of(new), after_others)


def surplus_sets(old: Sequence[CaptMachineSet], limit: int) -> tuple[CaptMachineSet, ...]:
    """Return the old sets that history no longer needs: empty ones beyond the `limit` newest.

    A set counts as empty only when its controller has said so about its latest spec.
    """
    empty = [
        each
        for each in old
        if each.spec.replicas == 0
        and each.status.replicas == 0
        and each.status.observed_generation == each.metadata.generation
        and each.metadata.deletion_timestamp is None
    ]
    newest_first = sorted(empty, key=lambda each: (revision_of(each), created(each)), reverse=True)
    return tuple(newest_first[limit:])
