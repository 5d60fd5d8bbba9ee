"""The conditions of seed 003 and all their reasons, reached by reconciling and read through the API."""

from __future__ import annotations

from typing import Any

from capt import terraform
from capt.controllers.kinds import APPLY, CAPT_CLUSTER, CAPT_CONTROL_PLANE, SECRET, TEMPLATE
from capt.demo.core import Edition
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.control_planes import control_plane_body, module, template_body
from tests.support.core import capt_cluster_body, cluster_body
from tests.support.fast_clock import FastClock
from tests.support.held_clock import HELD, HeldClock
from tests.support.watched import NAME, watched

FAST = 300  # five minutes are a second
VPC = 'output "vpc_id" { value = "vpc-1" }\n'
OTHER_VPC = VPC + 'output "more" { value = 1 }\n'
BLIND = 'output "other" { value = 1 }\n'
BROKEN = "}"
HELD_APPLY = terraform.Simulation(apply_seconds=HELD)


def vpc() -> dict[str, Any]:
    """Return a CAPTCluster with a VPC of the template `vpc`."""
    body = capt_cluster_body(NAME)
    return {**body, "spec": {"region": "us-west-2", "vpcTemplateRef": {"name": "vpc"}}}


def body_of(edition: Edition) -> dict[str, Any]:
    return cluster_body(edition, NAME)


async def replace_module(cluster: Cluster, name: str, text: str) -> None:
    await cluster.client.patch(TEMPLATE, NAMESPACE, name, {"spec": template_body(text, name)["spec"]})


def applies_of(name: str) -> dict[str, Any]:
    """Return a WorkspaceTemplateApply that belongs to nobody."""
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"templateRef": {"name": "none"}}}


async def test_every_condition_of_a_vpc(cluster: Cluster) -> None:
    """Seed 003, B-C19: VPCReady, VPCCreating and VPCFailed with their reasons, from the first look to the deletion."""
    client = cluster.client
    clock = HeldClock()
    async with watched(cluster, CAPT_CLUSTER, clock=clock, simulation=HELD_APPLY) as (seen, edition):
        await client.create(APPLY, applies_of(f"{NAME}-vpc"))
        await client.create(CAPT_CLUSTER, vpc())
        await seen.until("WaitingForCluster")
        await client.create(edition.cluster, body_of(edition))
        await seen.until("ApplyConflict")
        await client.delete(APPLY, NAMESPACE, f"{NAME}-vpc")
        await seen.until("VPCCreating")
        await client.create(TEMPLATE, template_body(BROKEN, "vpc"))
        await seen.until("VPCCreationFailed")
        await replace_module(cluster, "vpc", VPC)
        await seen.until("VPCCreated")
        clock.free.clear()
        await replace_module(cluster, "vpc", OTHER_VPC)
        await seen.has("VPCCreating", "VPCUpdating")
        clock.free.set()
        await seen.until("VPCCreated")
        await replace_module(cluster, "vpc", BROKEN)
        await seen.until("VPCReconciliationFailed")
        await replace_module(cluster, "vpc", BLIND)
        await seen.until("WaitingForVPCID")
        await replace_module(cluster, "vpc", VPC + 'variable "missing" {}\n')
        await seen.until("InvalidVPCConfig")
        await replace_module(cluster, "vpc", VPC)
        await seen.until("VPCCreated")
        await client.patch(edition.cluster, NAMESPACE, NAME, {"spec": {"paused": True}})
        await seen.has("Paused", "Paused")
        await client.patch(edition.cluster, NAMESPACE, NAME, {"spec": {"paused": False}})
        await client.delete(edition.cluster, NAMESPACE, NAME)
        await seen.gone()
    assert {
        ("VPCReady", "True", "VPCCreated"),
        ("VPCReady", "False", "VPCCreating"),
        ("VPCReady", "False", "VPCUpdating"),
        ("VPCReady", "False", "VPCReconciliationFailed"),
        ("VPCReady", "False", "Deleting"),
        ("VPCCreating", "True", "VPCCreating"),
        ("VPCCreating", "True", "VPCUpdating"),
        ("VPCCreating", "True", "WaitingForVPCID"),
        ("VPCCreating", "False", "VPCCreated"),
        ("VPCFailed", "True", "ApplyConflict"),
        ("VPCFailed", "True", "VPCCreationFailed"),
        ("VPCFailed", "True", "VPCReconciliationFailed"),
        ("VPCFailed", "True", "InvalidVPCConfig"),
        ("VPCFailed", "False", "VPCCreated"),
        ("WaitingForCluster", "True", "OwnerReferenceNotSet"),
        ("Ready", "False", "WaitingForCluster"),
        ("Ready", "True", "VPCCreated"),
        ("Ready", "False", "Deleting"),
        ("Paused", "True", "Paused"),
    } <= seen.conditions


