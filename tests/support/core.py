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
from capt.runtime import Clock, Kind, Manager, SystemClock
from tests.support.cluster import NAMESPACE, QUIET, Cluster


@contextlib.asynccontextmanager
async def core(cluster: Cluster, name: EditionName, *, clock: Clock | None = None) -> AsyncIterator[Edition]:
    """Install an edition's Cluster and ClusterClass, and run the stand-in until the block ends.

    At the end nothing of it is left, so that the next test may take the other edition.
    """
    edition = EDITIONS[name]
    kinds: tuple[Kind[Any], ...] = (
        edition.cluster,
        edition.cluster_class,
        CAPT_CLUSTER,
        CAPT_CONTROL_PLANE,
    )
    await install_definitions(
        cluster.client, [dict(each) for each in edition.definitions], clock or SystemClock()
    )
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
    """Remove what an edition has: its objects, those of providers, and its definitions."""
    for kind in (edition.cluster, edition.cluster_class, CAPT_CLUSTER, CAPT_CONTROL_PLANE):
        for item in await cluster.client.list_live(kind, NAMESPACE):
            if item.metadata.finalizers:
                bare = {"metadata": {"finalizers": []}}
                await cluster.client.patch(kind, NAMESPACE, item.metadata.name, bare)
            await cluster.client.delete(kind, NAMESPACE, item.metadata.name)
    names = [str(each["metadata"]["name"]) for each in edition.definitions]
    for name in names:
        await cluster.client.delete(DEFINITION, "", name)
    clock = SystemClock()
    async with asyncio.timeout(20):
        while any([await cluster.client.get_live(DEFINITION, "", name) for name in names]):
            await clock.sleep(0.05)


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
