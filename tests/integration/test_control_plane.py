"""Control planes as a user of Cluster API has them; over HTTP, with the simulated engine."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import yaml

from capt.api import CAPTControlPlane, CAPTControlPlaneStatus
from capt.controllers.kinds import APPLY, CAPT_CLUSTER, CAPT_CONTROL_PLANE, MACHINE, SECRET, TEMPLATE
from capt.controllers.names import workspace_name
from capt.demo.core import EditionName
from capt.runtime import HttpTransport
from capt.terraform import Simulation
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster
from tests.support.control_planes import (
    CA,
    HOST,
    NAME,
    PEM,
    World,
    condition_of,
    control_plane_body,
    message_of,
    module,
    reason_of,
    template_body,
    world,
)
from tests.support.core import capt_cluster_body, cluster_body
from tests.support.fast_clock import FastClock
from tests.support.held_clock import HELD, HeldClock
from tests.support.refusal import RefusingTransport

BROKEN = "Invalid configuration"
FAST = 60  # a minute is a second
ORDERED = ["CaptMachine", "WorkspaceTemplateApply", "CAPTControlPlane", "CAPTCluster", "Cluster"]


@pytest.fixture
async def both(cluster: Cluster, edition: EditionName) -> AsyncIterator[World]:
    """A world of each edition of Cluster API."""
    async with world(cluster, edition) as found:
        yield found


@pytest.fixture
async def new(cluster: Cluster) -> AsyncIterator[World]:
    """A world of the newer edition."""
    async with world(cluster, "v1beta2") as found:
        yield found


async def test_from_nothing_to_ready(both: World) -> None:
    """C1, C3, C6, C8, C9: endpoint, versions, both spellings of initialized, Available, and the Cluster has it all."""
    async with both.manager():
        await both.create()
        control_plane = await both.phase("Ready")
        status = control_plane.status
        assert control_plane.spec.control_plane_endpoint is not None
        assert str(control_plane.spec.control_plane_endpoint) == status.endpoint == f"{HOST}:443"
        assert status.ready
        assert status.initialized
        assert status.secrets_ready
        assert status.external_managed_control_plane
        assert status.initialization is not None
        assert status.initialization.control_plane_initialized
        assert status.version == "v1.31.2"
        assert [each.version for each in status.versions] == ["v1.31.2"]
        assert {
            kind: condition_of(control_plane, kind) for kind in ("Ready", "Initialized", "Available")
        } == {
            "Ready": "True",
            "Initialized": "True",
            "Available": "True",
        }
        assert {kind: condition_of(control_plane, kind) for kind in ("Creating", "Failed", "RollingOut")} == {
            "Creating": "False",
            "Failed": "False",
            "RollingOut": "False",
        }
        parent = await both.parent()
        assert parent["spec"]["controlPlaneEndpoint"] == {"host": HOST, "port": 443}


async def test_waits_for_the_owner_reference(new: World) -> None:
    """Seed 003, B-P18: without an owner reference from Cluster API nothing is made, and it is told."""
    client = new.cluster.client
    async with new.manager():
        await client.create(TEMPLATE, template_body(module()))
        await client.create(CAPT_CONTROL_PLANE, control_plane_body())
        control_plane = await new.until(lambda each: reason_of(each) == "WaitingForCluster")
        assert condition_of(control_plane, "Ready") == "Unknown"
        assert control_plane.metadata.finalizers == ()
        assert await client.list_live(APPLY) == []


async def test_waits_for_the_vpc_and_gets_its_outputs(new: World) -> None:
    """B-P10: nothing is made before the VPC is ready; its id and its outputs reach Terraform, typed."""
    async with new.manager():
        await new.create(vpc_ready=False)
        await new.phase("Creating", "WaitingForVPC")
        assert await new.cluster.client.list_live(APPLY) == []
        await new.make_vpc_ready()
        control_plane = await new.phase("Ready")
    outputs = outputs_of(control_plane)
    assert outputs["vpc"] == "vpc-0123"
    apply, *_ = await new.cluster.client.list_live(APPLY)
    assert apply.spec.values["private_subnets"] == ["subnet-1", "subnet-2"]


async def test_a_vpc_that_takes_too_long(new: World) -> None:
    """Seed 003, B-P14: after vpcReadyTimeout it is Failed, without a terminal failure; a late VPC clears that."""
    config = {"region": "us-west-2", "timeouts": {"vpcReadyTimeout": 1}}
    async with new.manager(clock=FastClock(FAST)):
        await new.create(vpc_ready=False, controlPlaneConfig=config)
        control_plane = await new.phase("Failed", "VPCReadyTimeout")
        assert control_plane.status.failure_reason is None
        assert condition_of(control_plane, "Failed") == "True"
        await new.make_vpc_ready()
        control_plane = await new.phase("Ready")
        assert condition_of(control_plane, "Failed") == "False"


async def test_a_control_plane_that_takes_too_long(new: World) -> None:
    """Seed 003, B-P14: after controlPlaneTimeout it is Failed; Terraform goes on, and a late Ready clears it."""
    config = {"region": "us-west-2", "timeouts": {"controlPlaneTimeout": 1}}
    client, name = new.cluster.client, workspace_name(NAMESPACE, f"{NAME}-eks-controlplane-apply")
    secret = {"metadata": {"namespace": NAMESPACE, "name": f"{NAME}-eks-connection"}, "type": "Opaque"}
    data = {"cluster_certificate_authority_data": encoded(CA), "token": encoded("t")}
    async with new.manager(clock=FastClock(FAST), engine=False):
        await new.create(controlPlaneConfig=config)
        await new.phase("Failed", "ControlPlaneTimeout")
        await new.cluster.observer.told(CAPT_CONTROL_PLANE, "ControlPlaneTimeout")
        await client.create(SECRET, secret | {"data": data})
        await client.patch(WORKSPACE, "", name, ready_workspace(), subresource="status")
        control_plane = await new.phase("Ready")
    assert control_plane.status.failure_reason is None


async def test_a_secret_that_does_not_come(new: World) -> None:
    """Seed 003: after secretTimeout without a connection Secret it is Failed; when the Secret comes, it is Ready."""
    client = new.cluster.client
    config = {"region": "us-west-2", "timeouts": {"secretTimeout": 1}}
    name = f"{NAME}-eks-connection"
    foreign = {"metadata": {"namespace": NAMESPACE, "name": name}, "type": "Opaque"}
    async with new.manager(clock=FastClock(FAST), engine=False):
        await new.create(controlPlaneConfig=config)
        name_of_workspace = workspace_name(NAMESPACE, f"{NAME}-eks-controlplane-apply")

        async def made() -> bool:
            return await new.cluster.observer.client.get(WORKSPACE, "", name_of_workspace) is not None

        await new.cluster.observer.until(made)
        waiting = asyncio.create_task(new.phase("Creating", "WaitingForSecret"))
        await client.patch(WORKSPACE, "", name_of_workspace, ready_workspace(), subresource="status")
        await waiting
        await new.phase("Failed", "SecretTimeout")
        data = {"cluster_certificate_authority_data": encoded(CA), "token": encoded("t")}
        await client.create(SECRET, foreign | {"data": data})
        control_plane = await new.phase("Ready")
    assert control_plane.status.secrets_ready


async def test_a_template_that_does_not_exist_is_waited_for(new: World) -> None:
    """B-P24: a template that is not there yet is no terminal failure; when it comes, work begins."""
    async with new.manager():
        await new.create(text="")
        control_plane = await new.phase("Creating", "WorkspaceTemplateNotFound")
        assert control_plane.status.failure_reason is None
        await new.cluster.client.create(TEMPLATE, template_body(module()))
        await new.phase("Ready")


async def test_terraforms_error_is_told_and_cleared(both: World) -> None:
    """B-P04, B-P16, B-P25, seed 004: Terraform's words reach status, event and Cluster; Ready clears them all."""
    client = both.cluster.client
    async with both.manager():
        await both.create(text="}")
        control_plane = await both.phase("Failed", "WorkspaceError")
        status = control_plane.status
        assert status.failure_reason == "WorkspaceError"
        assert BROKEN in (status.failure_message or "")
        assert not status.ready
        assert not status.initialized
        assert status.workspace_template_status is not None
        assert BROKEN in (status.workspace_template_status.last_failure_message or "")
        await both.parent_until(lambda parent: failure_of(parent) == "WorkspaceError")
        await both.cluster.observer.told(CAPT_CONTROL_PLANE, "WorkspaceError")

        await client.patch(TEMPLATE, NAMESPACE, "eks", template_body(module()))
        control_plane = await both.phase("Ready")
        assert control_plane.status.failure_reason is None
        assert control_plane.status.failure_message is None
        assert condition_of(control_plane, "Failed") == "False"
        await both.parent_until(lambda parent: failure_of(parent) is None)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [("", "cluster_endpoint is missing"), ("http://a.example.com", "scheme"), ("a b", "host")],
)
async def test_an_endpoint_that_cannot_be_used(new: World, endpoint: str, words: str) -> None:
    """B-P01, B-P17, seed 004: without a valid endpoint it is not Ready, the reason is EndpointUpdateFailed."""
    client = new.cluster.client
    async with new.manager():
        await new.create(text=module(endpoint=endpoint))
        control_plane = await new.phase("Failed", "EndpointUpdateFailed")
        assert control_plane.status.failure_reason == "EndpointUpdateFailed"
        assert words in (control_plane.status.failure_message or "")
        assert control_plane.spec.control_plane_endpoint is None
        await client.patch(TEMPLATE, NAMESPACE, "eks", template_body(module()))
        control_plane = await new.phase("Ready")
        assert control_plane.status.failure_reason is None


