"""One bad day of the machine chain: deployments, sets, machines, applies, Workspaces, and a simulated engine."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from capt.controllers.kinds import APPLY, MACHINE, MACHINE_DEPLOYMENT
from capt.runtime import HttpTransport
from capt.terraform import Simulation
from tests.support.api_servers import EmbeddedApi
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster, names, samples
from tests.support.cluster import cluster as start_cluster
from tests.support.storm import CALM_SECONDS, BadDay, LaggingTransport, Storm, storm_over, until
from tests.support.virtual_time import VirtualClock

_NAME = "worker-deployment"


async def machine_day(seed: int) -> BadDay:
    """Roll machines over, up and down through a storm; return when there is what was asked, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        async with start_cluster(Path(folder)) as cluster:
            assert isinstance(cluster.api, EmbeddedApi)
            async with (
                storm_over(cluster.api._server, seed, "capt.controllers") as storm,
                HttpTransport(cluster.manager_config, user_agent="capt/0") as transport,
            ):
                return await _day(cluster, storm, LaggingTransport(transport, storm.chance))


async def _day(cluster: Cluster, storm: Storm, way: LaggingTransport) -> BadDay:
    chance = storm.chance
    simulation = Simulation(
        seed=chance.randrange(1000),
        plan_seconds=0.5,
        apply_seconds=5.0,
        destroy_seconds=2.0,
        jitter=0.5,
        failure_rate=0.2,
    )
    template, deployment = samples()
    deployment["spec"] |= {"replicas": 2, "revisionHistoryLimit": 0}
    # the server's own clock is the real one: the manager's starts with it and runs ahead
    async with cluster.manager(transport=way, simulation=simulation, clock=VirtualClock(datetime.now(UTC))):
        await cluster.apply(template, deployment)
        storming = asyncio.create_task(storm.blow(chance.choice((60.0, 240.0))))
        replicas, size = 2, ""
        for number in range(chance.randrange(2, 6)):
            await asyncio.sleep(chance.choice((0.5, 20.0)))
            replicas, size = chance.randrange(4), f"m{number}.large"
            spec = {"replicas": replicas, "template": {"spec": {"instanceType": size}}}
            await cluster.client.patch(MACHINE_DEPLOYMENT, NAMESPACE, _NAME, {"spec": spec})
        await storming
        way.calm()

        async def well() -> bool:
            machines = await cluster.client.list_live(MACHINE)
            workspaces = await cluster.client.list_live(WORKSPACE)
            return (
                len(machines) == replicas == len(await cluster.client.list_live(APPLY))
                and all(machine.status.ready and machine.spec.instance_type == size for machine in machines)
                and sorted(machine.status.workspace_name or "" for machine in machines) == names(workspaces)
            )

        try:
            recovery = await until(well, 2 * CALM_SECONDS)
        except TimeoutError:
            raise TimeoutError(await cluster.observer.describe()) from None
    return BadDay(recovery=recovery, fastest=storm.fastest, met=storm.met)
