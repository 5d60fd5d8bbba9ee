"""What the CRDs accept, refuse and fill in, asked of an API server: the rules are the server's to enforce."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import tenacity
import yaml

from capt.api import KINDS, Workspace
from capt.api.crd import definition
from capt.embedded import ApiServer, ServerOptions
from tests.support.api_cases import (
    ACCEPTED,
    EKS,
    GROUP,
    NODE,
    PLURALS,
    REFUSED,
    REMOVE,
    REPLICATED,
    Refused,
    api_version,
    changed,
    manifest,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEDS = sorted((Path(__file__).parents[2] / "fixtures" / "seeds").glob("*.yaml"))
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Api:
    session: aiohttp.ClientSession
    url: str

    async def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Answer:
        async with self.session.request(
            method, self.url + path, json=body, headers={"Content-Type": content_type}
        ) as response:
            return Answer(response.status, await response.json())

    async def established(self, crd: str) -> None:
        wait = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_delay(10),
            wait=tenacity.wait_fixed(0.02),
            retry=tenacity.retry_if_not_result(is_established),
        )
        await wait(self.request, "GET", f"{CRDS}/{crd}")

    async def create(self, body: Mapping[str, Any]) -> Answer:
        return await self.request("POST", collection(body["kind"]) + "?fieldValidation=Strict", body)

    async def patch(self, kind: str, name: str, patch: Mapping[str, Any], subresource: str = "") -> Answer:
        return await self.request("PATCH", f"{collection(kind)}/{name}{subresource}", patch, MERGE_PATCH)


def collection(kind: str) -> str:
    return f"/apis/{api_version(kind)}/namespaces/default/{PLURALS[kind]}"


def is_established(answer: Answer) -> bool:
    conditions = answer.body.get("status", {}).get("conditions") or []
    return any(
        condition["type"] == "Established" and condition["status"] == "True" for condition in conditions
    )


@pytest.fixture
def name(request) -> str:
    """A name of its own for the object of each test."""
    return f"example-{hashlib.sha256(request.node.name.encode()).hexdigest()[:10]}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api() -> AsyncIterator[Api]:
    async with ApiServer(ServerOptions()) as server:
        tls = ssl.create_default_context(cadata=server.ca_pem)
        headers = {"Authorization": f"Bearer {server.token}"}
        connector = aiohttp.TCPConnector(ssl=tls)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            api = Api(session, server.url)
            for model in (*KINDS, Workspace):
                crd = definition(model)
                answer = await api.request("POST", CRDS, crd)
                assert answer.status in (201, 409), answer.body
                await api.established(crd["metadata"]["name"])
            yield api


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
async def test_seed_manifest_is_accepted(api, path):
    """Every manifest that a seed prints passes strict field validation as it stands."""
    body = yaml.safe_load(path.read_text(encoding="utf-8"))

    answer = await api.create(body)

    assert answer.status == 201, answer.body


@pytest.mark.parametrize(("kind", "spec"), ACCEPTED)
async def test_accepted(api, name, kind, spec):
    """Every optional field is accepted, and nothing of it is dropped."""
    answer = await api.create(manifest(kind, spec, name))

    def contains(actual: Any, expected: Any) -> bool:
        if isinstance(expected, Mapping):
            return all(contains(actual[key], value) for key, value in expected.items())
        if isinstance(expected, list):
            return len(actual) == len(expected) and all(map(contains, actual, expected))
        return actual == expected

    assert answer.status == 201, answer.body
    assert contains(answer.body["spec"], spec)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
async def test_refused(api, name, case: Refused):
    """B-M06, B-C21: A bad value is refused with an error that names the field and the rule."""
    answer = await api.create(case.body(name))

    assert answer.status in (400, 422)
    for words in case.words:
        assert words in answer.body["message"]


@pytest.mark.parametrize("kind", PLURALS)
async def test_spec_is_required(api, name, kind):
    """A manifest without spec is refused, not stored empty."""
    body = manifest(kind, name=name)
    del body["spec"]

    answer = await api.create(body)

    assert answer.status == 422
    assert "spec: Required value" in answer.body["message"]


async def test_server_fills_in_the_defaults_of_a_deployment(api, name):
    """B-M03: `kubectl get -o yaml` shows what is in force."""
    answer = await api.create(manifest("CaptMachineDeployment", {"template": {"spec": NODE}}, name))

    assert answer.body["spec"] == {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"spec": NODE},
        "minReadySeconds": 0,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "paused": False,
    }


@pytest.mark.parametrize("strategy", ["Recreate", "OnDelete"])
async def test_other_strategies_get_no_rolling_update(api, name, strategy):
    """Limits of a rolling update are not filled in where they mean nothing."""
    answer = await api.create(
        manifest("CaptMachineDeployment", changed(REPLICATED, {"strategy": {"type": strategy}}), name)
    )

    assert answer.body["spec"]["strategy"] == {"type": strategy}


async def test_server_fills_in_the_defaults_of_a_template(api, name):
    """A template that names no provider configuration uses the one called default, as in the original."""
    answer = await api.create(manifest("WorkspaceTemplate", name=name))

    spec = answer.body["spec"]["template"]["spec"]
    assert spec["providerConfigRef"] == {"name": "default"}
    assert spec["deletionPolicy"] == "Delete"
    assert spec["managementPolicies"] == ["*"]


@pytest.mark.parametrize("kind", ["CaptMachineSet", "CaptMachineDeployment"])
@pytest.mark.parametrize(
    "selector", [{"matchLabels": {"zone": "a", "role": None}}, None], ids=["changed", "removed"]
)
async def test_selector_is_immutable(api, name, kind, selector):
    """A selector that changed would lose the machines that it selected before."""
    assert (await api.create(manifest(kind, name=name))).status == 201

    answer = await api.patch(kind, name, {"spec": {"selector": selector}})

    assert answer.status == 422
    assert "spec.selector" in answer.body["message"]
    assert "selector is immutable" in answer.body["message"]


@pytest.mark.parametrize("kind", ["CaptMachineSet", "CaptMachineDeployment"])
async def test_everything_but_the_selector_is_mutable(api, name, kind):
    """Replicas and template change freely; that is what the kinds are for."""
    assert (await api.create(manifest(kind, name=name))).status == 201

    answer = await api.patch(
        kind, name, {"spec": {"replicas": 5, "template": {"spec": {"instanceType": "t3.large"}}}}
    )

    assert answer.status == 200
    assert answer.body["spec"]["template"]["spec"]["instanceType"] == "t3.large"


@pytest.mark.parametrize(
    ("spec", "patch"),
    [
        (NODE, {"nodeGroupRef": None, "nodeGroupConfig": GROUP["nodeGroupConfig"]}),
        (GROUP, {"nodeGroupConfig": None, "nodeGroupRef": NODE["nodeGroupRef"], "instanceType": "t3.medium"}),
    ],
    ids=["node-to-group", "group-to-node"],
)
async def test_a_machine_keeps_its_form(api, name, spec, patch):
    """A node cannot become a node group, nor the other way round."""
    assert (await api.create(manifest("CaptMachine", spec, name))).status == 201

    answer = await api.patch("CaptMachine", name, {"spec": patch})

    assert answer.status == 422
    assert "cannot change between nodeGroupRef and nodeGroupConfig" in answer.body["message"]


async def test_a_deployment_may_change_the_form_of_its_machines(api, name):
    """In a template the form is free: the rollout makes new machines anyway."""
    assert (await api.create(manifest("CaptMachineDeployment", name=name))).status == 201

    template = {"nodeGroupRef": None, "instanceType": None, "nodeGroupConfig": GROUP["nodeGroupConfig"]}
    answer = await api.patch("CaptMachineDeployment", name, {"spec": {"template": {"spec": template}}})

    assert answer.status == 200, answer.body


@pytest.mark.parametrize("kind", ["CaptMachineSet", "CaptMachineDeployment"])
async def test_scale(api, name, kind):
    """The scale subresource reads and writes replicas and shows the selector, as autoscalers need."""
    assert (await api.create(manifest(kind, name=name))).status == 201
    status = {"status": {"replicas": 1, "selector": "role=worker"}}
    assert (await api.patch(kind, name, status, "/status")).status == 200

    answer = await api.patch(kind, name, {"spec": {"replicas": 4}}, "/scale")

    assert answer.status == 200, answer.body
    assert answer.body["spec"] == {"replicas": 4}
    assert answer.body["status"] == {"replicas": 1, "selector": "role=worker"}
    stored = await api.request("GET", f"{collection(kind)}/{name}")
    assert stored.body["spec"]["replicas"] == 4


async def test_status_takes_conditions_and_outputs_of_any_type(api, name):
    """What controllers report is stored as it is."""
    assert (await api.create(manifest("CaptMachine", name=name))).status == 201
    status = {
        "observedGeneration": 1,
        "ready": True,
        "outputs": {"list": [1, "two"], "object": {"deep": True}},
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Provisioned",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": 1,
            }
        ],
    }

    answer = await api.patch("CaptMachine", name, {"status": status}, "/status")

    assert answer.status == 200, answer.body
    assert answer.body["status"] == status


async def test_a_workspace_of_ours_takes_what_the_provider_takes(api, name):
    """B-K11: Our Workspace CRD accepts a provider's object: conditions without a message, observations of the future."""
    path = f"/apis/{Workspace.RESOURCE.api_version}/workspaces"
    body = {
        "apiVersion": Workspace.RESOURCE.api_version,
        "kind": "Workspace",
        "metadata": {"name": name},
        "spec": {"forProvider": {"source": "Inline", "module": 'output "a" { value = 1 }'}},
    }
    created = await api.request("POST", f"{path}?fieldValidation=Strict", body)
    assert created.status == 201, created.body
    assert created.body["spec"] == {
        **body["spec"],
        "providerConfigRef": {"name": "default"},
        "deletionPolicy": "Delete",
        "managementPolicies": ["*"],
    }

    since = "2026-01-01T00:00:00Z"
    status = {
        "atProvider": {"outputs": {"a": 1, "b": [True]}, "checksum": "c", "future": {"x": 1}},
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Available", "lastTransitionTime": since},
            {"type": "Synced", "status": "True", "reason": "ReconcileSuccess", "lastTransitionTime": since},
        ],
    }
    answer = await api.request("PATCH", f"{path}/{name}/status", {"status": status}, MERGE_PATCH)

    assert answer.status == 200, answer.body
    assert answer.body["status"] == status


