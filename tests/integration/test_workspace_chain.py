"""Template and apply to Workspace and back, over HTTP, with a provider that is not ours."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial

import pytest

from capt.api import Event
from capt.assets import manifests
from capt.controllers import names
from capt.controllers.kinds import APPLY, SECRET, TEMPLATE, kind_of
from capt.controllers.workspace import RETAINED_ANNOTATION, WORKSPACE_GROUP_ANNOTATION
from capt.controllers.workspace_template_apply.deletion import ABANDON_ANNOTATION
from capt.install import definitions, install_definitions
from capt.runtime import SystemClock
from capt.runtime.conditions import find_condition
from tests.support.chain import TERRAFORM_NAMESPACED
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.fast_clock import FastClock
from tests.support.neutral_provider import WORKSPACE, NeutralProvider, neutral_provider
from tests.support.workspace_chain import (
    MODULE,
    apply_of,
    chain,
    get_workspace,
    message,
    patch,
    template,
    until_gone,
    until_output,
    until_reason,
    workspace_of,
)


@pytest.fixture
async def provider(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[NeutralProvider]:
    """A provider, and the two controllers of the chain."""
    ages = getattr(request, "param", True)
    async with neutral_provider(cluster.config, ages=ages) as running_provider, chain(cluster):
        yield running_provider


either_provider = pytest.mark.parametrize(
    "provider", [True, False], ids=["with-observed-generation", "without"], indirect=True
)


@pytest.mark.parametrize("ages", [True, False], ids=["with-observed-generation", "without"])
async def test_ready(cluster: Cluster, ages: bool) -> None:
    """An apply is Ready with the outputs of its Workspace, for two writes of its status and none afterwards (B-W10)."""
    async with neutral_provider(cluster.config, ages=ages), chain(cluster):
        await cluster.apply(template(), apply_of(variables={"size": "s"}, values={"list": [1, {"a": True}]}))
        apply = await until_reason(cluster, "Available")
        assert apply.status.applied
        assert apply.status.workspace_name == workspace_of()
        assert apply.status.outputs == {"id": f"i-{workspace_of()}", "size": "s", "list": [1, {"a": True}]}
        workspace = await get_workspace(cluster)
        assert workspace is not None
        assert (
            apply.status.last_applied_revision
            == workspace.metadata.annotations[names.WORKSPACE_REVISION_ANNOTATION]
        )
        await cluster.apply(apply_of("two", variables={"size": "s"}))
        await until_reason(cluster, "Available", "two")
    # a watch may tell of a write before the server's log of requests does: the controllers have had their answers now
    written = cluster.writes(user_agent="capt/")
    assert written.count("create workspaces") == 2
    assert written.count("patch workspaces") == 0
    assert written.count("patch workspacetemplateapplies/status") == 4


async def test_field_that_the_provider_does_not_know(cluster: Cluster, provider: NeutralProvider) -> None:
    """A field that the provider's CRD drops is written once, and does not keep the apply from being Ready."""
    (definition,) = definitions(manifests() / "workspace")
    for version in definition["spec"]["versions"]:
        parameters = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["forProvider"]
        del parameters["properties"]["planArgs"]
    await install_definitions(cluster.client, [definition], SystemClock())
    base = template()
    base["spec"]["template"]["spec"]["forProvider"]["planArgs"] = ["-lock=false"]
    await cluster.apply(base, apply_of(variables={"size": "s"}))
    await until_output(cluster, "s")
    await patch(cluster, {"variables": {"size": "m"}})
    await until_output(cluster, "m")
    assert cluster.writes(user_agent="capt/").count("patch workspaces") == 1


@either_provider
async def test_updates(cluster: Cluster, provider: NeutralProvider) -> None:
    """Changed variables and a changed template reach the Workspace, and Ready waits for Terraform each time (B-W01)."""
    await cluster.apply(template(), apply_of(variables={"size": "s"}))
    first = await until_output(cluster, "s")
    provider.idle = True
    await patch(cluster, {"variables": {"size": "m"}})
    await until_reason(cluster, "Applying")
    await provider.awake()
    second = await until_output(cluster, "m")
    assert first.status.last_applied_revision != second.status.last_applied_revision

    new = {"template": {"spec": {"forProvider": {"module": MODULE + "# new"}}}}
    await cluster.client.patch(TEMPLATE, NAMESPACE, "small", {"spec": new})

    async def arrived() -> bool:
        workspace = await get_workspace(cluster)
        return workspace is not None and workspace.spec.for_provider.module.endswith("# new")

    await cluster.observer.until(arrived)


