"""The contract of Cluster API, row by row, read off one cluster that came up from the samples, for each edition.

A1 to A16 are its rules for all kinds, B1 to B9 those for infrastructure, C1 to C16 those for control planes.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from capt.api import Event
from capt.assets import manifests
from capt.controllers.kinds import CAPT_CLUSTER, CAPT_CONTROL_PLANE, SECRET, TEMPLATE, kind_of
from capt.demo.core import EditionName
from capt.embedded import AuditEvent
from capt.runtime import Kind
from hack.envtest import ControlPlane
from tests.support.cluster import NAMESPACE, Cluster, documents
from tests.support.cluster import cluster as start_cluster
from tests.support.core import core

SAMPLES = manifests() / "samples" / "cluster"
NAME = "demo"
BOTH = ("CAPTCluster", "CAPTControlPlane")
KINDS = {kind.resource.kind: kind for kind in (TEMPLATE, CAPT_CLUSTER, CAPT_CONTROL_PLANE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """How a cluster came up.

    Attributes:
        edition: The version of Cluster API.
        states: Every state of each object of three kinds, as JSON, in order.
        secrets: The Secrets of the cluster at the end.
        requests: All that the manager asked of the API server.
        events: Type and reason of all events, by the kind that they are about.
    """

    edition: EditionName
    states: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    requests: list[AuditEvent] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def old(self) -> bool:
        """Whether the Cluster is of v1beta1."""
        return self.edition == "v1beta1"

    def __getitem__(self, kind: str) -> dict[str, Any]:
        return self.states[kind][-1]

    def conditions(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the conditions at the end, by type."""
        return {each["type"]: each for each in self[kind]["status"]["conditions"]}

    def initialization(self, field: str) -> Any:
        """Return a field of the Cluster's that has moved with v1beta2."""
        new = {
            "infrastructureReady": "infrastructureProvisioned",
            "controlPlaneReady": "controlPlaneInitialized",
        }
        status = self["Cluster"]["status"]
        return status.get(field) if self.old else status["initialization"].get(new[field])


async def play(cluster: Cluster, edition_name: EditionName) -> Story:
    """Bring the sample cluster up, and record what happens."""
    story = Story(edition=edition_name)
    observer = cluster.observer
    async with core(cluster, edition_name) as edition:
        kinds: tuple[Kind[Any], ...] = (edition.cluster, CAPT_CLUSTER, CAPT_CONTROL_PLANE)

        def record() -> None:
            for kind in kinds:
                for raw in observer.informers.store(kind).list():
                    states = story.states.setdefault(kind.resource.kind, [])
                    state = raw.decode()
                    if not states or states[-1] != state:
                        states.append(state)

        observer.checks.append(record)
        files = (*sorted((SAMPLES / "local").glob("*.yaml")), SAMPLES / edition_name / "cluster.yaml")
        async with cluster.manager():
            for document in documents(*files):
                kind: Kind[Any] = KINDS.get(document["kind"], edition.cluster)
                document["metadata"]["namespace"] = NAMESPACE
                await cluster.client.create(kind, document)

            async def complete() -> bool:
                if set(story.states) != {"Cluster", *KINDS} - {"WorkspaceTemplate"}:
                    return False
                told = {each["type"]: each["status"] for each in _conditions(story["CAPTControlPlane"])}
                parent = _conditions(story["Cluster"])
                available = any(
                    each["type"] == "ControlPlaneAvailable" and each["status"] == "True" for each in parent
                )
                optional = told.get("OptionalTemplatesReady") == "True"
                return (
                    optional and (available or story.old) and bool(story.initialization("controlPlaneReady"))
                )

            await observer.until(complete)
            found = await cluster.client.list_live(SECRET, NAMESPACE)
            story.secrets.update({each.metadata.name: each for each in found})
        observer.checks.clear()
        events = await cluster.client.list_live(kind_of(Event), NAMESPACE)
        story.events.extend((each.involved_object.kind, each.type, each.reason) for each in events)
        story.requests.extend(each for each in cluster.audit() if each.user_agent.startswith("capt"))
    return story


def _conditions(state: dict[str, Any]) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = state.get("status", {}).get("conditions", [])
    return conditions


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["v1beta1", "v1beta2"])
async def story(
    request: pytest.FixtureRequest, plane: ControlPlane | None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Story]:
    """A cluster of each edition, played once for all tests."""
    folder: Path = tmp_path_factory.mktemp("contract")
    async with start_cluster(folder, plane) as cluster:
        played = await play(cluster, request.param)
    yield played


@pytest.mark.parametrize("kind", BOTH)
def test_objects_are_those_of_kubernetes(story: Story, kind: str) -> None:
    """A1, A2: they have a namespace, apiVersion, kind and metadata."""
    obj = story[kind]
    assert obj["metadata"]["namespace"] == NAMESPACE
    assert (obj["kind"], obj["apiVersion"].partition("/")[2]) == (kind, "v1beta1")


