"""A whole tree that the Go original left behind is taken over where it stands, and can then be deleted."""

from __future__ import annotations

from typing import Any

from capt.api import Workspace
from capt.controllers import names
from capt.controllers.kinds import (
    APPLY,
    CAPT_CLUSTER,
    CAPT_CONTROL_PLANE,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
    TEMPLATE,
)
from capt.demo.core import Edition
from capt.runtime import Kind, is_true
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster
from tests.support.core import cluster_body, core
from tests.support.neutral_provider import FINALIZER, neutral_provider

MODULE = """
variable "instance_type" { type = string }
variable "node_group" { type = string }
output "instance_type" { value = "${instance_type}" }
"""
MACHINE_SPEC = {
    "nodeGroupRef": {"name": "managed-ng-1", "namespace": NAMESPACE},
    "workspaceTemplateRef": {"name": "machine-template", "namespace": NAMESPACE},
    "instanceType": "t3.medium",
}
LABELS = {"role": "worker"}
TEMPLATE_OF_ALL = {"metadata": {"labels": LABELS}, "spec": MACHINE_SPEC}
MACHINES = ("workers-x7k2p-8qj4d", "workers-x7k2p-zz9tm")
CHAIN: tuple[Kind[Any], ...] = (MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, APPLY, TEMPLATE, WORKSPACE)


async def leave(cluster: Cluster) -> None:
    """Make what the Go original made of a deployment of two: generated names, its finalizers, its statuses."""
    await cluster.apply(
        {
            "kind": "WorkspaceTemplate",
            "metadata": {"name": "machine-template", "finalizers": [names.TEMPLATE_FINALIZER]},
            "spec": {"template": {"spec": {"forProvider": {"source": "Inline", "module": MODULE}}}},
        }
    )
    deployment = await child(
        cluster,
        MACHINE_DEPLOYMENT,
        None,
        "workers",
        names.MACHINE_DEPLOYMENT_FINALIZER,
        {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "strategy": {"type": "RollingUpdate"},
            "template": TEMPLATE_OF_ALL,
        },
    )
    machine_set = await child(
        cluster,
        MACHINE_SET,
        (MACHINE_DEPLOYMENT, deployment),
        "workers-x7k2p",
        names.MACHINE_SET_FINALIZER,
        {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": TEMPLATE_OF_ALL},
    )
    for name in MACHINES:
        machine = await child(
            cluster, MACHINE, (MACHINE_SET, machine_set), name, names.MACHINE_FINALIZER, MACHINE_SPEC
        )
        apply = f"{name}-machine"
        variables = {
            "instance_type": "t3.medium",
            "node_group": "managed-ng-1",
            "labels": "map[]",
            "tags": "map[]",
        }
        spec = {"templateRef": MACHINE_SPEC["workspaceTemplateRef"], "variables": variables}
        await child(cluster, APPLY, (MACHINE, machine), apply, names.APPLY_FINALIZER, spec)
        await applied(cluster, apply, apply, MODULE.replace("${instance_type}", "t3.medium"))
        await cluster.client.patch(
            MACHINE, NAMESPACE, name, {"status": {"ready": True}}, subresource="status"
        )


async def applied(cluster: Cluster, apply: str, name: str, module: str, **varmap: Any) -> None:
    """Make the Workspace of an apply, Ready, and the status that the Go original wrote about it."""
    workspace = {
        "metadata": {
            "name": name,
            "annotations": {"crossplane.io/external-name": name},
            "finalizers": [FINALIZER],
        },
        "spec": {
            "forProvider": {
                "source": "Inline",
                "module": module,
                **({"varmap": varmap} if varmap else {}),
            }
        },
    }
    await cluster.client.create(WORKSPACE, workspace)
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, reason in (("Ready", "Available"), ("Synced", "ReconcileSuccess"))
    ]
    await cluster.client.patch(
        WORKSPACE, "", name, {"status": {"conditions": conditions}}, subresource="status"
    )
    told = {
        "workspaceName": name,
        "applied": True,
        "lastAppliedTime": "2026-01-01T00:00:00Z",
        "conditions": conditions,
    }
    await cluster.client.patch(APPLY, NAMESPACE, apply, {"status": told}, subresource="status")