async def test_a_change_of_a_vpc_that_takes_too_long(cluster: Cluster) -> None:
    """Seed 003: a VPC that was ready may take 15 minutes to be so again; the timeout ends with a late success."""
    async with watched(cluster, CAPT_CLUSTER, clock=FastClock(FAST)) as (seen, edition):
        await cluster.client.create(TEMPLATE, template_body(VPC, "vpc"))
        await cluster.client.create(CAPT_CLUSTER, vpc())
        await cluster.client.create(edition.cluster, body_of(edition))
        await seen.until("VPCCreated")
        change = {"spec": {"vpcTemplateRef": {"name": "later"}}}
        await cluster.client.patch(CAPT_CLUSTER, NAMESPACE, NAME, change)
        await seen.until("WorkspaceReadyTimeout")
        await cluster.client.create(TEMPLATE, template_body(VPC, "later"))
        await seen.until("VPCCreated")
    assert ("VPCFailed", "True", "WorkspaceReadyTimeout") in seen.conditions


async def test_every_condition_of_a_control_plane(cluster: Cluster) -> None:
    """Seed 003, B-P25, B-P30, B-P31: Ready, Initialized, Creating and Failed in each phase; a failed one gets no Secret."""
    client = cluster.client
    clock = HeldClock()
    async with watched(cluster, CAPT_CONTROL_PLANE, clock=clock, simulation=HELD_APPLY) as (seen, edition):
        await client.create(CAPT_CONTROL_PLANE, {**control_plane_body()})
        await seen.until("WaitingForCluster")
        await client.create(edition.cluster, body_of(edition))
        await seen.until("WaitingForVPC")
        await client.create(APPLY, applies_of(f"{NAME}-eks-controlplane-apply"))
        await client.create(CAPT_CLUSTER, capt_cluster_body(NAME))
        await seen.until("ApplyConflict")
        await client.delete(APPLY, NAMESPACE, f"{NAME}-eks-controlplane-apply")
        await seen.until("WorkspaceTemplateNotFound")
        await client.create(TEMPLATE, template_body(BROKEN))
        await seen.until("WorkspaceError")
        assert await client.get_live(SECRET, NAMESPACE, f"{NAME}-kubeconfig") is None
        await replace_module(cluster, "eks", module(endpoint=""))
        await seen.until("EndpointUpdateFailed")
        assert await client.get_live(SECRET, NAMESPACE, f"{NAME}-kubeconfig") is None
        await replace_module(cluster, "eks", module(token=""))
        await seen.until("Ready")
        await seen.has("SecretsReady", "KubeconfigGenerationFailed")
        await replace_module(cluster, "eks", module())
        await seen.has("Initialized", "Initialized")
        clock.free.clear()
        await client.patch(CAPT_CONTROL_PLANE, NAMESPACE, NAME, {"spec": {"version": "v1.32.0"}})
        await seen.has("RollingOut", "RollingOut")
        clock.free.set()
        await seen.until("Ready")
        await client.patch(edition.cluster, NAMESPACE, NAME, {"spec": {"paused": True}})
        await seen.has("Paused", "Paused")
        await client.patch(edition.cluster, NAMESPACE, NAME, {"spec": {"paused": False}})
        await client.delete(edition.cluster, NAMESPACE, NAME)
        await seen.gone()
    assert {
        ("Ready", "Unknown", "WaitingForCluster"),
        ("Ready", "False", "WaitingForVPC"),
        ("Ready", "False", "WorkspaceError"),
        ("Ready", "True", "Ready"),
        ("Ready", "False", "Deleting"),
        ("Initialized", "False", "WaitingForVPC"),
        ("Initialized", "False", "KubeconfigGenerationFailed"),
        ("Initialized", "True", "Initialized"),
        ("Creating", "True", "WaitingForVPC"),
        ("Creating", "True", "WorkspaceTemplateNotFound"),
        ("Creating", "True", "WaitingForWorkspace"),
        ("Creating", "False", "Ready"),
        ("Creating", "False", "Failed"),
        ("Creating", "False", "Deleting"),
        ("Failed", "True", "ApplyConflict"),
        ("Failed", "True", "WorkspaceError"),
        ("Failed", "True", "EndpointUpdateFailed"),
        ("Failed", "False", "Ready"),
        ("Failed", "False", "Creating"),
        ("Failed", "False", "Deleting"),
        ("Available", "False", "WaitingForVPC"),
        ("Available", "True", "Available"),
        ("Available", "False", "Deleting"),
        ("RollingOut", "True", "RollingOut"),
        ("RollingOut", "False", "NotRollingOut"),
        ("SecretsReady", "False", "KubeconfigGenerationFailed"),
        ("SecretsReady", "True", "SecretsWritten"),
        ("Paused", "True", "Paused"),
    } <= seen.conditions
    assert {"Creating", "Failed", "Ready", "Deleting"} <= set(seen.phases)
    assert seen.phases[-1] == "Deleting"
