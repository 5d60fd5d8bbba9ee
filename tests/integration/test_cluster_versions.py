"""Cluster API serves a Cluster in two versions, and converts between them itself."""

from __future__ import annotations

from typing import Any

from capt.api import Cluster as ClusterV1Beta2
from capt.api import ClusterV1Beta1
from capt.api.crd import definition
from capt.controllers.kinds import CLUSTER, MACHINE, TEMPLATE
from capt.controllers.names import CLUSTER_NAME_LABEL
from capt.demo.core.unstructured import DEFINITION
from capt.install import install_definitions
from capt.runtime import SystemClock
from hack.envtest import ControlPlane
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.machines import NODE

NOBODY: dict[str, Any] = {"url": "https://127.0.0.1:1/convert"}


def both_versions(conversion: dict[str, Any]) -> dict[str, Any]:
    """Return one definition that serves v1beta1 beside v1beta2, as Cluster API has it."""
    made = definition(ClusterV1Beta2)
    old = definition(ClusterV1Beta1)["spec"]["versions"][0] | {"storage": False}
    made["spec"] |= {"versions": [*made["spec"]["versions"], old], "conversion": conversion}
    return made


async def test_work_goes_on_while_nobody_converts_clusters(
    cluster: Cluster, plane: ControlPlane | None
) -> None:
    """A manager that starts while Cluster API is away reads the Cluster as it is stored, and no other version of it."""
    webhook = {"clientConfig": NOBODY, "conversionReviewVersions": ["v1"]}
    conversion = {"strategy": "Webhook", "webhook": webhook} if plane is not None else {"strategy": "None"}
    metadata = {"name": "c", "namespace": NAMESPACE}
    await install_definitions(cluster.client, [both_versions(conversion)], SystemClock())
    try:
        await cluster.client.create(CLUSTER, {"metadata": metadata, "spec": {"paused": True}})
        async with cluster.manager() as manager:
            module = {"source": "Inline", "module": 'output "instance_id" { value = "i-1" }'}
            template = {
                "metadata": {"namespace": NAMESPACE, "name": "node"},
                "spec": {"template": {"spec": {"forProvider": module}}},
            }
            await cluster.client.create(TEMPLATE, template)
            member: dict[str, Any] = {"namespace": NAMESPACE, "labels": {CLUSTER_NAME_LABEL: "c"}}
            await cluster.client.create(MACHINE, {"metadata": member | {"name": "m"}, "spec": dict(NODE)})
            await cluster.client.create(
                MACHINE,
                {
                    # a Cluster that is not there holds nobody up
                    "metadata": {
                        "namespace": NAMESPACE,
                        "name": "of-none",
                        "labels": {CLUSTER_NAME_LABEL: "none"},
                    },
                    "spec": dict(NODE),
                },
            )
            await cluster.observer.met(MACHINE, "of-none", lambda machine: machine.status.ready)
            paused = await cluster.client.get_live(MACHINE, NAMESPACE, "m")
            assert paused is not None
            assert not paused.status.conditions
            await cluster.client.patch(CLUSTER, NAMESPACE, "c", {"spec": {"paused": False}})
            await cluster.observer.met(MACHINE, "m", lambda machine: machine.status.ready)
            versions = {each.resource: each for each in manager.informers.statistics()}
            assert versions["clusters.cluster.x-k8s.io"].objects == 1
            unused = versions["clusters.v1beta1.cluster.x-k8s.io"]
            assert (unused.missing, unused.problem, unused.objects) == (True, "", 0)
    finally:
        await cluster.client.delete(CLUSTER, NAMESPACE, "c")
        await cluster.client.delete(DEFINITION, "", "clusters.cluster.x-k8s.io")
