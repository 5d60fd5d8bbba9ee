from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from capt.api import CAPTCluster, WorkspaceTemplateApply
from capt.controllers.child_apply import Create, Keep
from capt.controllers.cluster.plan import Blocked
from capt.controllers.cluster.status import (
    Report,
    deleting,
    failed,
    paused,
    report,
    waiting_for_cluster,
)
from tests.support.capt_clusters import NOW, capt_cluster, observation, parent, vpc_apply

VPC = {"vpc_id": "vpc-1", "azs": ["a", "b"]}
TYPES = ("Ready", "VPCReady", "VPCCreating", "VPCFailed")


def told(
    status: Any = None, apply: WorkspaceTemplateApply | None = None, plan: Any = None, **seen: Any
) -> Report:
    """Return the report that follows on a status."""
    cluster = capt_cluster(status=status.model_dump(by_alias=True) if status is not None else None)
    return report(observation(cluster, apply, **seen), plan or Keep())


def conditions(reported: Report) -> dict[str, str]:
    return {each.type: each.status for each in reported.status.conditions}


def reason(reported: Report) -> str:
    return next(each.reason for each in reported.status.conditions if each.type == "Ready")


APPLIES = {
    "creating": vpc_apply("Applying"),
    "failed": vpc_apply("WorkspaceError"),
    "ready": vpc_apply("Available", outputs=VPC),
    "timed out": vpc_apply("Available", since=NOW - timedelta(hours=1)),
}
HOLDS = {"creating": "VPCCreating", "failed": "VPCFailed", "ready": "VPCReady", "timed out": "VPCFailed"}


@pytest.mark.parametrize("before", [None, *APPLIES])
@pytest.mark.parametrize("after", APPLIES)
def test_every_transition(before, after):
    """Seed 003: whatever came before, exactly one of the VPC's conditions holds (B-C09, B-C10), and Ready agrees."""
    old = told(apply=APPLIES[before]).status if before else None

    new = told(old, APPLIES[after])

    assert conditions(new) == {
        kind: str(kind == HOLDS[after] or (kind == "Ready" and after == "ready")) for kind in TYPES
    }
    assert new.status.ready == (after == "ready")
    # A12, seed 004: failure fields are there while a failure is, and gone with it; a timeout is none
    assert (new.status.failure_reason is not None) == (after == "failed")
    assert (new.status.failure_message is not None) == (after == "failed")
    # A15: what was provisioned once stays provisioned, and its id stays known
    provisioned = new.status.initialization is not None and new.status.initialization.provisioned is True
    assert provisioned == ("ready" in {before, after})
    assert (new.status.vpc_id == "vpc-1") == provisioned


@pytest.mark.parametrize("before", [None, *APPLIES])
@pytest.mark.parametrize("after", APPLIES)
def test_an_event_for_each_change_of_phase_and_none_without(before, after):
    """A phase is told once when it begins: as Warning if something is wrong."""
    old = told(apply=APPLIES[before]).status if before else None

    new = told(old, APPLIES[after])
    again = told(new.status, APPLIES[after])

    if before is None or reason(new) != reason(told(apply=APPLIES[before])):
        assert new.event is not None
        assert new.event[:2] == ("Warning" if after in {"failed", "timed out"} else "Normal", reason(new))
    assert again.event is None
    assert again.status == new.status


def test_ready_tells_everything():
    """What seed 003 lists is there: ready in both spellings, VPC, workspace, endpoint, failure domains, outputs."""
    cluster = capt_cluster(controlPlaneEndpoint={"host": "api.example.org", "port": 6443})

    status = report(observation(cluster, APPLIES["ready"]), Keep()).status

    assert (status.ready, status.vpc_id, status.endpoint) == (True, "vpc-1", "api.example.org:6443")
    assert status.initialization is not None
    assert status.initialization.provisioned is True
    assert status.vpc_workspace_name == "default-blue-abc12-vpc-0"
    assert status.workspace_template_apply_name == "blue-abc12-vpc"
    assert status.workspace_template_status is not None
    assert status.workspace_template_status.ready
    assert status.workspace_template_status.workspace_name == "default-blue-abc12-vpc-0"
    assert status.outputs == VPC
    assert status.observed_generation == 2


@pytest.mark.parametrize(
    ("version", "domains"),
    [
        ("v1beta1", {"a": {"controlPlane": True}, "b": {"controlPlane": True}}),
        ("v1beta2", [{"name": "a", "controlPlane": True}, {"name": "b", "controlPlane": True}]),
    ],
)
def test_failure_domains_have_the_shape_that_is_read(version, domains):
    """B2: a map where Cluster API speaks v1beta1, a list where it speaks v1beta2."""
    assert told(apply=APPLIES["ready"], of=parent(version)).status.failure_domains == domains


@pytest.mark.parametrize(
    ("own", "of_cluster", "endpoint"),
    [
        ({"host": "own", "port": 6443}, {"host": "theirs", "port": 443}, "own:6443"),
        (None, {"host": "theirs", "port": 443}, "theirs:443"),
        (None, {"host": "", "port": 0}, None),
        (None, None, None),
        ({"host": "2001:db8::1"}, None, "[2001:db8::1]:443"),
    ],
)
def test_endpoint_is_the_own_one_or_that_of_the_cluster(own, of_cluster, endpoint):
    """Seed 003, B1: an endpoint of the spec is told to the Cluster; else the Cluster's is shown."""
    cluster = capt_cluster(existingVpcId="vpc-1", **({"controlPlaneEndpoint": own} if own else {}))
    of = parent(**({"controlPlaneEndpoint": of_cluster} if of_cluster else {}))

    reported = report(observation(cluster, of=of), Keep())

    assert reported.status.endpoint == endpoint
    assert reported.news is not None
    assert (reported.news.endpoint is not None) == (own is not None)


