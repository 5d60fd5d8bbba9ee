"""What a person with kubectl sees."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from capt.assets import manifests
from capt.controllers.kinds import (
    CAPT_CLUSTER,
    CAPT_CONTROL_PLANE,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
)
from capt.controllers.manifest import to_manifest
from tests.support.api_servers import REAL
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster

KUBECTL = shutil.which("kubectl")
pytestmark = [
    pytest.mark.kubectl,
    pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on PATH"),
]
DEPLOYMENT = "captmachinedeployment/worker-deployment"


class Kubectl:
    """Runs kubectl against a cluster, with a home directory of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self._environment = {
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(kubeconfig.parent),
            "PATH": "/usr/bin:/bin",
        }

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            str(KUBECTL),
            *arguments,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *arguments: str) -> str:
        process = await self.start(*arguments)
        stdout, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()
        return stdout.decode()

    async def differs(self, *arguments: str) -> str:
        """Run `kubectl diff`, which says with exit code 1 that it has found something."""
        process = await self.start("diff", *arguments)
        stdout, stderr = await process.communicate()
        assert process.returncode in {0, 1}, stderr.decode()
        return stdout.decode()

    async def denied(self, *arguments: str) -> str:
        process = await self.start(*arguments)
        stdout, _ = await process.communicate()
        assert process.returncode == 1
        return stdout.decode()

    async def refused(self, *arguments: str) -> str:
        process = await self.start(*arguments)
        _, stderr = await process.communicate()
        assert process.returncode != 0
        return stderr.decode()


@pytest.fixture
async def kubectl(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Kubectl]:
    """Kubectl against a cluster with a running manager."""
    kubeconfig = tmp_path / "kubeconfig"
    cluster.write_kubeconfig(kubeconfig)
    async with cluster.manager():
        yield Kubectl(kubeconfig)


async def test_a_day_with_kubectl(cluster: Cluster, kubectl: Kubectl) -> None:
    """Apply, wait, get with columns, describe, scale and delete work as with any Deployment."""
    applied = await kubectl("apply", "-f", str(manifests() / "samples"))
    assert "captmachinedeployment.infrastructure.cluster.x-k8s.io/worker-deployment created" in applied
    await kubectl("wait", "--for=condition=Available", DEPLOYMENT, "--timeout=10m")
    await kubectl("wait", "--for=condition=Ready", "captmachine", "--all", "--timeout=10m")
    await kubectl("wait", "--for=condition=Ready", "workspacetemplateapply", "--all", "--timeout=10m")

    header, *lines = (await kubectl("get", "captmachine")).splitlines()
    assert header.split()[:4] == ["NAME", "READY", "INSTANCE", "ID"]
    assert len(lines) == 3
    (machine, *_) = await cluster.client.list_live(MACHINE)
    assert any(
        line.split()[:3] == [machine.metadata.name, "true", machine.status.instance_id] for line in lines
    )
    assert "worker-deployment" in await kubectl("get", "cluster-api")

    described = await kubectl("describe", "captmachine", machine.metadata.name)
    assert str(machine.status.instance_id) in described
    assert "Ready" in described

    await kubectl("scale", DEPLOYMENT, "--replicas=5")
    await cluster.observer.settled("worker-deployment", replicas=5)

    again = await kubectl("apply", "-f", str(manifests() / "samples"))
    assert "workspacetemplate.infrastructure.cluster.x-k8s.io/machine-template unchanged" in again
    await cluster.observer.settled("worker-deployment", replicas=3)

    await kubectl("delete", "-f", str(manifests() / "samples"), "--timeout=10m")
    assert (await kubectl("get", "captmachine,workspaces.tf.upbound.io", "-A")) == ""
    assert await cluster.client.list_live(WORKSPACE) == []


