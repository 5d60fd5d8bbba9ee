"""The simulated engine goes the provider's way: crossplane-runtime's managed reconciler with provider-terraform in it.

One test for each step of that way, in its order; between two passes the test looks at what a reader of the Workspace sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from capt.api import Workspace
from capt.controllers.kinds import SECRET
from capt.runtime import After, Done, Recorder, Request, Result, SystemClock
from capt.terraform.reconciler import POLL_SECONDS, WorkspaceReconciler
from capt.terraform.simulated import SimulatedExecutor, Simulation
from capt.terraform.steps import (
    CREATE_FAILED,
    CREATE_PENDING,
    CREATE_SUCCEEDED,
    EXTERNAL_NAME,
    FINALIZER,
    PAUSED,
)
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster

MODULE = """
variable "size" { default = 1 }
resource "terraform_data" "one" {}
output "size" { value = var.size }
output "token" {
  value     = "hush"
  sensitive = true
}
"""
CREATING = ("Ready", "False", "Creating")
AVAILABLE = ("Ready", "True", "Available")
DELETING = ("Ready", "False", "Deleting")
SYNCED = ("Synced", "True", "ReconcileSuccess")
FAILED = ("Synced", "False", "ReconcileError")
CERTAIN: dict[str, Any] = {"failure_rate": 1.0}


@dataclass(slots=True)
class Engine:
    """An engine that is asked for one pass at a time."""

    cluster: Cluster
    events: list[tuple[str, str]] = field(default_factory=list)
    result: Result | None = None

    def normal(self, kind: Any, obj: Any, reason: str, message: str) -> None:
        self.events.append(("Normal", reason))

    def warning(self, kind: Any, obj: Any, reason: str, message: str) -> None:
        self.events.append(("Warning", reason))

    async def create(self, *, annotations: Mapping[str, str] | None = None, **spec: Any) -> None:
        """Make the Workspace; with an external name, unless annotations are given."""
        await self.cluster.client.create(
            WORKSPACE,
            {
                "metadata": {
                    "name": "w",
                    "annotations": {EXTERNAL_NAME: "w"} if annotations is None else annotations,
                },
                "spec": {
                    "forProvider": {"source": "Inline", "module": MODULE},
                    "writeConnectionSecretToRef": {"name": "out", "namespace": NAMESPACE},
                    **spec,
                },
            },
        )

    async def passes(self, count: int = 1, **simulation: Any) -> Workspace | None:
        """Let the engine look so many times, with an infrastructure of that kind, and return what there is then."""
        chosen = Simulation(**simulation)
        for _ in range(count):
            reconciler = WorkspaceReconciler(
                kind=WORKSPACE,
                client=self.cluster.observer.client,
                executor=SimulatedExecutor(
                    clock=SystemClock(), simulation=chosen, directory=self.cluster.data_dir
                ),
                recorder=cast("Recorder", self),
                clock=SystemClock(),
                conduct=chosen.conduct,
            )
            await self.fresh()
            self.result = await reconciler.reconcile(Request("", "w"))
        return await self.cluster.client.get_live(WORKSPACE, "", "w")

    async def fresh(self) -> None:
        """Wait until the cache shows what the API server has."""
        live = await self.cluster.client.get_live(WORKSPACE, "", "w")

        async def seen() -> bool:
            cached = await self.cluster.observer.client.get(WORKSPACE, "", "w")
            return (cached and cached.metadata.resource_version) == (live and live.metadata.resource_version)

        await self.cluster.observer.until(seen)

    async def change(self, **parameters: Any) -> None:
        await self.cluster.client.patch(WORKSPACE, "", "w", {"spec": {"forProvider": parameters}})


@pytest.fixture
def engine(cluster: Cluster) -> Engine:
    return Engine(cluster)


def said(workspace: Workspace | None) -> list[tuple[str, str, str]]:
    assert workspace is not None
    return [(each.type, each.status, each.reason) for each in workspace.status.conditions]


def message(workspace: Workspace | None) -> str:
    assert workspace is not None
    return next(each.message for each in workspace.status.conditions if each.type == "Synced")


@pytest.mark.parametrize(
    ("annotations", "spec"),
    [({PAUSED: "true"}, {}), ({EXTERNAL_NAME: "w"}, {"managementPolicies": []})],
    ids=["annotation", "policies"],
)
async def test_step_1_a_pause_comes_before_everything(
    engine: Engine, annotations: dict[str, str], spec: dict[str, Any]
) -> None:
    """By annotation or by policies: Synced says paused, nothing else is said, and nobody looks again by himself."""
    await engine.create(annotations=annotations, **spec)
    paused = await engine.passes(2)
    assert said(paused) == [("Synced", "False", "ReconcilePaused")]
    assert paused is not None
    assert paused.metadata.finalizers == ()
    assert engine.result == Done()
    assert engine.events == [("Normal", "ReconciliationPaused")]


async def test_step_2_an_orphan_goes_without_terraform(engine: Engine) -> None:
    """What is to stay is let go without a look, even where a look would fail."""
    await engine.create(deletionPolicy="Orphan")
    await engine.passes(2)
    await engine.change(module="resource {")
    await engine.cluster.client.delete(WORKSPACE, "", "w")
    assert await engine.passes() is None
    assert ("Warning", "CannotObserveExternalResource") not in engine.events
    assert ("Normal", "DeletedExternalResource") not in engine.events


async def test_step_3_the_external_name_comes_first(engine: Engine) -> None:
    """A Workspace without one is called by its own name, before anything is made under it."""
    await engine.create(annotations={})
    named = await engine.passes()
    assert named is not None
    assert named.metadata.annotations[EXTERNAL_NAME] == "w"
    assert named.status.conditions == ()


async def test_step_4_an_interrupted_creation_stops_for_good(engine: Engine) -> None:
    """Killed in its first apply it finds its own mark, says so, and waits until somebody takes the mark away."""
    await engine.create()
    killed = await engine.passes(interruption_rate=1.0)
    assert killed is not None
    assert CREATE_PENDING in killed.metadata.annotations
    halted = await engine.passes(2, interruption_rate=1.0)
    assert said(halted) == [CREATING, FAILED]
    assert "remove the crossplane.io/external-create-pending annotation" in message(halted)
    assert engine.result == Done()
    assert engine.events == [("Warning", "CannotInitializeManagedResource")]
    unmarked = {"metadata": {"annotations": {CREATE_PENDING: None}}}
    await engine.cluster.client.patch(WORKSPACE, "", "w", unmarked)
    assert said(await engine.passes()) == [AVAILABLE, SYNCED]


async def test_step_5_without_a_module_there_is_no_connection(engine: Engine) -> None:
    """A module that cannot be initialised fails before anything is known: no Ready, and Synced stays the first condition."""
    await engine.create()
    await engine.change(module="resource {")
    failed = await engine.passes()
    assert said(failed) == [FAILED]
    assert message(failed).startswith(
        "connect failed: cannot initialize Terraform configuration: Terraform encountered"
    )
    assert engine.events == [("Warning", "CannotConnectToProvider")]
    await engine.change(module=MODULE)
    assert said(await engine.passes(2)) == [SYNCED, AVAILABLE]


async def test_step_6_a_plan_that_fails_leaves_ready_alone(engine: Engine) -> None:
    """An error of observation is in Synced, in an envelope; a Workspace that was Ready still says so."""
    await engine.create()
    await engine.passes(2)
    await engine.change(module=MODULE + 'variable "lacking" {}')
    failed = await engine.passes()
    assert said(failed) == [AVAILABLE, FAILED]
    text = "observe failed: cannot diff (i.e. plan) Terraform configuration: Terraform encountered an error. Summary: "
    assert message(failed).startswith(
        f"{text}No value for required variable. To see the full error run: echo "
    )
    assert engine.events[-1] == ("Warning", "CannotObserveExternalResource")
    assert isinstance(engine.result, After)
    assert engine.result.seconds <= 60


async def test_step_7_deletion_destroys_then_looks_then_lets_go(engine: Engine) -> None:
    """Others' finalizers first; an error is told and tried again; what was destroyed goes at the next look."""
    await engine.create()
    await engine.passes(2)
    guard = {"metadata": {"finalizers": [FINALIZER, "example.com/guard"]}}
    await engine.cluster.client.patch(WORKSPACE, "", "w", guard)
    await engine.cluster.client.delete(WORKSPACE, "", "w")
    assert said(await engine.passes()) == [AVAILABLE, SYNCED]
    await engine.cluster.client.patch(WORKSPACE, "", "w", {"metadata": {"finalizers": [FINALIZER]}})
    failed = await engine.passes(**CERTAIN)
    assert said(failed) == [DELETING, FAILED]
    assert message(failed).startswith("delete failed: cannot destroy Terraform configuration: ")
    assert engine.events[-1] == ("Warning", "CannotDeleteExternalResource")
    destroyed = await engine.passes()
    assert said(destroyed) == [DELETING, SYNCED]
    assert engine.events[-1] == ("Normal", "DeletedExternalResource")
    assert engine.result == After(0, "destroyed")
    assert await engine.passes() is None


