from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from capt.controllers.child_apply import Create, Keep
from capt.controllers.cluster.plan import Blocked
from capt.controllers.cluster.stages import VPC, Stage, assess_vpc, needs_secret
from tests.support.capt_clusters import NOW, capt_cluster, observation, vpc_apply

READY_BEFORE = {"initialization": {"provisioned": True}}


def since(minutes: float, status: str = "False", **more: Any) -> dict[str, Any]:
    """Return the status of a CAPTCluster whose VPC has been in that state for some minutes."""
    began = NOW - timedelta(minutes=minutes)
    condition = {
        "type": "VPCReady",
        "reason": "VPCCreating",
        "message": "",
        "lastTransitionTime": began.isoformat(),
    }
    return {"conditions": [{**condition, "status": status}], **more}


def vpc(cluster=None, apply=None, plan=None, **seen: Any) -> VPC:
    return assess_vpc(observation(cluster, apply, **seen), plan or Keep())


@pytest.mark.parametrize(
    ("reason", "provisioned", "stage", "words"),
    [
        ("Applying", False, Stage.CREATING, "VPCCreating"),
        ("Applying", True, Stage.CREATING, "VPCUpdating"),
        ("TemplateNotFound", False, Stage.CREATING, "VPCCreating"),
        ("TemplateDeleting", False, Stage.CREATING, "VPCCreating"),
        ("WaitingForSecrets", False, Stage.CREATING, "VPCCreating"),
        ("WaitingForWorkspaces", False, Stage.CREATING, "VPCCreating"),
        ("WorkspaceKindMissing", False, Stage.CREATING, "VPCCreating"),
        ("WorkspacePaused", True, Stage.CREATING, "VPCUpdating"),
        ("TemplateNotAllowed", False, Stage.FAILED, "InvalidVPCConfig"),
        ("TemplateInvalid", False, Stage.FAILED, "InvalidVPCConfig"),
        ("ReferenceNotAllowed", False, Stage.FAILED, "InvalidVPCConfig"),
        ("UnsafeVariable", False, Stage.FAILED, "InvalidVPCConfig"),
        ("VariablesInvalid", False, Stage.FAILED, "InvalidVPCConfig"),
        ("WorkspaceError", False, Stage.FAILED, "VPCCreationFailed"),
        ("WorkspaceError", True, Stage.FAILED, "VPCReconciliationFailed"),
        ("WorkspaceConflict", False, Stage.FAILED, "VPCCreationFailed"),
        ("WorkspaceRefused", False, Stage.FAILED, "VPCCreationFailed"),
        ("CreatePending", False, Stage.FAILED, "VPCCreationFailed"),
    ],
)
def test_apply_watch(reason, provisioned, stage, words):
    """Seed 003: each state of the apply has its stage; what waits is no failure (B-C08), what needs a person is one."""
    told = vpc(capt_cluster(status=READY_BEFORE if provisioned else {}), vpc_apply(reason))

    assert (told.stage, told.reason) == (stage, words)
    if reason != "Applying":
        assert "words" in told.message


def test_creation():
    """Before there is an apply, the VPC is being created; nothing is looked at that is not there."""
    told = vpc(plan=Create(body={}))

    assert (told.stage, told.reason) == (Stage.CREATING, "VPCCreating")
    assert told.recheck == 900


def test_an_existing_vpc_is_ready_at_once():
    """Seed 003: ExistingVPCUsed, with the id of the spec."""
    told = vpc(capt_cluster(existingVpcId="vpc-1"))

    assert (told.stage, told.reason, told.vpc_id) == (Stage.READY, "ExistingVPCUsed", "vpc-1")


LOOKED_UP = {"existingVpcId": "vpc-1", "existingVpcTemplateRef": {"name": "lookup"}}


@pytest.mark.parametrize(
    ("reason", "outputs", "stage", "told_reason", "words"),
    [
        ("Applying", {}, Stage.CREATING, "VPCValidating", "vpc"),
        ("TemplateNotFound", {}, Stage.CREATING, "VPCValidating", "TemplateNotFound"),
        ("WorkspaceError", {}, Stage.FAILED, "InvalidVPCConfig", "existingVpcId"),
        ("TemplateNotAllowed", {}, Stage.FAILED, "InvalidVPCConfig", "TemplateNotAllowed"),
        ("Available", {}, Stage.CREATING, "WaitingForVPCID", "'vpc_id'"),
        ("Available", {"vpc_id": "vpc-2"}, Stage.FAILED, "InvalidVPCConfig", "vpc-2"),
        ("Available", {"vpc_id": "vpc-1"}, Stage.READY, "ExistingVPCUsed", "found"),
    ],
)
def test_an_existing_vpc_is_looked_up(reason, outputs, stage, told_reason, words):
    """Seed 003, B-C19: with a template that looks it up it is ready when Terraform has found exactly that VPC."""
    told = vpc(
        capt_cluster(**LOOKED_UP), vpc_apply(reason, cluster=capt_cluster(**LOOKED_UP), outputs=outputs)
    )

    assert (told.stage, told.reason) == (stage, told_reason)
    assert words in told.message