def test_an_existing_vpc():
    """Seed 003: ExistingVPCUsed, ready at once, without workspace."""
    reported = report(observation(capt_cluster(existingVpcId="vpc-9")), Keep())

    assert (reason(reported), reported.status.ready, reported.status.vpc_id) == (
        "ExistingVPCUsed",
        True,
        "vpc-9",
    )
    assert conditions(reported)["VPCReady"] == "True"
    assert reported.status.workspace_template_apply_name is None


def test_terminal_failures_reach_the_cluster_and_say_what_to_do():
    """Seed 003, `set_failed_status`: reason and message here and for the Cluster; a timeout is not among them."""
    seen = observation(apply=APPLIES["creating"])
    reported = failed(seen, "VPCReconciliationFailed", "refused")

    assert reported.news is not None
    assert (reported.news.failure_reason, reported.news.failure_message) == (
        "VPCReconciliationFailed",
        "refused",
    )
    assert (reported.status.failure_reason, reported.status.failure_message) == (
        "VPCReconciliationFailed",
        "refused",
    )
    late = told(apply=APPLIES["timed out"])
    assert late.news is not None
    assert late.news.failure_reason is None
    message = told(apply=APPLIES["failed"]).status.failure_message
    assert message is not None
    assert message.endswith("correct the template or its variables, Terraform then tries again")


def test_a_conflict_of_names_is_a_failure():
    """What cannot go on without a person says so."""
    blocked = Blocked(reason="ApplyConflict", message="taken", terminal=True)

    assert told(plan=blocked).status.failure_reason == "ApplyConflict"


def test_before_the_apply_is_there():
    """B-C13: The name of what is made is known before it is made."""
    reported = told(plan=Create(body={}))

    assert reported.status.workspace_template_apply_name == "blue-abc12-vpc"
    assert reason(reported) == "VPCCreating"


def waiting(cluster: CAPTCluster) -> Report:
    return waiting_for_cluster(cluster, "OwnerReferenceNotSet", "waits", NOW)


def test_waiting_for_the_cluster():
    """B-C02: without an owner there is a condition, not an error; it goes when the owner is there."""
    reported = waiting(capt_cluster())

    assert conditions(reported) == {"WaitingForCluster": "True", "Ready": "False"}
    assert reported.event == ("Normal", "WaitingForCluster", "waits")
    assert reported.news is None
    again = waiting(capt_cluster(status=reported.status.model_dump(by_alias=True)))
    assert (again.event, again.status) == (None, reported.status)
    assert "WaitingForCluster" not in conditions(told(reported.status, APPLIES["ready"]))


def test_a_cluster_that_cannot_be_seen_for_a_moment_changes_nothing():
    """B-C03: in a restore or a move the VPC stays ready, and only the wait is told."""
    ready = told(apply=APPLIES["ready"]).status

    reported = waiting(capt_cluster(status=ready.model_dump(by_alias=True)))

    assert reported.status.ready
    assert reported.status.vpc_id == "vpc-1"
    assert conditions(reported) == {**conditions(told(apply=APPLIES["ready"])), "WaitingForCluster": "True"}


def test_paused():
    """A10: a pause shows as condition Paused and nothing else; it goes with the pause."""
    ready = told(apply=APPLIES["ready"]).status
    status = paused(capt_cluster(status=ready.model_dump(by_alias=True)), NOW)

    assert {each.type for each in status.conditions} == {*TYPES, "Paused"}
    assert status.ready
    assert "Paused" not in conditions(told(status, APPLIES["ready"]))


@pytest.mark.parametrize(
    ("users", "reason", "words"),
    [
        (("CAPTControlPlane cp",), "WaitingForControlPlane", "CAPTControlPlane cp"),
        ((), "Deleting", "blue-abc12-vpc"),
    ],
)
def test_deleting(users, reason, words):
    """B-C27: each step of a deletion is told once, by name."""
    ready = told(apply=APPLIES["ready"]).status
    cluster = capt_cluster(status=ready.model_dump(by_alias=True))

    reported = deleting(cluster, APPLIES["ready"], users, NOW)

    assert reported.event is not None
    assert reported.event[:2] == ("Normal", reason)
    assert words in reported.event[2]
    assert not reported.status.ready
    again = capt_cluster(status=reported.status.model_dump(by_alias=True))
    assert deleting(again, APPLIES["ready"], users, NOW).event is None


def test_a_deletion_that_fails_says_why():
    """The provider's words about a VPC that cannot be destroyed are in the condition."""
    apply = vpc_apply(
        "WorkspaceError", message="DependencyViolation", metadata={"deletionTimestamp": NOW.isoformat()}
    )

    reported = deleting(capt_cluster(), apply, (), NOW)

    assert "DependencyViolation" in reported.status.conditions[0].message
