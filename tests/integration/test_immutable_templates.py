"""The admission policy of `manifests/policies` on a real API server: the embedded one has no admission."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from hack.envtest import ControlPlane
from tests.support import project
from tests.support.api_servers import REAL
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.waiting import until

pytestmark = [pytest.mark.envtest, pytest.mark.skipif(not REAL, reason="needs a real API server")]

INFRASTRUCTURE = "infrastructure.cluster.x-k8s.io/v1beta1"
CONTROL_PLANE = "controlplane.cluster.x-k8s.io/v1beta1"
REFERENCE = {"workspaceTemplateRef": {"name": "t"}}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
POLICIES = "/apis/admissionregistration.k8s.io/v1"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
TEMPLATES = (
    (
        INFRASTRUCTURE,
        "captclustertemplates",
        "CAPTClusterTemplate",
        {"region": "us-west-2", "existingVpcId": "vpc-1"},
    ),
    (
        INFRASTRUCTURE,
        "captmachinetemplates",
        "CaptMachineTemplate",
        {**REFERENCE, "nodeGroupRef": {"name": "g"}, "instanceType": "t3.medium"},
    ),
    (CONTROL_PLANE, "captcontrolplanetemplates", "CAPTControlPlaneTemplate", REFERENCE),
    (CONTROL_PLANE, "legacycaptcontrolplanetemplates", "CaptControlPlaneTemplate", REFERENCE),
)


@dataclass(frozen=True, slots=True)
class Server:
    session: aiohttp.ClientSession
    url: str

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        headers = MERGE_PATCH if method == "PATCH" else {}
        async with self.session.request(method, self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def in_force(plane: ControlPlane) -> AsyncIterator[None]:
    """The policy, made once: a server that reads its policies from a cache takes a moment to forget and to learn one."""
    text = (project.ROOT / "manifests" / "policies" / "immutable_templates.yaml").read_text(encoding="utf-8")
    objects = list(yaml.safe_load_all(text))
    async with plane.session() as session:
        server = Server(session, plane.url)
        for body in objects:
            status, answer = await server.call("POST", f"{POLICIES}/{PLURALS[body['kind']]}", body)
            assert status == 201, answer
        try:
            yield
        finally:
            for body in objects:
                name = body["metadata"]["name"]
                await server.call("DELETE", f"{POLICIES}/{PLURALS[body['kind']]}/{name}")


@pytest.fixture
async def policy(cluster: Cluster, plane: ControlPlane, in_force: None) -> AsyncIterator[Server]:
    """A server with capt's definitions on which the policy is in force."""
    async with plane.session() as session:
        yield Server(session, plane.url)


@pytest.mark.parametrize(("api_version", "plural", "kind", "spec"), TEMPLATES)
async def test_templates_are_immutable_but_for_dry_runs_of_cluster_api(
    policy: Server, api_version: str, plural: str, kind: str, spec: dict[str, Any]
) -> None:
    """D7, B-M28: a change of spec is refused with what to do instead; metadata, and core's marked dry runs, pass."""
    collection = f"/apis/{api_version}/namespaces/{NAMESPACE}/{plural}"
    body = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "t", "namespace": NAMESPACE},
        "spec": {"template": {"spec": spec}},
    }
    status, text = await policy.call("POST", f"{collection}?fieldValidation=Strict", body)
    assert status == 201, text
    change = {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}
    marked = {**change, "metadata": {"annotations": {"topology.cluster.x-k8s.io/dry-run": ""}}}
    try:
        await _in_force(policy, f"{collection}/t", change)
        cases = (
            ("", change, 422),
            ("", marked, 422),
            ("?dryRun=All", change, 422),
            ("?dryRun=All", marked, 200),
            ("", {"metadata": {"labels": {"x": "y"}}}, 200),
        )
        for query, patch, expected in cases:
            status, text = await policy.call("PATCH", f"{collection}/t{query}", patch)
            assert status == expected, (query, patch, text)
            assert status == 200 or "make another template" in text
    finally:
        await policy.call("DELETE", f"{collection}/t")


async def _in_force(server: Server, path: str, change: dict[str, Any]) -> None:
    """Wait until the server, which reads its policies from a cache, refuses what is to be refused."""

    async def refused() -> bool:
        status, _ = await server.call("PATCH", f"{path}?dryRun=All", change)
        return status == 422

    await until(refused)