async def child(
    cluster: Cluster,
    kind: Kind[Any],
    owner: tuple[Kind[Any], Any] | None,
    name: str,
    finalizer: str,
    spec: dict[str, Any],
) -> Any:
    metadata: dict[str, Any] = {"name": name, "namespace": NAMESPACE, "finalizers": [finalizer]}
    if kind in (MACHINE_SET, MACHINE):
        metadata["labels"] = LABELS
    if owner is not None:
        of, parent = owner
        metadata["ownerReferences"] = [
            {
                "apiVersion": of.resource.api_version,
                "kind": of.resource.kind,
                "name": parent.metadata.name,
                "uid": parent.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return await cluster.client.create(kind, {"metadata": metadata, "spec": spec})


async def uids(cluster: Cluster) -> set[str]:
    return {each.metadata.uid for kind in CHAIN for each in await cluster.client.list_live(kind)}


def is_taken_over(workspace: Workspace) -> bool:
    varmap = workspace.spec.for_provider.varmap
    return (
        names.WORKSPACE_APPLY_UID_LABEL in workspace.metadata.labels
        and varmap == {"instance_type": "t3.medium", "node_group": "managed-ng-1"}
        and workspace.spec.for_provider.module == MODULE.replace("${instance_type}", "t3.medium")
    )


async def test_a_tree_of_the_go_original_is_taken_over_and_deleted(cluster: Cluster) -> None:
    """Nothing is made again: every object keeps its uid, every Workspace its Terraform state; then all of it goes."""
    await leave(cluster)
    before = await uids(cluster)
    async with neutral_provider(cluster.config, ages=False), cluster.manager(engine="external"):

        async def upgraded() -> bool:
            deployment = await cluster.observer.client.get(MACHINE_DEPLOYMENT, NAMESPACE, "workers")
            workspaces = await cluster.observer.client.list(WORKSPACE)
            applies = await cluster.observer.client.list(APPLY)
            return (
                deployment is not None
                and is_true(deployment.status.conditions, "Ready")
                and all(map(is_taken_over, workspaces))
                and all(is_true(apply.status.conditions, "Ready") for apply in applies)
            )

        await cluster.observer.until(upgraded)
        assert await uids(cluster) == before
        for workspace in await cluster.client.list_live(WORKSPACE):
            assert workspace.metadata.annotations["crossplane.io/external-name"] == workspace.metadata.name
        assert "create workspaces" not in cluster.writes(user_agent="capt/")

        await cluster.client.delete(MACHINE_DEPLOYMENT, NAMESPACE, "workers")
        await cluster.observer.gone(MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, APPLY, WORKSPACE)
        await cluster.client.delete(TEMPLATE, NAMESPACE, "machine-template")
        await cluster.observer.gone(TEMPLATE)


CLUSTER_MODULE = """
variable "cluster_name" { type = string }
variable "vpc_id" { type = string }
variable "cluster_endpoint" { type = string }
"""
OUTPUTS = {"vpc_id": "vpc-0123", "cluster_endpoint": "https://abc.eks.amazonaws.com"}
# the Go original called a Workspace like its apply, without an "-apply" at the end
STANDING = {"prod-vpc": "prod-vpc", "prod-eks-controlplane-apply": "prod-eks-controlplane"}


async def leave_cluster(cluster: Cluster, edition: Edition) -> None:
    """Make what the Go original made of a Cluster: VPC and control plane, applied."""
    for name in ("vpc", "eks"):
        await cluster.apply(
            {
                "kind": "WorkspaceTemplate",
                "metadata": {"name": name, "finalizers": [names.TEMPLATE_FINALIZER]},
                "spec": {
                    "template": {
                        "spec": {
                            "forProvider": {"source": "Inline", "module": CLUSTER_MODULE, "varmap": OUTPUTS}
                        }
                    }
                },
            }
        )
    network = await child(
        cluster,
        CAPT_CLUSTER,
        None,
        "prod",
        names.CLUSTER_FINALIZER,
        {
            "region": "us-west-2",
            "vpcTemplateRef": {"name": "vpc"},
            "workspaceTemplateApplyName": "prod-vpc",
        },
    )
    control_plane = await child(
        cluster,
        CAPT_CONTROL_PLANE,
        None,
        "prod",
        names.CONTROL_PLANE_FINALIZER,
        {
            "version": "1.31",
            "workspaceTemplateRef": {"name": "eks", "namespace": NAMESPACE},
            "controlPlaneConfig": {"region": "us-west-2"},
            "workspaceTemplateApplyName": "prod-eks-controlplane-apply",
        },
    )
    owners: tuple[tuple[Kind[Any], Any, str], ...] = (
        (CAPT_CLUSTER, network, "vpc"),
        (CAPT_CONTROL_PLANE, control_plane, "eks"),
    )
    for (kind, owner, template), (apply, workspace) in zip(owners, STANDING.items(), strict=True):
        spec = {
            "templateRef": {"name": template},
            "variables": {"cluster_name": "prod", "environment": "production"},
        }
        await child(cluster, APPLY, (kind, owner), apply, names.APPLY_FINALIZER, spec)
        await applied(cluster, apply, workspace, CLUSTER_MODULE, **OUTPUTS)
    await cluster.client.create(edition.cluster, cluster_body(edition, "prod"))


async def test_a_cluster_of_the_go_original_is_taken_over_and_deleted(cluster: Cluster) -> None:
    """VPC and control plane keep their Workspaces under the names that their statuses have, and go in order."""
    async with core(cluster, "v1beta1") as edition:
        await leave_cluster(cluster, edition)
        before = await uids(cluster)
        async with neutral_provider(cluster.config, ages=False), cluster.manager(engine="external"):

            async def upgraded() -> bool:
                applies = await cluster.observer.client.list(APPLY)
                workspaces = await cluster.observer.client.list(WORKSPACE)
                network = await cluster.observer.client.get(CAPT_CLUSTER, NAMESPACE, "prod")
                control_plane = await cluster.observer.client.get(CAPT_CONTROL_PLANE, NAMESPACE, "prod")
                endpoint = control_plane.spec.control_plane_endpoint if control_plane else None
                return (
                    network is not None
                    and network.status.ready
                    and network.status.vpc_id == "vpc-0123"
                    and endpoint is not None
                    and endpoint.host == "abc.eks.amazonaws.com"
                    and all(is_true(each.status.conditions, "Ready") for each in applies)
                    and all(
                        each.metadata.labels.get(names.CLUSTER_NAME_LABEL) == "prod" for each in workspaces
                    )
                )

            await cluster.observer.until(upgraded)
            assert await uids(cluster) == before
            taken = {each.metadata.name: each for each in await cluster.client.list_live(WORKSPACE)}
            assert taken.keys() == set(STANDING.values())
            for name, workspace in taken.items():
                assert workspace.metadata.annotations["crossplane.io/external-name"] == name
            assert "create workspaces" not in cluster.writes(user_agent="capt/")

            await cluster.client.delete(edition.cluster, NAMESPACE, "prod")
            await cluster.observer.gone(CAPT_CONTROL_PLANE, CAPT_CLUSTER, APPLY, WORKSPACE)
