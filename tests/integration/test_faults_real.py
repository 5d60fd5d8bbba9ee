"""A rolling update on a real control plane whose parts die, hang and are upgraded in the middle of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from capt.controllers.kinds import APPLY, MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET
from capt.runtime import ApiError, Manager
from capt.terraform import Simulation
from hack.envtest import ControlPlane, control_plane
from tests.support.api_servers import REAL, grant
from tests.support.cluster import NAMESPACE, QUIET, WORKSPACE, WRITES, Cluster, names, samples
from tests.support.cluster import cluster as start_cluster
from tests.support.fast_clock import FastClock
from tests.support.promises import watch_promises
from tests.support.waiting import until

pytestmark = [
    pytest.mark.envtest,
    pytest.mark.skipif(not REAL, reason="breaks a real control plane"),
    pytest.mark.asyncio(loop_scope="module"),
]

Fault = Callable[[ControlPlane, Cluster, Manager], Awaitable[None]]

DEPLOYMENT = "worker-deployment"
REPLICAS = 3
CHILDREN = (MACHINE, APPLY, WORKSPACE)
TREE = (MACHINE_DEPLOYMENT, MACHINE_SET, *CHILDREN)
FAST = 4  # a leader that hears nothing for ten seconds of its clock gives up: two and a half
LEADER = replace(QUIET, leader_elect=True, retry_period=1.0)
TERRAFORM = Simulation(apply_seconds=1.0, destroy_seconds=0.5)
MOST_REQUESTS = 600  # for three machines through a fault, with or without an answer; seen were 140 to 260
RENEWALS = 2 * FAST  # of the lease in a second, at most; a busy machine takes more seconds


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane() -> AsyncIterator[ControlPlane]:
    """A control plane of this module's own, in the place of the one that other tests share."""
    # without the flag an API server that is asked to end holds on to its watches for up to a minute
    async with control_plane(None, "--shutdown-watch-termination-grace-period=3s") as running:
        await grant(running)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(tmp_path: Path, plane: ControlPlane) -> AsyncIterator[Cluster]:
    """That control plane with capt's definitions on it and nothing else, on its event loop."""
    async with start_cluster(tmp_path, plane, FastClock(FAST)) as running:
        yield running


async def etcd_dies(plane: ControlPlane, cluster: Cluster, _manager: Manager) -> None:
    await plane.kill("etcd")
    await unanswered(cluster)
    await plane.start("etcd")


async def the_api_server_dies(plane: ControlPlane, _cluster: Cluster, _manager: Manager) -> None:
    await plane.kill("kube-apiserver")
    await plane.start("kube-apiserver")


async def the_api_server_is_upgraded(plane: ControlPlane, _cluster: Cluster, _manager: Manager) -> None:
    await plane.stop("kube-apiserver")
    await plane.start("kube-apiserver")


async def the_api_server_hangs(plane: ControlPlane, cluster: Cluster, _manager: Manager) -> None:
    plane.pause("kube-apiserver")
    await unanswered(cluster)
    plane.resume("kube-apiserver")


async def the_api_server_hangs_until_nobody_leads(
    plane: ControlPlane, _cluster: Cluster, manager: Manager
) -> None:
    plane.pause("kube-apiserver")

    async def nobody_leads() -> bool:
        return not manager.leading

    await until(nobody_leads)
    plane.resume("kube-apiserver")


async def unanswered(cluster: Cluster) -> None:
    """Wait until a user's request has had no answer within a second."""
    user = cluster.client.with_timeout(1.0)

    async def refused() -> bool:
        try:
            await user.get_live(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT)
        except ApiError:
            return True
        return False

    await until(refused)


@pytest.mark.parametrize(
    "fault",
    [
        etcd_dies,
        the_api_server_dies,
        the_api_server_is_upgraded,
        the_api_server_hangs,
        the_api_server_hangs_until_nobody_leads,
    ],
)
async def test_a_rolling_update_survives_when(plane: ControlPlane, cluster: Cluster, fault: Fault) -> None:
    """It comes to its end without a twin or an orphan, keeps its promises all the way, and then falls silent."""
    template, deployment = samples()
    deployment["spec"]["replicas"] = REPLICAS
    async with cluster.manager(options=LEADER, simulation=TERRAFORM, clock=FastClock(FAST)) as manager:
        await cluster.apply(template, deployment)
        await cluster.observer.settled(DEPLOYMENT, replicas=REPLICAS)
        broken = watch_promises(cluster, least_available=REPLICAS, most_machines=REPLICAS + 1)
        seen = watch_uids(cluster)
        begun, asked, started = plane.audit_position, requests(manager), time.monotonic()

        await change(cluster, "t3.large")
        await cluster.observer.until(lambda: exists(cluster, "t3.large"))
        await fault(plane, cluster, manager)
        await plane.ready()
        await cluster.observer.settled(DEPLOYMENT, replicas=REPLICAS)

        machines, applies, workspaces = [await cluster.client.list_live(kind) for kind in CHILDREN]
        assert {machine.spec.instance_type for machine in machines} == {"t3.large"}
        assert len(machines) == len(applies) == REPLICAS
        assert sorted(machine.status.workspace_name for machine in machines) == names(workspaces)
        assert broken == []
        assert max(map(len, seen.values())) == 2 * REPLICAS, "each was made once"
        await until(lambda: is_silent(plane, begun))
        assert requests(manager) - asked < MOST_REQUESTS + RENEWALS * (time.monotonic() - started)

        cluster.observer.checks.clear()
        await cluster.client.delete(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT)
        await cluster.observer.gone(*TREE)
        assert list(cluster.data_dir.rglob("*.json")) == [], "Terraform's state of what was to be destroyed"


async def change(cluster: Cluster, instance_type: str) -> None:
    spec = {"template": {"spec": {"instanceType": instance_type}}}
    await cluster.client.patch(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT, {"spec": spec})


async def exists(cluster: Cluster, instance_type: str) -> bool:
    machines = await cluster.client.list(MACHINE, NAMESPACE)
    return any(machine.spec.instance_type == instance_type for machine in machines)


def watch_uids(cluster: Cluster) -> dict[str, set[str]]:
    """Note every child that there is from now on, by kind."""
    seen: dict[str, set[str]] = {kind.resource.kind: set() for kind in CHILDREN}

    def note() -> None:
        for kind in CHILDREN:
            seen[kind.resource.kind].update(
                each.uid for each in cluster.observer.informers.store(kind).list()
            )

    note()
    cluster.observer.checks.append(note)
    return seen


async def is_silent(plane: ControlPlane, since: int) -> bool:
    """Whether the last things that the manager wrote are four renewals of its lease."""
    written = [
        event["objectRef"]["resource"]
        for event in plane.audit(since)
        if event["verb"] in WRITES and event["userAgent"].startswith("capt")
    ]
    return written[-4:] == ["leases"] * 4


def requests(manager: Manager) -> float:
    """Return how many requests the manager has sent so far, answered or not."""
    return sum(
        sample.value
        for family in manager.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "rest_client_requests_total"
    )
