"""What keeps the Workspace chain from doing harm, over HTTP, with a provider that is not ours."""

from __future__ import annotations

from typing import Any

import pytest

from capt.api import WorkspaceTemplateApply
from capt.assets import manifests
from capt.controllers.consent import ALLOWED_NAMESPACES_ANNOTATION
from capt.controllers.kinds import APPLY, SECRET, TEMPLATE
from capt.controllers.workspace import WORKSPACE_GROUP_ANNOTATION, OutputReader
from capt.controllers.workspace_template_apply.creation import DURABLE_STATE_ANNOTATION, RESUMED_ANNOTATION
from capt.controllers.workspace_template_apply.deletion import ABANDON_ANNOTATION
from capt.install import definitions, install_definitions
from capt.runtime import HttpTransport, SystemClock
from capt.runtime.conditions import find_condition
from capt.terraform import Simulation
from capt.terraform.conduct import Generations
from tests.support.chain import TERRAFORM_NAMESPACED
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.fast_clock import FastClock
from tests.support.neutral_provider import WORKSPACE, neutral_provider
from tests.support.workspace_chain import (
    apply_of,
    chain,
    get,
    get_workspace,
    message,
    patch,
    template,
    until_gone,
    until_output,
    until_reason,
    workspace_of,
)

ELSEWHERE = "kube-system"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MODULE = """
variable "name" { type = string }
variable "size" {
  type    = number
  default = 1
}
output "size" { value = var.size }
"""


def said(apply: WorkspaceTemplateApply | None, kind: str) -> tuple[str, str, str]:
    found = find_condition(apply.status.conditions, kind) if apply else None
    return (found.status, found.reason, found.message) if found else ("", "", "")


async def test_variables_are_checked_before_anything_is_made(cluster: Cluster) -> None:
    """A missing, a misspelt and a mistyped variable are named; optional ones are passed only where declared."""
    async with neutral_provider(cluster.config, ages=True), chain(cluster):
        wrong = {"siz": 3, "size": ["a"], "labels": {}}
        await cluster.apply(template(MODULE), apply_of(values=wrong, optionalVariables=["labels"]))
        await until_reason(cluster, "VariablesInvalid")
        assert await message(cluster) == (
            "variable 'siz' is not declared by the module (did you mean 'size'?); "
            "variable 'name' is required by the module and has no value; "
            "variable 'size' has the wrong type: a number is wanted, an array of 1 is given"
        )
        assert await get_workspace(cluster) is None
        await patch(cluster, {"values": {"siz": None, "size": 3, "name": "n"}})
        apply = await until_reason(cluster, "Available")
        assert said(apply, "VariablesValid")[:2] == ("True", "Declared")
        workspace = await get_workspace(cluster)
        assert workspace is not None
        assert workspace.spec.for_provider.varmap == {"size": 3, "name": "n"}


async def test_a_module_that_is_elsewhere_is_not_checked(cluster: Cluster) -> None:
    """Nobody here has read a remote module: the variables are passed as they are, and the condition says so."""
    async with neutral_provider(cluster.config, ages=True), chain(cluster):
        base = template("example.com/module")
        base["spec"]["template"]["spec"]["forProvider"]["source"] = "Remote"
        await cluster.apply(base, apply_of(values={"anything": 1}))
        apply = await until_reason(cluster, "Available")
        assert said(apply, "VariablesValid")[:2] == ("Unknown", "ModuleNotInline")
        assert apply.status.outputs["anything"] == 1


async def test_null_is_a_value(cluster: Cluster) -> None:
    """A variable that becomes null reaches the Workspace as null, in one write, and is left alone afterwards."""
    async with neutral_provider(cluster.config, ages=True), chain(cluster):
        await cluster.apply(template(), apply_of(values={"size": {"a": 1, "b": 2}}))
        await until_output(cluster, {"a": 1, "b": 2})
        apply = await get(cluster)
        assert apply is not None
        await cluster.client.json_patch(
            APPLY,
            NAMESPACE,
            "one",
            [{"op": "add", "path": "/spec/values/size/b", "value": None}],
            resource_version=apply.metadata.resource_version,
            uid=apply.metadata.uid,
        )
        apply = await until_reason(cluster, "Available")

        async def arrived() -> bool:
            workspace = await get_workspace(cluster)
            return workspace is not None and workspace.spec.for_provider.varmap == {
                "size": {"a": 1, "b": None}
            }

        await cluster.observer.until(arrived)
        await until_reason(cluster, "Available")
        assert cluster.writes(user_agent="capt/").count("patch workspaces") == 1