async def test_clusters_and_control_planes_print_as_in_seed_003(cluster: Cluster, tmp_path: Path) -> None:
    """`kubectl get captcluster` and `captcontrolplane` have the seed's columns, in its order, with its values."""
    cluster.write_kubeconfig(tmp_path / "kubeconfig")
    kubectl = Kubectl(tmp_path / "kubeconfig")
    metadata = {"name": "test-cluster", "namespace": NAMESPACE}
    endpoint = "10.0.0.1:6443"
    objects = (
        (
            CAPT_CLUSTER,
            {"region": "us-west-2", "existingVpcId": "vpc-123456789"},
            {"ready": True, "vpcId": "vpc-123456789", "endpoint": endpoint},
        ),
        (
            CAPT_CONTROL_PLANE,
            {"version": "1.31", "workspaceTemplateRef": {"name": "eks"}},
            {"ready": True, "phase": "Ready", "endpoint": endpoint},
        ),
    )
    printed = []
    for kind, spec, status in objects:
        await cluster.client.create(kind, {"metadata": metadata, "spec": spec})
        await cluster.client.patch(kind, NAMESPACE, "test-cluster", {"status": status}, subresource="status")
        lines = (await kubectl("get", kind.resource.kind.lower())).splitlines()
        printed.append([line.split()[: len(lines[0].split())] for line in lines])
        await cluster.client.delete(kind, NAMESPACE, "test-cluster")
    (network, [vpc]), (plane, [eks]) = ((rows[0], rows[1:]) for rows in printed)
    assert network == ["NAME", "VPC-ID", "READY", "ENDPOINT", "AGE"]
    assert vpc[:4] == ["test-cluster", "vpc-123456789", "true", endpoint]
    assert plane == ["NAME", "READY", "PHASE", "VERSION", "ENDPOINT", "AGE"]
    assert eks[:5] == ["test-cluster", "true", "Ready", "1.31", endpoint]


async def test_watching_with_kubectl(cluster: Cluster, kubectl: Kubectl) -> None:
    """`kubectl get -w` prints machines as they become ready."""
    await kubectl("apply", "-f", str(manifests() / "samples"))
    watch = await kubectl.start("get", "captmachine", "-w", "--no-headers")
    assert watch.stdout is not None
    ready = set()
    async with asyncio.timeout(120):
        while len(ready) < 3:
            name, state, *_ = (await watch.stdout.readline()).decode().split()
            if state == "true":
                ready.add(name)
    watch.terminate()
    await watch.wait()


async def test_a_bad_manifest_names_field_and_rule(kubectl: Kubectl, tmp_path: Path) -> None:
    """A bad value is refused with the name of the field, the value and the rule."""
    bad = (manifests() / "samples" / "02-machine-deployment.yaml").read_text()
    file = tmp_path / "bad.yaml"
    file.write_text(bad.replace("replicas: 3", "replicas: -1"))
    assert "spec.replicas" in await kubectl.refused("apply", "-f", str(file))
    file.write_text(bad.replace("type: RollingUpdate", "type: Sideways"))
    message = await kubectl.refused("apply", "-f", str(file))
    assert "spec.strategy.type" in message
    assert "Sideways" in message
    file.write_text(bad.replace("instanceType:", "instanceTyp:"))
    assert "instanceTyp" in await kubectl.refused("apply", "-f", str(file))