async def test_a_vpc_that_somebody_else_manages(both: World) -> None:
    """B5: what manages it writes what the contract asks for; the control plane goes by what its Cluster then says."""
    client = both.cluster.client
    async with both.manager():
        await both.create(vpc_ready=False)
        await both.phase("Creating", "WaitingForVPC")
        managed = {"metadata": {"annotations": {"cluster.x-k8s.io/managed-by": "somebody"}}}
        await client.patch(CAPT_CLUSTER, NAMESPACE, NAME, managed)
        old = both.edition.name == "v1beta1"
        provided = {"ready": True} if old else {"initialization": {"provisioned": True}}
        await client.patch(CAPT_CLUSTER, NAMESPACE, NAME, {"status": provided}, subresource="status")
        await both.phase("Ready")


async def test_a_name_that_is_taken(new: World) -> None:
    """B-P20: an apply of somebody else is neither changed nor used, but named; when it is gone, work begins."""
    client, name = new.cluster.client, f"{NAME}-eks-controlplane-apply"
    taken = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"templateRef": {"name": "other"}}}
    await client.create(APPLY, taken)
    async with new.manager():
        await new.create()
        control_plane = await new.phase("Failed", "ApplyConflict")
        assert name in (control_plane.status.failure_message or "")
        await client.delete(APPLY, NAMESPACE, name)
        control_plane = await new.phase("Ready")
        assert control_plane.status.failure_reason is None


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("POST", f"/namespaces/{NAMESPACE}/workspacetemplateapplies", "ApplyRefused"),
        ("PATCH", f"/clusters/{NAME}", "EndpointUpdateFailed"),
        ("PATCH", f"/captcontrolplanes/{NAME}", "EndpointUpdateFailed"),
    ],
    ids=["apply", "endpoint-of-cluster", "own-endpoint"],
)
async def test_what_the_api_server_refuses_is_told(new: World, method: str, path: str, reason: str) -> None:
    """Seed 004: each write that is refused is told by its words and tried again, until it is let through."""
    refusing = True

    def refuses(said: str, where: str) -> bool:
        # the finalizer is a patch of the control plane as well, and comes first
        return refusing and said == method and where.endswith(path) and (method == "POST" or guarded())

    def guarded() -> bool:
        found = new.cluster.observer.informers.store(CAPT_CONTROL_PLANE).list()
        return any("finalizers" in each.decode()["metadata"] for each in found)

    # Cluster API may copy the endpoint before the second try: then the failure lasts for an instant only
    told: list[CAPTControlPlaneStatus] = []

    def note() -> None:
        found = new.cluster.observer.informers.store(CAPT_CONTROL_PLANE).list()
        told.extend(CAPTControlPlane.model_validate(each.decode()).status for each in found)

    async def refusal_is_told() -> bool:
        return any(each.phase == "Failed" and each.failure_reason == reason for each in told)

    new.cluster.observer.checks.append(note)
    async with (
        HttpTransport(new.cluster.manager_config, user_agent="capt/test") as transport,
        new.manager(clock=FastClock(5), transport=RefusingTransport(transport, refuses)),
    ):
        await new.create()
        await new.cluster.observer.until(refusal_is_told)
        failed = [each for each in told if each.failure_reason]
        assert {each.failure_reason for each in failed} == {reason}
        assert all("refused by the test" in (each.failure_message or "") for each in failed)
        refusing = False
        control_plane = await new.phase("Ready")
        assert control_plane.status.failure_reason is None
        assert (await new.parent())["spec"]["controlPlaneEndpoint"]["host"] == HOST


