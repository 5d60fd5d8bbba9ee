"""The built-in Workspace engine against an API server: what a user sees of a Workspace."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from capt import terraform
from capt.api import Secret, Workspace
from capt.assets import manifests
from capt.install import definitions, install_definitions
from capt.runtime import (
    HttpTransport,
    Kind,
    Manager,
    Resource,
    SystemClock,
    Transport,
    find_condition,
    is_true,
)
from capt.terraform import Simulation, find_cli, standing_resources
from capt.terraform.kinds import FLAVOURS
from capt.terraform.steps import EXTERNAL_NAME, FINALIZER
from tests.support.cluster import NAMESPACE, QUIET, WORKSPACE, Cluster
from tests.support.crash import Crash, CrashingTransport

SECRET = Kind(Resource(group="", version="v1", kind="Secret", plural="secrets"), Secret)
NAMESPACED = next(kind for kind in FLAVOURS if kind.resource.group == "tf.m.upbound.io")
MODULE = """
variable "name" { type = string }
resource "terraform_data" "node" { input = var.name }
output "instance_id" { value = "i-${substr(sha1(terraform_data.node.id), 0, 17)}" }
output "name" { value = var.name }
output "token" {
  value     = "hush-${var.name}"
  sensitive = true
}
"""
needs_terraform = pytest.mark.skipif(find_cli() is None, reason="neither terraform nor tofu is on PATH")


@contextlib.asynccontextmanager
async def engine(
    cluster: Cluster,
    kind: str = "simulated",
    *,
    data_dir: Path | None = None,
    simulation: Simulation | None = None,
) -> AsyncIterator[None]:
    """Run a manager with nothing but the engine."""
    manager = Manager(cluster.manager_config, QUIET)
    terraform.add_to(
        manager,
        engine="terraform" if kind == "terraform" else "simulated",
        data_dir=data_dir or cluster.data_dir,
        simulation=simulation,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(manager.run(stop), name="manager")
        try:
            yield
        finally:
            stop.set()


ENGINES = ["simulated", pytest.param("terraform", marks=[needs_terraform, pytest.mark.terraform])]


@pytest.fixture(params=ENGINES)
async def running(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Either engine: nobody who drives Workspaces can tell them apart."""
    async with engine(cluster, request.param):
        yield request.param


def body(name: str = "node", *, annotations: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    spec = {k: changes.pop(k) for k in tuple(changes) if k in {"deletionPolicy", "managementPolicies"}}
    inputs = {"source": "Inline", "module": MODULE, "varmap": {"name": "one"}, **changes}
    return {
        "apiVersion": "tf.upbound.io/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {
            "forProvider": inputs,
            "writeConnectionSecretToRef": {"name": f"{name}-outputs", "namespace": NAMESPACE},
            **spec,
        },
    }


def is_current(workspace: Workspace, *types: str) -> bool:
    found = [find_condition(workspace.status.conditions, type_) for type_ in types]
    return all(
        condition is not None
        and condition.status == "True"
        and condition.observed_generation == workspace.metadata.generation
        for condition in found
    )


def is_ready(workspace: Workspace) -> bool:
    return is_current(workspace, "Ready", "Synced")


def failure(workspace: Workspace) -> str:
    """Return the message of Synced=False for the present generation."""
    synced = find_condition(workspace.status.conditions, "Synced")
    if (
        synced is None
        or synced.status != "False"
        or synced.observed_generation != workspace.metadata.generation
    ):
        return ""
    return synced.message


async def until(cluster: Cluster, reached: Callable[[Workspace], object], name: str = "node") -> Workspace:
    found: Workspace = await cluster.observer.met(
        WORKSPACE, name, lambda workspace: bool(reached(workspace)), namespace=""
    )
    return found


async def connection(cluster: Cluster, name: str = "node-outputs") -> Secret:
    secret = await cluster.client.get_live(SECRET, NAMESPACE, name)
    assert secret is not None
    return secret


async def patch(cluster: Cluster, **changes: Any) -> Workspace:
    return await cluster.client.patch(WORKSPACE, "", "node", {"spec": {"forProvider": changes}})


