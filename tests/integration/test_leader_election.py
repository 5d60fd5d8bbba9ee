"""Two managers on one API server: one works, the other takes over."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from capt.controllers.kinds import MACHINE_DEPLOYMENT
from tests.support.cluster import NAMESPACE, QUIET, Cluster, samples

DEPLOYMENT = "worker-deployment"


async def test_the_second_manager_takes_over(cluster: Cluster) -> None:
    """While the first leads the second writes nothing; when the first stops, the second goes on within a second."""
    options = replace(QUIET, leader_elect=True)
    async with contextlib.AsyncExitStack() as later:
        async with cluster.manager(options=replace(options, identity="first")) as first:
            await first.wait_leading()
            second = await later.enter_async_context(
                cluster.manager(options=replace(options, identity="second"))
            )
            await cluster.apply(*samples())
            await cluster.observer.settled(DEPLOYMENT, replicas=3)
            assert first.leading
            assert not second.leading
        await second.wait_leading()
        await cluster.client.patch(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT, {"spec": {"replicas": 4}})
        await cluster.observer.settled(DEPLOYMENT, replicas=4)
        assert not first.leading
