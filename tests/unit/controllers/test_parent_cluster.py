from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from capt.api import APIEndpoint, CAPTCluster, CAPTControlPlane, Cluster, ClusterV1Beta1, FailureDomain
from capt.controllers.kinds import CLUSTER, CLUSTER_V1BETA1
from capt.controllers.parent_cluster import (
    News,
    Parent,
    domains_by_name,
    is_externally_managed,
    parent_key,
    tell,
)
from capt.controllers.pausing import is_paused

BOTH = pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
ENDPOINT = APIEndpoint(host="api.example.org", port=6443)
NOW = datetime(2026, 1, 1, tzinfo=UTC).isoformat()


def parent(
    version: str,
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> Parent:
    kind, model = (CLUSTER, Cluster) if version == "v1beta2" else (CLUSTER_V1BETA1, ClusterV1Beta1)
    body = {
        "metadata": {"name": "c", "namespace": "n", **metadata},
        "spec": spec or {},
        "status": status or {},
    }
    return Parent(kind=kind, cluster=model.model_validate(body))


def child(**metadata: Any) -> CAPTCluster:
    owner = {"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "name": "c", "uid": "u"}
    body = {
        "metadata": {"name": "infra", "namespace": "n", "ownerReferences": [owner], **metadata},
        "spec": {"region": "us-west-2", "existingVpcId": "vpc-1"},
    }
    return CAPTCluster.model_validate(body)


def control_plane() -> CAPTControlPlane:
    return CAPTControlPlane.model_validate(
        {
            "metadata": {"name": "cp", "namespace": "n"},
            "spec": {"version": "1.31", "workspaceTemplateRef": {"name": "t"}},
        }
    )


READY = News(role="infrastructure", ready=True, endpoint=ENDPOINT)
FAILED = News(
    role="infrastructure", ready=False, failure_reason="VPCCreationFailed", failure_message="no quota"
)


@BOTH
def test_the_endpoint_is_written_where_it_differs(version):
    """Seed 004: the endpoint reaches `Cluster.spec.controlPlaneEndpoint`, and an equal one costs no write."""
    patches = tell(parent(version), child(), READY)

    assert patches.spec == {"spec": {"controlPlaneEndpoint": {"host": "api.example.org", "port": 6443}}}
    told = parent(version, spec={"controlPlaneEndpoint": {"host": "api.example.org", "port": 6443}})
    assert tell(told, child(), READY).spec == {}


@BOTH
@pytest.mark.parametrize("endpoint", [None, APIEndpoint(), APIEndpoint(host="x", port=0)])
def test_the_endpoint_is_never_unset(version, endpoint):
    """B-P19: whatever an object does not know, the Cluster's endpoint stays."""
    told = parent(version, spec={"controlPlaneEndpoint": {"host": "api.example.org", "port": 6443}})

    assert tell(told, child(), News(role="controlPlane", ready=False, endpoint=endpoint)).spec == {}


@pytest.mark.parametrize(
    ("version", "role", "status"),
    [
        ("v1beta1", "infrastructure", {"infrastructureReady": True}),
        ("v1beta2", "infrastructure", {"initialization": {"infrastructureProvisioned": True}}),
        ("v1beta1", "controlPlane", {"controlPlaneReady": True}),
        ("v1beta2", "controlPlane", {"initialization": {"controlPlaneInitialized": True}}),
    ],
)
def test_readiness_goes_into_the_field_that_the_version_has(version, role, status):
    """Seed 003: the Cluster learns of readiness, in the words of the version that is served; once is enough."""
    news = News(role=role, ready=True)

    assert tell(parent(version), child(), news).status == {"status": status}
    assert tell(parent(version, status=status), child(), news).status == {}
    assert tell(parent(version, status=status), child(), News(role=role, ready=False)).status == {}


def test_failure_domains_have_the_shape_of_the_version():
    """B2: a map under v1beta1, a list under v1beta2; places that are no more go."""
    domains = (FailureDomain(name="a", control_plane=True), FailureDomain(name="b"))
    news = News(role="infrastructure", ready=False, failure_domains=domains)
    old = parent("v1beta1", status={"failureDomains": {"a": {"controlPlane": True}, "z": {}}})

    assert domains_by_name(domains) == {"a": {"controlPlane": True}, "b": {}}
    assert tell(old, child(), news).status == {"status": {"failureDomains": {"b": {}, "z": None}}}
    assert tell(parent("v1beta2"), child(), news).status == {
        "status": {"failureDomains": [{"name": "a", "controlPlane": True}, {"name": "b"}]}
    }


def failure_of(version: str, status: dict[str, Any]) -> dict[str, Any]:
    return status if version == "v1beta1" else status["deprecated"]["v1beta1"]


@BOTH
def test_a_failure_is_told_and_cleared_by_whom_it_came_from(version):
    """Seed 004: Ready clears the failure that the same object had told; another object's failure stays."""
    told = tell(parent(version), child(), FAILED).status["status"]

    assert failure_of(version, told) == {
        "failureReason": "VPCCreationFailed",
        "failureMessage": "Failure detected from referenced resource CAPTCluster with name 'infra': no quota",
    }
    failed = parent(version, status=told)
    assert tell(failed, child(), FAILED).status == {}
    assert "failureReason" not in str(
        tell(failed, control_plane(), News(role="controlPlane", ready=True)).status
    )
    cleared = tell(failed, child(), News(role="infrastructure", ready=True)).status["status"]
    assert {"failureReason": None, "failureMessage": None}.items() <= failure_of(version, cleared).items()


@BOTH
def test_two_failures_do_not_contend(version):
    """The first to fail is told; the other waits until that is resolved, and is told then."""
    broken = News(
        role="controlPlane", ready=False, failure_reason="WorkspaceError", failure_message="no rights"
    )
    told = tell(parent(version), child(), FAILED).status["status"]
    failed = parent(version, status=told)

    assert tell(failed, control_plane(), broken).status == {}
    assert tell(failed, child(), FAILED).status == {}
    then = tell(parent(version), control_plane(), broken).status["status"]
    assert failure_of(version, then)["failureReason"] == "WorkspaceError"


@BOTH
def test_cluster_apis_words_for_the_same_failure_stay(version):
    """Core tells the failure of the object in its own words; only another reason or message is news."""
    origin = "infrastructure.cluster.x-k8s.io/v1beta1, Kind=CAPTCluster"
    words = f'Failure detected from referenced resource {origin} with name "infra": no quota'
    fields = {"failureReason": "VPCCreationFailed", "failureMessage": words}
    failed = parent(version, status=fields if version == "v1beta1" else {"deprecated": {"v1beta1": fields}})

    assert tell(failed, child(), FAILED).status == {}
    other = News(
        role="infrastructure", ready=False, failure_reason="VPCCreationFailed", failure_message="no rights"
    )
    changed = failure_of(version, tell(failed, child(), other).status["status"])
    assert changed["failureMessage"].endswith("no rights")


def test_a_failure_in_the_words_of_cluster_api_is_cleared_too():
    """Core tells a failure with group, version and quoted name; it is the same failure."""
    origin = "infrastructure.cluster.x-k8s.io/v1beta1, Kind=CAPTCluster"
    words = f'Failure detected from referenced resource {origin} with name "infra": x'
    failed = parent("v1beta1", status={"failureReason": "R", "failureMessage": words})

    assert (
        tell(failed, child(), News(role="infrastructure", ready=True)).status["status"]["failureMessage"]
        is None
    )


@BOTH
@pytest.mark.parametrize(
    "silent",
    [
        lambda version: (parent(version, spec={"paused": True}), child()),
        lambda version: (parent(version, annotations={"cluster.x-k8s.io/paused": ""}), child()),
        lambda version: (parent(version, deletionTimestamp=NOW), child()),
        lambda version: (parent(version, annotations={"cluster.x-k8s.io/managed-by": "x"}), child()),
        lambda version: (parent(version), child(annotations={"cluster.x-k8s.io/managed-by": "x"})),
        lambda version: (parent(version), child(labels={"cluster.x-k8s.io/managed-by": "x"})),
        lambda version: (parent(version), child(deletionTimestamp=NOW)),
    ],
    ids=[
        "spec.paused",
        "paused",
        "deleting",
        "managed",
        "child-managed",
        "child-managed-label",
        "child-deleting",
    ],
)
def test_nothing_is_written_where_nothing_may_be(version, silent):
    """Design 4.5: never under pause or `managed-by`, nor to what is going."""
    patches = tell(*silent(version), READY)

    assert (patches.spec, patches.status) == ({}, {})


def test_the_parent_is_found_by_owner_reference_and_not_by_name():
    """B-C04, B-T04: a topology names its objects otherwise than the Cluster."""
    assert parent_key(child()) == ("n", "c")
    assert parent_key(child(ownerReferences=[])) is None
    other = {"apiVersion": "example.org/v1", "kind": "Cluster", "name": "c", "uid": "u"}
    assert parent_key(child(ownerReferences=[other])) is None


@BOTH
def test_the_pause_of_a_cluster_holds_for_what_belongs_to_it(version):
    """A9, B-C20: `Cluster.spec.paused` and the annotation, on the Cluster or on the object, whatever its value."""
    assert is_paused(child(), parent(version, spec={"paused": True}))
    assert is_paused(child(annotations={"cluster.x-k8s.io/paused": "false"}))
    assert not is_paused(child(), parent(version))


def test_managed_by_counts_as_annotation_and_as_label():
    """B5: Cluster API's code reads an annotation, its book speaks of a label."""
    assert is_externally_managed(child(annotations={"cluster.x-k8s.io/managed-by": ""}))
    assert is_externally_managed(child(labels={"cluster.x-k8s.io/managed-by": "x"}))
    assert not is_externally_managed(child())


@BOTH
def test_a_failure_without_words_is_a_failure(version: str) -> None:
    """B-C23: a reason without a message reaches the Cluster, and names whom it is from."""
    news = News(role="infrastructure", ready=False, failure_reason="Broken")
    status = tell(parent(version), child(), news).status["status"]
    failure = status if version == "v1beta1" else status["deprecated"]["v1beta1"]
    assert failure["failureReason"] == "Broken"
    assert failure["failureMessage"].endswith("CAPTCluster with name 'infra':")
