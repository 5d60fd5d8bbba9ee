"""CAPTClusters with the stand-in for Cluster API core, from a template to a VPC that the Cluster knows, and back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from capt import controllers, terraform
from capt.api import CAPTCluster, CAPTClusterStatus, Event
from capt.controllers.kinds import (
    APPLY,
    CAPT_CLUSTER,
    CAPT_CONTROL_PLANE,
    SECRET,
    TEMPLATE,
    WORKSPACE_FLAVOURS,
    kind_of,
)
from capt.demo.core import Edition, EditionName
from capt.demo.core.unstructured import Unstructured, at
from capt.runtime import Clock, HttpTransport, Manager, SystemClock, Transport
from capt.runtime.conditions import find_condition
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.core import capt_cluster_body, cluster_body, control_plane_body, core
from tests.support.fast_clock import FastClock
from tests.support.refusal import RefusingTransport
from tests.support.running import QUIET, running

CHAIN = frozenset({"captcluster", "workspacetemplate", "workspacetemplateapply"})
WORKSPACE = WORKSPACE_FLAVOURS[0]
MODULE = """
variable "vpc_name" { type = string }
variable "cluster_name" { type = string }
output "vpc_id" { value = "vpc-${var.vpc_name}" }
output "azs" { value = ["us-west-2a", "us-west-2b"] }
"""
SECRETIVE = """
output "vpc_id" {
  value     = "vpc-hidden"
  sensitive = true
}
"""
LOOKUP = """
variable "vpc_id" { type = string }
output "vpc_id" { value = var.vpc_id }
output "private_subnets" { value = ["subnet-1"] }
output "azs" { value = ["us-west-2a"] }
"""
BLIND = 'output "other" { value = "x" }\n'


def vpc_template(module: str = MODULE) -> dict[str, Any]:
    return {
        "metadata": {"name": "vpc", "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"forProvider": {"source": "Inline", "module": module}}}},
    }


def from_template(**spec: Any) -> dict[str, Any]:
    body = capt_cluster_body()
    return {**body, "spec": {"region": "us-west-2", "vpcTemplateRef": {"name": "vpc"}, **spec}}


@dataclass(frozen=True, slots=True)
class World:
    """A cluster with the stand-in for core on it."""

    cluster: Cluster
    edition: Edition

    async def create(self, **cluster_spec: Any) -> None:
        """Create the Cluster `c`."""
        await self.cluster.client.create(self.edition.cluster, cluster_body(self.edition, **cluster_spec))

    async def get(self) -> CAPTCluster | None:
        return await self.cluster.client.get_live(CAPT_CLUSTER, NAMESPACE, "c")

    async def status(self) -> CAPTClusterStatus:
        found = await self.get()
        assert found is not None
        return found.status

    async def reason(self) -> str:
        ready = find_condition((await self.status()).conditions, "Ready")
        return ready.reason if ready is not None else ""

    async def until(self, reason: str) -> CAPTClusterStatus:
        """Wait until the CAPTCluster says why it is ready or not; return its status of that moment."""

        def reached(found: CAPTCluster) -> bool:
            ready = find_condition(found.status.conditions, "Ready")
            return ready is not None and ready.reason == reason

        found: CAPTCluster = await self.cluster.observer.met(CAPT_CLUSTER, "c", reached)
        return found.status

    async def parent(self) -> Unstructured:
        found = await self.cluster.client.get_live(self.edition.cluster, NAMESPACE, "c")
        assert found is not None
        return found

    async def until_parent(self, *path_and_value: Any) -> None:
        *path, value = path_and_value

        async def reached() -> bool:
            return at((await self.parent()).status, *path) == value

        await self.cluster.observer.until(reached)

    async def gone(self) -> None:
        async def reached() -> bool:
            return await self.get() is None

        await self.cluster.observer.until(reached)

    async def patch(self, kind: Any, name: str, patch: dict[str, Any]) -> None:
        await self.cluster.client.patch(kind, NAMESPACE, name, patch)

    async def events(self) -> set[tuple[str, str]]:
        found = await self.cluster.client.list_live(kind_of(Event), NAMESPACE)
        return {(event.type, event.reason) for event in found if event.involved_object.name == "c"}

    @contextlib.asynccontextmanager
    async def manager(
        self,
        *,
        clock: Clock | None = None,
        failing: bool = False,
        engine: bool = True,
        transport: Transport | None = None,
    ) -> AsyncIterator[None]:
        """Run the controllers of the chain and the simulated engine, where every apply may fail, until the block ends."""
        # on a clock that runs fast, the seconds that a stop may take are too short
        options = QUIET if clock is None else replace(QUIET, graceful_shutdown=-1.0)
        manager = Manager(self.cluster.manager_config, options, clock=clock, transport=transport)
        controllers.add_to(manager, enabled=CHAIN)
        if engine:
            simulation = terraform.Simulation(failure_rate=1.0 if failing else 0.0)
            terraform.add_to(
                manager, engine="simulated", data_dir=self.cluster.data_dir, simulation=simulation
            )
        async with running(manager):
            yield


@pytest.fixture
async def world(cluster: Cluster, edition: EditionName) -> AsyncIterator[World]:
    async with core(cluster, edition) as found:
        yield World(cluster, found)


only_v1beta2 = pytest.mark.parametrize("edition", ["v1beta2"], indirect=True)


async def test_a_vpc_from_a_template(world: World) -> None:
    """Seed 003: created, watched, its id found; the Cluster learns readiness and failure domains; events tell the phases."""
    async with world.manager():
        await world.create(controlPlaneEndpoint={"host": "api.example.org", "port": 6443})
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())

        status = await world.until("VPCCreated")

        assert (status.ready, status.vpc_id, status.endpoint) == (True, "vpc-c-vpc", "api.example.org:6443")
        assert status.initialization is not None
        assert status.initialization.provisioned is True
        assert {each.type: each.status for each in status.conditions} == {
            "Ready": "True",
            "VPCReady": "True",
            "VPCCreating": "False",
            "VPCFailed": "False",
        }
        old = world.edition.name == "v1beta1"
        domains = status.failure_domains
        assert isinstance(domains, dict if old else list)
        field = ("infrastructureReady",) if old else ("initialization", "infrastructureProvisioned")
        await world.until_parent(*field, True)
        await world.until_parent("failureDomains", domains)

        async def told() -> bool:
            return {("Normal", "VPCCreating"), ("Normal", "VPCCreated")} <= await world.events()

        await world.cluster.observer.until(told)


async def test_nothing_happens_before_the_owner_is_set(world: World) -> None:
    """B-C06, B7: without an owner there is a condition and nothing else: no finalizer, no apply."""
    async with world.manager():
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())

        status = await world.until("WaitingForCluster")

        found = await world.get()
        assert found is not None
        assert found.metadata.finalizers == ()
        assert status.ready is False
        assert await world.cluster.client.list_live(APPLY, NAMESPACE) == []
        await world.create()
        status = await world.until("VPCCreated")
        assert find_condition(status.conditions, "WaitingForCluster") is None


@only_v1beta2
async def test_an_existing_vpc_and_an_own_endpoint(world: World) -> None:
    """An existing VPC is ready at once, and the CAPTCluster's endpoint reaches the Cluster."""
    async with world.manager():
        await world.create()
        body = capt_cluster_body()
        endpoint = {"host": "api.example.org", "port": 6443}
        body["spec"] |= {"controlPlaneEndpoint": endpoint}
        await world.cluster.client.create(CAPT_CLUSTER, body)

        status = await world.until("ExistingVPCUsed")

        assert (status.vpc_id, status.endpoint) == ("vpc-0123", "api.example.org:6443")

        async def known() -> bool:
            return at((await world.parent()).spec, "controlPlaneEndpoint") == endpoint

        await world.cluster.observer.until(known)
        assert await world.cluster.client.list_live(APPLY, NAMESPACE) == []