@pytest.mark.parametrize("kind", BOTH)
def test_core_is_the_owner(story: Story, kind: str) -> None:
    """B7, B8, B-C05, B-C06, F11: the one owner is the Cluster, set by core, and there is no finalizer before it."""
    (owner,) = story[kind]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == (
        "Cluster",
        NAME,
        story["Cluster"]["metadata"]["uid"],
    )
    assert story[kind]["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] == NAME
    for state in story.states[kind]:
        if "ownerReferences" not in state["metadata"]:
            assert "finalizers" not in state["metadata"]


@pytest.mark.parametrize("kind", BOTH)
def test_conditions_have_the_shape_of_kubernetes(story: Story, kind: str) -> None:
    """A11: type, status, reason, message, the time of the transition, the generation; each type once."""
    conditions = story[kind]["status"]["conditions"]
    assert len({each["type"] for each in conditions}) == len(conditions)
    for each in conditions:
        assert each["status"] in ("True", "False", "Unknown")
        assert each["reason"]
        assert isinstance(each["message"], str)
        assert datetime.fromisoformat(each["lastTransitionTime"]).tzinfo is not None
        assert each["observedGeneration"] == story[kind]["metadata"]["generation"]


@pytest.mark.parametrize("kind", BOTH)
def test_nothing_that_was_initialized_goes_back(story: Story, kind: str) -> None:
    """A15, B-P36: once true, the fields that orchestrate provisioning are true in every later state."""

    def told(state: dict[str, Any]) -> set[str]:
        status = state.get("status", {})
        initialization = {name for name, value in status.get("initialization", {}).items() if value}
        return initialization | ({"initialized"} if status.get("initialized") else set())

    before: set[str] = set()
    for state in story.states[kind]:
        assert before <= told(state)
        before = told(state)
    assert before


@pytest.mark.parametrize("kind", BOTH)
def test_nothing_has_failed(story: Story, kind: str) -> None:
    """A12: what is waited for in the ordinary course is no failure; the failure fields stay empty throughout."""
    for state in story.states[kind]:
        assert state.get("status", {}).keys().isdisjoint({"failureReason", "failureMessage"})


def test_the_vpc_is_reported(story: Story) -> None:
    """B3, B4: provisioned in both spellings, and the condition Ready, which core shows as InfrastructureReady."""
    status = story["CAPTCluster"]["status"]
    assert (status["ready"], status["initialization"]) == (True, {"provisioned": True})
    assert story.initialization("infrastructureReady") is True
    ready = story.conditions("CAPTCluster")["Ready"]
    shown = story.conditions("Cluster")["InfrastructureReady"]
    assert ready["status"] == shown["status"] == "True"


def test_failure_domains_are_unique_and_of_the_shape_that_is_read(story: Story) -> None:
    """B2: a map under v1beta1, a list under v1beta2; the Cluster gets the same."""
    domains = story["CAPTCluster"]["status"]["failureDomains"]
    names = list(domains) if story.old else [each["name"] for each in domains]
    assert isinstance(domains, dict if story.old else list)
    assert names == ["us-west-2a", "us-west-2b", "us-west-2c"]
    assert story["Cluster"]["status"]["failureDomains"] == domains


def test_the_endpoint_is_the_control_planes(story: Story) -> None:
    """B1, C1: EKS gives the endpoint, so the control plane has it, as host and port, and the Cluster after it."""
    endpoint = story["CAPTControlPlane"]["spec"]["controlPlaneEndpoint"]
    assert endpoint["port"] == 443
    assert endpoint["host"].endswith(".eks.example.com")
    assert "/" not in endpoint["host"]
    assert story["Cluster"]["spec"]["controlPlaneEndpoint"] == endpoint
    assert "controlPlaneEndpoint" not in story["CAPTCluster"]["spec"]
    shown = f"{endpoint['host']}:443"
    assert (
        story["CAPTControlPlane"]["status"]["endpoint"] == story["CAPTCluster"]["status"]["endpoint"] == shown
    )


def test_the_version_that_runs_is_told(story: Story) -> None:
    """C2, C3, B-P15: the version asked for is in the spec, the one that runs in both spellings of the status."""
    control_plane = story["CAPTControlPlane"]
    assert control_plane["spec"]["version"] == control_plane["status"]["version"] == "1.33"
    assert control_plane["status"]["versions"] == [{"version": "1.33"}]
    assert control_plane["status"]["observedGeneration"] == control_plane["metadata"]["generation"]


def test_nobodys_machines_run_the_control_plane(story: Story) -> None:
    """C4, C5, C6, B-P15: EKS runs it, which is said; replicas and templates of machines there are none."""
    control_plane = story["CAPTControlPlane"]
    assert control_plane["status"]["externalManagedControlPlane"] is True
    absent = {"replicas", "readyReplicas", "selector", "machineTemplate"}
    assert absent.isdisjoint({*control_plane["spec"], *control_plane["status"]})


def test_the_control_plane_is_reported(story: Story) -> None:
    """C8, C9, C10: initialized in both spellings, the condition Available, and no rollout under way."""
    status = story["CAPTControlPlane"]["status"]
    assert (status["ready"], status["initialized"]) == (True, True)
    assert status["initialization"] == {"controlPlaneInitialized": True}
    assert story.initialization("controlPlaneReady") is True
    conditions = story.conditions("CAPTControlPlane")
    assert {kind: conditions[kind]["status"] for kind in ("Available", "RollingOut")} == {
        "Available": "True",
        "RollingOut": "False",
    }


def test_the_kubeconfig_is_one_that_core_can_use(story: Story) -> None:
    """C11, C12: name, type, label and key are the contract's; its credential is inline, and not that of people."""
    secret, people = story.secrets[f"{NAME}-kubeconfig"], story.secrets[f"{NAME}-user-kubeconfig"]
    assert secret.type == "cluster.x-k8s.io/secret"
    assert secret.metadata.labels["cluster.x-k8s.io/cluster-name"] == NAME
    assert list(secret.data) == ["value"]
    (user,) = yaml.safe_load(secret.data["value"])["users"]
    assert list(user["user"]) == ["token"]
    assert user["user"]["token"] not in people.data["value"].decode()


def test_the_certificate_authority_is_there(story: Story) -> None:
    """C13: `tls.crt` is PEM; type and label are those of the kubeconfig. Its key is EKS's alone."""
    secret = story.secrets[f"{NAME}-ca"]
    assert secret.type == "cluster.x-k8s.io/secret"
    assert secret.metadata.labels["cluster.x-k8s.io/cluster-name"] == NAME
    assert secret.data["tls.crt"].startswith(b"-----BEGIN CERTIFICATE-----")
    authority = yaml.safe_load(story.secrets[f"{NAME}-kubeconfig"].data["value"])["clusters"][0]["cluster"]
    assert base64.b64decode(authority["certificate-authority-data"]) == secret.data["tls.crt"]


def test_what_is_written_to_the_cluster_is_little_and_ends(story: Story) -> None:
    """A8, C16, B-C07, B-P16: the Cluster gets its endpoint once, and its status as often as there is news; nothing else."""
    written = Counter(
        (each.verb, each.subresource)
        for each in story.requests
        if each.resource == "clusters" and each.verb in ("create", "update", "patch", "delete")
    )
    assert set(written) <= {("patch", ""), ("patch", "status")}
    assert written["patch", ""] <= 1
    assert written["patch", "status"] <= 6


def test_own_objects_are_changed_as_little_as_can_be(story: Story) -> None:
    """B-C28, B-P12: one write for the finalizer, one for the endpoint; what the user wrote stays as it was."""
    written = Counter(
        each.resource
        for each in story.requests
        if each.verb == "patch" and not each.subresource and each.code == 200
    )
    assert written["captclusters"] == 1
    assert written["captcontrolplanes"] == 2
    samples = {each["kind"]: each for each in documents(SAMPLES / story.edition / "cluster.yaml")}
    for kind in BOTH:
        spec = dict(story[kind]["spec"])
        spec.pop("controlPlaneEndpoint", None)
        assert "workspaceTemplateApplyName" not in spec
        assert spec.keys() - samples[kind]["spec"].keys() <= {"retainVpcOnDelete"}


def test_reads_come_from_the_cache(story: Story) -> None:
    """B-P38: Secrets are read by name; of our own kinds, only what may just have been made is asked for live."""
    read = {each.resource for each in story.requests if each.verb == "get" and each.resource}
    assert read <= {"secrets", "workspacetemplateapplies", "workspaces", "configmaps"}


def test_the_apply_of_the_control_plane_is_told(story: Story) -> None:
    """B-P26: readiness, state, revision and outputs of the WorkspaceTemplateApply stand in the status, nothing secret."""
    told = story["CAPTControlPlane"]["status"]["workspaceTemplateStatus"]
    assert (told["ready"], told["state"]) == (True, "Available")
    assert told["lastAppliedRevision"]
    assert told["outputs"]["cluster_endpoint"].startswith("https://")
    assert "token" not in told["outputs"]


def test_phases_are_events(story: Story) -> None:
    """B-P33: whoever describes a control plane reads how it came up."""
    assert {
        ("CAPTControlPlane", "Normal", "Creating"),
        ("CAPTControlPlane", "Normal", "EndpointUpdated"),
        ("CAPTControlPlane", "Normal", "Ready"),
        ("CAPTCluster", "Normal", "VPCCreating"),
        ("CAPTCluster", "Normal", "VPCCreated"),
    } <= set(story.events)