async def test_a_workspace_becomes_ready_with_outputs(cluster: Cluster, running: str) -> None:
    """Status shows what is not sensitive, the connection secret all, and it is there before Ready is."""
    secret_when_ready: list[bool] = []
    seen: list[tuple[tuple[str, str, str], ...]] = []
    store = cluster.observer.informers.store(WORKSPACE)

    def check() -> None:
        for item in store.list():
            conditions = item.decode().get("status", {}).get("conditions", [])
            said = tuple((c["type"], c["status"], c["reason"]) for c in conditions)
            if not seen or seen[-1] != said:
                seen.append(said)
            if ("Ready", "True", "Available") in said:
                secret_when_ready.append(
                    any(e.verb == "create" and e.resource == "secrets" for e in cluster.audit())
                )

    cluster.observer.checks.append(check)
    await cluster.client.create(WORKSPACE, body())
    workspace = await until(cluster, is_ready)
    creating, synced = ("Ready", "False", "Creating"), ("Synced", "True", "ReconcileSuccess")
    assert seen == [
        (),
        (creating,),
        (creating, synced),
        (("Ready", "True", "Available"), synced),
    ]
    assert set(secret_when_ready) == {True}
    outputs = workspace.status.at_provider.outputs
    assert outputs.keys() == {"instance_id", "name"}
    assert re.fullmatch(r"i-[0-9a-f]{17}", str(outputs["instance_id"]))
    assert workspace.metadata.annotations["crossplane.io/external-name"] == "node"
    assert FINALIZER in workspace.metadata.finalizers
    secret = await connection(cluster)
    assert secret.type == "connection.crossplane.io/v1alpha1"
    assert secret.data["token"] == b"hush-one"
    assert secret.data["instance_id"].decode() == outputs["instance_id"]
    assert secret.metadata.controller is not None
    assert secret.metadata.controller.uid == workspace.metadata.uid


async def test_a_change_is_applied_and_an_error_is_told_and_healed(cluster: Cluster, running: str) -> None:
    """A new value is applied in place; a missing one stops in Terraform's words, Ready staying as it was."""
    await cluster.client.create(WORKSPACE, body())
    before = await until(cluster, is_ready)
    await patch(cluster, varmap={"name": "two"})
    after = await until(cluster, is_ready)
    assert after.status.at_provider.outputs == {**before.status.at_provider.outputs, "name": "two"}
    assert (await connection(cluster)).data["token"] == b"hush-two"

    await patch(cluster, varmap={"name": None})
    broken = await until(cluster, failure)
    message = failure(broken)
    assert message.startswith(
        "observe failed: cannot diff (i.e. plan) Terraform configuration: Terraform encountered an error. "
        "Summary: No value for required variable. "
    )
    packed = re.search(r'"([^"]+)"', message)
    assert packed
    assert 'variable "name"' in gzip.decompress(base64.b64decode(packed[1])).decode()
    assert is_true(broken.status.conditions, "Ready")
    assert not is_current(broken, "Ready")

    await patch(cluster, varmap={"name": "three"})
    healed = await until(cluster, is_ready)
    assert healed.status.at_provider.outputs["name"] == "three"


@pytest.mark.parametrize("kind", ENGINES)
async def test_deletion_destroys_before_the_object_goes(cluster: Cluster, kind: str) -> None:
    """Even with a module that can no longer be read; nothing is left on disk."""
    async with engine(cluster, kind):
        await cluster.client.create(WORKSPACE, body())
        await until(cluster, is_ready)
        await patch(cluster, module="resource {")
        await until(cluster, failure)
        await cluster.client.delete(WORKSPACE, "", "node")
        await cluster.observer.gone(WORKSPACE)
        assert standing_resources(cluster.data_dir) == ()
    left = [path for path in cluster.data_dir.glob("*/*") if not path.name.startswith(".")]
    assert left == []


async def test_what_a_run_came_to_is_an_event(cluster: Cluster, running: str) -> None:
    """Creation, change, failure and deletion are told under the provider's reasons, each with the run that it is about."""
    await cluster.client.create(WORKSPACE, body())
    await until(cluster, is_ready)
    await cluster.observer.told(WORKSPACE, "CreatedExternalResource", of_type="Normal")
    await patch(cluster, varmap={"name": "two"})
    await until(cluster, is_ready)
    await cluster.observer.told(WORKSPACE, "UpdatedExternalResource", of_type="Normal")
    await patch(cluster, varmap={"name": None})
    await until(cluster, failure)
    await cluster.observer.told(WORKSPACE, "CannotObserveExternalResource", "No value for required variable")
    await cluster.client.delete(WORKSPACE, "", "node")
    await cluster.observer.gone(WORKSPACE)
    await cluster.observer.told(WORKSPACE, "DeletedExternalResource", of_type="Normal")


async def test_six_writes_and_then_silence(cluster: Cluster) -> None:
    """External name, finalizer, secret, three states of status; another look at what is unchanged writes nothing."""

    def written() -> list[str]:
        return [each for each in cluster.writes(user_agent="capt-engine/") if not each.endswith(" events")]

    async with engine(cluster):
        await cluster.client.create(WORKSPACE, body())
        await until(cluster, is_ready)
        writes = [
            "patch workspaces",
            "patch workspaces",
            "patch workspaces/status",
            "create secrets",
            "patch workspaces/status",
            "patch workspaces/status",
        ]
        assert written() == writes
        await cluster.client.patch(WORKSPACE, "", "node", {"metadata": {"annotations": {"look": "again"}}})
        # when a later one has gone all the way, the look at the first is over too
        await cluster.client.create(WORKSPACE, body("second"))
        await until(cluster, is_ready, "second")
        assert written() == writes * 2