async def test_a_set_without_selector_may_get_one_later(api, name):
    """Absent means the default, so giving a selector for the first time is no change of one."""
    spec = changed(REPLICATED, {"selector": REMOVE})
    assert (await api.create(manifest("CaptMachineSet", spec, name))).status == 201

    answer = await api.patch("CaptMachineSet", name, {"spec": {"selector": REPLICATED["selector"]}})

    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    ("before", "patch", "words"),
    [
        (
            {"vpcTemplateRef": {"name": "vpc"}},
            {"vpcTemplateRef": None, "existingVpcId": "vpc-1"},
            "would be left behind",
        ),
        (
            {"existingVpcId": "vpc-1"},
            {"existingVpcId": None, "vpcTemplateRef": {"name": "vpc"}},
            "would be left behind",
        ),
        ({"existingVpcId": "vpc-1"}, {"existingVpcId": "vpc-2"}, "existingVpcId is immutable"),
        (
            {"existingVpcId": "vpc-1", "existingVpcTemplateRef": {"name": "lookup"}},
            {"existingVpcTemplateRef": None},
            "cannot be taken away",
        ),
        ({"existingVpcId": "vpc-1"}, {"region": "eu-west-1"}, "region is immutable"),
    ],
    ids=["template-to-existing", "existing-to-template", "another-vpc", "no-lookup", "another-region"],
)
async def test_a_cluster_keeps_its_vpc(api, name, before, patch, words):
    """B-C22: what would leave a VPC running behind the user's back is refused."""
    assert (await api.create(manifest("CAPTCluster", {"region": "us-west-2", **before}, name))).status == 201

    answer = await api.patch("CAPTCluster", name, {"spec": patch})

    assert answer.status == 422
    assert words in answer.body["message"]


