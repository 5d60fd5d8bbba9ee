"""How an apply goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from capt.api import WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.workspace import EXTERNAL_NAME_ANNOTATION, RETAINED_ANNOTATION, Flavour
from capt.controllers.workspace_template_apply.creation import (
    CREATE_PENDING_ANNOTATION,
    DURABLE_STATE_ANNOTATION,
    RESUMED_ANNOTATION,
)
from capt.controllers.workspace_template_apply.deletion import (
    ABANDON_ANNOTATION,
    Abandon,
    DeletionObservation,
    DeletionPlan,
    Destroy,
    Release,
    Resume,
    Retain,
    Wait,
    decide_deletion,
)
from capt.controllers.workspace_template_apply.plan import Found
from capt.runtime import Key
from tests.support.chain import (
    NOW,
    TERRAFORM,
    TERRAFORM_NAMESPACED,
    apply_of,
    condition,
    conditions,
    envelope,
    template,
    workspace,
)

OURS = {
    "labels": {names.WORKSPACE_APPLY_UID_LABEL: "uid-one"},
    "annotations": {names.WORKSPACE_APPLY_ANNOTATION: "default/one"},
}
GOING = {"deletionTimestamp": "2026-01-01T11:30:00Z"}


def found(
    metadata: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    flavour: Flavour = TERRAFORM,
) -> Found:
    item = workspace(metadata=metadata if metadata is not None else OURS, status=status, flavour=flavour)
    return Found(flavour=flavour, workspace=item)


def decision(
    *workspaces: Found, apply: WorkspaceTemplateApply | None = None, dependents: Sequence[Key] = ()
) -> DeletionPlan:
    return decide_deletion(
        DeletionObservation(apply=apply or apply_of(), found=workspaces, dependents=dependents, now=NOW)
    )


def test_nothing_left() -> None:
    """Without a Workspace there is nothing to wait for, whoever depends on the apply."""
    assert decision(dependents=[Key("default", "two")]) == Release()


def test_destroy() -> None:
    """The Workspace is deleted first."""
    plan = decision(found())
    assert isinstance(plan, Destroy)
    assert [each.workspace.metadata.uid for each in plan.found] == ["w1"]


def test_waiting_for_the_end() -> None:
    """A Workspace on its way out is waited for."""
    plan = decision(found({**OURS, **GOING}, conditions("False", "True")))
    assert isinstance(plan, Wait)
    assert (plan.reason, plan.failure) == ("Deleting", "")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": {names.WORKSPACE_APPLY_UID_LABEL: "uid-two"}},
        {"annotations": {names.WORKSPACE_APPLY_ANNOTATION: "default/two"}},
        {
            "labels": {names.WORKSPACE_APPLY_UID_LABEL: "uid-former"},
            "annotations": {names.WORKSPACE_APPLY_ANNOTATION: "default/one"},
        },
    ],
)
def test_what_is_not_ours_is_not_deleted(metadata: dict[str, Any]) -> None:
    """A Workspace of somebody else, or one that a former apply left and this one never took over, stays."""
    assert decision(found(metadata)) == Release()


def test_workspace_of_the_go_original() -> None:
    """A Workspace that only the apply's status names is destroyed with it."""
    apply = apply_of(status={"workspaceName": "w"})
    assert isinstance(decision(found({}), apply=apply), Destroy)


def test_dependents_first() -> None:
    """What stands on the infrastructure goes first, and is named."""
    plan = decision(found(), dependents=[Key("default", "two"), Key("default", "three")])
    assert plan == Wait(
        reason="WaitingForDependents",
        message="waiting until what depends on it is deleted: default/two, default/three",
    )


FAILURE = envelope("Error: DependencyViolation", prefix="delete failed: cannot destroy: ")


@pytest.mark.parametrize(
    ("ready", "synced", "failure"),
    [
        (
            {"reason": "Deleting"},
            {"message": FAILURE},
            "delete failed: cannot destroy: Error: DependencyViolation",
        ),
        (None, {"message": FAILURE}, "delete failed: cannot destroy: Error: DependencyViolation"),
        (
            None,
            {"message": "connect failed: x", "lastTransitionTime": "2026-01-01T11:45:00Z"},
            "connect failed: x",
        ),
        ({"reason": "Creating"}, {"message": "create failed: old news"}, ""),
    ],
)
def test_failures(ready: dict[str, Any] | None, synced: dict[str, Any], failure: str) -> None:
    """Why the infrastructure cannot be destroyed is shown; what failed before the deletion is not taken for it."""
    items = [condition("Synced", "False", **synced)]
    if ready:
        items.append(condition("Ready", "False", **ready))
    plan = decision(found({**OURS, **GOING}, {"conditions": items}))
    assert isinstance(plan, Wait)
    assert plan.failure == failure
    assert failure in plan.message