async def test_the_endpoint_of_the_infrastructure_comes_first(new: World) -> None:
    """B1, C16: where the CAPTCluster gives the Cluster its endpoint the control plane keeps its own to itself; no fight."""
    client, given = new.cluster.client, {"host": "api.example.org", "port": 6443}
    async with new.cluster.manager():
        body = capt_cluster_body(NAME)
        body["spec"]["controlPlaneEndpoint"] = given
        await client.create(TEMPLATE, template_body(module()))
        await client.create(CAPT_CLUSTER, body)
        await client.create(CAPT_CONTROL_PLANE, control_plane_body())
        await client.create(new.edition.cluster, cluster_body(new.edition, NAME))
        control_plane = await new.until(lambda each: each.status.initialized)
        assert control_plane.status.endpoint == f"{HOST}:443"
        assert (await new.parent())["spec"]["controlPlaneEndpoint"] == given
    assert new.cluster.writes(user_agent="capt").count("patch clusters") <= 1


async def test_an_endpoint_that_is_sensitive(new: World) -> None:
    """Seed 004: what the status may not show is read from the connection Secret; a port in it is kept."""
    hidden = f'output "cluster_endpoint" {{\n  value = "{HOST}:6443"\n  sensitive = true\n}}'
    async with new.manager():
        await new.create(text=f"{module(endpoint='')}\n{hidden}")
        control_plane = await new.phase("Ready")
        assert control_plane.status.endpoint == f"{HOST}:6443"
        assert "cluster_endpoint" not in outputs_of(control_plane)
        assert (await new.parent())["spec"]["controlPlaneEndpoint"] == {"host": HOST, "port": 6443}