@only_v1beta2
async def test_an_existing_vpc_is_looked_up(world: World) -> None:
    """Seed 003, B-C19: one that Terraform does not find is InvalidVPCConfig; one that it finds has subnets and zones."""
    async with world.manager():
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template(LOOKUP.replace("var.vpc_id", '"vpc-other"')))
        body = capt_cluster_body()
        body["spec"] |= {"existingVpcTemplateRef": {"name": "vpc"}}
        await world.cluster.client.create(CAPT_CLUSTER, body)

        status = await world.until("InvalidVPCConfig")
        assert status.ready is False
        assert "vpc-other" in (status.failure_message or "")

        await world.cluster.client.patch(TEMPLATE, NAMESPACE, "vpc", {"spec": vpc_template(LOOKUP)["spec"]})
        status = await world.until("ExistingVPCUsed")
        assert (status.ready, status.vpc_id, status.failure_reason) == (True, "vpc-0123", None)
        assert status.outputs["private_subnets"] == ["subnet-1"]
        assert [each["name"] for each in status.failure_domains] == ["us-west-2a"]
        await world.cluster.client.delete(CAPT_CLUSTER, NAMESPACE, "c")
        await world.gone()
        assert await world.cluster.client.list_live(WORKSPACE) == []


@only_v1beta2
async def test_a_sensitive_id_is_found_in_the_connection_secret(world: World) -> None:
    """B-C18: an output that the status may not show is read from the Secret in the object's own namespace."""
    async with world.manager():
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template(SECRETIVE))
        await world.cluster.client.create(CAPT_CLUSTER, from_template())

        assert (await world.until("VPCCreated")).vpc_id == "vpc-hidden"

        assert await world.cluster.client.get_live(SECRET, NAMESPACE, "c-vpc-connection") is not None