KEEP = apply_of(retainWorkspaceOnDelete=True)


@pytest.mark.parametrize(
    ("flavour", "spec"),
    [
        (TERRAFORM, {"managementPolicies": ["*"], "deletionPolicy": "Orphan"}),
        (TERRAFORM_NAMESPACED, {"managementPolicies": ["Observe", "Create", "Update", "LateInitialize"]}),
    ],
)
def test_retention(flavour: Flavour, spec: dict[str, Any]) -> None:
    """A retained Workspace is marked, and its provider is told not to destroy anything, before the apply goes."""
    plan = decision(found(flavour=flavour), apply=KEEP, dependents=[Key("default", "two")])
    assert isinstance(plan, Retain)
    assert [patch for _, patch in plan.patches] == [
        {
            "metadata": {
                "annotations": {
                    RETAINED_ANNOTATION: "2026-01-01T12:00:00+00:00",
                    names.WORKSPACE_APPLY_ANNOTATION: "default/one",
                }
            },
            "spec": spec,
        }
    ]


def test_retention_of_what_is_already_being_deleted() -> None:
    """Even a Workspace that somebody deletes at the same time leaves its infrastructure."""
    assert isinstance(decision(found({**OURS, **GOING}), apply=KEEP), Retain)


@pytest.mark.parametrize(("value", "expected"), [("true", Abandon), ("yes", Destroy)])
def test_abandonment(value: str, expected: type[DeletionPlan]) -> None:
    """The annotation lets an apply go whose infrastructure cannot be destroyed; nothing but `true` counts."""
    apply = apply_of(metadata={"annotations": {ABANDON_ANNOTATION: value}})
    plan = decision(found(), apply=apply)
    assert isinstance(plan, expected)


@pytest.mark.parametrize(
    ("apply", "plan"),
    [
        (apply_of(), Wait),
        (apply_of(metadata={"annotations": {ABANDON_ANNOTATION: "true"}}), Release),
        (apply_of(retainWorkspaceOnDelete=True), Release),
    ],
)
def test_a_flavour_that_is_not_served(apply: WorkspaceTemplateApply, plan: type[DeletionPlan]) -> None:
    """While nobody can say whether the Workspace stands its apply stays, unless what stands is given up."""
    seen = DeletionObservation(apply=apply, found=(), dependents=(), unserved="tf.m.upbound.io", now=NOW)
    found = decide_deletion(seen)
    assert isinstance(found, plan)
    if isinstance(found, Wait):
        assert found.reason == "WorkspaceKindMissing"


def test_secrets_that_went_first() -> None:
    """When destroying fails, the Secrets that Terraform reads and that are gone are named."""
    stuck = workspace(
        metadata={**OURS, "deletionTimestamp": "2026-01-01T11:00:00Z"},
        status={"conditions": [condition("Synced", "False", message="delete failed: no such Secret")]},
    )
    seen = DeletionObservation(
        apply=apply_of(),
        found=(Found(flavour=TERRAFORM, workspace=stuck),),
        dependents=(),
        missing=(Key("default", "token"),),
        now=NOW,
    )
    found = decide_deletion(seen)
    assert isinstance(found, Wait)
    assert "Secrets that are gone: default/token" in found.message


@pytest.mark.parametrize("durable", ["true", ""])
def test_a_provider_that_stopped_while_it_created_does_not_destroy_either(durable: str) -> None:
    """Where the state outlives the provider it is let go on; elsewhere the condition says what a person has to do."""
    marks = {CREATE_PENDING_ANNOTATION: "2026-01-01T11:00:00Z", EXTERNAL_NAME_ANNOTATION: "w"}
    halted = [
        condition("Ready", "False", reason="Creating"),
        condition(
            "Synced",
            "False",
            reason="ReconcileError",
            message="cannot determine creation result - remove the annotation",
        ),
    ]
    going = found(
        {**GOING, "labels": OURS["labels"], "annotations": {**OURS["annotations"], **marks}},
        {"conditions": halted},
    )
    plan = decide_deletion(
        DeletionObservation(
            apply=apply_of(),
            found=[going],
            dependents=(),
            template=template(metadata={"annotations": {DURABLE_STATE_ANNOTATION: durable}}),
            now=NOW,
        )
    )
    if durable:
        cleared = {CREATE_PENDING_ANNOTATION: None, RESUMED_ANNOTATION: "2026-01-01T12:00:00+00:00"}
        assert isinstance(plan, Resume)
        assert plan.patches == ((going, {"metadata": {"annotations": cleared}}),)
    else:
        assert isinstance(plan, Wait)
        assert "waits for a person: cannot determine creation result - remove the annotation" in plan.message
        assert plan.failure