async def test_an_apply_that_somebody_deletes_is_made_again(new: World) -> None:
    """B-W08, A15: until it is gone that is what is said, and it is not available; it stays initialized and comes back."""
    client, name = new.cluster.client, f"{NAME}-eks-controlplane-apply"
    async with new.manager():
        await new.create()
        await new.phase("Ready")
        found = await client.get_live(APPLY, NAMESPACE, name)
        assert found is not None
        held = {"metadata": {"finalizers": [*found.metadata.finalizers, "example.com/held"]}}
        await client.patch(APPLY, NAMESPACE, name, held)
        await client.delete(APPLY, NAMESPACE, name)
        control_plane = await new.phase("Creating", "WorkspaceDeleting")
        assert control_plane.status.initialized
        assert condition_of(control_plane, "Available") == "False"

        async def only_held() -> bool:
            left = await client.get_live(APPLY, NAMESPACE, name)
            return left is not None and left.metadata.finalizers == ("example.com/held",)

        await new.cluster.observer.until(only_held)
        # the garbage collector's work, which takes it up to half a minute for owners of a kind that is new to it
        await client.delete(SECRET, NAMESPACE, f"{NAME}-eks-connection")
        await client.patch(APPLY, NAMESPACE, name, {"metadata": {"finalizers": None}})
        await new.phase("Ready")


