"""Clients that are not ours: the official Python client, and Terraform with its kubernetes backend."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import kubernetes.client
import kubernetes.watch
import pytest
import yaml
from kubernetes.config import new_client_from_config_dict

from capt.terraform import find_cli
from tests.support.cluster import NAMESPACE, Cluster, samples

CLI = find_cli()
GROUP, VERSION, MACHINES = "infrastructure.cluster.x-k8s.io", "v1beta1", "captmachines"
BACKEND = """
terraform {
  backend "kubernetes" {
    secret_suffix = "network"
    namespace     = "default"
    config_path   = "%s"
  }
}
variable "size" { type = number }
resource "terraform_data" "network" { input = var.size }
output "size" { value = terraform_data.network.output }
"""


async def test_the_official_python_client(cluster: Cluster) -> None:
    """It creates, lists, watches, patches and deletes custom objects, and reads what is built in."""
    async with cluster.manager():
        await asyncio.to_thread(use_the_official_client, cluster)


def use_the_official_client(cluster: Cluster) -> None:
    with new_client_from_config_dict(cluster.api.kubeconfig()) as connection:
        core = kubernetes.client.CoreV1Api(connection)
        custom = kubernetes.client.CustomObjectsApi(connection)
        extensions = kubernetes.client.ApiextensionsV1Api(connection)
        assert NAMESPACE in {item.metadata.name for item in core.list_namespace().items}
        assert f"{MACHINES}.{GROUP}" in {
            item.metadata.name for item in extensions.list_custom_resource_definition().items
        }
        template, deployment = samples()
        for plural, body in (("workspacetemplates", template), ("captmachinedeployments", deployment)):
            custom.create_namespaced_custom_object(GROUP, VERSION, NAMESPACE, plural, body)
        ready = set()
        watch = kubernetes.watch.Watch()
        for event in watch.stream(
            custom.list_namespaced_custom_object, GROUP, VERSION, NAMESPACE, MACHINES, timeout_seconds=120
        ):
            machine = event["object"]
            if machine.get("status", {}).get("ready"):
                ready.add(machine["metadata"]["name"])
            if len(ready) == 3:
                watch.stop()
        assert len(ready) == 3
        name = deployment["metadata"]["name"]
        scaled = custom.patch_namespaced_custom_object_scale(
            GROUP, VERSION, NAMESPACE, "captmachinedeployments", name, {"spec": {"replicas": 1}}
        )
        assert scaled["spec"]["replicas"] == 1
        with pytest.raises(kubernetes.client.ApiException, match="replicas"):
            custom.patch_namespaced_custom_object(
                GROUP, VERSION, NAMESPACE, "captmachinedeployments", name, {"spec": {"replicas": -1}}
            )
        custom.delete_namespaced_custom_object(GROUP, VERSION, NAMESPACE, "captmachinedeployments", name)
        for _ in kubernetes.watch.Watch().stream(
            core.list_namespaced_event, NAMESPACE, timeout_seconds=120
        ):  # events are written behind the work
            break
        else:
            pytest.fail("there are no events")
        secret = kubernetes.client.V1Secret(metadata={"name": "credentials"}, string_data={"key": "value"})
        core.create_namespaced_secret(NAMESPACE, secret)
        assert core.read_namespaced_secret("credentials", NAMESPACE).data == {"key": "dmFsdWU="}
        core.delete_namespaced_secret("credentials", NAMESPACE)


@pytest.mark.terraform
@pytest.mark.skipif(CLI is None, reason="neither terraform nor tofu is on PATH")
async def test_terraform_keeps_its_state_in_the_api_server(cluster: Cluster, tmp_path: Path) -> None:
    """The kubernetes backend stores state in a Secret and locks it with a Lease, also against a second run."""
    kubeconfig = tmp_path / "kubeconfig"
    cluster.write_kubeconfig(kubeconfig)
    (tmp_path / "main.tf").write_text(BACKEND % kubeconfig)
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "CHECKPOINT_DISABLE": "1"}

    async def terraform(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(CLI),
            *arguments,
            cwd=tmp_path,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    def stored() -> tuple[dict[str, str], str | None]:
        with new_client_from_config_dict(yaml.safe_load(kubeconfig.read_text())) as connection:
            secret = kubernetes.client.CoreV1Api(connection).read_namespaced_secret(
                "tfstate-default-network", NAMESPACE
            )
            lease = kubernetes.client.CoordinationV1Api(connection).read_namespaced_lease(
                "lock-tfstate-default-network", NAMESPACE
            )
        return secret.metadata.labels, lease.spec.holder_identity

    await terraform("init", "-input=false", "-no-color")
    for size in ("1", "2"):
        await terraform("apply", "-auto-approve", "-input=false", "-no-color", f"-var=size={size}")
        assert (await terraform("output", "-no-color", "size")).strip() == size
        labels, holder = await asyncio.to_thread(stored)
        assert labels["tfstateSecretSuffix"] == "network"
        assert not holder, "the lock is free again"
    shutil.rmtree(tmp_path / ".terraform")
    await terraform("init", "-input=false", "-no-color")
    assert "1 destroyed" in await terraform(
        "destroy", "-auto-approve", "-input=false", "-no-color", "-var=size=2"
    )
