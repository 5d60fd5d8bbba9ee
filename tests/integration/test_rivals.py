"""Others write to the same objects at the same moment."""

from __future__ import annotations

from capt.controllers.kinds import APPLY, CAPT_CLUSTER, CAPT_CONTROL_PLANE, MACHINE, MACHINE_SET
from capt.controllers.kinds import MACHINE_DEPLOYMENT as DEPLOYMENT
from capt.runtime import HttpTransport
from tests.support.cluster import NAMESPACE, Cluster, samples
from tests.support.control_planes import NAME, world
from tests.support.rivals import RivalledTransport


async def test_a_rival_at_every_object(cluster: Cluster) -> None:
    """Whoever changes an object just before its controller does: all become Ready, and none is held by a finalizer."""
    template, deployment = samples()
    deployment["spec"]["replicas"] = 1
    async with (
        world(cluster, "v1beta2") as found,
        HttpTransport(cluster.config, user_agent="rival") as rival,
        HttpTransport(cluster.manager_config, user_agent="capt/test") as own,
    ):
        transport = RivalledTransport(own, rival)
        async with cluster.manager(transport=transport):
            await found.create()
            await cluster.apply(template, deployment)
            await found.phase("Ready")
            await cluster.observer.settled(deployment["metadata"]["name"], replicas=1)
            await cluster.client.delete(DEPLOYMENT, NAMESPACE, deployment["metadata"]["name"])
            await cluster.client.delete(found.edition.cluster, NAMESPACE, NAME)
            gone = (DEPLOYMENT, MACHINE_SET, MACHINE, APPLY, CAPT_CONTROL_PLANE, CAPT_CLUSTER)
            await cluster.observer.gone(*gone, found.edition.cluster)
    assert transport.met >= {kind.resource.plural for kind in gone} | {"workspacetemplates", "clusters"}