async def test_secrets_of_the_cluster(new: World) -> None:
    """C11, C13, B-P05, B-P21, B-P22: names, type, label, owner and contents; core's has no exec, people's no credential."""
    async with new.manager():
        await new.create()
        control_plane = await new.phase("Ready")
    contents: dict[str, Any] = {}
    for name in ("kubeconfig", "user-kubeconfig", "ca"):
        secret = await new.secret(f"{NAME}-{name}")
        assert secret is not None
        assert secret.type == "cluster.x-k8s.io/secret"
        assert secret.metadata.labels["cluster.x-k8s.io/cluster-name"] == NAME
        assert secret.metadata.controller is not None
        assert secret.metadata.controller.uid == control_plane.metadata.uid
        contents[name] = secret.data
    assert contents["ca"]["tls.crt"].decode() == PEM
    core, user = (yaml.safe_load(contents[name]["value"]) for name in ("kubeconfig", "user-kubeconfig"))
    for found in (core, user):
        assert found["clusters"][0]["cluster"] == {
            "server": f"https://{HOST}:443",
            "certificate-authority-data": base64.b64encode(PEM.encode()).decode(),
        }
    assert core["users"][0]["user"] == {"token": "t0ken"}
    assert user["users"][0]["user"]["exec"]["args"] == [
        *("eks", "get-token", "--cluster-name", NAME, "--region", "us-west-2")
    ]


async def test_a_missing_credential_is_named(new: World) -> None:
    """B-P06, B-P07, B-P08: without a token there is no kubeconfig and no Initialized, a condition names the output."""
    client = new.cluster.client
    async with new.manager():
        await new.create(text=module(token=""))
        control_plane = await new.phase("Ready")
        assert not control_plane.status.initialized
        assert not control_plane.status.secrets_ready
        assert reason_of(control_plane, "SecretsReady") == "KubeconfigGenerationFailed"
        assert "token is missing" in message_of(control_plane, "SecretsReady")
        assert condition_of(control_plane, "Initialized") == "False"
        assert await new.secret(f"{NAME}-kubeconfig") is None
        await client.patch(TEMPLATE, NAMESPACE, "eks", template_body(module()))
        await new.until(lambda each: each.status.initialized)
        assert await new.secret(f"{NAME}-kubeconfig") is not None


async def test_a_secret_of_somebody_else_is_left_alone(new: World) -> None:
    """B-P20, B-P21: a Secret that the control plane does not own is neither overwritten nor taken over."""
    client = new.cluster.client
    foreign = {"metadata": {"namespace": NAMESPACE, "name": f"{NAME}-kubeconfig"}, "data": {"a": "Yg=="}}
    await client.create(SECRET, foreign)
    async with new.manager():
        await new.create()
        control_plane = await new.until(lambda each: condition_of(each, "SecretsReady") == "False")
        assert reason_of(control_plane, "SecretsReady") == "SecretReconciliationFailed"
        secret = await new.secret(f"{NAME}-kubeconfig")
        assert secret is not None
        assert secret.data == {"a": b"b"}
        assert not control_plane.status.initialized


async def test_a_secret_of_the_wrong_type_is_made_anew(new: World) -> None:
    """C11: what is labelled as the Cluster's and belongs to nobody is replaced, for a Secret's type cannot be changed."""
    labels = {"cluster.x-k8s.io/cluster-name": NAME}
    opaque = {
        "metadata": {"namespace": NAMESPACE, "name": f"{NAME}-kubeconfig", "labels": labels},
        "type": "Opaque",
    }
    before = await new.cluster.client.create(SECRET, opaque)
    async with new.manager():
        await new.create()
        await new.until(lambda each: condition_of(each, "SecretsReady") == "True")
    secret = await new.secret(f"{NAME}-kubeconfig")
    assert secret is not None
    assert secret.metadata.uid != before.metadata.uid
    assert secret.type == "cluster.x-k8s.io/secret"