async def test_step_8_what_was_observed_is_published(engine: Engine) -> None:
    """Somebody who spoils the connection secret finds it repaired after the next look; the finalizer is there, too."""
    await engine.create()
    await engine.passes(2)
    await engine.cluster.client.patch(SECRET, NAMESPACE, "out", {"data": {"token": None}})
    workspace = await engine.passes()
    assert workspace is not None
    assert FINALIZER in workspace.metadata.finalizers
    secret = await engine.cluster.client.get_live(SECRET, NAMESPACE, "out")
    assert secret is not None
    assert secret.data["token"] == b"hush"


async def test_step_9_creation_ends_before_it_is_ready(engine: Engine) -> None:
    """After the apply: Synced, the secret with everything in it, marks around the creation; not Ready, and no outputs."""
    await engine.create()
    marking: dict[str, Any] = {"interruption_rate": 1e-9}
    created = await engine.passes(**marking)
    assert said(created) == [CREATING, SYNCED]
    assert created is not None
    assert created.status.at_provider.outputs == {}
    assert {CREATE_PENDING, CREATE_SUCCEEDED} <= created.metadata.annotations.keys()
    secret = await engine.cluster.client.get_live(SECRET, NAMESPACE, "out")
    assert secret is not None
    assert secret.data == {"size": b"1", "token": b"hush"}
    assert engine.events == [("Normal", "CreatedExternalResource")]
    ready = await engine.passes(**marking)
    assert ready is not None
    assert said(ready) == [AVAILABLE, SYNCED]
    assert ready.status.at_provider.outputs == {"size": 1}


