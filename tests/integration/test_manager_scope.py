"""What a manager minds, and what it tells of it."""

from __future__ import annotations

from functools import partial

import aiohttp

from capt.controllers.kinds import APPLY, MACHINE, MACHINE_DEPLOYMENT
from capt.controllers.names import WATCH_FILTER_LABEL
from capt.runtime import ManagerOptions
from tests.support.cluster import NAMESPACE, Cluster, samples
from tests.support.waiting import until


async def test_a_manager_with_a_filter_minds_labelled_objects_and_what_they_make(cluster: Cluster) -> None:
    """A13: A labelled deployment comes up down to its Workspaces, without a label on them; the other one is not touched."""
    template, deployment = samples()
    mine = {**deployment, "metadata": {"name": "mine", "labels": {WATCH_FILTER_LABEL: "blue"}}}
    foreign = {**deployment, "metadata": {"name": "foreign", "labels": {WATCH_FILTER_LABEL: "green"}}}
    for document, role in ((mine, "mine"), (foreign, "foreign")):
        document["spec"] = {**deployment["spec"], "selector": {"matchLabels": {"role": role}}}
        document["spec"]["template"] = {
            **deployment["spec"]["template"],
            "metadata": {"labels": {"role": role}},
        }
    await cluster.apply(template, foreign, mine)
    async with cluster.manager(watch_filter="blue"):
        await cluster.observer.settled("mine", replicas=3)
        untouched = await cluster.client.get_live(MACHINE_DEPLOYMENT, NAMESPACE, "foreign")
        assert untouched is not None
        assert untouched.status.observed_generation is None
        assert untouched.metadata.finalizers == ()
        await cluster.client.delete(MACHINE_DEPLOYMENT, NAMESPACE, "mine")
        await cluster.observer.gone(MACHINE, APPLY)


async def test_the_metrics_tell_what_there_is(cluster: Cluster) -> None:
    """Phases, replicas, times to Ready and counted events of a deployment that is up, as Prometheus scrapes them."""
    await cluster.apply(samples()[0])
    options = ManagerOptions(metrics_bind_address="127.0.0.1:0", health_probe_bind_address="0")
    async with cluster.manager(options=options) as manager:
        await manager.wait_ready()
        await cluster.apply(samples()[1])
        await cluster.observer.settled("worker-deployment", replicas=3)
        wanted = {
            'capt_objects{kind="CaptMachine",phase="Ready"} 3.0',
            *(
                f'capt_replicas_{what}{{kind="CaptMachineDeployment",name="worker-deployment",namespace="default"}} 3.0'
                for what in ("desired", "current", "ready", "available", "updated")
            ),
            'capt_time_to_ready_seconds_count{kind="CaptMachine"} 3.0',
            'capt_events_total{component="captmachine",reason="Ready",type="Normal"} 3.0',
        }
        # its caches may be a moment behind those of the observer
        await until(partial(_scraped, manager.addresses["metrics"], wanted))


async def _scraped(address: str, wanted: set[str]) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
        return wanted <= {line.rstrip() for line in (await answer.text()).splitlines()}
