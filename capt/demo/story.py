"""The demo's plot: three machines, a rolling update, and nothing left behind."""

from __future__ import annotations

from typing import Any

import yaml

from capt.api import ApiObject
from capt.assets import manifests
from capt.controllers.kinds import (
    APPLY,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
    TEMPLATE,
    WORKSPACE_FLAVOURS,
)
from capt.demo.child import Child
from capt.demo.promise import broken_promises
from capt.demo.screen import Screen
from capt.demo.stage import Stage, StoryError
from capt.demo.tree import Tree, rows
from capt.runtime import Client, ClusterConfig, HttpTransport, Informers, Kind, SystemClock

__all__ = ["StoryError", "tell"]

_NAMESPACE = "default"
_WORKSPACE = WORKSPACE_FLAVOURS[0]
_NEW_INSTANCE_TYPE = "t3.large"


async def _tree(client: Client) -> Tree:
    return Tree(
        deployments=await client.list(MACHINE_DEPLOYMENT, _NAMESPACE),
        sets=await client.list(MACHINE_SET, _NAMESPACE),
        machines=await client.list(MACHINE, _NAMESPACE),
        workspaces=await client.list(_WORKSPACE),
    )


async def tell(child: Child, screen: Screen) -> None:
    """Play the whole demo against a running manager.

    Raises:
        StoryError: A step took too long, or a rollout broke its promise.
    """
    clock = SystemClock()
    async with (
        HttpTransport(ClusterConfig.from_kubeconfig(child.kubeconfig), user_agent="capt-demo") as transport,
        Informers(transport, clock=clock) as informers,
    ):
        stage = Stage(Client(transport, informers, clock=clock), screen, _tree, rows)
        for kind in (MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, _WORKSPACE):
            handle = await informers.watch(kind, stage.on_change)
            await handle.wait_synced()
        created = await _create_samples(stage)
        await _roll_out(stage)
        await _roll_over(stage)
        await _delete(stage, created)


async def _create_samples(stage: Stage[Tree]) -> list[tuple[Kind[Any], str]]:
    kinds: dict[str, Kind[Any]] = {kind.resource.kind: kind for kind in (TEMPLATE, MACHINE_DEPLOYMENT)}
    created = []
    for file in sorted((manifests() / "samples").glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            document["metadata"].setdefault("namespace", _NAMESPACE)
            item: ApiObject = await stage.client.create(kinds[document["kind"]], document)
            created.append((kinds[item.kind], item.metadata.name))
            stage.screen.say(f"created {item.kind} {item.metadata.name} ({file.name})")
    return created


async def _roll_out(stage: Stage[Tree]) -> None:
    # machines and Workspaces have a watch each, and one may be behind the other
    tree = await stage.until(
        "three machines ready, under Terraform's ids for them",
        lambda tree: _settled(tree) and _ids(tree) == _outputs(tree),
    )
    ids = sorted(_ids(tree))
    stage.screen.say(f"{len(ids)} machines are Ready; Terraform calls them {', '.join(ids)}")


def _ids(tree: Tree) -> set[str]:
    return {machine.status.instance_id or "" for machine in tree.machines}


def _outputs(tree: Tree) -> set[str]:
    outputs = (workspace.status.at_provider.outputs or {} for workspace in tree.workspaces)
    return {str(each["instance_id"]) for each in outputs if "instance_id" in each}


async def _roll_over(stage: Stage[Tree]) -> None:
    (deployment,) = (await stage.state()).deployments
    replicas = deployment.spec.replicas
    broken: set[str] = set()

    def check(tree: Tree) -> None:
        broken.update(broken_promises(tree, least_available=replicas, most_machines=replicas + 1))

    stage.screen.say(
        f"now changing instanceType to {_NEW_INSTANCE_TYPE}, one machine more at a time and none fewer"
    )
    await stage.client.patch(
        MACHINE_DEPLOYMENT,
        _NAMESPACE,
        deployment.metadata.name,
        {"spec": {"template": {"spec": {"instanceType": _NEW_INSTANCE_TYPE}}}},
    )
    tree = await stage.until(
        "rolling update",
        lambda tree: (
            _settled(tree)
            and all(machine.spec.instance_type == _NEW_INSTANCE_TYPE for machine in tree.machines)
        ),
        check,
    )
    if broken:
        raise StoryError("the rolling update broke its promise: " + "; ".join(sorted(broken)))
    stage.screen.say(
        f"all {len(tree.machines)} machines were replaced; "
        f"never fewer than {replicas} were available, never more than {replicas + 1} existed"
    )


async def _delete(stage: Stage[Tree], created: list[tuple[Kind[Any], str]]) -> None:
    stage.screen.say("now deleting everything")
    for kind, name in reversed(created):
        await stage.client.delete(kind, _NAMESPACE, name)
    await stage.until("everything deleted", lambda tree: tree.empty)
    await stage.prove_empty((MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, APPLY, _WORKSPACE, TEMPLATE), "")


def _settled(tree: Tree) -> bool:
    """Whether the deployment has as many machines as it wants, all of the current template and available."""
    return bool(tree.deployments) and all(
        deployment.status.observed_generation == deployment.metadata.generation
        and deployment.spec.replicas == len(tree.machines) == tree.available
        and deployment.spec.replicas == deployment.status.replicas == deployment.status.updated_replicas
        and deployment.spec.replicas == deployment.status.available_replicas
        for deployment in tree.deployments
    )