@pytest.mark.parametrize(
    "domains",
    [{"a": {"controlPlane": True}}, [{"name": "a", "controlPlane": True}]],
    ids=["v1beta1", "v1beta2"],
)
async def test_failure_domains_take_both_shapes_of_the_contract(api, name, domains):
    """B2: one field, two shapes; the schema leaves it to the Cluster API that reads it."""
    assert (await api.create(manifest("CAPTCluster", name=name))).status == 201

    answer = await api.patch("CAPTCluster", name, {"status": {"failureDomains": domains}}, "/status")

    assert answer.status == 200, answer.body
    assert answer.body["status"]["failureDomains"] == domains


async def test_server_fills_in_the_defaults_of_a_control_plane(api, name):
    """Timeouts of seed 003 are 30, 15 and 5 minutes; the port is 443 (design: a bare host is enough)."""
    config = {"region": "us-west-2", "timeouts": {}, "endpointAccess": {}}
    spec = changed(EKS, {"controlPlaneConfig": config, "controlPlaneEndpoint": {"host": "api"}})

    answer = await api.create(manifest("CAPTControlPlane", spec, name))

    assert answer.body["spec"]["controlPlaneConfig"]["timeouts"] == {
        "controlPlaneTimeout": 30,
        "vpcReadyTimeout": 15,
        "secretTimeout": 5,
    }
    assert answer.body["spec"]["controlPlaneConfig"]["endpointAccess"] == {"public": True, "private": True}
    assert answer.body["spec"]["controlPlaneEndpoint"] == {"host": "api", "port": 443}
