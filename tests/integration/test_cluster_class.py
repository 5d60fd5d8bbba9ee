"""The sample ClusterClass, from the Cluster that names it to a control plane that can be used, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from capt.api import CAPTClusterTemplate, CAPTControlPlaneTemplate
from capt.assets import manifests
from capt.controllers.kinds import APPLY, CAPT_CLUSTER, CAPT_CONTROL_PLANE, SECRET, TEMPLATE, kind_of
from capt.demo.core import Edition
from capt.demo.core.unstructured import at
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster, documents
from tests.support.core import core

SAMPLES = manifests() / "samples" / "cluster"
TEMPLATES = (kind_of(CAPTClusterTemplate), kind_of(CAPTControlPlaneTemplate))


@pytest.fixture
async def edition(cluster: Cluster) -> AsyncIterator[Edition]:
    async with core(cluster, "v1beta2") as found:
        yield found
        for kind in TEMPLATES:
            for each in await cluster.client.list_live(kind, NAMESPACE):
                await cluster.client.delete(kind, NAMESPACE, each.metadata.name)


async def test_a_cluster_of_the_sample_class_comes_up_and_is_upgraded(
    cluster: Cluster, edition: Edition
) -> None:
    """B-T01 to B-T04: clones under names of their own find one another, get the Cluster's variables, follow its version
    and go with it."""
    client = cluster.client
    kinds = {
        kind.resource.kind: kind for kind in (*TEMPLATES, TEMPLATE, edition.cluster_class, edition.cluster)
    }

    async def parent() -> dict[str, Any]:
        found = await client.get_live(edition.cluster, NAMESPACE, "from-class")
        return found.model_dump(by_alias=True) if found is not None else {}

    async def runs(version: str) -> bool:
        (plane,) = await client.list_live(CAPT_CONTROL_PLANE, NAMESPACE) or [None]
        return plane is not None and plane.status.initialized and plane.status.version == version

    async def initialized() -> bool:
        found = await parent()
        return bool(at(found, "status", "initialization", "controlPlaneInitialized")) and await runs(
            "v1.33.0"
        )

    async with cluster.manager():
        for document in documents(
            *sorted((SAMPLES / "local").glob("*.yaml")), *(SAMPLES / "class").glob("*.yaml")
        ):
            metadata = {**document["metadata"], "namespace": NAMESPACE}
            await client.create(kinds[document["kind"]], {**document, "metadata": metadata})
        await cluster.observer.until(initialized)

        (network,) = await client.list_live(CAPT_CLUSTER, NAMESPACE)
        (plane,) = await client.list_live(CAPT_CONTROL_PLANE, NAMESPACE)
        assert "from-class" not in (network.metadata.name, plane.metadata.name)
        assert (
            at(await parent(), "spec", "controlPlaneEndpoint", "host")
            == plane.spec.control_plane_endpoint.host
        )
        applies = {each.spec.template_ref.name: each for each in await client.list_live(APPLY, NAMESPACE)}
        assert applies["cluster-vpc"].spec.variables["vpc_cidr"] == "10.20.0.0/16"
        assert applies["cluster-control-plane"].spec.values["vpc_id"] == network.status.vpc_id
        assert await client.get_live(SECRET, NAMESPACE, "from-class-kubeconfig") is not None

        upgrade = {"spec": {"topology": {"version": "v1.34.0"}}}
        await client.patch(edition.cluster, NAMESPACE, "from-class", upgrade)
        await cluster.observer.until(lambda: runs("v1.34.0"))

        await client.delete(edition.cluster, NAMESPACE, "from-class")
        await cluster.observer.gone(CAPT_CONTROL_PLANE, CAPT_CLUSTER, APPLY, WORKSPACE, edition.cluster)