async def test_a_flavour_that_vanishes_is_not_replaced_by_another(cluster: Cluster) -> None:
    """An apply never makes a second Workspace elsewhere, and cannot be deleted while nobody knows what stands."""
    kind = TERRAFORM_NAMESPACED.kind
    (definition,) = definitions(manifests() / "workspace")
    definition["metadata"]["name"] = str(kind.resource)
    definition["spec"] |= {"group": kind.resource.group, "scope": "Namespaced"}
    base = template()
    base["metadata"]["annotations"] = {WORKSPACE_GROUP_ANNOTATION: kind.resource.group}
    async with chain(cluster, clock=FastClock(10)):
        await install_definitions(cluster.client, [definition], SystemClock())
        async with neutral_provider(cluster.config, ages=True, kind=kind):
            await cluster.apply(base, apply_of(variables={"size": "s"}))
            apply = await until_output(cluster, "s")
            assert apply.status.workspace_group == kind.resource.group
        await cluster.client.patch(kind, NAMESPACE, workspace_of(), {"metadata": {"finalizers": None}})
        async with HttpTransport(cluster.config) as transport:
            await transport.request("DELETE", f"{DEFINITIONS}/{kind.resource}")
        apply = await until_reason(cluster, "WorkspaceKindMissing")
        assert await get_workspace(cluster) is None
        await cluster.client.delete(APPLY, NAMESPACE, "one")

        async def waits() -> bool:
            return "cannot be known" in await message(cluster)

        await cluster.observer.until(waits)
        abandoned = {"metadata": {"annotations": {ABANDON_ANNOTATION: "true"}}}
        await cluster.client.patch(APPLY, NAMESPACE, "one", abandoned)
        await until_gone(cluster)


async def test_a_workspace_that_no_status_names_goes_too(cluster: Cluster) -> None:
    """F14: An apply whose status was lost finds its Workspace by its marks, and takes it along when it goes (B-W07)."""
    async with neutral_provider(cluster.config, ages=True):
        async with chain(cluster):
            await cluster.apply(template(), apply_of())
            await until_reason(cluster, "Available")
        lost = {"status": {"workspaceName": None, "workspaceGroup": None, "conditions": None}}
        await cluster.client.patch(APPLY, NAMESPACE, "one", lost, subresource="status")
        await cluster.client.delete(APPLY, NAMESPACE, "one")
        async with chain(cluster):
            await until_gone(cluster)
        assert await cluster.client.get_live(WORKSPACE, "", workspace_of()) is None


async def test_ready_without_its_template(cluster: Cluster) -> None:
    """What is applied stays Ready when its template is gone, finalizer and all; Synced says what is missing (B-W09)."""
    async with neutral_provider(cluster.config, ages=True), chain(cluster):
        await cluster.apply(template(), apply_of())
        await until_reason(cluster, "Available")
        await cluster.client.delete(TEMPLATE, NAMESPACE, "small")
        await cluster.client.patch(TEMPLATE, NAMESPACE, "small", {"metadata": {"finalizers": None}})

        async def told() -> bool:
            return said(await get(cluster), "Synced")[:2] == ("Unknown", "TemplateNotFound")

        await cluster.observer.until(told)
        assert said(await get(cluster), "Ready")[0] == "True"


