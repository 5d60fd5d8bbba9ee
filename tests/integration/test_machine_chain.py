"""Machines, sets and deployments as a user handles them; over HTTP, with the simulated engine."""

from __future__ import annotations

import asyncio
import copy
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from capt.api import CaptMachineSpec, Condition
from capt.controllers import names
from capt.controllers.kinds import APPLY, MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET, TEMPLATE
from capt.controllers.machine_deployment.template_hash import template_hash
from capt.runtime import HttpTransport, find_condition, is_true, raise_for_status
from capt.runtime.testing import FakeClock
from tests.support.cluster import EVENT, NAMESPACE, WORKSPACE, Cluster, samples
from tests.support.machines import GROUP, NODE
from tests.support.refusal import RefusingTransport
from tests.support.waiting import until

DEPLOYMENT = "worker-deployment"
GROUP_MODULE = """
variable "node_group_name" { type = string }
resource "terraform_data" "group" { input = var.node_group_name }
output "group_subnet" { value = "subnet-of-${var.node_group_name}" }
"""
NODE_MODULE = """
variable "node_group" { type = string }
variable "group_subnet" { type = string }
resource "terraform_data" "node" { input = var.node_group }
output "instance_id" { value = "i-in-${var.group_subnet}" }
"""


def template(name: str, module: str) -> dict[str, Any]:
    spec = {"forProvider": {"source": "Inline", "module": module}}
    return {"kind": "WorkspaceTemplate", "metadata": {"name": name}, "spec": {"template": {"spec": spec}}}


def machine(name: str, spec: Any, **metadata: Any) -> dict[str, Any]:
    return {"kind": "CaptMachine", "metadata": {"name": name, **metadata}, "spec": spec}


def machine_set(name: str, replicas: int, **spec: Any) -> dict[str, Any]:
    body = {
        "replicas": replicas,
        "template": {"spec": {**NODE, "workspaceTemplateRef": {"name": "machine-template"}}},
        **spec,
    }
    return {"kind": "CaptMachineSet", "metadata": {"name": name}, "spec": body}


async def change(cluster: Cluster, spec: dict[str, Any]) -> None:
    await cluster.client.patch(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT, {"spec": spec})


async def condition(cluster: Cluster, kind: Any, name: str, type_: str = "Ready") -> Condition | None:
    found = await cluster.observer.client.get(kind, NAMESPACE, name)
    return None if found is None else find_condition(found.status.conditions, type_)


def says(found: Any, reason: str, type_: str = "Ready") -> bool:
    said = find_condition(found.status.conditions, type_)
    return said is not None and said.reason == reason


async def until_says(cluster: Cluster, kind: Any, name: str, reason: str, type_: str = "Ready") -> Any:
    return await cluster.observer.met(kind, name, lambda found: says(found, reason, type_))


async def test_a_node_waits_for_its_group_and_gets_its_outputs(cluster: Cluster) -> None:
    """B-M22: A node is made when the group that it names is ready, from the group's outputs."""
    async with cluster.manager():
        await cluster.apply(template("node", NODE_MODULE), machine("group", {**GROUP, "nodeGroupConfig": {}}))
        await until_says(cluster, MACHINE, "group", "WaitingForWorkspace")
        await cluster.apply(machine("node", NODE))
        await until_says(cluster, MACHINE, "node", "WaitingForNodeGroup")
        assert await cluster.client.get_live(APPLY, NAMESPACE, "node-machine") is None

        await cluster.apply(template("group", GROUP_MODULE))
        await until_says(cluster, MACHINE, "node", "Provisioned")
        node = await cluster.client.get_live(MACHINE, NAMESPACE, "node")
        assert node is not None
        assert node.status.instance_id == "i-in-subnet-of-group"
        assert node.status.node_group_name == "group"


