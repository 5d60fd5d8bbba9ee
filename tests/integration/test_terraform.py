"""The chain with the real Terraform CLI at its end."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

import pytest

from capt.controllers.kinds import APPLY, MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET, SECRET, TEMPLATE
from capt.runtime import find_condition, is_true
from capt.terraform import standing_resources
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster, samples

CLI = shutil.which("terraform") or shutil.which("tofu")
pytestmark = [
    pytest.mark.terraform,
    pytest.mark.skipif(CLI is None, reason="neither terraform nor tofu is on PATH"),
]
DEPLOYMENT = "worker-deployment"


def one_machine() -> tuple[dict[str, Any], dict[str, Any]]:
    template, deployment = samples()
    deployment["spec"]["replicas"] = 1
    return template, deployment


async def terraform_output(cluster: Cluster, uid: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        str(CLI), "output", "-json", cwd=cluster.data_dir / "terraform" / uid, stdout=asyncio.subprocess.PIPE
    )
    stdout, _ = await process.communicate()
    return {name: output["value"] for name, output in json.loads(stdout).items()}


async def test_the_instance_id_is_terraforms(cluster: Cluster) -> None:
    """What the machine calls its instance id is what `terraform output` prints; a deletion destroys it first."""
    async with cluster.manager(engine="terraform"):
        await cluster.apply(*one_machine())
        await cluster.observer.settled(DEPLOYMENT, replicas=1)
        (machine,) = await cluster.client.list_live(MACHINE)
        (workspace,) = await cluster.client.list_live(WORKSPACE)
        output = await terraform_output(cluster, workspace.metadata.uid)
        assert machine.status.instance_id == output["instance_id"]
        assert machine.status.private_ip == output["private_ip"]
        assert standing_resources(cluster.data_dir) == (workspace.metadata.name,)

        standing_when_gone: list[tuple[str, ...]] = []
        store = cluster.observer.informers.store(WORKSPACE)

        def check() -> None:
            if not store.list():
                standing_when_gone.append(standing_resources(cluster.data_dir))

        cluster.observer.checks.append(check)
        await cluster.client.delete(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT)
        await cluster.observer.gone(MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, APPLY, WORKSPACE)
        assert standing_when_gone
        assert set(standing_when_gone) == {()}


async def test_retention_holds_against_the_garbage_collector(cluster: Cluster) -> None:
    """An apply that is deleted because its owner is gone keeps its Workspace, and what Terraform made stands on."""
    owner = {"metadata": {"name": "owner", "namespace": NAMESPACE}}
    async with cluster.manager(engine="terraform"):
        made = await cluster.client.create(SECRET, owner)
        reference = {"apiVersion": "v1", "kind": "Secret", "name": "owner", "uid": made.metadata.uid}
        template, _ = one_machine()
        apply = {
            "kind": "WorkspaceTemplateApply",
            "metadata": {"name": "kept", "ownerReferences": [reference]},
            "spec": {
                "templateRef": {"name": template["metadata"]["name"]},
                "variables": {"instance_type": "t3.medium", "node_group": "g"},
                "optionalVariables": ["instance_type", "node_group"],
                "retainWorkspaceOnDelete": True,
            },
        }
        await cluster.apply(template, apply)

        async def ready() -> bool:
            found = await cluster.observer.client.get(APPLY, NAMESPACE, "kept")
            return found is not None and is_true(found.status.conditions, "Ready")

        await cluster.observer.until(ready)
        (before,) = await cluster.client.list_live(WORKSPACE)
        await cluster.client.delete(SECRET, NAMESPACE, "owner")
        await cluster.observer.gone(APPLY)
        (after,) = await cluster.client.list_live(WORKSPACE)
        assert after.metadata.uid == before.metadata.uid
        assert after.metadata.deletion_timestamp is None
        assert standing_resources(cluster.data_dir) == (before.metadata.name,)


async def test_a_broken_module_is_told_and_heals(cluster: Cluster) -> None:
    """Terraform's words reach the machine's condition and a Warning event; a mended template heals it."""
    template, deployment = one_machine()
    sound = template["spec"]["template"]["spec"]["forProvider"]["module"]
    broken = sound + '\noutput "wrong" { value = var.nowhere }\n'
    template["spec"]["template"]["spec"]["forProvider"]["module"] = broken
    async with cluster.manager(engine="terraform"):
        await cluster.apply(template, deployment)

        async def told() -> bool:
            machines = await cluster.client.list(MACHINE, NAMESPACE)
            ready = find_condition(machines[0].status.conditions, "Ready") if machines else None
            return (
                ready is not None and ready.status == "False" and "undeclared input variable" in ready.message
            )

        await cluster.observer.until(told)
        await cluster.observer.told(MACHINE, "", "undeclared input variable")

        module = {"template": {"spec": {"forProvider": {"module": sound}}}}
        await cluster.client.patch(TEMPLATE, NAMESPACE, "machine-template", {"spec": module})
        await cluster.observer.settled(DEPLOYMENT, replicas=1)
        (machine,) = await cluster.client.list_live(MACHINE)
        assert is_true(machine.status.conditions, "Ready")
        assert machine.status.failure_message is None