async def test_a_renewed_token_reaches_the_kubeconfig(new: World) -> None:
    """C12, B-P22: the kubeconfig follows the connection Secret, which is not watched, within a minute."""
    client = new.cluster.client
    async with new.manager(clock=FastClock(FAST)):
        informers = new.cluster.observer.informers
        await informers.watch(SECRET, partial(new.cluster.observer.on_event, SECRET))
        await new.create()
        await new.phase("Ready")
        patch = {"data": {"token": encoded("renewed")}}
        await client.patch(SECRET, NAMESPACE, f"{NAME}-eks-connection", patch)

        async def renewed() -> bool:
            secret = await new.cluster.observer.client.get(SECRET, NAMESPACE, f"{NAME}-kubeconfig")
            return secret is not None and b"renewed" in secret.data["value"]

        await new.cluster.observer.until(renewed)


async def test_an_upgrade(new: World) -> None:
    """B-P02, B-P03, C10: a new version reaches Terraform as major.minor, RollingOut shows it, and the status follows."""
    client = new.cluster.client
    seen: list[tuple[str | None, str | None, str, bool]] = []

    def check() -> None:
        for raw in new.cluster.observer.informers.store(CAPT_CONTROL_PLANE).list():
            status = raw.decode().get("status", {})
            conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
            seen.append(
                (
                    status.get("phase"),
                    status.get("version"),
                    conditions.get("RollingOut", ""),
                    status.get("ready", False),
                )
            )

    async def rolling() -> bool:
        return ("Ready", "v1.31.2", "True", True) in seen

    clock = HeldClock()
    async with new.manager(clock=clock, simulation=Simulation(apply_seconds=HELD)):
        await new.create()
        await new.phase("Ready")
        new.cluster.observer.checks.append(check)
        clock.free.clear()
        await client.patch(CAPT_CONTROL_PLANE, NAMESPACE, NAME, {"spec": {"version": "v1.32.0"}})
        await new.cluster.observer.until(rolling)
        clock.free.set()
        control_plane = await new.until(lambda each: each.status.version == "v1.32.0")
        assert outputs_of(control_plane)["cluster_version"] == "1.32"
        assert condition_of(control_plane, "RollingOut") == "False"
        for reason in ("RollingOut", "RolledOut"):
            await new.cluster.observer.told(CAPT_CONTROL_PLANE, reason, of_type="Normal")
    assert {phase for phase, *_ in seen} == {"Ready"}


async def test_a_failed_upgrade_takes_nothing_away(new: World) -> None:
    """A15, B-P36: a change that cannot be made makes it Failed; Initialized, Available, endpoint and version stay."""
    client = new.cluster.client
    async with new.manager():
        await new.create()
        await new.phase("Ready")
        await client.patch(TEMPLATE, NAMESPACE, "eks", template_body('variable "needed" {}\n' + module()))
        control_plane = await new.phase("Failed", "VariablesInvalid")
    status = control_plane.status
    assert status.initialized
    assert status.initialization is not None
    assert status.initialization.control_plane_initialized
    assert condition_of(control_plane, "Initialized") == condition_of(control_plane, "Available") == "True"
    assert status.version == "v1.31.2"
    assert (await new.parent())["spec"]["controlPlaneEndpoint"]["host"] == HOST


async def test_endpoint_access_addons_and_tags_are_typed(new: World) -> None:
    """B-P13, B-P37: flags are booleans, networks a list, add-ons and tags maps."""
    config = {
        "region": "us-gov-west-1",
        "endpointAccess": {"public": True, "private": False, "publicCIDRs": ["10.0.0.0/8"]},
        "addons": [{"name": "vpc-cni", "version": "v1.19.0"}, {"name": "coredns"}],
    }
    async with new.manager():
        await new.create(controlPlaneConfig=config, additionalTags={"a.b/c": "d"})
        control_plane = await new.phase("Ready")
    apply, *_ = await new.cluster.client.list_live(APPLY)
    values = apply.spec.values
    assert values["endpoint_public_access"] is True
    assert values["endpoint_private_access"] is False
    assert values["addons"] == {"vpc-cni": {"addon_version": "v1.19.0"}, "coredns": {}}
    assert values["tags"] == {"a.b/c": "d"}
    assert apply.spec.variables["region"] == "us-gov-west-1"
    assert outputs_of(control_plane)["cidrs"] == ["10.0.0.0/8"]
    assert outputs_of(control_plane)["public"] is True