async def test_removed_variable(cluster: Cluster, provider: NeutralProvider) -> None:
    """A variable that is no longer given does not linger on the Workspace."""
    await cluster.apply(template(), apply_of(variables={"size": "s", "extra": "x"}))
    await until_output(cluster, "s")
    await patch(cluster, {"variables": {"extra": None, "size": "m"}})
    apply = await until_output(cluster, "m")
    assert "extra" not in apply.status.outputs


@either_provider
async def test_drift(cluster: Cluster, provider: NeutralProvider) -> None:
    """What somebody changes on the Workspace is changed back, and a deleted Workspace is made again (B-W08)."""
    await cluster.apply(template(), apply_of(variables={"size": "s"}))
    await until_output(cluster, "s")
    spoiled = {"spec": {"forProvider": {"varmap": {"size": "spoiled"}}}}
    await cluster.client.patch(WORKSPACE, "", workspace_of(), spoiled)

    async def repaired() -> bool:
        workspace = await get_workspace(cluster)
        return workspace is not None and workspace.spec.for_provider.varmap == {"size": "s"}

    await cluster.observer.until(repaired)
    before = await get_workspace(cluster)
    assert before is not None
    await cluster.client.delete(WORKSPACE, "", workspace_of())

    async def replaced() -> bool:
        workspace = await get_workspace(cluster)
        return workspace is not None and workspace.metadata.uid != before.metadata.uid

    await cluster.observer.until(replaced)
    await until_output(cluster, "s")


@either_provider
async def test_failure(cluster: Cluster, provider: NeutralProvider) -> None:
    """A failure shows the provider's words, as a condition and as one Warning event; a fixed template heals it (B-W15)."""
    events = kind_of(Event)
    heard = partial(cluster.observer.on_event, events)
    await (await cluster.observer.informers.watch(events, heard)).wait_synced()

    async def warned() -> bool:
        found = await cluster.observer.client.list(events)
        return [(event.type, event.reason) for event in found] == [("Warning", "WorkspaceError")]

    provider.failures["broken"] = "create failed: no such region"
    await cluster.apply(template("# broken"), apply_of())
    apply = await until_reason(cluster, "WorkspaceError")
    await cluster.observer.until(warned)
    assert await message(cluster) == "create failed: no such region"
    assert apply.status.last_failure_message == "create failed: no such region"
    good = {"template": {"spec": {"forProvider": {"module": MODULE}}}}
    await cluster.client.patch(TEMPLATE, NAMESPACE, "small", {"spec": good})
    apply = await until_reason(cluster, "Available")
    assert apply.status.last_failure_message is None
    assert await warned()


async def test_injection(cluster: Cluster, provider: NeutralProvider) -> None:
    """A value that would break out of its place in the module never reaches a Workspace (B-W11)."""
    await cluster.apply(template('output "x" { value = "${v}" }'), apply_of(variables={"v": '"'}))
    await until_reason(cluster, "UnsafeVariable")
    assert "variable 'v'" in await message(cluster)
    assert await get_workspace(cluster) is None
    await patch(cluster, {"variables": {"v": "fine"}})
    await until_reason(cluster, "Available")


async def test_missing_template(cluster: Cluster, provider: NeutralProvider) -> None:
    """An apply may come before its template."""
    await cluster.apply(apply_of())
    await until_reason(cluster, "TemplateNotFound")
    await cluster.apply(template())
    await until_reason(cluster, "Available")


async def test_foreign_workspace(cluster: Cluster, provider: NeutralProvider) -> None:
    """A Workspace of the same name that is not ours is reported, never touched, and outlives the apply (B-W06)."""
    body = {
        "metadata": {"name": workspace_of()},
        "spec": {"forProvider": {"source": "Inline", "module": "# foreign"}},
    }
    await cluster.client.create(WORKSPACE, body)
    await cluster.apply(template(), apply_of())
    await until_reason(cluster, "WorkspaceConflict")
    await cluster.client.delete(APPLY, NAMESPACE, "one")
    await until_gone(cluster)
    workspace = await get_workspace(cluster)
    assert workspace is not None
    assert workspace.spec.for_provider.module == "# foreign"
    assert workspace.metadata.deletion_timestamp is None


async def test_deletion(cluster: Cluster, provider: NeutralProvider) -> None:
    """An apply goes when its Workspace is gone, and says why that takes so long."""
    await cluster.apply(template(), apply_of())
    await until_reason(cluster, "Available")
    provider.stuck = True
    await cluster.client.delete(APPLY, NAMESPACE, "one")

    async def told() -> bool:
        return "it is in use" in await message(cluster)

    await cluster.observer.until(told)
    provider.stuck = False
    await provider.awake()
    await until_gone(cluster)
    assert await get_workspace(cluster) is None