async def test_editing_with_kubectl(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> None:
    """Diff shows what apply would change; label, annotate and each kind of patch change it."""
    samples = manifests() / "samples"
    await kubectl("apply", "-f", str(samples))
    assert await kubectl.differs("-f", str(samples)) == ""
    changed = tmp_path / "changed.yaml"
    changed.write_text((samples / "02-machine-deployment.yaml").read_text().replace("t3.medium", "t3.large"))
    difference = await kubectl.differs("-f", str(changed))
    assert "-      instanceType: t3.medium" in difference
    assert "+      instanceType: t3.large" in difference

    await kubectl("label", DEPLOYMENT, "team=a")
    await kubectl("label", DEPLOYMENT, "team=b", "--overwrite")
    await kubectl("annotate", DEPLOYMENT, "note=first")
    await kubectl("annotate", DEPLOYMENT, "note-")
    await kubectl("patch", DEPLOYMENT, "--type=merge", "-p", '{"spec": {"replicas": 2}}')
    pointer = '[{"op": "replace", "path": "/spec/template/spec/instanceType", "value": "t3.small"}]'
    await kubectl("patch", DEPLOYMENT, "--type=json", "-p", pointer)
    deployment = await cluster.client.get_live(MACHINE_DEPLOYMENT, NAMESPACE, "worker-deployment")
    assert deployment is not None
    assert deployment.metadata.labels["team"] == "b"
    assert "note" not in deployment.metadata.annotations
    assert (deployment.spec.replicas, deployment.spec.template.spec.instance_type) == (2, "t3.small")
    await cluster.observer.settled("worker-deployment", replicas=2)


async def test_looking_with_kubectl(cluster: Cluster, kubectl: Kubectl) -> None:
    """Explain, api-resources and every output format know our kinds and their fields."""
    await kubectl("apply", "-f", str(manifests() / "samples"))
    await cluster.observer.settled("worker-deployment", replicas=3)
    field = "captmachinedeployment.spec.strategy.rollingUpdate.maxSurge"
    assert "maxSurge" in await kubectl("explain", field)
    listed = (
        await kubectl("api-resources", "--api-group=infrastructure.cluster.x-k8s.io", "-o", "name")
    ).split()
    assert "captmachinedeployments.infrastructure.cluster.x-k8s.io" in listed

    narrow, wide = [
        (await kubectl("get", DEPLOYMENT, *form)).splitlines()[0] for form in ((), ("-o", "wide"))
    ]
    assert set(narrow.split()) < set(wide.split())
    assert "instanceType: t3.medium" in await kubectl("get", DEPLOYMENT, "-o", "yaml")
    columns = "custom-columns=NAME:.metadata.name,ID:.status.instanceId"
    rows = (await kubectl("get", "captmachine", "--no-headers", "-o", columns)).splitlines()
    machines = await cluster.client.list_live(MACHINE)
    assert sorted(row.split() for row in rows) == sorted(
        [machine.metadata.name, machine.status.instance_id] for machine in machines
    )
    by_label = await kubectl("get", "captmachine", "-l", "role in (worker)", "--no-headers")
    assert len(by_label.splitlines()) == 3
    assert (await kubectl("get", "captmachine", "-l", "role!=worker")) == ""


@pytest.mark.parametrize("cascade", ["orphan", "foreground", "background"])
async def test_deleting_with_kubectl(cluster: Cluster, kubectl: Kubectl, cascade: str) -> None:
    """--cascade decides what becomes of the sets: orphans stay at work, everything else goes."""
    await kubectl("apply", "-f", str(manifests() / "samples"))
    await cluster.observer.settled("worker-deployment", replicas=3)
    if cascade == "orphan":
        (machine_set,) = await cluster.client.list_live(MACHINE_SET)
        unused = {**to_manifest(machine_set.spec), "replicas": 0}
        await cluster.observer.collector_knows(MACHINE_SET, unused)
    await kubectl("delete", DEPLOYMENT, f"--cascade={cascade}", "--timeout=10m")
    if cascade == "orphan":
        (machine_set,) = await cluster.client.list_live(MACHINE_SET)
        assert machine_set.metadata.deletion_timestamp is None
        assert machine_set.metadata.owner_references == ()
        assert len(await cluster.client.list_live(MACHINE)) == 3
        await kubectl("delete", "captmachineset", "--all", "--timeout=10m")
    await cluster.observer.gone(MACHINE_SET, MACHINE, WORKSPACE)


@pytest.mark.envtest
@pytest.mark.skipif(not REAL, reason="the embedded server has neither server-side apply nor RBAC, by design")
async def test_what_only_a_real_server_can(cluster: Cluster, kubectl: Kubectl) -> None:
    """Server-side apply creates and owns fields, and auth can-i tells what the manager's account may do."""
    for _ in range(2):
        await kubectl("apply", "--server-side", "-f", str(manifests() / "samples"))
    await cluster.observer.settled("worker-deployment", replicas=3)
    account = "--as=system:serviceaccount:capt-system:capt-manager"
    assert (await kubectl("auth", "can-i", "create", "captmachines", account)).strip() == "yes"
    assert (await kubectl("auth", "can-i", "get", "secrets", account)).strip() == "yes"
    assert "no" in await kubectl.denied("auth", "can-i", "list", "secrets", account)
