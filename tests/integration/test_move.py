"""What `clusterctl move` does, played by hand: machines go along with their Cluster, and none is made or destroyed."""

from __future__ import annotations

from typing import Any

from capt.api import Cluster as ClusterModel
from capt.api import OwnerReference
from capt.api.crd import definition
from capt.controllers.kinds import APPLY, CLUSTER, MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET, TEMPLATE
from capt.controllers.manifest import to_manifest
from capt.controllers.names import CLUSTER_NAME_LABEL, DELETE_FOR_MOVE_ANNOTATION
from capt.install import install_definitions
from capt.runtime import Kind, SystemClock
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster, names
from tests.support.machines import NODE

LINKS: tuple[Kind[Any], ...] = (MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, APPLY)


async def start(cluster: Cluster, *, paused: bool = False) -> str:
    """Create the Cluster; return its uid."""
    metadata = {"name": "c", "namespace": NAMESPACE}
    made = await cluster.client.create(CLUSTER, {"metadata": metadata, "spec": {"paused": paused}})
    return made.metadata.uid


async def pause(cluster: Cluster, *, paused: bool) -> None:
    await cluster.client.patch(CLUSTER, NAMESPACE, "c", {"spec": {"paused": paused}})


async def machines(cluster: Cluster) -> None:
    """Create a deployment of two machines that belong to the Cluster."""
    module = {"source": "Inline", "module": 'output "instance_id" { value = "i-1" }'}
    template: dict[str, Any] = {
        "metadata": {"namespace": NAMESPACE, "name": "node"},
        "spec": {"template": {"spec": {"forProvider": module}}},
    }
    selected = {"role": "worker"}
    deployment: dict[str, Any] = {
        "metadata": {"namespace": NAMESPACE, "name": "w", "labels": {CLUSTER_NAME_LABEL: "c"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": selected},
            "template": {"metadata": {"labels": selected}, "spec": dict(NODE)},
        },
    }
    await cluster.client.create(TEMPLATE, template)
    await cluster.client.create(MACHINE_DEPLOYMENT, deployment)


async def take_away(cluster: Cluster) -> list[tuple[Kind[Any], dict[str, Any]]]:
    """Delete everything below the Cluster, last links first, as the command does; return it, first links first."""
    taken = [
        (kind, to_manifest(item))
        for kind in LINKS
        for item in await cluster.client.list_live(kind, NAMESPACE)
    ]
    for kind, body in reversed(taken):
        name = body["metadata"]["name"]
        leaving = {"metadata": {"annotations": {DELETE_FOR_MOVE_ANNOTATION: ""}}}
        await cluster.client.patch(kind, NAMESPACE, name, leaving)
        await cluster.client.delete(kind, NAMESPACE, name)
        await cluster.client.patch(kind, NAMESPACE, name, {"metadata": {"finalizers": None}})
    return taken


async def bring(
    cluster: Cluster, taken: list[tuple[Kind[Any], dict[str, Any]]], uids: dict[str, str]
) -> None:
    """Create everything again, owners first; whoever refers to an owner refers to the new one."""
    for kind, body in taken:
        old = body["metadata"]
        kept = {
            key: old[key]
            for key in ("name", "namespace", "labels", "annotations", "finalizers")
            if key in old
        }
        owners = [owner | {"uid": uids[owner["uid"]]} for owner in old["ownerReferences"]]
        made = await cluster.client.create(
            kind, {"metadata": kept | {"ownerReferences": owners}, "spec": body["spec"]}
        )
        uids[old["uid"]] = made.metadata.uid


async def test_machines_move_with_their_cluster(cluster: Cluster) -> None:
    """F11, F13: it owns them, so they follow it and stand still with it; the same Workspaces go on under new objects."""
    await install_definitions(cluster.client, [definition(ClusterModel)], SystemClock())
    old = await start(cluster)
    async with cluster.manager():
        await machines(cluster)
        await cluster.observer.settled("w", replicas=2)
        deployment = await cluster.client.get_live(MACHINE_DEPLOYMENT, NAMESPACE, "w")
        assert deployment is not None
        owner = OwnerReference(api_version=CLUSTER.resource.api_version, kind="Cluster", name="c", uid=old)
        assert deployment.metadata.owner_references == (owner,)
        before = await cluster.client.list_live(MACHINE, NAMESPACE)
        assert all(len(machine.metadata.owner_references) == 1 for machine in before)
        workspaces = {item.metadata.uid for item in await cluster.client.list_live(WORKSPACE)}

        await pause(cluster, paused=True)
    async with cluster.manager():
        taken = await take_away(cluster)
        await cluster.client.delete(CLUSTER, NAMESPACE, "c")
        await cluster.observer.gone(*LINKS)
        await bring(cluster, taken, {old: await start(cluster, paused=True)})
        await pause(cluster, paused=False)
        await cluster.observer.settled("w", replicas=2)
        after = await cluster.client.list_live(MACHINE, NAMESPACE)
        assert names(after) == names(before)
        assert {item.metadata.uid for item in await cluster.client.list_live(WORKSPACE)} == workspaces
    await cluster.client.delete(CLUSTER, NAMESPACE, "c")
