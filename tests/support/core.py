"""The stand-in for Cluster API core beside a test's cluster, and Clusters for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from capt.controllers.kinds import CAPT_CLUSTER, CAPT_CONTROL_PLANE
from capt.demo.core import EDITIONS, Edition, EditionName, add_to
from capt.demo.core.unstructured import DEFINITION
from capt.install import install_definitions
from capt.runtime import Client, Clock, Kind, Manager, NotFound, SystemClock
from tests.support.api_servers import is_swept
from tests.support.cluster import NAMESPACE, QUIET, Cluster
from tests.support.waiting import until


@contextlib.asynccontextmanager
async def core(cluster: Cluster, name: EditionName, *, clock: Clock | None = None) -> AsyncIterator[Edition]:
    """Install an edition's Cluster and ClusterClass, and run the stand-in until the block ends.

    At the end no object of it is left. The definitions stay where they are until a test takes the other edition, or
    `remove_definitions` is called: a real API server takes seconds to forget a kind and to learn it again.
    """
    edition = EDITIONS[name]
    if not await _is_served(cluster.client, edition):
        await remove_definitions(cluster.client)
    kinds: tuple[Kind[Any], ...] = (
        edition.cluster,
        edition.cluster_class,
        CAPT_CLUSTER,
        CAPT_CONTROL_PLANE,
    )
    await install_definitions(cluster.client, [dict(each) for each in edition.definitions], SystemClock())
    handles = [
        await cluster.observer.informers.watch(kind, partial(cluster.observer.on_event, kind))
        for kind in kinds
    ]
    for handle in handles:
        await handle.wait_synced()
    stop = asyncio.Event()
    manager = Manager(cluster.config, QUIET, clock=clock)
    add_to(manager, edition)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(manager.run(stop), name="core")
            try:
                await manager.wait_ready()
                yield edition
            finally:
                stop.set()
    finally:
        for handle in handles:
            await handle.close()
        await sweep(cluster, edition)


async def sweep(cluster: Cluster, edition: Edition) -> None:
    """Remove the objects of an edition, and those of providers."""
    for kind in (edition.cluster, edition.cluster_class, CAPT_CLUSTER, CAPT_CONTROL_PLANE):
        await until(partial(is_swept, cluster.client, kind, NAMESPACE))


async def remove_definitions(client: Client) -> None:
    """Remove the Cluster and ClusterClass of whichever edition there is."""
    names = {str(each["metadata"]["name"]) for edition in EDITIONS.values() for each in edition.definitions}
    for name in names:
        await client.delete(DEFINITION, "", name)

    async def gone() -> bool:
        return not any([await client.get_live(DEFINITION, "", name) for name in names])

    await until(gone)


async def _is_served(client: Client, edition: Edition) -> bool:
    try:
        await client.list_live(edition.cluster, NAMESPACE)
    except NotFound:
        return False
    return True


def cluster_body(edition: Edition, name: str = "c", **spec: Any) -> dict[str, Any]:
    """Return a Cluster that refers to a CAPTCluster and a CAPTControlPlane of its name."""
    references = {
        "infrastructureRef": edition.reference_value(CAPT_CLUSTER, NAMESPACE, name),
        "controlPlaneRef": edition.reference_value(CAPT_CONTROL_PLANE, NAMESPACE, name),
    }
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": references | spec}


def capt_cluster_body(name: str = "c") -> dict[str, Any]:
    """Return a CAPTCluster with a VPC that exists."""
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"region": "us-west-2", "existingVpcId": "vpc-0123"},
    }


def control_plane_body(name: str = "c") -> dict[str, Any]:
    """Return a CAPTControlPlane."""
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"version": "1.31", "workspaceTemplateRef": {"name": "eks"}},
    }