async def test_a_group_goes_after_its_nodes(cluster: Cluster) -> None:
    """Deleted first, a group still waits for the nodes that were made in it; then it goes too."""
    async with cluster.manager():
        await cluster.apply(template("node", NODE_MODULE), template("group", GROUP_MODULE))
        await cluster.apply(machine("group", {**GROUP, "nodeGroupConfig": {}}), machine("node", NODE))
        await until_says(cluster, MACHINE, "node", "Provisioned")

        await cluster.client.delete(MACHINE, NAMESPACE, "group")
        await until_says(cluster, MACHINE, "group", "WaitingForNodes")
        assert await cluster.client.get_live(APPLY, NAMESPACE, "group-machine") is not None

        await cluster.client.delete(MACHINE, NAMESPACE, "node")
        await cluster.observer.gone(MACHINE, APPLY, WORKSPACE)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ('variable "missing" { type = string }', "variable 'missing' is required by the module"),
        ("resource {", "Invalid configuration"),
    ],
    ids=["checked", "terraform"],
)
async def test_terraforms_error_shows_at_every_level_and_heals(
    cluster: Cluster, broken: str, words: str
) -> None:
    """A broken template shows in machine, set and deployment, in Terraform's words or ours; mending it is enough."""
    sample, deployment = samples()
    module = sample["spec"]["template"]["spec"]["forProvider"]["module"]
    sample["spec"]["template"]["spec"]["forProvider"]["module"] = f"{module}\n{broken}\n"
    async with cluster.manager():
        await cluster.apply(sample, deployment)
        await until_says(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "MachinesFailing")
        told = await condition(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT)
        assert told is not None
        assert words in told.message

        mended = {"template": {"spec": {"forProvider": {"module": module}}}}
        await cluster.client.patch(TEMPLATE, NAMESPACE, "machine-template", {"spec": mended})
        await until_says(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "Complete")


async def test_tags_reach_machines_without_a_rollout(cluster: Cluster) -> None:
    """D8: A change in place reaches Terraform through the machines there are, and the deployment is Ready after it."""
    async with cluster.manager():
        await cluster.apply(*samples())
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        before = {each.metadata.uid for each in await cluster.client.list_live(MACHINE)}

        tags = {"env": "prod"}
        labels = {"role": "worker", "team": "a"}
        await change(cluster, {"template": {"metadata": {"labels": labels}, "spec": {"tags": tags}}})

        async def reached() -> bool:
            machines = await cluster.observer.client.list(MACHINE)
            return all(
                each.status.ready
                and each.status.observed_generation == 2
                and each.metadata.labels["team"] == "a"
                for each in machines
            )

        await cluster.observer.until(reached)
        await until_says(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "Complete")
        assert {each.metadata.uid for each in await cluster.client.list_live(MACHINE)} == before
        for workspace in await cluster.client.list_live(WORKSPACE):
            assert workspace.spec.for_provider.varmap["tags"] == tags


async def test_on_delete_replaces_what_the_user_deletes(cluster: Cluster) -> None:
    """Under OnDelete a changed template moves nothing; a deleted machine comes back as one of the new template."""
    sample, deployment = samples()
    deployment["spec"]["strategy"] = {"type": "OnDelete"}
    async with cluster.manager():
        await cluster.apply(sample, deployment)
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        await change(cluster, {"template": {"spec": {"instanceType": "t3.large"}}})
        await until_says(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "RollingOut")
        old = await cluster.client.list_live(MACHINE)
        assert {each.spec.instance_type for each in old} == {"t3.medium"}

        await cluster.client.delete(MACHINE, NAMESPACE, old[0].metadata.name)

        async def reached() -> bool:
            ready = [each for each in await cluster.observer.client.list(MACHINE) if each.status.ready]
            return sorted(each.spec.instance_type or "" for each in ready) == [
                "t3.large",
                "t3.medium",
                "t3.medium",
            ]

        await cluster.observer.until(reached)


async def test_a_paused_deployment_scales_and_does_not_roll(cluster: Cluster) -> None:
    """B-M13: While paused, replicas are followed and the template is not; resumed, it rolls out."""
    async with cluster.manager():
        await cluster.apply(*samples())
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        await change(
            cluster, {"paused": True, "replicas": 4, "template": {"spec": {"instanceType": "t3.large"}}}
        )

        async def scaled() -> bool:
            machines = await cluster.observer.client.list(MACHINE)
            return len(machines) == 4 and all(each.status.ready for each in machines)

        await cluster.observer.until(scaled)
        await until_says(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "DeploymentPaused", "Progressing")
        machines = await cluster.client.list_live(MACHINE)
        assert {each.spec.instance_type for each in machines} == {"t3.medium"}

        await change(cluster, {"paused": False})
        await cluster.observer.settled(DEPLOYMENT, replicas=4)
        machines = await cluster.client.list_live(MACHINE)
        assert {each.spec.instance_type for each in machines} == {"t3.large"}


