"""What `kubectl describe` tells of deployments, sets and machines."""

from __future__ import annotations

from capt.api import Event
from capt.controllers.kinds import MACHINE, MACHINE_DEPLOYMENT, kind_of
from tests.support.cluster import NAMESPACE, Cluster, samples

NAME = "worker-deployment"


async def test_what_is_made_scaled_and_deleted_is_an_event(cluster: Cluster) -> None:
    """Seed 000: creation, scaling and deletion are Normal events of who did it; a machine tells when it is ready."""

    async def told(*wanted: tuple[str, str]) -> bool:
        found = await cluster.client.list_live(kind_of(Event), NAMESPACE)
        assert {each.type for each in found} <= {"Normal"}
        return set(wanted) <= {(each.involved_object.kind, each.reason) for each in found}

    async with cluster.manager():
        await cluster.apply(*samples())
        await cluster.observer.settled(NAME, replicas=3)
        await cluster.client.patch(MACHINE_DEPLOYMENT, NAMESPACE, NAME, {"spec": {"replicas": 2}})
        await cluster.observer.settled(NAME, replicas=2)
        await cluster.client.delete(MACHINE_DEPLOYMENT, NAMESPACE, NAME)
        await cluster.observer.gone(MACHINE_DEPLOYMENT, MACHINE)
    # events are written behind the work, at the latest before the manager ends
    assert await told(
        ("CaptMachineDeployment", "SuccessfulCreate"),
        ("CaptMachineDeployment", "SuccessfulScale"),
        ("CaptMachineSet", "SuccessfulCreate"),
        ("CaptMachineSet", "SuccessfulDelete"),
        ("CaptMachine", "Ready"),
    )
