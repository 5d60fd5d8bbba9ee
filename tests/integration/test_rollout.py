"""The machine tree from a manifest to Ready, through scaling and rollouts, to nothing; over HTTP."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from capt.controllers.kinds import APPLY, MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET
from capt.runtime import is_true
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster, names, samples
from tests.support.promises import watch_promises

DEPLOYMENT = "worker-deployment"
TREE = (MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, APPLY, WORKSPACE)


async def change(cluster: Cluster, spec: dict[str, Any]) -> None:
    await cluster.client.patch(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT, {"spec": spec})


def instance_type(name: str) -> dict[str, Any]:
    return {"template": {"spec": {"instanceType": name}}}


async def test_three_machines_from_one_manifest(cluster: Cluster) -> None:
    """The seeds' manifests become three Ready machines with the ids that their Workspaces put out."""
    async with cluster.manager():
        await cluster.apply(*samples())
        await cluster.observer.settled(DEPLOYMENT, replicas=3)

        machines = await cluster.client.list_live(MACHINE)
        workspaces = await cluster.client.list_live(WORKSPACE)
        assert len(workspaces) == len(await cluster.client.list_live(APPLY)) == 3
        outputs = {workspace.status.at_provider.outputs["instance_id"] for workspace in workspaces}
        assert {machine.status.instance_id for machine in machines} == outputs
        assert all(machine.status.private_ip for machine in machines)
        (deployment,) = await cluster.client.list_live(MACHINE_DEPLOYMENT)
        assert is_true(deployment.status.conditions, "Available")
        assert is_true(deployment.status.conditions, "Progressing")


async def test_scaling_up_and_down(cluster: Cluster) -> None:
    """B-M04: Replicas 3 to 5 to 1 keeps the machines that need not go, and takes their Workspaces with those that do."""
    async with cluster.manager():
        await cluster.apply(*samples())
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        first = set(names(await cluster.client.list_live(MACHINE)))

        await change(cluster, {"replicas": 5})
        await cluster.observer.settled(DEPLOYMENT, replicas=5)
        assert first < set(names(await cluster.client.list_live(MACHINE)))

        await change(cluster, {"replicas": 1})
        await cluster.observer.settled(DEPLOYMENT, replicas=1)
        assert len(await cluster.client.list_live(WORKSPACE)) == 1
        assert len(await cluster.client.list_live(MACHINE_SET)) == 1


@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (0, 1), (2, 1), ("50%", "0%")])
async def test_rolling_update_keeps_its_promises(
    cluster: Cluster, surge: int | str, unavailable: int | str
) -> None:
    """B-M02: No state of a rolling update has too few machines available or too many in existence."""
    template, deployment = samples()
    deployment["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": surge, "maxUnavailable": unavailable}
    async with cluster.manager():
        await cluster.apply(template, deployment)
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        before = set(names(await cluster.client.list_live(MACHINE)))
        broken = watch_promises(
            cluster,
            least_available=3 - (unavailable if isinstance(unavailable, int) else 0),
            most_machines=3 + (surge if isinstance(surge, int) else 2),
        )

        await change(cluster, instance_type("t3.large"))
        await cluster.observer.settled(DEPLOYMENT, replicas=3)

        machines = await cluster.client.list_live(MACHINE)
        assert {machine.spec.instance_type for machine in machines} == {"t3.large"}
        assert before.isdisjoint(names(machines))
        assert broken == []


async def test_recreate_waits_until_the_old_machines_are_gone(cluster: Cluster) -> None:
    """B-M01: Under Recreate machines of two templates never exist at the same time."""
    template, deployment = samples()
    deployment["spec"]["strategy"] = {"type": "Recreate"}
    mixed: list[set[str | None]] = []
    store = cluster.observer.informers.store(MACHINE)

    def check() -> None:
        machines = [MACHINE.model.model_validate_json(item.raw) for item in store.list(NAMESPACE)]
        types = {machine.spec.instance_type for machine in machines}
        if len(types) > 1:
            mixed.append(types)

    cluster.observer.checks.append(check)
    async with cluster.manager():
        await cluster.apply(template, deployment)
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        await change(cluster, instance_type("t3.large"))
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        machines = await cluster.client.list_live(MACHINE)
        assert {machine.spec.instance_type for machine in machines} == {"t3.large"}
        assert mixed == []


async def test_deletion_takes_everything_with_it(cluster: Cluster) -> None:
    """B-M21: Each Workspace goes before its apply, applies before machines, machines before sets, the deployment last."""
    async with cluster.manager():
        await cluster.apply(*samples())
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        await cluster.client.delete(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT)
        await cluster.observer.gone(*TREE)

    gone: dict[str, list[int]] = {}
    for version, kind in cluster.observer.deletions:
        gone.setdefault(kind, []).append(version)
    order = ("Workspace", "WorkspaceTemplateApply", "CaptMachine", "CaptMachineSet", "CaptMachineDeployment")
    assert [len(gone[kind]) for kind in order] == [3, 3, 3, 1, 1]
    for child, parent in itertools.pairwise(order):
        # the first parent goes after the first child, the last after the last
        assert all(
            before < after for before, after in zip(sorted(gone[child]), sorted(gone[parent]), strict=False)
        )
        assert max(gone[child]) < max(gone[parent])


async def test_fifty_machines_cost_nine_writes_each_and_then_none(cluster: Cluster) -> None:
    """Exactly fifty machines come up with at most nine writes each, and a steady state writes nothing."""
    template, deployment = samples()
    deployment["spec"]["replicas"] = 50
    async with cluster.manager():
        await cluster.apply(template, deployment)
        await cluster.observer.settled(DEPLOYMENT, replicas=50)
        assert len(await cluster.client.list_live(MACHINE_SET)) == 1
        assert len(await cluster.client.list_live(WORKSPACE)) == 50
    # the engine stands for a provider, and writes under its own name
    written = cluster.writes(user_agent="capt/")
    assert len(written) <= 9 * 50, Counter(written)
