"""The decisions of the Workspace engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from capt.api import Workspace
from capt.terraform.executor import Observation, Output
from capt.terraform.steps import CREATE_SUCCEEDED, FINALIZER, Step, grace_left, next_step

NAMED = {"crossplane.io/external-name": "node"}
OUTPUTS = {"instance_id": Output(value="i-1")}
ABSENT = Observation(exists=False)
UNKNOWN = Observation(exists=False, known=False)
CHANGED = Observation(exists=True, outputs=OUTPUTS)
CURRENT = Observation(exists=True, up_to_date=True, outputs=OUTPUTS)
EMPTY = Observation(exists=False, up_to_date=True)


def workspace(
    *,
    annotations: dict[str, str] | None = None,
    finalizers: tuple[str, ...] = (FINALIZER,),
    deleting: bool = False,
    **spec: Any,
) -> Workspace:
    metadata: dict[str, Any] = {
        "name": "node",
        "uid": "0a1b",
        "generation": 3,
        "annotations": NAMED if annotations is None else annotations,
        "finalizers": list(finalizers),
    }
    if deleting:
        metadata["deletionTimestamp"] = datetime(2026, 1, 1, tzinfo=UTC)
    return Workspace.model_validate(
        {"metadata": metadata, "spec": {"forProvider": {"source": "Inline", "module": "#"}, **spec}}
    )


def test_a_paused_workspace_is_left_alone_even_while_it_is_deleted() -> None:
    """The pause annotation and an empty list of policies stop everything, deletion included."""
    paused = {**NAMED, "crossplane.io/paused": "true"}
    assert next_step(workspace(annotations=paused), None) is Step.PAUSE
    assert next_step(workspace(annotations=paused, deleting=True), None) is Step.PAUSE
    assert next_step(workspace(managementPolicies=[]), None) is Step.PAUSE
    assert next_step(workspace(annotations={**NAMED, "crossplane.io/paused": "no"}), None) is Step.OBSERVE


@pytest.mark.parametrize(
    "spec",
    [
        {"deletionPolicy": "Orphan"},
        {"managementPolicies": ["Observe", "Create", "Update"]},
    ],
)
def test_retained_infrastructure_is_released_without_a_look(spec: dict[str, Any]) -> None:
    """Orphan, or policies without Delete, drop the finalizer before anything is run."""
    assert next_step(workspace(deleting=True, **spec), None) is Step.RELEASE


def test_an_external_name_comes_before_everything_that_creates() -> None:
    """A Workspace without external name gets one first; one that is being deleted needs none."""
    assert next_step(workspace(annotations={}), None) is Step.NAME
    assert next_step(workspace(annotations={}, deleting=True), None) is Step.OBSERVE


def test_without_our_finalizer_there_is_nothing_to_destroy() -> None:
    """A Workspace that is deleted before it ever got the finalizer goes at once."""
    assert next_step(workspace(finalizers=("other",), deleting=True), None) is Step.FINISH


@pytest.mark.parametrize(
    ("marks", "step"),
    [
        ({"pending": "2026-01-01T10:00:00Z"}, Step.HALT),
        ({"pending": "2026-01-01T10:00:00Z", "succeeded": "2026-01-01T09:00:00Z"}, Step.HALT),
        ({"pending": "2026-01-01T10:00:00Z", "failed": "2026-01-01T10:00:01Z"}, Step.OBSERVE),
        ({"pending": "2026-01-01T10:00:00Z", "succeeded": "2026-01-01T10:00:00Z"}, Step.OBSERVE),
        ({"pending": "yesterday"}, Step.OBSERVE),
        ({"succeeded": "2026-01-01T10:00:00Z"}, Step.OBSERVE),
    ],
)
def test_another_providers_interrupted_creation_stops_us(marks: dict[str, str], step: Step) -> None:
    """Pending that is newer than succeeded and failed means that nobody knows what was made."""
    annotations = {f"crossplane.io/external-create-{name}": time for name, time in marks.items()}
    assert next_step(workspace(annotations={**NAMED, **annotations}), None) is step


@pytest.mark.parametrize(
    ("observation", "step"),
    [(ABSENT, Step.CREATE), (CHANGED, Step.UPDATE), (CURRENT, Step.SETTLE), (EMPTY, Step.SETTLE)],
)
def test_what_stands_is_brought_to_what_is_asked(observation: Observation, step: Step) -> None:
    """Nothing is created, a difference is applied, no difference is settled, an empty module included."""
    assert next_step(workspace(), observation) is step


def test_policies_limit_what_is_done() -> None:
    """Without Update a difference is left, without Create an absence is reported."""
    watched = workspace(managementPolicies=["Observe"])
    assert next_step(watched, CHANGED) is Step.SETTLE
    assert next_step(watched, ABSENT) is Step.MISSING
    assert next_step(workspace(managementPolicies=["Observe", "Create"]), ABSENT) is Step.CREATE
    assert next_step(workspace(managementPolicies=["Observe", "Update"]), CHANGED) is Step.UPDATE


@pytest.mark.parametrize("deleting", [False, True])
def test_a_lost_state_creates_nothing_and_abandons_nothing(deleting: bool) -> None:
    """A finalizer without a claim of this engine is an error, not an invitation to create twice."""
    assert next_step(workspace(deleting=deleting), UNKNOWN) is Step.LOST


def test_a_new_workspace_has_no_state_to_lose() -> None:
    """Without a finalizer nothing was begun, so that an unknown Workspace is a new one."""
    assert next_step(workspace(finalizers=()), UNKNOWN) is Step.CREATE


def test_deletion_destroys_last_and_once() -> None:
    """Others' finalizers come off first, then it is destroyed, then ours comes off."""
    assert next_step(workspace(finalizers=(FINALIZER, "other"), deleting=True), CURRENT) is Step.WAIT
    assert next_step(workspace(deleting=True), CURRENT) is Step.DESTROY
    assert next_step(workspace(deleting=True), CHANGED) is Step.DESTROY
    assert next_step(workspace(deleting=True), ABSENT) is Step.FINISH


def test_a_fresh_creation_is_not_believed_to_be_gone() -> None:
    """For 30 seconds after a creation crossplane-runtime waits before it takes nothing for nothing, deletions included."""
    fresh = workspace(annotations={**NAMED, CREATE_SUCCEEDED: "2026-01-01T12:00:00Z"}, deleting=True)
    created = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert grace_left(fresh, ABSENT, created + timedelta(seconds=10)) == 20.0
    assert grace_left(fresh, ABSENT, created + timedelta(seconds=31)) == 0.0
    assert grace_left(fresh, CURRENT, created) == 0.0
    assert grace_left(workspace(), ABSENT, created) == 0.0