async def test_nothing_is_written_when_nothing_changes(new: World) -> None:
    """B-P08, B-P18: once it is Ready, no request is made until something changes, and then at once."""
    async with new.manager() as manager:
        await new.create()
        await new.phase("Ready")
        await new.until(lambda each: each.status.initialized)
        await manager.wait_ready()
        before = len(new.cluster.writes(user_agent="capt"))
        client = new.cluster.client
        await client.patch(CAPT_CONTROL_PLANE, NAMESPACE, NAME, {"metadata": {"labels": {"a": "b"}}})
        await client.patch(CAPT_CLUSTER, NAMESPACE, NAME, {"metadata": {"labels": {"a": "b"}}})
        await client.patch(CAPT_CONTROL_PLANE, NAMESPACE, NAME, {"spec": {"version": "v1.31.5"}})
        await new.until(lambda each: each.status.version == "v1.31.5")
        written = new.cluster.writes(user_agent="capt")[before:]
    # the patch version is EKS's choice: Terraform has nothing to do
    assert [write for write in written if "workspace" in write or "secrets" in write] == []
    assert written.count("patch captcontrolplanes/status") <= 2


async def test_nothing_is_polled(new: World) -> None:
    """B-P18: on a clock that hardly moves, VPC, Workspace and Cluster are followed nevertheless: each change is an event."""
    async with new.manager(clock=FastClock(1 / 50)):
        await new.create(vpc_ready=False)
        await new.phase("Creating", "WaitingForVPC")
        await new.make_vpc_ready()
        await new.phase("Ready")
        await new.until(lambda each: each.status.initialized)
        await new.cluster.client.delete(new.edition.cluster, NAMESPACE, NAME)
        await new.cluster.observer.gone(APPLY, CAPT_CONTROL_PLANE)


async def test_a_paused_cluster_is_left_alone(new: World) -> None:
    """A9, A10: under the Cluster's pause nothing happens but the condition Paused; afterwards work goes on."""
    client = new.cluster.client
    async with new.manager():
        await new.create()
        await new.phase("Ready")
        await client.patch(new.edition.cluster, NAMESPACE, NAME, {"spec": {"paused": True}})
        await new.until(lambda each: condition_of(each, "Paused") == "True")
        await client.patch(CAPT_CONTROL_PLANE, NAMESPACE, NAME, {"spec": {"version": "v1.32.0"}})
        await client.patch(CAPT_CLUSTER, NAMESPACE, NAME, {"metadata": {"labels": {"a": "b"}}})
        assert (await new.until(lambda each: each.metadata.generation != 1)).status.version == "v1.31.2"
        await client.patch(new.edition.cluster, NAMESPACE, NAME, {"spec": {"paused": False}})
        control_plane = await new.until(lambda each: each.status.version == "v1.32.0")
        assert condition_of(control_plane, "Paused") == ""


async def test_machines_go_before_the_control_plane(new: World) -> None:
    """Deleting a Cluster takes its machines first, then the control plane's infrastructure, then the control plane."""
    client, observer = new.cluster.client, new.cluster.observer
    async with new.manager():
        await new.create()
        await new.phase("Ready")
        machine = {
            "metadata": {
                "name": "m",
                "namespace": NAMESPACE,
                "labels": {"cluster.x-k8s.io/cluster-name": NAME},
                "finalizers": ["example.com/guard"],
            },
            "spec": {
                "nodeGroupRef": {"name": "g"},
                "workspaceTemplateRef": {"name": "eks"},
                "instanceType": "m5.large",
            },
        }
        await client.create(MACHINE, machine)
        await client.delete(new.edition.cluster, NAMESPACE, NAME)
        control_plane = await new.phase("Deleting", "WaitingForMachines")
        assert "CaptMachine m" in message_of(control_plane)
        apply = await client.get_live(APPLY, NAMESPACE, f"{NAME}-eks-controlplane-apply")
        assert apply is not None
        assert apply.metadata.deletion_timestamp is None
        await client.patch(MACHINE, NAMESPACE, "m", {"metadata": {"finalizers": None}})
        await observer.gone(MACHINE, APPLY, CAPT_CONTROL_PLANE, CAPT_CLUSTER, new.edition.cluster)
        assert [kind for _, kind in sorted(observer.deletions) if kind in ORDERED] == ORDERED