@only_v1beta2
async def test_a_failure_is_told_and_cleared(world: World) -> None:
    """Seed 004: a failure of Terraform reaches CAPTCluster and Cluster, and goes when the cause is gone."""
    async with world.manager(failing=True):
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())

        status = await world.until("VPCCreationFailed")

        assert status.failure_reason == "VPCCreationFailed"
        assert status.workspace_template_status is not None
        assert status.workspace_template_status.last_failure_message
        await world.until_parent("deprecated", "v1beta1", "failureReason", "VPCCreationFailed")

        async def told() -> bool:
            return ("Warning", "VPCCreationFailed") in await world.events()

        await world.cluster.observer.until(told)

    async with world.manager():
        status = await world.until("VPCCreated")
        assert (status.failure_reason, status.failure_message) == (None, None)
        await world.until_parent("deprecated", "v1beta1", "failureReason", None)


@only_v1beta2
async def test_timeouts_are_told_and_cleared_by_a_late_success(world: World) -> None:
    """Seed 003: 15 minutes for the VPC, 5 for its id; neither is terminal, and a template that comes late clears it."""
    async with world.manager(clock=FastClock(300)):
        await world.create()
        await world.cluster.client.create(CAPT_CLUSTER, from_template())

        status = await world.until("VPCCreationTimeout")

        failed = find_condition(status.conditions, "VPCFailed")
        assert failed is not None
        assert failed.status == "True"
        assert "TemplateNotFound" in failed.message
        assert status.failure_reason is None
        await world.cluster.client.create(TEMPLATE, vpc_template(BLIND))
        status = await world.until("SecretTimeout")
        assert status.failure_reason is None
        await world.cluster.client.patch(TEMPLATE, NAMESPACE, "vpc", {"spec": vpc_template()["spec"]})
        status = await world.until("VPCCreated")
        failed = find_condition(status.conditions, "VPCFailed")
        assert failed is not None
        assert failed.status == "False"


@only_v1beta2
async def test_a_vpc_that_was_there_and_is_not_ready_any_more(world: World) -> None:
    """Seed 003, A15: a change is VPCUpdating, after 15 minutes WorkspaceReadyTimeout; provisioned stays what it was."""
    changed = vpc_template(MODULE.replace("vpc-$", "new-$"))["spec"]
    async with world.manager():
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        await world.until("VPCCreated")
    async with world.manager(clock=FastClock(300), engine=False):
        await world.cluster.client.patch(TEMPLATE, NAMESPACE, "vpc", {"spec": changed})
        await world.until("VPCUpdating")
        status = await world.until("WorkspaceReadyTimeout")
        assert status.initialization is not None
        assert status.initialization.provisioned is True
        assert (status.ready, status.failure_reason) == (False, None)
    async with world.manager():
        assert (await world.until("VPCCreated")).vpc_id == "new-c-vpc"


@only_v1beta2
async def test_a_change_that_terraform_cannot_make(world: World) -> None:
    """Seed 003: VPCReconciliationFailed, with Terraform's words; the VPC that stands stays provisioned."""
    async with world.manager():
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        await world.until("VPCCreated")
    async with world.manager(failing=True):
        changed = vpc_template(MODULE.replace("vpc-$", "new-$"))["spec"]
        await world.cluster.client.patch(TEMPLATE, NAMESPACE, "vpc", {"spec": changed})
        status = await world.until("VPCReconciliationFailed")
        assert status.failure_reason == "VPCReconciliationFailed"
        assert status.initialization is not None
        assert status.initialization.provisioned is True