async def test_step_9_a_creation_that_fails_leaves_an_update(engine: Engine) -> None:
    """The mark says that it failed, Ready has no message, and since something was made the next try is an update."""
    await engine.create()
    failed = await engine.passes(interruption_rate=1e-9, **CERTAIN)
    assert said(failed) == [CREATING, FAILED]
    assert failed is not None
    assert CREATE_FAILED in failed.metadata.annotations
    assert failed.status.conditions[0].message == ""
    assert message(failed).startswith("create failed: cannot apply Terraform configuration: ")
    assert said(await engine.passes()) == [AVAILABLE, SYNCED]
    assert engine.events == [
        ("Warning", "CannotCreateExternalResource"),
        ("Normal", "UpdatedExternalResource"),
    ]


async def test_step_10_an_update_that_fails_leaves_ready_as_it_was(engine: Engine) -> None:
    """Ready=True beside Synced=False: what stands is what stood before; then the change is applied and in the outputs."""
    await engine.create()
    await engine.passes(2)
    await engine.change(varmap={"size": 2})
    failed = await engine.passes(**CERTAIN)
    assert said(failed) == [AVAILABLE, FAILED]
    assert failed is not None
    assert failed.status.at_provider.outputs == {"size": 1}
    assert message(failed).startswith("update failed: cannot apply Terraform configuration: ")
    assert engine.events[-1] == ("Warning", "CannotUpdateExternalResource")
    updated = await engine.passes()
    assert updated is not None
    assert updated.status.at_provider.outputs == {"size": 2}
    assert engine.events[-1] == ("Normal", "UpdatedExternalResource")
    assert isinstance(engine.result, After)
    assert abs(engine.result.seconds - POLL_SECONDS) <= 30


async def test_step_10_an_output_that_drifts_is_applied_at_every_look(engine: Engine) -> None:
    """A plan that finds nothing but a changed output is a difference like any other, time and again."""
    await engine.create()
    await engine.passes(2)
    await engine.passes(2, drift_rate=1.0)
    assert engine.events[1:] == [("Normal", "UpdatedExternalResource")] * 2


async def test_step_11_no_difference_is_no_write(engine: Engine) -> None:
    """What is as it should be is looked at again after the poll interval, and not written to."""
    await engine.create()
    before = await engine.passes(2)
    after = await engine.passes(2)
    assert before is not None
    assert after is not None
    assert after.metadata.resource_version == before.metadata.resource_version
    assert isinstance(engine.result, After)
    assert abs(engine.result.seconds - POLL_SECONDS) <= 30