async def test_abandonment(cluster: Cluster, provider: NeutralProvider) -> None:
    """The annotation lets an apply go whose infrastructure cannot be destroyed."""
    await cluster.apply(template(), apply_of())
    await until_reason(cluster, "Available")
    provider.stuck = True
    await cluster.client.delete(APPLY, NAMESPACE, "one")
    await cluster.client.patch(
        APPLY, NAMESPACE, "one", {"metadata": {"annotations": {ABANDON_ANNOTATION: "true"}}}
    )
    await until_gone(cluster)
    workspace = await cluster.client.get_live(WORKSPACE, "", workspace_of())
    assert workspace is not None
    assert workspace.spec.deletion_policy == "Orphan"
    await cluster.observer.told(APPLY, "InfrastructureAbandoned", workspace_of())


@either_provider
async def test_retention(cluster: Cluster, provider: NeutralProvider) -> None:
    """A retained Workspace stays, orphaned and marked, and is taken over when the apply comes back (B-W03)."""
    await cluster.apply(template(), apply_of(variables={"size": "s"}, retainWorkspaceOnDelete=True))
    await until_output(cluster, "s")
    before = await get_workspace(cluster)
    await cluster.client.delete(APPLY, NAMESPACE, "one")
    await until_gone(cluster)
    kept = await get_workspace(cluster)
    assert before is not None
    assert kept is not None
    assert kept.metadata.deletion_timestamp is None
    assert kept.spec.deletion_policy == "Orphan"
    assert RETAINED_ANNOTATION in kept.metadata.annotations
    await cluster.observer.told(APPLY, "WorkspaceRetained", workspace_of(), of_type="Normal")

    await cluster.apply(apply_of(variables={"size": "m"}))
    await until_output(cluster, "m")
    taken = await get_workspace(cluster)
    assert taken is not None
    assert taken.metadata.uid == before.metadata.uid
    assert taken.spec.deletion_policy == "Delete"
    assert RETAINED_ANNOTATION not in taken.metadata.annotations


async def test_waits(cluster: Cluster, provider: NeutralProvider) -> None:
    """An apply waits for those that it names, and says for which."""
    await cluster.apply(template(), apply_of("two", waitForWorkspaces=[{"name": "one"}]))
    await until_reason(cluster, "WaitingForWorkspaces", "two")
    assert "default/one" in await message(cluster, "two")
    assert await get_workspace(cluster, "two") is None
    await cluster.apply(apply_of())
    await until_reason(cluster, "Available", "two")


async def test_circle(cluster: Cluster, provider: NeutralProvider) -> None:
    """Applies that wait for each other say so, and can still be deleted."""
    await cluster.apply(
        template(),
        apply_of("one", waitForWorkspaces=[{"name": "two"}]),
        apply_of("two", waitForWorkspaces=[{"name": "one"}]),
    )

    async def named() -> bool:
        return "default/one waits for default/two waits for default/one" in await message(cluster)

    await cluster.observer.until(named)
    for name in ("one", "two"):
        await cluster.client.delete(APPLY, NAMESPACE, name)
        await until_gone(cluster, name)


async def test_order_of_deletion(cluster: Cluster, provider: NeutralProvider) -> None:
    """What stands on an infrastructure goes before it, even when both are deleted at once, base first."""
    await cluster.apply(template(), apply_of(), apply_of("two", waitForWorkspaces=[{"name": "one"}]))
    await until_reason(cluster, "Available", "two")
    await cluster.client.delete(APPLY, NAMESPACE, "one")
    await until_reason(cluster, "WaitingForDependents")
    assert "default/two" in await message(cluster)
    workspace = await get_workspace(cluster)
    assert workspace is not None
    assert workspace.metadata.deletion_timestamp is None
    await cluster.client.delete(APPLY, NAMESPACE, "two")
    await until_gone(cluster, "two")
    await until_gone(cluster)


async def test_template_in_use(cluster: Cluster, provider: NeutralProvider) -> None:
    """A template that is deleted stays, and says who uses it, until nobody does (B-W21)."""
    await cluster.apply(template(), apply_of())
    await until_reason(cluster, "Available")
    await cluster.client.delete(TEMPLATE, NAMESPACE, "small")

    async def held() -> bool:
        found = await cluster.observer.client.get(TEMPLATE, NAMESPACE, "small")
        ready = find_condition(found.status.conditions, "Ready") if found else None
        return ready is not None and ready.reason == "InUse" and "default/one" in ready.message

    await cluster.observer.until(held)
    await cluster.client.delete(APPLY, NAMESPACE, "one")
    await cluster.observer.gone(TEMPLATE)