@only_v1beta2
async def test_a_name_that_is_taken(world: World) -> None:
    """B-C12: an apply of somebody else is not touched but named; when it is gone, the VPC is made."""
    taken = {
        "metadata": {"name": "c-vpc", "namespace": NAMESPACE},
        "spec": {"templateRef": {"name": "other"}},
    }
    await world.cluster.client.create(APPLY, taken)
    async with world.manager():
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        status = await world.until("ApplyConflict")
        assert "c-vpc" in (status.failure_message or "")
        found = await world.cluster.client.get_live(APPLY, NAMESPACE, "c-vpc")
        assert found is not None
        assert found.spec.template_ref.name == "other"
        await world.cluster.client.delete(APPLY, NAMESPACE, "c-vpc")
        status = await world.until("VPCCreated")
        assert status.failure_reason is None


@only_v1beta2
async def test_a_refusal_is_told_and_an_outage_is_not(world: World) -> None:
    """Seed 003: what the API server refuses is VPCReconciliationFailed; an error that passes changes no status."""
    failing = {"on": True}

    def creates_applies(method: str, path: str) -> bool:
        return failing["on"] and method == "POST" and path.endswith("/workspacetemplateapplies")

    def changes_applies(method: str, path: str) -> bool:
        return failing["on"] and method == "PATCH" and path.endswith("/workspacetemplateapplies/c-vpc")

    config = world.cluster.manager_config
    async with (
        HttpTransport(config, user_agent="capt/test") as transport,
        world.manager(clock=FastClock(5), transport=RefusingTransport(transport, creates_applies)),
    ):
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        status = await world.until("VPCReconciliationFailed")
        assert "refused by the test" in (status.failure_message or "")
        failing["on"] = False
        status = await world.until("VPCCreated")
        assert status.failure_reason is None
    seen: list[str] = []
    failing["on"] = True

    def note(method: str, path: str) -> bool:
        refused = changes_applies(method, path)
        seen.extend(["refused"] if refused else [])
        return refused

    async with (
        HttpTransport(config, user_agent="capt/test") as transport,
        world.manager(clock=FastClock(5), transport=RefusingTransport(transport, note, code=503)),
    ):
        await world.patch(CAPT_CLUSTER, "c", {"spec": {"variables": {"vpc_name": "renamed"}}})
        async with asyncio.timeout(120):
            while len(seen) < 3:
                await SystemClock().sleep(0.05)
        status = await world.status()
        assert (await world.reason(), status.ready, status.failure_reason) == ("VPCCreated", True, None)
        failing["on"] = False

        async def renamed() -> bool:
            return (await world.status()).vpc_id == "vpc-renamed"

        await world.cluster.observer.until(renamed)


@only_v1beta2
async def test_a_configuration_that_cannot_be_used(world: World) -> None:
    """InvalidVPCConfig: a template that may not be used needs a person, and is told by name."""
    async with world.manager():
        await world.create()
        other = {"name": "vpc", "namespace": "kube-system"}
        await world.cluster.client.create(CAPT_CLUSTER, from_template(vpcTemplateRef=other))

        status = await world.until("InvalidVPCConfig")

        assert status.failure_reason == "InvalidVPCConfig"
        assert status.failure_message is not None
        assert "kube-system/vpc" in status.failure_message


async def test_nothing_is_done_under_pause(world: World) -> None:
    """A9, A10, B-C20: a paused Cluster keeps its VPC unmade, the condition says so, and unpausing goes on."""
    async with world.manager():
        await world.create(paused=True)
        await world.cluster.client.create(TEMPLATE, vpc_template())
        body = from_template()
        parent = await world.parent()
        owner = {
            "apiVersion": world.edition.cluster.resource.api_version,
            "kind": "Cluster",
            "name": "c",
            "uid": parent.metadata.uid,
        }
        body["metadata"]["ownerReferences"] = [owner]
        await world.cluster.client.create(CAPT_CLUSTER, body)

        async def paused() -> bool:
            return find_condition((await world.status()).conditions, "Paused") is not None

        await world.cluster.observer.until(paused)
        found = await world.get()
        assert found is not None
        assert found.metadata.finalizers == ()
        assert await world.cluster.client.list_live(APPLY, NAMESPACE) == []
        await world.patch(world.edition.cluster, "c", {"spec": {"paused": False}})
        status = await world.until("VPCCreated")
        assert find_condition(status.conditions, "Paused") is None