async def test_going_back_uses_the_old_set_and_a_new_revision(cluster: Cluster) -> None:
    """The set of an earlier template is used again under the next revision; history beyond its limit goes."""
    sample, deployment = samples()
    deployment["spec"] |= {"replicas": 1, "revisionHistoryLimit": 1}
    async with cluster.manager():
        await cluster.apply(sample, deployment)
        await cluster.observer.settled(DEPLOYMENT, replicas=1)
        (first,) = await cluster.client.list_live(MACHINE_SET)
        for instance_type, revision in (("t3.large", "2"), ("t3.medium", "3"), ("t3.nano", "4")):
            await change(cluster, {"template": {"spec": {"instanceType": instance_type}}})
            await cluster.observer.settled(DEPLOYMENT, replicas=1)

            async def numbered(revision: str = revision) -> bool:
                found = await cluster.observer.client.get(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT)
                annotations = found.metadata.annotations if found else {}
                return annotations.get(names.DEPLOYMENT_REVISION_ANNOTATION) == revision

            await cluster.observer.until(numbered)

        async def trimmed() -> bool:
            return len(await cluster.observer.client.list(MACHINE_SET)) == 2

        await cluster.observer.until(trimmed)
        kept = {each.metadata.uid for each in await cluster.client.list_live(MACHINE_SET)}
        assert first.metadata.uid in kept


async def test_a_relabelled_machine_is_released_and_replaced_once(cluster: Cluster) -> None:
    """A machine that no longer matches is let go alive; the set makes one other, not one after the other."""
    async with cluster.manager():
        await cluster.apply(*samples())
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        stray = (await cluster.client.list_live(MACHINE))[0].metadata.name
        await cluster.client.patch(MACHINE, NAMESPACE, stray, {"metadata": {"labels": {"role": "debug"}}})

        async def replaced() -> bool:
            machines = await cluster.observer.client.list(MACHINE)
            owned = [each for each in machines if each.metadata.controller]
            return len(machines) == 4 and len(owned) == 3 and all(each.status.ready for each in machines)

        await cluster.observer.until(replaced)
        released = await cluster.client.get_live(MACHINE, NAMESPACE, stray)
        assert released is not None
        assert released.metadata.owner_references == ()

        # its name is taken: the set must find others, also when it scales
        await change(cluster, {"replicas": 5})

        async def grown() -> bool:
            return len(await cluster.observer.client.list(MACHINE)) == 6

        await cluster.observer.until(grown)

        # given back its label, it is one too many, and counts
        await cluster.client.patch(MACHINE, NAMESPACE, stray, {"metadata": {"labels": {"role": "worker"}}})
        await cluster.observer.settled(DEPLOYMENT, replicas=5)


async def test_a_set_alone_scales_and_replaces(cluster: Cluster) -> None:
    """A set without selector and deployment keeps its number, and says when it is complete."""
    async with cluster.manager():
        await cluster.apply(samples()[0], machine_set("alone", 2))
        await until_says(cluster, MACHINE_SET, "alone", "MachinesAvailable")
        gone = (await cluster.client.list_live(MACHINE))[0]
        await cluster.client.delete(MACHINE, NAMESPACE, gone.metadata.name)

        async def replaced() -> bool:
            machines = await cluster.observer.client.list(MACHINE)
            return len(machines) == 2 and all(
                each.status.ready and each.metadata.uid != gone.metadata.uid for each in machines
            )

        await cluster.observer.until(replaced)
        await cluster.client.patch(MACHINE_SET, NAMESPACE, "alone", {"spec": {"replicas": 0}})
        await cluster.observer.gone(MACHINE, WORKSPACE)


async def test_the_annotated_machine_goes_first(cluster: Cluster) -> None:
    """Scaling down takes the machine that the annotation chooses."""
    async with cluster.manager():
        await cluster.apply(samples()[0], machine_set("alone", 3))
        await until_says(cluster, MACHINE_SET, "alone", "MachinesAvailable")
        chosen = sorted(each.metadata.name for each in await cluster.client.list_live(MACHINE))[1]
        marked = {"metadata": {"annotations": {names.DELETE_MACHINE_ANNOTATION: ""}}}
        await cluster.client.patch(MACHINE, NAMESPACE, chosen, marked)
        await cluster.client.patch(MACHINE_SET, NAMESPACE, "alone", {"spec": {"replicas": 2}})

        async def shrunk() -> bool:
            return len(await cluster.observer.client.list(MACHINE)) == 2

        await cluster.observer.until(shrunk)
        assert chosen not in {each.metadata.name for each in await cluster.client.list_live(MACHINE)}