async def test_a_retained_workspace_keeps_its_infrastructure(cluster: Cluster, running: str) -> None:
    """Orphan lets the object go and the state stay."""
    await cluster.client.create(WORKSPACE, body(deletionPolicy="Orphan"))
    await until(cluster, is_ready)
    await cluster.client.delete(WORKSPACE, "", "node")
    await cluster.observer.gone(WORKSPACE)
    expected = ("node",) if running == "terraform" else ()
    assert standing_resources(cluster.data_dir) == expected


async def test_pause_is_shown_and_ends(cluster: Cluster) -> None:
    """A paused Workspace says so and is not touched; without the annotation it goes on."""
    async with engine(cluster):
        await cluster.client.create(WORKSPACE, body(annotations={"crossplane.io/paused": "true"}))
        paused = await until(cluster, failure)
        (condition,) = paused.status.conditions
        assert condition.reason == "ReconcilePaused"
        await cluster.observer.told(WORKSPACE, "ReconciliationPaused", of_type="Normal")
        await cluster.client.patch(
            WORKSPACE, "", "node", {"metadata": {"annotations": {"crossplane.io/paused": None}}}
        )
        await until(cluster, is_ready)


async def test_an_interrupted_creation_of_another_provider_waits_for_a_person(cluster: Cluster) -> None:
    """With its pending mark nothing is created; when the mark is taken off, the engine goes on."""
    mark = "crossplane.io/external-create-pending"
    async with engine(cluster):
        await cluster.client.create(
            WORKSPACE, body(annotations={mark: "2026-01-01T00:00:00Z", EXTERNAL_NAME: "node"})
        )
        halted = await until(cluster, failure)
        assert "cannot determine creation result" in failure(halted)
        assert not halted.metadata.finalizers
        await cluster.observer.told(WORKSPACE, "CannotInitializeManagedResource")
        await cluster.client.patch(WORKSPACE, "", "node", {"metadata": {"annotations": {mark: None}}})
        await until(cluster, is_ready)


async def test_references_are_read_and_a_missing_one_is_named(cluster: Cluster, running: str) -> None:
    """varFiles come from Secrets and ConfigMaps; what is missing is named, and found when it comes."""
    reference = {"namespace": NAMESPACE, "name": "inputs", "key": "file"}
    await cluster.client.create(
        WORKSPACE,
        body(varmap={}, varFiles=[{"source": "SecretKey", "format": "JSON", "secretKeyRef": reference}]),
    )
    missing = await until(cluster, failure)
    assert f"Secret {NAMESPACE}/inputs has no key file" in failure(missing)
    data = {"file": base64.b64encode(json.dumps({"name": "from a file"}).encode()).decode()}
    await cluster.client.create(
        SECRET, {"metadata": {"name": "inputs", "namespace": NAMESPACE}, "data": data}
    )
    ready = await until(cluster, is_ready)
    assert ready.status.at_provider.outputs["name"] == "from a file"
    # deletion must not need it any more
    await cluster.client.delete(SECRET, NAMESPACE, "inputs")
    await cluster.client.delete(WORKSPACE, "", "node")
    await cluster.observer.gone(WORKSPACE)
    assert standing_resources(cluster.data_dir) == ()


async def test_somebody_elses_secret_is_not_overwritten(cluster: Cluster) -> None:
    """The Workspace says whose it is and is not Ready."""
    data = {"password": base64.b64encode(b"mine").decode()}
    async with engine(cluster):
        await cluster.client.create(
            SECRET, {"metadata": {"name": "node-outputs", "namespace": NAMESPACE}, "data": data}
        )
        await cluster.client.create(WORKSPACE, body())
        refused = await until(cluster, failure)
        assert "cannot create or update connection secret" in failure(refused)
        assert not is_true(refused.status.conditions, "Ready")
        assert (await connection(cluster)).data == {"password": b"mine"}


