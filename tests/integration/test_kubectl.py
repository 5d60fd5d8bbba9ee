"""What a person with kubectl sees."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from capt.assets import manifests
from capt.controllers.kinds import MACHINE
from tests.support.cluster import WORKSPACE, Cluster

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
    await kubectl("wait", "--for=condition=Available", DEPLOYMENT, "--timeout=30s")
    await kubectl("wait", "--for=condition=Ready", "captmachine", "--all", "--timeout=30s")
    await kubectl("wait", "--for=condition=Ready", "workspacetemplateapply", "--all", "--timeout=30s")

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

    await kubectl("delete", "-f", str(manifests() / "samples"), "--timeout=30s")
    assert (await kubectl("get", "captmachine,workspaces.tf.upbound.io", "-A")) == ""
    assert await cluster.client.list_live(WORKSPACE) == []


async def test_watching_with_kubectl(cluster: Cluster, kubectl: Kubectl) -> None:
    """`kubectl get -w` prints machines as they become ready."""
    await kubectl("apply", "-f", str(manifests() / "samples"))
    watch = await kubectl.start("get", "captmachine", "-w", "--no-headers")
    assert watch.stdout is not None
    ready = set()
    async with asyncio.timeout(30):
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