async def test_the_pause_of_a_cluster_holds_for_its_applies(world: World) -> None:
    """F13, A9: what a paused Cluster's objects made stands still too; unpausing lets the change through."""
    async with world.manager():
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        await world.until("VPCCreated")
        await world.patch(world.edition.cluster, "c", {"spec": {"paused": True}})

        async def paused() -> bool:
            return find_condition((await world.status()).conditions, "Paused") is not None

        await world.cluster.observer.until(paused)
        await world.patch(TEMPLATE, "vpc", {"spec": vpc_template(MODULE.replace("vpc-$", "new-$"))["spec"]})
        spec = {"templateRef": {"name": "vpc"}, "variables": {"vpc_name": "x", "cluster_name": "x"}}
        await world.cluster.client.create(
            APPLY, {"metadata": {"name": "free", "namespace": NAMESPACE}, "spec": spec}
        )

        async def output(apply: str) -> Any:
            found = await world.cluster.client.get_live(APPLY, NAMESPACE, apply)
            return found.status.outputs.get("vpc_id") if found is not None else None

        async def free_is_new() -> bool:
            return await output("free") == "new-x"

        async def all_is_new() -> bool:
            return (await world.status()).vpc_id == "new-c-vpc"

        await world.cluster.observer.until(free_is_new)
        assert await output("c-vpc") == "vpc-c-vpc"
        await world.patch(world.edition.cluster, "c", {"spec": {"paused": False}})
        await world.cluster.observer.until(all_is_new)


@only_v1beta2
async def test_an_externally_managed_cluster_is_not_touched(world: World) -> None:
    """B5: not even its status is written; its neighbour's is."""
    async with world.manager():
        await world.create()
        body = capt_cluster_body()
        body["metadata"]["annotations"] = {"cluster.x-k8s.io/managed-by": "somebody"}
        await world.cluster.client.create(CAPT_CLUSTER, body)
        await world.cluster.client.create(CAPT_CLUSTER, capt_cluster_body("neighbour"))

        async def neighbour_told() -> bool:
            found = await world.cluster.client.get_live(CAPT_CLUSTER, NAMESPACE, "neighbour")
            return found is not None and bool(found.status.conditions)

        await world.cluster.observer.until(neighbour_told)
        found = await world.get()
        assert found is not None
        assert found.metadata.finalizers == ()
        assert found.status == CAPTClusterStatus()


async def test_deletion_waits_for_the_control_plane_and_destroys_the_vpc(world: World) -> None:
    """B-C04, B9: the VPC goes after the control plane of the same Cluster, whatever it is called; then nothing is left."""
    async with world.manager():
        await world.create(
            controlPlaneRef=world.edition.reference_value(CAPT_CONTROL_PLANE, NAMESPACE, "c-x7k2p")
        )
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        held = control_plane_body("c-x7k2p")
        held["metadata"]["finalizers"] = ["example.org/held"]
        await world.cluster.client.create(CAPT_CONTROL_PLANE, held)
        await world.until("VPCCreated")

        async def owned() -> bool:
            found = await world.cluster.client.get_live(CAPT_CONTROL_PLANE, NAMESPACE, "c-x7k2p")
            return found is not None and bool(found.metadata.owner_references)

        await world.cluster.observer.until(owned)
        await world.cluster.client.delete(CAPT_CLUSTER, NAMESPACE, "c")
        await world.until("WaitingForControlPlane")
        assert len(await world.cluster.client.list_live(WORKSPACE)) == 1

        await world.cluster.client.delete(CAPT_CONTROL_PLANE, NAMESPACE, "c-x7k2p")
        await world.patch(CAPT_CONTROL_PLANE, "c-x7k2p", {"metadata": {"finalizers": []}})

        await world.gone()
        assert await world.cluster.client.list_live(APPLY, NAMESPACE) == []
        assert await world.cluster.client.list_live(WORKSPACE) == []


