"""What a rolling update promises of every state on its way: enough machines available, not too many in existence."""

from __future__ import annotations

from capt.controllers.kinds import MACHINE
from capt.runtime import is_true
from tests.support.cluster import NAMESPACE, Cluster


def watch_promises(cluster: Cluster, *, least_available: int, most_machines: int) -> list[str]:
    """Check every state from now on; return the list that broken promises are added to."""
    broken: list[str] = []
    store = cluster.observer.informers.store(MACHINE)

    def check() -> None:
        machines = [MACHINE.model.model_validate_json(item.raw) for item in store.list(NAMESPACE)]
        available = sum(
            is_true(machine.status.conditions, "Ready") and not machine.metadata.deletion_timestamp
            for machine in machines
        )
        if available < least_available:
            broken.append(f"{available} available")
        if len(machines) > most_machines:
            broken.append(f"{len(machines)} machines")

    cluster.observer.checks.append(check)
    return broken
