"""CAPTClusters and what surrounds them, short of everything that a test does not care about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from capt.api import CAPTCluster, Cluster, ClusterV1Beta1, WorkspaceTemplateApply
from capt.controllers.cluster.plan import Create, Observation, plan_vpc
from capt.controllers.kinds import CLUSTER, CLUSTER_V1BETA1
from capt.controllers.parent_cluster import Parent

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
OWNER = {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "name": "blue", "uid": "cluster-uid"}


def parent(version: str = "v1beta2", **spec: Any) -> Parent:
    """Return the Cluster `blue`, as a version has it."""
    body = {"metadata": {"name": "blue", "namespace": "default", "uid": "cluster-uid"}, "spec": spec}
    if version == "v1beta2":
        return Parent(kind=CLUSTER, cluster=Cluster.model_validate(body))
    return Parent(kind=CLUSTER_V1BETA1, cluster=ClusterV1Beta1.model_validate(body))


def capt_cluster(
    *, status: Mapping[str, Any] | None = None, metadata: Mapping[str, Any] | None = None, **spec: Any
) -> CAPTCluster:
    """Return the CAPTCluster `blue-abc12` of the Cluster `blue`; by default its VPC is made from template `vpc`."""
    if "existingVpcId" not in spec:
        spec = {"vpcTemplateRef": {"name": "vpc"}, **spec}
    return CAPTCluster.model_validate(
        {
            "metadata": {
                "name": "blue-abc12",
                "namespace": "default",
                "uid": "capt-uid",
                "generation": 2,
                "ownerReferences": [OWNER],
                **(metadata or {}),
            },
            "spec": {"region": "us-west-2", **spec},
            "status": status or {},
        }
    )


def observation(
    cluster: CAPTCluster | None = None,
    apply: WorkspaceTemplateApply | None = None,
    *,
    of: Parent | None = None,
    secret: Mapping[str, str] | None = None,
    now: datetime = NOW,
) -> Observation:
    """Return what a reconcile would see."""
    return Observation(
        cluster=cluster or capt_cluster(), parent=of or parent(), apply=apply, secret=secret or {}, now=now
    )


def vpc_apply(
    reason: str = "Applying",
    *,
    cluster: CAPTCluster | None = None,
    message: str = "words",
    outputs: Mapping[str, Any] | None = None,
    since: datetime = NOW,
    metadata: Mapping[str, Any] | None = None,
    **status: Any,
) -> WorkspaceTemplateApply:
    """Return the apply that a CAPTCluster makes, as if it had got as far as `reason`; Available is ready."""
    plan = plan_vpc(observation(cluster))
    assert isinstance(plan, Create)
    body = dict(plan.body)
    holds = "True" if reason == "Available" else "False"
    condition = {
        "reason": reason,
        "message": message,
        "lastTransitionTime": since.isoformat(),
        "status": holds,
    }
    return WorkspaceTemplateApply.model_validate(
        {
            "metadata": {**body["metadata"], "uid": "apply-uid", "generation": 1, **(metadata or {})},
            "spec": body["spec"],
            "status": {
                "observedGeneration": 1,
                "applied": holds == "True",
                "workspaceName": "default-blue-abc12-vpc-0",
                "outputs": outputs or {},
                "conditions": [{"type": "Ready", **condition}, {"type": "Synced", **condition}],
                **status,
            },
        }
    )