@only_v1beta2
@pytest.mark.parametrize("stripped", [False, True], ids=["deleted", "finalizer-stripped"])
async def test_a_retained_vpc_outlives_its_cluster(world: World, stripped: bool) -> None:
    """B-C01: the garbage collector takes the apply, and the Workspace stays, orphaned, with what Terraform made."""
    async with world.manager():
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        await world.until("VPCCreated")
        await world.patch(CAPT_CLUSTER, "c", {"spec": {"retainVpcOnDelete": True}})
        if stripped:

            async def told() -> bool:
                found = await world.cluster.client.get_live(APPLY, NAMESPACE, "c-vpc")
                return found is not None and found.spec.retain_workspace_on_delete

            await world.cluster.observer.until(told)
            await world.patch(
                CAPT_CLUSTER, "c", {"metadata": {"annotations": {"cluster.x-k8s.io/paused": ""}}}
            )
            await world.cluster.client.delete(CAPT_CLUSTER, NAMESPACE, "c")
            await world.patch(CAPT_CLUSTER, "c", {"metadata": {"finalizers": []}})
        else:
            await world.cluster.client.delete(CAPT_CLUSTER, NAMESPACE, "c")

        await world.gone()

        async def collected() -> bool:
            return await world.cluster.client.list_live(APPLY, NAMESPACE) == []

        await world.cluster.observer.until(collected)
        (workspace,) = await world.cluster.client.list_live(WORKSPACE)
        assert workspace.metadata.deletion_timestamp is None
        assert workspace.spec.deletion_policy == "Orphan"


@only_v1beta2
async def test_what_has_moved_away_is_not_destroyed_here(world: World) -> None:
    """F13: `clusterctl move` deletes the object that it has copied; the VPC lives on, managed from there."""
    async with world.manager():
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        await world.until("VPCCreated")
        moved = {"metadata": {"annotations": {"clusterctl.cluster.x-k8s.io/delete-for-move": ""}}}
        await world.patch(CAPT_CLUSTER, "c", moved)
        await world.cluster.client.delete(CAPT_CLUSTER, NAMESPACE, "c")
        await world.cluster.client.create(CAPT_CLUSTER, capt_cluster_body("neighbour"))

        async def neighbour_told() -> bool:
            found = await world.cluster.client.get_live(CAPT_CLUSTER, NAMESPACE, "neighbour")
            return found is not None and bool(found.status.conditions)

        await world.cluster.observer.until(neighbour_told)
        (apply,) = await world.cluster.client.list_live(APPLY, NAMESPACE)
        assert apply.metadata.deletion_timestamp is None
        assert await world.reason() == "VPCCreated"
        await world.patch(APPLY, "c-vpc", moved)
        await world.cluster.client.delete(APPLY, NAMESPACE, "c-vpc")
        spec = {"templateRef": {"name": "missing"}}
        await world.cluster.client.create(
            APPLY, {"metadata": {"name": "free", "namespace": NAMESPACE}, "spec": spec}
        )

        async def free_told() -> bool:
            found = await world.cluster.client.get_live(APPLY, NAMESPACE, "free")
            return found is not None and bool(found.status.conditions)

        await world.cluster.observer.until(free_told)
        (workspace,) = await world.cluster.client.list_live(WORKSPACE)
        assert workspace.metadata.deletion_timestamp is None


@only_v1beta2
async def test_nothing_is_polled(world: World) -> None:
    """On a clock that hardly moves, the VPC's Workspace is followed nevertheless: each change is an event."""
    async with world.manager(clock=FastClock(1 / 50)):
        await world.create()
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        await world.until("VPCCreating")
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.until("VPCCreated")
        await world.until_parent("initialization", "infrastructureProvisioned", True)
        await world.cluster.client.delete(CAPT_CLUSTER, NAMESPACE, "c")
        await world.gone()


@only_v1beta2
async def test_a_finished_cluster_is_left_alone(world: World) -> None:
    """A manager that starts anew over something finished writes nothing."""
    async with world.manager():
        await world.create()
        await world.cluster.client.create(TEMPLATE, vpc_template())
        await world.cluster.client.create(CAPT_CLUSTER, from_template())
        await world.until("VPCCreated")
        await world.until_parent("initialization", "infrastructureProvisioned", True)
    before = len(world.cluster.writes(user_agent="capt"))

    async with world.manager():
        await world.cluster.client.create(CAPT_CLUSTER, capt_cluster_body("neighbour"))

        async def neighbour_told() -> bool:
            found = await world.cluster.client.get_live(CAPT_CLUSTER, NAMESPACE, "neighbour")
            return found is not None and bool(found.status.conditions)

        await world.cluster.observer.until(neighbour_told)

    assert world.cluster.writes(user_agent="capt")[before:] in (
        ["patch captclusters/status"],
        ["patch captclusters/status", "create events"],
    )