async def test_min_ready_seconds_delays_availability(cluster: Cluster) -> None:
    """A ready machine becomes available after minReadySeconds, by itself and not before."""
    clock = FakeClock(datetime.now(UTC))

    async def counts(step: float) -> tuple[int, int]:
        await clock.advance(step)
        found = await cluster.observer.client.get(MACHINE_SET, NAMESPACE, "alone")
        return (found.status.ready_replicas, found.status.available_replicas) if found else (0, 0)

    async def ready() -> bool:
        return (await counts(0.2))[0] == 1

    async def available() -> bool:
        return (await counts(10))[1] == 1

    async with cluster.manager(clock=clock):
        await cluster.apply(samples()[0], machine_set("alone", 1, minReadySeconds=60))
        await cluster.observer.until(ready)
        assert await counts(0) == (1, 0)
        before = clock.monotonic()
        await cluster.observer.until(available)
        assert clock.monotonic() - before > 30


async def test_a_stuck_rollout_is_reported_and_goes_on(cluster: Cluster) -> None:
    """Past its deadline a rollout says so, and completes when it can."""
    sample, deployment = samples()
    deployment["spec"] |= {"replicas": 1, "progressDeadlineSeconds": 1}
    async with cluster.manager():
        await cluster.apply(deployment)
        await until_says(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "ProgressDeadlineExceeded", "Progressing")
        await cluster.apply(sample)
        await until_says(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "NewReplicaSetAvailable", "Progressing")


@pytest.mark.parametrize("kind", [MACHINE_DEPLOYMENT, MACHINE_SET])
async def test_cascade_orphan_leaves_the_children_and_a_successor_adopts_them(
    cluster: Cluster, kind: Any
) -> None:
    """`--cascade=orphan` deletes the parent alone; made again, it takes its children back."""
    sample, deployment = samples()
    parent = deployment
    if kind is MACHINE_SET:
        labels = {"role": "worker"}
        spec = {**deployment["spec"]["template"]["spec"]}
        template = {"metadata": {"labels": labels}, "spec": spec}
        parent = machine_set("alone", 3, selector={"matchLabels": labels}, template=template)
        await cluster.observer.collector_knows(MACHINE, NODE)
    else:
        await cluster.observer.collector_knows(MACHINE_SET, machine_set("unused", 0)["spec"])
    name = parent["metadata"]["name"]
    async with cluster.manager():
        await cluster.apply(sample, parent)

        async def ready() -> bool:
            found = await cluster.observer.client.get(kind, NAMESPACE, name)
            return found is not None and is_true(found.status.conditions, "Ready")

        await cluster.observer.until(ready)
        before = {each.metadata.uid for each in await cluster.client.list_live(MACHINE)}
        await cluster.client.delete(kind, NAMESPACE, name, propagation="Orphan")
        await cluster.observer.gone(kind)
        assert {each.metadata.uid for each in await cluster.client.list_live(MACHINE)} == before

        await cluster.apply(parent)
        await cluster.observer.until(ready)
        assert {each.metadata.uid for each in await cluster.client.list_live(MACHINE)} == before


async def test_a_paused_machine_is_left_alone(cluster: Cluster) -> None:
    """The annotation of the Cluster API contract stops everything; without it, work goes on."""
    paused = {"annotations": {names.PAUSED_ANNOTATION: ""}}
    async with cluster.manager():
        node = {**NODE, "workspaceTemplateRef": {"name": "machine-template"}}
        await cluster.apply(samples()[0], machine("held", node, **paused), machine("other", node))
        await until_says(cluster, MACHINE, "other", "Provisioned")
        assert await cluster.client.get_live(APPLY, NAMESPACE, "held-machine") is None
        resumed = {"metadata": {"annotations": {names.PAUSED_ANNOTATION: None}}}
        await cluster.client.patch(MACHINE, NAMESPACE, "held", resumed)
        await until_says(cluster, MACHINE, "held", "Provisioned")


