"""What goes wrong around a cluster, and what must not be seen of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from capt.controllers.kinds import CAPT_CLUSTER, CAPT_CONTROL_PLANE, TEMPLATE
from capt.runtime import HttpTransport, configure_logging
from tests.support.chaos import Chaos, ChaoticTransport
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.control_planes import CA, control_plane_body, module, template_body
from tests.support.core import capt_cluster_body, cluster_body
from tests.support.watched import NAME, watched

VPC = 'output "vpc_id" { value = "vpc-1" }\n'
ELSEWHERE = "kube-system"
CONSENT = "capt.infrastructure.cluster.x-k8s.io/allowed-namespaces"


@dataclass(slots=True)
class Planned(Chaos):
    """What goes wrong is said beforehand: the end of a path, the method, what, and how often."""

    plan: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def roll(self, method: str, path: str) -> str:
        for (wanted, ending), (what, times) in self.plan.items():
            if times and method == wanted and path.endswith(ending):
                self.plan[wanted, ending] = (what, times - 1)
                return what
        return ""


def planned(**plan: Any) -> Planned:
    return Planned(seed=0, rate=0.0, lifetime=1_000_000, **plan)


def vpc(**reference: str) -> dict[str, Any]:
    spec = {"region": "us-west-2", "vpcTemplateRef": {"name": "vpc", **reference}}
    return {**capt_cluster_body(NAME), "spec": spec}


async def test_an_apply_whose_making_was_not_answered_is_used(cluster: Cluster) -> None:
    """B-C25: the answer is lost, the name is taken by our own, and no failure is told."""
    chaos = planned(plan={("POST", "/workspacetemplateapplies"): ("lost after", 1)})
    async with HttpTransport(cluster.manager_config, user_agent="capt/test") as inner:
        transport = ChaoticTransport(inner, chaos)
        async with watched(cluster, CAPT_CLUSTER, transport=transport) as (seen, edition):
            await cluster.client.create(TEMPLATE, template_body(VPC, "vpc"))
            await cluster.client.create(CAPT_CLUSTER, vpc())
            await cluster.client.create(edition.cluster, cluster_body(edition, NAME))
            await seen.until("VPCCreated")
    assert chaos.done["lost after"] == 1
    assert {status for kind, status, _ in seen.conditions if kind == "VPCFailed"} == {"False"}


async def test_conflicts_are_no_failures(cluster: Cluster) -> None:
    """B-P32, seed 004: writes of the endpoint that conflict, here and at the Cluster, are done again at once."""
    chaos = planned(
        plan={
            ("PATCH", f"/captcontrolplanes/{NAME}"): ("conflict", 3),
            ("PATCH", f"/clusters/{NAME}"): ("conflict", 3),
        }
    )
    async with HttpTransport(cluster.manager_config, user_agent="capt/test") as inner:
        transport = ChaoticTransport(inner, chaos)
        async with watched(cluster, CAPT_CONTROL_PLANE, transport=transport) as (seen, edition):
            await cluster.client.create(TEMPLATE, template_body(module()))
            await cluster.client.create(CAPT_CLUSTER, capt_cluster_body(NAME))
            await cluster.client.create(CAPT_CONTROL_PLANE, control_plane_body())
            await cluster.client.create(edition.cluster, cluster_body(edition, NAME))
            await seen.until("Ready")
    assert chaos.done["conflict"] >= 3
    assert "Failed" not in seen.phases


async def test_templates_of_another_namespace(cluster: Cluster) -> None:
    """B-C16, B-P11, design 4.8: a template elsewhere is used where it consents, by the VPC and by the control plane."""
    async with watched(cluster, CAPT_CONTROL_PLANE) as (seen, edition):
        reference = {"name": "eks", "namespace": ELSEWHERE}
        await cluster.client.create(CAPT_CLUSTER, vpc(namespace=ELSEWHERE))
        await cluster.client.create(CAPT_CONTROL_PLANE, control_plane_body(workspaceTemplateRef=reference))
        await cluster.client.create(edition.cluster, cluster_body(edition, NAME))
        await seen.until("WaitingForVPC")
        # of the same name and nearer, and not meant
        await cluster.client.create(TEMPLATE, template_body("}"))
        for name, text in (("vpc", VPC), ("eks", module())):
            body = template_body(text, name)
            body["metadata"] |= {"namespace": ELSEWHERE, "annotations": {CONSENT: NAMESPACE}}
            await cluster.client.create(TEMPLATE, body)
        await seen.until("Ready")


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    config = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**config)
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_logs_hold_neither_modules_nor_outputs(
    cluster: Cluster, capfd: pytest.CaptureFixture[str], logging_restored: None
) -> None:
    """B-C24, B-P28: whatever the level, no line has a module's text, a token or a certificate in it."""
    configure_logging("json", "debug")
    async with watched(cluster, CAPT_CONTROL_PLANE) as (seen, edition):
        await cluster.client.create(TEMPLATE, template_body(module(token="hunter2")))
        await cluster.client.create(CAPT_CLUSTER, capt_cluster_body(NAME))
        await cluster.client.create(CAPT_CONTROL_PLANE, control_plane_body())
        await cluster.client.create(edition.cluster, cluster_body(edition, NAME))
        await seen.has("Initialized", "Initialized")
    captured = capfd.readouterr()
    log = captured.out + captured.err
    assert "captcontrolplane" in log
    for text in ("terraform_data", "hunter2", CA):
        assert text not in log