async def test_a_secret_outlives_whose_terraform_reads_it(cluster: Cluster) -> None:
    """Destroying reads what creating read: the Workspace that writes a Secret goes after those that read it."""
    reading = template(name="reading")
    reading["spec"]["template"]["spec"]["forProvider"]["env"] = [
        {"name": "TOKEN", "secretKeyRef": {"name": "one-outputs", "key": "token"}}
    ]
    reader = apply_of("two")
    reader["spec"]["templateRef"]["name"] = "reading"
    async with neutral_provider(cluster.config, ages=True), chain(cluster):
        await cluster.apply(
            template(), reading, apply_of(writeConnectionSecretToRef={"name": "one-outputs"}), reader
        )
        await until_reason(cluster, "Available")
        await until_reason(cluster, "Available", "two")
        await cluster.client.delete(APPLY, NAMESPACE, "one")
        await until_reason(cluster, "WaitingForDependents")
        assert "default/two" in await message(cluster)
        await cluster.client.delete(APPLY, NAMESPACE, "two")
        await until_gone(cluster)


async def test_an_interrupted_creation_goes_on_where_that_is_safe(cluster: Cluster) -> None:
    """The provider's mark is taken away once the template says that the state outlives the provider; else it is shown."""
    wedge = "cannot determine creation result - remove the crossplane.io/external-create-pending annotation"
    async with neutral_provider(cluster.config, ages=True) as provider, chain(cluster):
        provider.failures["variable"] = wedge
        await cluster.apply(template(), apply_of())
        await until_reason(cluster, "CreatePending")
        mark = {"crossplane.io/external-create-pending": "2026-01-01T00:00:00Z"}
        await cluster.client.patch(WORKSPACE, "", workspace_of(), {"metadata": {"annotations": mark}})
        await until_reason(cluster, "CreatePending")
        provider.failures.clear()
        provider.idle = True
        said_so = {"metadata": {"annotations": {DURABLE_STATE_ANNOTATION: "true"}}}
        await cluster.client.patch(TEMPLATE, NAMESPACE, "small", said_so)

        async def cleared() -> bool:
            workspace = await get_workspace(cluster)
            return workspace is not None and not mark.keys() & workspace.metadata.annotations.keys()

        await cluster.observer.until(cleared)
        await provider.awake()
        await until_reason(cluster, "Available")


async def test_what_was_interrupted_can_be_deleted(cluster: Cluster) -> None:
    """A provider that stopped while it created does not destroy either: the apply says so, and lets it go on when safe."""
    simulation = Simulation(interruption_rate=1.0, generations="synced")
    async with cluster.manager(simulation=simulation, clock=FastClock(20)):
        await cluster.apply(template(), apply_of())
        await until_reason(cluster, "CreatePending")
        await cluster.client.delete(APPLY, NAMESPACE, "one")
        await until_reason(cluster, "Deleting")

        async def told() -> bool:
            return "waits for a person: cannot determine creation result" in await message(cluster)

        await cluster.observer.until(told)
        said_so = {"metadata": {"annotations": {DURABLE_STATE_ANNOTATION: "true"}}}
        await cluster.client.patch(TEMPLATE, NAMESPACE, "small", said_so)
        await cluster.observer.gone(APPLY, WORKSPACE)


@pytest.mark.parametrize("generations", ["synced", "none"])
async def test_a_provider_with_all_its_manners(cluster: Cluster, generations: Generations) -> None:
    """Interrupted, failing, drifting and silent about generations: every apply gets there, and back, in the end."""
    simulation = Simulation(
        seed=7,
        plan_seconds=0.5,
        apply_seconds=2,
        jitter=0.5,
        failure_rate=0.3,
        drift_rate=0.2,
        interruption_rate=0.4,
        generations=generations,
    )
    base = template()
    base["metadata"]["annotations"] = {DURABLE_STATE_ANNOTATION: "true"}
    every = [f"apply-{number}" for number in range(6)]
    async with cluster.manager(simulation=simulation, clock=FastClock(20)):
        await cluster.apply(base, *(apply_of(name, variables={"size": "s"}) for name in every))
        for name in every:
            await until_reason(cluster, "Available", name)
        workspaces = await cluster.client.list_live(WORKSPACE)
        assert any(RESUMED_ANNOTATION in each.metadata.annotations for each in workspaces)
        for name in every:
            await patch(cluster, {"variables": {"size": "m"}}, name)

        async def changed() -> bool:
            applies = await cluster.observer.client.list(APPLY)
            return all(apply.status.applied and apply.status.outputs == {"size": "m"} for apply in applies)

        await cluster.observer.until(changed)
        for name in every:
            await cluster.client.delete(APPLY, NAMESPACE, name)
        await cluster.observer.gone(APPLY, WORKSPACE)


