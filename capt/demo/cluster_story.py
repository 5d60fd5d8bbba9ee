"""The plot of `--cluster`: from nothing to a control plane, an endpoint and machines, and back to nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from capt.assets import manifests
from capt.controllers.kinds import (
    APPLY,
    CAPT_CLUSTER,
    CAPT_CONTROL_PLANE,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
    SECRET,
    TEMPLATE,
    WORKSPACE_FLAVOURS,
)
from capt.demo.child import Child
from capt.demo.cluster_tree import ClusterTree, cluster_rows
from capt.demo.core import EDITIONS
from capt.demo.core import add_to as add_core_to
from capt.demo.core.unstructured import at
from capt.demo.screen import Screen
from capt.demo.stage import Stage, StoryError
from capt.demo.tree import Tree
from capt.install import install_definitions
from capt.runtime import (
    Client,
    ClusterConfig,
    Event,
    HttpTransport,
    Informers,
    Kind,
    Manager,
    ManagerOptions,
    SystemClock,
)

_NAMESPACE = "default"
_EDITION = EDITIONS["v1beta2"]
_CLUSTER = _EDITION.cluster
_WORKSPACE = WORKSPACE_FLAVOURS[0]
_WATCHED: tuple[Kind[Any], ...] = (
    *(_CLUSTER, CAPT_CLUSTER, CAPT_CONTROL_PLANE, APPLY, _WORKSPACE),
    *(MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE),
)
_KINDS: dict[str, Kind[Any]] = {
    "Cluster": _CLUSTER,
    **{
        kind.resource.kind: kind
        for kind in (TEMPLATE, CAPT_CLUSTER, CAPT_CONTROL_PLANE, MACHINE, MACHINE_DEPLOYMENT)
    },
}
_SAMPLES = Path("samples") / "cluster"


async def tell_cluster(child: Child, screen: Screen) -> None:
    """Play the demo of a whole cluster against a running manager.

    Raises:
        StoryError: A step took too long, or things came or went in the wrong order.
    """
    config, clock = ClusterConfig.from_kubeconfig(child.kubeconfig), SystemClock()
    async with HttpTransport(config, user_agent="capt-demo") as transport:
        await install_definitions(Client(transport), [dict(each) for each in _EDITION.definitions], clock)
        async with _core(config), Informers(transport, clock=clock) as informers:
            screen.say(
                "installed Cluster API's kind Cluster, and started a small stand-in for Cluster API core"
            )
            stage = Stage(Client(transport, informers, clock=clock), screen, _tree, cluster_rows)
            gone: dict[str, int] = {}

            def on_change(kind: Kind[Any], event: Event) -> None:
                if event.type == "deleted":
                    gone[kind.resource.kind] = informers.store(kind).resource_version
                stage.on_change(event)

            for kind in _WATCHED:
                await (await informers.watch(kind, partial(on_change, kind))).wait_synced()
            await _play(stage, gone)


async def _play(stage: Stage[ClusterTree], gone: Mapping[str, int]) -> None:
    templates = await _create(stage, "local")
    await _create(stage, "v1beta2")
    await _come_up(stage)
    await _create(stage, "workers")
    await _join(stage)
    await _delete(stage, gone)
    for kind, name in templates:
        await stage.client.delete(kind, _NAMESPACE, name)
    await stage.prove_empty((*_WATCHED, TEMPLATE, SECRET), _NAMESPACE)


@contextlib.asynccontextmanager
async def _core(config: ClusterConfig) -> AsyncIterator[None]:
    """Run the stand-in for Cluster API core in this process until the block ends."""
    stop = asyncio.Event()
    manager = Manager(config, ManagerOptions(metrics_bind_address="0", health_probe_bind_address="0"))
    add_core_to(manager, _EDITION)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(manager.run(stop), name="core")
        try:
            yield
        finally:
            stop.set()


async def _tree(client: Client) -> ClusterTree:
    return ClusterTree(
        clusters=await client.list(_CLUSTER, _NAMESPACE),
        networks=await client.list(CAPT_CLUSTER, _NAMESPACE),
        control_planes=await client.list(CAPT_CONTROL_PLANE, _NAMESPACE),
        applies=await client.list(APPLY, _NAMESPACE),
        machines=Tree(
            deployments=await client.list(MACHINE_DEPLOYMENT, _NAMESPACE),
            sets=await client.list(MACHINE_SET, _NAMESPACE),
            machines=await client.list(MACHINE, _NAMESPACE),
            workspaces=await client.list(_WORKSPACE),
        ),
    )


async def _create(stage: Stage[ClusterTree], folder: str) -> list[tuple[Kind[Any], str]]:
    created = []
    for file in sorted((manifests() / _SAMPLES / folder).glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            document["metadata"].setdefault("namespace", _NAMESPACE)
            kind, name = _KINDS[document["kind"]], document["metadata"]["name"]
            await stage.client.create(kind, document)
            created.append((kind, name))
            stage.screen.say(f"created {document['kind']} {name} ({folder}/{file.name})")
    return created


async def _come_up(stage: Stage[ClusterTree]) -> None:
    tree = await stage.until("the control plane is Ready", lambda tree: tree.ready)
    (cluster,), (control_plane,) = tree.clusters, tree.control_planes
    host, port = (at(cluster.spec, "controlPlaneEndpoint", field) for field in ("host", "port"))
    if f"{host}:{port}" != control_plane.status.endpoint:
        raise StoryError(f"the Cluster says {host}:{port}, its control plane {control_plane.status.endpoint}")
    name = f"{cluster.metadata.name}-kubeconfig"
    secret = await stage.client.get_live(SECRET, _NAMESPACE, name)
    if secret is None or host.encode() not in secret.data.get("value", b""):
        raise StoryError(f"Secret {name} has no kubeconfig for {host}")
    stage.screen.say(f"the control plane is Ready at {host}:{port}, its kubeconfig lies in Secret {name}")


async def _join(stage: Stage[ClusterTree]) -> None:
    tree = await stage.until("the workers are Ready", lambda tree: tree.workers_ready)
    machines = len(tree.machines.machines) - len(tree.node_groups)
    stage.screen.say(f"node group {tree.node_groups[0].metadata.name} and {machines} machines are Ready")


async def _delete(stage: Stage[ClusterTree], gone: Mapping[str, int]) -> None:
    """Delete the Cluster, and see in which order all goes: `gone` has the version at which the last of each kind went.

    What is there at a moment does not tell: each kind has a watch of its own, and one may be behind another.
    """
    stage.screen.say(
        "now deleting the Cluster, and nothing else: machines, control plane and VPC go in this order"
    )
    (cluster,) = (await stage.state()).clusters
    await stage.client.delete(_CLUSTER, _NAMESPACE, cluster.metadata.name)
    await stage.until("everything deleted", lambda tree: tree.empty)
    machines, control_plane, network = (
        gone[kind.resource.kind] for kind in (MACHINE, CAPT_CONTROL_PLANE, CAPT_CLUSTER)
    )
    if control_plane < machines:
        raise StoryError("the control plane went before its machines")
    if network < control_plane:
        raise StoryError("the VPC went before the control plane")