async def test_refused_creations_show_and_heal(cluster: Cluster) -> None:
    """What the API server refuses shows in set and deployment; when it lets the machines in, all is well."""

    refusing = True

    def creates_machines(method: str, path: str) -> bool:
        return refusing and method == "POST" and path.endswith("/captmachines")

    async with (
        HttpTransport(cluster.manager_config) as transport,
        cluster.manager(transport=RefusingTransport(transport, creates_machines)),
    ):
        await cluster.apply(*samples())
        refused = await until_says(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "FailedCreate")
        assert says(refused, "FailedCreate", "ReplicaFailure")
        assert await cluster.client.list_live(MACHINE) == []

        refusing = False
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        await until_says(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "Complete")
        assert await condition(cluster, MACHINE_DEPLOYMENT, DEPLOYMENT, "ReplicaFailure") is None


async def test_a_namespace_on_its_way_out_is_nobodys_failure(cluster: Cluster) -> None:
    """What can no longer be made, because its namespace is being deleted, is neither a failure nor an event."""
    tried = asyncio.Event()

    def creates_machines(method: str, path: str) -> bool:
        matches = method == "POST" and path.endswith("/captmachines")
        if matches:
            tried.set()
        return matches

    async with (
        HttpTransport(cluster.manager_config) as transport,
        cluster.manager(
            transport=RefusingTransport(transport, creates_machines, cause="NamespaceTerminating")
        ),
    ):
        await cluster.apply(*samples())
        await tried.wait()

        async def looked_at() -> bool:
            sets = await cluster.observer.client.list(MACHINE_SET)
            return bool(sets) and all(each.status.observed_generation for each in sets)

        await cluster.observer.until(looked_at)
    for machine_set in await cluster.client.list_live(MACHINE_SET):
        assert find_condition(machine_set.status.conditions, "ReplicaFailure") is None
    assert [event for event in await cluster.client.list_live(EVENT) if event.type == "Warning"] == []


async def test_a_taken_name_is_walked_around(cluster: Cluster) -> None:
    """A set of somebody else under the name of the new set gives it another name, once."""
    sample, deployment = samples()
    spec = CaptMachineSpec.model_validate(deployment["spec"]["template"]["spec"])
    hashed = template_hash(spec, NAMESPACE, restarted_at=None, collisions=0)
    taken = names.machine_set_name(DEPLOYMENT, hashed)
    async with cluster.manager():
        await cluster.apply(sample, machine_set(taken, 0), deployment)
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        found = await cluster.client.get_live(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT)
        assert found is not None
        assert found.status.collision_count == 1
        assert len(await cluster.client.list_live(MACHINE_SET)) == 2


async def test_rollout_after_restarts_every_machine_once(cluster: Cluster) -> None:
    """`rolloutAfter` replaces all machines of an unchanged template when its time has come."""
    async with cluster.manager():
        await cluster.apply(*samples())
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        before = {each.metadata.uid for each in await cluster.client.list_live(MACHINE)}
        soon = datetime.now(UTC) + timedelta(seconds=1)
        await change(cluster, {"rolloutAfter": soon.strftime("%Y-%m-%dT%H:%M:%SZ")})

        async def replaced() -> bool:
            machines = await cluster.observer.client.list(MACHINE)
            return len(machines) == 3 and all(
                each.status.ready and each.metadata.uid not in before for each in machines
            )

        await cluster.observer.until(replaced)
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        assert len(await cluster.client.list_live(MACHINE_SET)) == 2