def test_the_lookup_has_fifteen_minutes():
    """Seed 003: an existing VPC that Terraform has not found in that time is reported, by what was to happen to it."""
    told = vpc(capt_cluster(status=since(15), **LOOKED_UP), vpc_apply("Applying"))

    assert (told.stage, told.reason) == (Stage.TIMED_OUT, "VPCValidationTimeout")
    assert "has not been found for 15 minutes" in told.message


@pytest.mark.parametrize(
    ("outputs", "secret"),
    [({"vpc_id": "vpc-1"}, {}), ({}, {"vpc_id": "vpc-1"}), ({"vpc_id": ""}, {"vpc_id": "vpc-1"})],
    ids=["output", "secret", "empty-output"],
)
def test_the_vpc_id_comes_from_the_outputs_or_the_secret(outputs, secret):
    """Seed 003, B-C18: a sensitive output is in the connection secret only."""
    told = vpc(apply=vpc_apply("Available", outputs=outputs), secret=secret)

    assert (told.stage, told.reason, told.vpc_id) == (Stage.READY, "VPCCreated", "vpc-1")
    assert told.recheck is None


def test_the_secret_is_looked_at_only_when_needed():
    """Secrets are read when Terraform is done and its outputs do not say the id, never otherwise."""
    assert needs_secret(observation(apply=vpc_apply("Available")))
    assert not needs_secret(observation(apply=vpc_apply("Available", outputs={"vpc_id": "vpc-1"})))
    assert not needs_secret(observation(apply=vpc_apply("Applying")))
    assert not needs_secret(observation())
    assert not needs_secret(observation(capt_cluster(existingVpcId="vpc-1")))


@pytest.mark.parametrize(
    ("minutes", "stage", "reason", "recheck"),
    [
        (0, Stage.CREATING, "WaitingForVPCID", 10),
        (4.9, Stage.CREATING, "WaitingForVPCID", 6),
        (5, Stage.TIMED_OUT, "SecretTimeout", 10),
        (60, Stage.TIMED_OUT, "SecretTimeout", 10),
    ],
)
def test_the_secret_has_five_minutes(minutes, stage, reason, recheck):
    """Seed 003: after five minutes a missing id is reported, by the name of the output; the search goes on."""
    told = vpc(apply=vpc_apply("Available", since=NOW - timedelta(minutes=minutes)))

    assert (told.stage, told.reason) == (stage, reason)
    assert told.recheck == pytest.approx(recheck)
    assert "'vpc_id'" in told.message
    assert "blue-abc12-vpc-connection" in told.message


@pytest.mark.parametrize(
    ("status", "stage", "reason", "recheck"),
    [
        (since(0), Stage.CREATING, "VPCCreating", 900),
        (since(14), Stage.CREATING, "VPCCreating", 60),
        (since(15), Stage.TIMED_OUT, "VPCCreationTimeout", None),
        (since(14, **READY_BEFORE), Stage.CREATING, "VPCUpdating", 60),
        (since(15, **READY_BEFORE), Stage.TIMED_OUT, "WorkspaceReadyTimeout", None),
        (since(600, "True", **READY_BEFORE), Stage.CREATING, "VPCUpdating", 900),
    ],
    ids=["new", "14-min", "15-min", "was-ready-14-min", "was-ready-15-min", "was-ready-until-now"],
)
def test_vpc_and_workspace_have_fifteen_minutes(status, stage, reason, recheck):
    """Seed 003: the time runs since the VPC was last ready, or since the first look at it, across restarts."""
    told = vpc(capt_cluster(status=status), vpc_apply("Applying"))

    assert (told.stage, told.reason, told.recheck) == (stage, reason, recheck)


def test_a_timeout_is_not_terminal():
    """A late success clears it, however long it took."""
    late = capt_cluster(status=since(600))

    assert vpc(late, vpc_apply("Applying")).stage is Stage.TIMED_OUT
    assert vpc(late, vpc_apply("Available", outputs={"vpc_id": "vpc-1"})).stage is Stage.READY


def test_an_apply_that_has_not_seen_its_spec_is_not_ready():
    """What Terraform made from an older spec is not what is wanted now."""
    stale = vpc_apply("Available", outputs={"vpc_id": "vpc-1"}, observedGeneration=0)
    failing = vpc_apply("Available", outputs={"vpc_id": "vpc-1"})
    conditions = [
        each.model_copy(update={"status": "False"} if each.type == "Synced" else {})
        for each in failing.status.conditions
    ]
    failing = failing.model_copy(
        update={"status": failing.status.model_copy(update={"conditions": tuple(conditions)})}
    )

    assert vpc(apply=stale).stage is Stage.CREATING
    assert vpc(apply=failing).stage is Stage.CREATING


@pytest.mark.parametrize(
    ("plan", "stage", "reason"),
    [
        (Blocked(reason="ApplyConflict", message="m", terminal=True), Stage.FAILED, "ApplyConflict"),
        (Blocked(reason="VPCDeleting", message="m", terminal=False), Stage.CREATING, "VPCCreating"),
    ],
)
def test_what_blocks_the_apply(plan, stage, reason):
    """A name that is taken needs a person; a deletion under way is waited for."""
    told = vpc(apply=vpc_apply("Available"), plan=plan)

    assert (told.stage, told.reason, told.message) == (stage, reason, "m")