async def test_left_by_the_go_original(cluster: Cluster) -> None:
    """A Workspace that the Go original made is taken over in place: same object, same Terraform state."""
    legacy = {
        "metadata": {"name": "one-legacy", "annotations": {"crossplane.io/external-name": "one-legacy"}},
        "spec": {"forProvider": {"source": "Inline", "module": MODULE}},
    }
    before = await cluster.client.create(WORKSPACE, legacy)
    left = apply_of()
    left["metadata"]["finalizers"] = [names.APPLY_FINALIZER]
    await cluster.apply(template(), left)
    status = {"workspaceName": "one-legacy", "applied": True}
    await cluster.client.patch(APPLY, NAMESPACE, "one", {"status": status}, subresource="status")
    async with neutral_provider(cluster.config, ages=False), chain(cluster):
        apply = await until_reason(cluster, "Available")
        assert apply.status.workspace_name == "one-legacy"
        after = await cluster.client.get_live(WORKSPACE, "", "one-legacy")
        assert after is not None
        assert after.metadata.uid == before.metadata.uid
        assert after.metadata.labels[names.WORKSPACE_APPLY_UID_LABEL] == apply.metadata.uid
        assert after.metadata.annotations["crossplane.io/external-name"] == "one-legacy"
        assert await get_workspace(cluster) is None
        await cluster.client.delete(APPLY, NAMESPACE, "one")
        await cluster.observer.gone(APPLY, WORKSPACE)


@pytest.mark.parametrize("later", [False, True], ids=["served", "served-later"])
async def test_namespaced_flavour(cluster: Cluster, later: bool) -> None:
    """A template may ask for another flavour; a namespaced Workspace lies beside its apply, and goes before it."""
    kind = TERRAFORM_NAMESPACED.kind
    (definition,) = definitions(manifests() / "workspace")
    definition["metadata"]["name"] = str(kind.resource)
    definition["spec"] |= {"group": kind.resource.group, "scope": "Namespaced"}
    base = template()
    base["metadata"]["annotations"] = {WORKSPACE_GROUP_ANNOTATION: kind.resource.group}
    async with chain(cluster, clock=FastClock(10)), contextlib.AsyncExitStack() as stack:
        if later:
            await cluster.apply(base, apply_of(variables={"size": "s"}))
            await until_reason(cluster, "WorkspaceKindMissing")
        await install_definitions(cluster.client, [definition], SystemClock())
        await stack.enter_async_context(neutral_provider(cluster.config, ages=True, kind=kind))
        if not later:
            await cluster.apply(base, apply_of(variables={"size": "s"}))
        await until_output(cluster, "s")
        workspace = await cluster.client.get_live(kind, NAMESPACE, workspace_of())
        assert workspace is not None
        assert await get_workspace(cluster) is None
        await cluster.client.delete(APPLY, NAMESPACE, "one")
        await until_gone(cluster)
        assert await cluster.client.get_live(kind, NAMESPACE, workspace_of()) is None


async def test_secret_that_comes_late(cluster: Cluster) -> None:
    """Secrets are not watched, and still need no help to be noticed."""
    async with neutral_provider(cluster.config, ages=True), chain(cluster, clock=FastClock(10)):
        await cluster.apply(template(), apply_of(waitForSecrets=[{"name": "credentials"}]))
        await until_reason(cluster, "WaitingForSecrets")
        await cluster.client.create(SECRET, {"metadata": {"name": "credentials", "namespace": NAMESPACE}})
        await until_reason(cluster, "Available")


async def test_provider_that_leaves_no_trace(cluster: Cluster) -> None:
    """An old provider that had nothing to do after a change writes nothing; after a while its silence is consent."""
    async with neutral_provider(cluster.config, ages=False) as provider, chain(cluster, clock=FastClock(10)):
        await cluster.apply(template(), apply_of())
        await until_reason(cluster, "Available")
        provider.idle = True
        new = {"template": {"spec": {"forProvider": {"module": MODULE + "# a comment"}}}}
        await cluster.client.patch(TEMPLATE, NAMESPACE, "small", {"spec": new})
        await until_reason(cluster, "Applying")
        await until_reason(cluster, "Available")