async def test_outputs_are_read_only_from_the_own_secret(cluster: Cluster) -> None:
    """A sensitive output comes out of the connection Secret, unless somebody else's Secret has that name."""
    foreign: dict[str, Any] = {
        "metadata": {"name": "outputs", "namespace": NAMESPACE},
        "stringData": {"token": "not yours"},
    }
    await cluster.client.create(SECRET, foreign)
    async with neutral_provider(cluster.config, ages=True), chain(cluster):
        await cluster.apply(
            template(),
            apply_of(variables={"size": "s"}, writeConnectionSecretToRef={"name": "outputs"}),
        )
        apply = await until_output(cluster, "s")
        reader = OutputReader(cluster.client)
        assert await reader.read(apply, "size") == "s"
        assert await reader.read(apply, "token") is None
        workspace = await get_workspace(cluster)
        assert workspace is not None
        owner = {
            "apiVersion": workspace.api_version,
            "kind": "Workspace",
            "name": workspace.metadata.name,
            "uid": workspace.metadata.uid,
            "controller": True,
        }
        await cluster.client.patch(SECRET, NAMESPACE, "outputs", {"metadata": {"ownerReferences": [owner]}})
        assert await reader.read(apply, "token") == "not yours"


async def test_what_lies_in_another_namespace_is_seen_with_its_consent_only(cluster: Cluster) -> None:
    """A wait tells nobody what another namespace has, and holds up nothing there, until that consents."""
    place = {"name": "credentials", "namespace": ELSEWHERE}
    base = template()
    base["metadata"]["namespace"] = ELSEWHERE
    target = apply_of("target")
    target["metadata"]["namespace"] = ELSEWHERE
    waits: dict[str, Any] = {
        "waitForSecrets": [place],
        "waitForWorkspaces": [{"name": "target", "namespace": ELSEWHERE}],
    }
    async with neutral_provider(cluster.config, ages=True), chain(cluster, clock=FastClock(10)):
        await cluster.apply(template(), apply_of(**waits))
        apply = await until_reason(cluster, "WaitingForSecrets")
        absent = [said(apply, kind) for kind in ("SecretsReady", "WorkspacesReady")]
        assert all("allowed-namespaces" in message for _, _, message in absent)

        await cluster.client.create(SECRET, {"metadata": place})
        await cluster.apply(base, target)

        async def stands() -> bool:
            found = await cluster.observer.client.get(APPLY, ELSEWHERE, "target")
            return said(found, "Ready")[0] == "True"

        await cluster.observer.until(stands)
        await patch(cluster, {"optionalVariables": ["look-again"]})

        async def looked_again() -> bool:
            apply = await get(cluster)
            return apply is not None and apply.status.observed_generation == apply.metadata.generation

        await cluster.observer.until(looked_again)
        assert [said(await get(cluster), kind) for kind in ("SecretsReady", "WorkspacesReady")] == absent

        consent = {"metadata": {"annotations": {ALLOWED_NAMESPACES_ANNOTATION: f"other, {NAMESPACE}"}}}
        await cluster.client.patch(SECRET, ELSEWHERE, "credentials", consent)
        await until_reason(cluster, "WaitingForWorkspaces")
        await cluster.client.patch(APPLY, ELSEWHERE, "target", consent)
        await until_reason(cluster, "Available")
        # who serves is waited for in turn, and is free again when it takes its consent back
        await cluster.client.delete(APPLY, ELSEWHERE, "target")

        async def held() -> bool:
            found = await cluster.observer.client.get(APPLY, ELSEWHERE, "target")
            return said(found, "Ready")[1] == "WaitingForDependents"

        await cluster.observer.until(held)
        withdrawn = {"metadata": {"annotations": {ALLOWED_NAMESPACES_ANNOTATION: None}}}
        await cluster.client.patch(APPLY, ELSEWHERE, "target", withdrawn)

        async def gone() -> bool:
            return await cluster.observer.client.get(APPLY, ELSEWHERE, "target") is None

        await cluster.observer.until(gone)
        await cluster.client.delete(SECRET, ELSEWHERE, "credentials")
