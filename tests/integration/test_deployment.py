"""The manifests, deployed as users deploy them, on a real API server of their own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from capt.install import install_definitions
from capt.manager import compose, parse
from capt.runtime import Client, ClusterConfig, HttpTransport, SystemClock
from hack.check_rbac import requests
from hack.envtest import ControlPlane, control_plane
from tests.support import project
from tests.support.api_servers import REAL
from tests.support.running import running

KUBECTL = shutil.which("kubectl")
MANIFESTS = project.ROOT / "manifests"
pytestmark = [
    pytest.mark.envtest,
    pytest.mark.kubectl,
    pytest.mark.skipif(not REAL, reason="needs a real API server"),
    pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on PATH"),
]

SERVICE_MONITORS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}
"""The Prometheus operator's kind, without its schema."""


@pytest.fixture
async def fresh() -> AsyncIterator[ControlPlane]:
    """A control plane on which nothing is, and which asks for what OpenShift asks for."""
    async with control_plane(
        None, "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
    ) as plane:
        yield plane


async def kubectl(plane: ControlPlane, *arguments: str, stdin: str = "") -> str:
    kubeconfig = plane.folder / "kubectl.yaml"
    kubeconfig.write_text(yaml.safe_dump(plane.kubeconfig()))
    process = await asyncio.create_subprocess_exec(
        str(KUBECTL),
        *arguments,
        env={"KUBECONFIG": str(kubeconfig), "HOME": str(plane.folder), "PATH": os.environ["PATH"]},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate(stdin.encode())
    assert process.returncode == 0, stderr.decode()
    return stdout.decode()


async def test_applying_twice_changes_nothing(fresh: ControlPlane) -> None:
    """Each of the overlays is applied without a warning, and the second time no object gets another version."""
    await kubectl(fresh, "apply", "-f", "-", stdin=json.dumps(SERVICE_MONITORS))
    await kubectl(fresh, "wait", "--for=condition=Established", f"crd/{SERVICE_MONITORS['metadata']['name']}")
    for overlay in ("default", "terraform", "namespaced", "monitoring"):
        folder = ("-k", str(MANIFESTS / overlay))
        await kubectl(fresh, "apply", "--warnings-as-errors", *folder)
        # the server itself changes a definition until it is established
        await kubectl(fresh, "wait", "--for=condition=Established", "crd", "--all", "--timeout=10m")
        versions = (
            'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}'
        )
        before = await kubectl(fresh, "get", "-o", versions, *folder)
        again = (await kubectl(fresh, "apply", "--warnings-as-errors", *folder)).splitlines()
        assert await kubectl(fresh, "get", "-o", versions, *folder) == before
        # kubectl sends the selector of a disruption budget each time, whether or not it differs
        touched = [line for line in again if not line.endswith(" unchanged")]
        assert [line for line in touched if not line.startswith("poddisruptionbudget")] == []
        assert await kubectl(fresh, "diff", *folder) == ""


async def test_pods_are_admitted_where_the_restricted_standard_rules(fresh: ControlPlane) -> None:
    """A Pod of each overlay's Deployment is let in without a warning, and one with a root user is not."""
    await kubectl(fresh, "apply", "-f", str(MANIFESTS / "manager" / "namespace.yaml"))
    create = ("create", "--warnings-as-errors", "--dry-run=server", "-f", "-")
    for overlay in ("default", "terraform", "namespaced"):
        built = yaml.safe_load_all(await kubectl(fresh, "kustomize", str(MANIFESTS / overlay)))
        (deployment,) = (document for document in built if document["kind"] == "Deployment")
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "manager", "namespace": "capt-system"},
            "spec": deployment["spec"]["template"]["spec"],
        }
        assert "pod/manager created" in await kubectl(fresh, *create, stdin=json.dumps(pod))
        pod["spec"]["containers"][0]["securityContext"]["runAsUser"] = 0
        with pytest.raises(AssertionError, match="violates PodSecurity"):
            await kubectl(fresh, *create, stdin=json.dumps(pod))


@pytest.mark.parametrize(
    ("overlay", "flags"),
    [("terraform", ()), ("namespaced", ("--namespace", "capt-system"))],
    ids=["everywhere", "one-namespace"],
)
async def test_the_roles_are_enough(
    fresh: ControlPlane, tmp_path: Path, overlay: str, flags: tuple[str, ...]
) -> None:
    """B-K20: Under the roles of an overlay a manager makes machines and takes them down, and is never forbidden anything."""
    await kubectl(fresh, "apply", "-k", str(MANIFESTS / overlay))
    if overlay == "namespaced":
        # the engine has a role of its own, which this overlay does not bring
        await kubectl(fresh, "apply", "-f", str(MANIFESTS / "terraform" / "engine_role.yaml"))
        await kubectl(fresh, "apply", "-k", str(MANIFESTS / "workspace"))
    account = await fresh.service_account_kubeconfig("capt-system", "capt-manager")
    options = parse([*flags, "--metrics-bind-address=0", "--health-probe-bind-address=0", "--leader-elect"])
    manager = compose(ClusterConfig.from_dict(account), options, engine="simulated", data_dir=tmp_path)
    samples = str(MANIFESTS / "samples")
    deployment = "captmachinedeployment/worker-deployment"
    in_namespace = ("--namespace", "capt-system")
    async with running(manager):
        await kubectl(fresh, "apply", *in_namespace, "-f", samples)
        await kubectl(fresh, "wait", *in_namespace, "--for=condition=Available", deployment, "--timeout=10m")
        await kubectl(fresh, "scale", *in_namespace, deployment, "--replicas=2")
        await kubectl(fresh, "delete", *in_namespace, "--timeout=10m", deployment)
        left = await kubectl(fresh, "get", "workspaces.tf.upbound.io,captmachines", "-A", "--no-headers")
        assert left == ""
    seen = list(requests(fresh.audit()))
    assert seen
    assert {use for use, code in seen if code == 403} == set()


async def test_the_definitions_can_be_installed_by_the_program_too(fresh: ControlPlane) -> None:
    """What the manager's own installer writes, `kubectl diff` finds nothing to change in."""
    async with HttpTransport(ClusterConfig.from_dict(fresh.kubeconfig())) as transport:
        documents = yaml.safe_load_all(await kubectl(fresh, "kustomize", str(MANIFESTS / "crds")))
        await install_definitions(Client(transport), documents, SystemClock())
    assert await kubectl(fresh, "diff", "-k", str(MANIFESTS / "crds")) == ""