async def test_optional_templates_hold_nothing_up(new: World) -> None:
    """B-P09: a missing template for Fargate or the Spot role is told, blocks nothing, and the role outlives the cluster."""
    client = new.cluster.client
    async with new.manager():
        await new.create(fargateTemplateRef={"name": "fargate"}, spotRoleTemplateRef={"name": "spot"})
        control_plane = await new.until(
            lambda each: each.status.ready and "fargate" in message_of(each, "OptionalTemplatesReady")
        )
        assert condition_of(control_plane, "OptionalTemplatesReady") == "False"
        text = 'variable "cluster_endpoint" {}\noutput "seen" { value = var.cluster_endpoint }'
        await client.create(TEMPLATE, template_body(text, "fargate"))
        await client.create(TEMPLATE, template_body('resource "terraform_data" "r" {}', "spot"))
        await new.until(lambda each: condition_of(each, "OptionalTemplatesReady") == "True")
        fargate = await client.get_live(APPLY, NAMESPACE, f"{NAME}-fargate-apply")
        assert fargate is not None
        assert fargate.status.outputs == {"seen": f"https://{HOST}"}
        await client.delete(new.edition.cluster, NAMESPACE, NAME)
        await new.cluster.observer.gone(CAPT_CONTROL_PLANE, new.edition.cluster)
        left = await client.list_live(APPLY)
        assert [(each.metadata.name, each.spec.retain_workspace_on_delete) for each in left] == [
            ("spot-account-apply", True)
        ]


async def test_a_kubeconfig_from_a_template_of_its_own(new: World) -> None:
    """B-P05: the template for the kubeconfig gets the control plane's outputs; its Secret is in the own namespace."""
    kubeconfig = yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": {"server": f"https://{HOST}"}}],
            "users": [{"name": "u", "user": {"token": "mine"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        },
        default_flow_style=True,
    ).strip()
    escaped = kubeconfig.replace('"', '\\"').replace("\n", " ")
    text = f'variable "cluster_endpoint" {{}}\noutput "kubeconfig" {{\n  value = "{escaped}"\n  sensitive = true\n}}'
    async with new.manager():
        await new.cluster.client.create(TEMPLATE, template_body(text, "kubeconfig"))
        await new.create(text=module(token=""), kubeconfigTemplateRef={"name": "kubeconfig"})
        await new.until(lambda each: each.status.initialized)
        secret = await new.secret(f"{NAME}-kubeconfig")
        assert secret is not None
        assert b"mine" in secret.data["value"]


def outputs_of(control_plane: CAPTControlPlane) -> dict[str, Any]:
    """Return `status.workspaceStatus.atProvider.outputs`, which add-ons read."""
    status = control_plane.status.workspace_status
    outputs = status.at_provider.get("outputs") if status is not None else None
    return outputs if isinstance(outputs, dict) else {}


def failure_of(cluster: dict[str, Any]) -> str | None:
    """Return the failure reason of a Cluster of either edition."""
    status = cluster.get("status", {})
    deprecated = status.get("deprecated", {}).get("v1beta1", {})
    return status.get("failureReason") or deprecated.get("failureReason") or None


def encoded(text: str) -> str:
    """Return a text as the data of a Secret."""
    return base64.b64encode(text.encode()).decode()


def ready_workspace() -> dict[str, Any]:
    """Return the status of a Workspace that a provider has applied, as a patch."""
    age = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Available", **age},
        {"type": "Synced", "status": "True", "reason": "ReconcileSuccess", **age},
    ]
    outputs = {"cluster_endpoint": f"https://{HOST}"}
    return {"status": {"conditions": conditions, "atProvider": {"outputs": outputs}}}