@needs_terraform
@pytest.mark.terraform
async def test_a_restart_goes_on_and_a_lost_state_creates_nothing_twice(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The same data directory goes on as if nothing had happened; without it the engine refuses to create again."""
    async with engine(cluster, "terraform"):
        await cluster.client.create(WORKSPACE, body())
        before = await until(cluster, is_ready)
    await patch(cluster, varmap={"name": "two"})
    async with engine(cluster, "terraform"):
        after = await until(cluster, is_ready)
    assert after.status.at_provider.outputs["instance_id"] == before.status.at_provider.outputs["instance_id"]
    await patch(cluster, varmap={"name": "three"})
    async with engine(cluster, "terraform", data_dir=tmp_path / "empty"):
        lost = await until(cluster, failure)
        assert "state of this Workspace is not in this engine's data directory" in failure(lost)
        assert standing_resources(tmp_path / "empty") == ()


async def test_failures_are_retried_until_they_pass(cluster: Cluster) -> None:
    """With an infrastructure that often fails, Workspaces become Ready and go all the same."""
    names = [f"node-{number}" for number in range(3)]
    # with this seed three of six runs fail, none of them twice
    async with engine(cluster, simulation=Simulation(seed=1, failure_rate=0.3)):
        for name in names:
            await cluster.client.create(WORKSPACE, body(name))
        for name in names:
            await until(cluster, is_ready, name)
            await cluster.client.delete(WORKSPACE, "", name)
        await cluster.observer.gone(WORKSPACE)


async def test_a_namespaced_flavour_works_within_its_namespace(cluster: Cluster) -> None:
    """The same engine serves the namespaced kind; its references need no namespace."""
    (definition,) = definitions(manifests() / "workspace")
    definition["metadata"]["name"] = f"workspaces.{NAMESPACED.resource.group}"
    definition["spec"] |= {"group": NAMESPACED.resource.group, "scope": "Namespaced"}
    await install_definitions(cluster.client, [definition], SystemClock())
    on_event = partial(cluster.observer.on_event, NAMESPACED)
    await (await cluster.observer.informers.watch(NAMESPACED, on_event)).wait_synced()
    async with engine(cluster):
        manifest = body()
        manifest["metadata"]["namespace"] = NAMESPACE
        manifest["apiVersion"] = NAMESPACED.resource.api_version
        del manifest["spec"]["writeConnectionSecretToRef"]["namespace"]
        await cluster.client.create(NAMESPACED, manifest)

        async def ready() -> bool:
            workspace = await cluster.client.get(NAMESPACED, NAMESPACE, "node")
            return workspace is not None and is_ready(workspace)

        await cluster.observer.until(ready)
        owner = (await connection(cluster)).metadata.controller
        assert owner is not None
        assert owner.api_version == NAMESPACED.resource.api_version
        await cluster.client.delete(NAMESPACED, NAMESPACE, "node")
        await cluster.observer.gone(NAMESPACED)


class EngineTransport:
    """Lets the engine's writes crash; everything else passes."""

    def __init__(self, inner: Transport, crash: Crash) -> None:
        self._inner = inner
        self._crash = crash
        self.request = inner.request
        self.stream = inner.stream
        self.close = inner.close

    def with_user_agent(self, user_agent: str) -> CrashingTransport:
        return CrashingTransport(self._inner.with_user_agent(user_agent), self._crash)


async def live(cluster: Cluster, name: str) -> None:
    """Take a Workspace from wherever it is to Ready, and then to its end."""
    workspace = await cluster.client.get_live(WORKSPACE, "", name)
    if workspace is not None and workspace.metadata.deletion_timestamp is None:
        await until(cluster, is_ready, name)
        await cluster.client.delete(WORKSPACE, "", name)
    await cluster.observer.gone(WORKSPACE)


@needs_terraform
@pytest.mark.terraform
@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_at_any_write(cluster: Cluster, when: Literal["before", "after"]) -> None:
    """Killed at any of its writes, the next engine brings the Workspace to Ready and to its end; nothing stands."""
    for number in itertools.count(1):
        name = f"node-{number}"
        crash = Crash(at=number, when=when)
        await cluster.client.create(WORKSPACE, body(name))
        async with HttpTransport(cluster.manager_config, user_agent="capt/test") as transport:
            manager = Manager(cluster.manager_config, QUIET, transport=EngineTransport(transport, crash))
            terraform.add_to(manager, engine="terraform", data_dir=cluster.data_dir)
            stop = asyncio.Event()
            running = asyncio.ensure_future(manager.run(stop))
            dead = asyncio.ensure_future(crash.happened.wait())
            living = asyncio.ensure_future(live(cluster, name))
            await asyncio.wait((running, dead, living), return_when=asyncio.FIRST_COMPLETED)
            # the end of the Workspace is seen before the write that brought it is answered: it dies of that one too
            stop.set()
            await asyncio.wait((running, dead), return_when=asyncio.FIRST_COMPLETED)
            for task in (running, dead, living):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        async with engine(cluster, "terraform"):
            await live(cluster, name)
        assert standing_resources(cluster.data_dir) == ()
        if not crash.happened.is_set():
            assert number > 8  # name, finalizer, secret, three states; deleting, finalizer
            return