async def test_a_definition_older_than_the_manager_holds_no_machine_up(cluster: Cluster) -> None:
    """Where the served WorkspaceTemplateApply lacks a newer field, machines become Ready all the same."""
    resource = APPLY.resource
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource.plural}.{resource.group}"
    async with HttpTransport(cluster.config) as transport:

        async def serve(version: dict[str, Any]) -> None:
            body = json.dumps({"spec": {"versions": [version]}}).encode()
            content_type = "application/merge-patch+json"
            raise_for_status(await transport.request("PATCH", path, body=body, content_type=content_type))

        (current,) = json.loads((await transport.request("GET", path)).body)["spec"]["versions"]
        older = copy.deepcopy(current)
        del older["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["optionalVariables"]
        await serve(older)
        try:
            async with cluster.manager():
                node = {**NODE, "workspaceTemplateRef": {"name": "machine-template"}}
                await cluster.apply(samples()[0], machine("alone", node))
                await until_says(cluster, MACHINE, "alone", "Provisioned")
        finally:
            await serve(current)
            await until(lambda: keeps_optional_variables(cluster))


async def keeps_optional_variables(cluster: Cluster) -> bool:
    """Tell whether the server, which takes a moment to follow a changed definition, knows the newer field."""
    metadata = {"name": "probe", "namespace": NAMESPACE}
    spec = {"templateRef": {"name": "none"}, "optionalVariables": ["a"]}
    made = await cluster.client.create(APPLY, {"metadata": metadata, "spec": spec})
    await cluster.client.delete(APPLY, NAMESPACE, "probe")
    return bool(made.spec.optional_variables)


NULL_MODULE = """
variable "size" {
  type    = number
  default = 7
}
variable "disks" { type = any }
variable "node_group" { type = string }
output "size" { value = var.size }
output "disks" { value = var.disks }
"""


async def test_null_passes_through_the_whole_chain(cluster: Cluster) -> None:
    """A null in a machine's values is one for Terraform, wherever it stands, from the beginning and when it comes later."""
    spec = {**NODE, "workspaceTemplateRef": {"name": "nulls"}}
    first = {"size": None, "disks": {"a": {"type": None}, "b": [{"type": None}, None]}}
    second = {"size": 3, "disks": {"a": None, "b": [None, {"type": "x", "gb": None}]}}
    async with cluster.manager():
        await cluster.apply(template("nulls", NULL_MODULE), machine("node", {**spec, "values": first}))

        async def arrived(values: dict[str, Any]) -> bool:
            found = await cluster.observer.client.get(MACHINE, NAMESPACE, "node")
            applies = await cluster.observer.client.list(APPLY)
            workspaces = await cluster.observer.client.list(WORKSPACE)
            return (
                found is not None
                and found.status.ready
                and [values.items() <= dict(each.spec.values).items() for each in applies] == [True]
                and [values.items() <= dict(each.spec.for_provider.varmap).items() for each in workspaces]
                == [True]
                and found.status.outputs.get("disks") == values["disks"]
            )

        await cluster.observer.until(lambda: arrived(first))
        found = await cluster.client.get_live(MACHINE, NAMESPACE, "node")
        assert found is not None
        for values in (second, first):
            found = await cluster.client.json_patch(
                MACHINE,
                NAMESPACE,
                "node",
                [{"op": "replace", "path": "/spec/values", "value": values}],
                resource_version=found.metadata.resource_version,
                uid=found.metadata.uid,
            )
            await cluster.observer.until(partial(arrived, values))
            found = await cluster.client.get_live(MACHINE, NAMESPACE, "node")
            assert found is not None


async def test_an_upgrade_disturbs_no_machine(cluster: Cluster) -> None:
    """A newer manager that gives every apply a further field brings them up to date, and no machine is unready meanwhile."""
    async with cluster.manager():
        await cluster.apply(*samples())
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
    for apply in await cluster.client.list_live(APPLY):
        older = {"spec": {"optionalVariables": None}}
        await cluster.client.patch(APPLY, NAMESPACE, apply.metadata.name, older)
    machines = cluster.observer.informers.store(MACHINE)

    unready: list[str] = []

    def look() -> None:
        for each in machines.list():
            conditions = each.decode()["status"]["conditions"]
            if ("Ready", "True") not in [(one["type"], one["status"]) for one in conditions]:
                unready.append(each.name)

    cluster.observer.checks.append(look)
    async with cluster.manager():

        async def upgraded() -> bool:
            applies = await cluster.observer.client.list(APPLY)
            return all(
                each.spec.optional_variables and each.status.observed_generation == each.metadata.generation
                for each in applies
            )

        await cluster.observer.until(upgraded)
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
        assert unready == []
        # a change that Terraform has to carry out still shows
        await change(cluster, {"template": {"spec": {"tags": {"a": "b"}}}})

        async def seen() -> bool:
            return bool(unready)

        await cluster.observer.until(seen)
        await cluster.observer.settled(DEPLOYMENT, replicas=3)
