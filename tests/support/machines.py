"""Machines, sets and deployments, short of everything that a test does not care about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from capt.api import CaptMachine, CaptMachineDeployment, CaptMachineSet

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NODE: Mapping[str, Any] = {
    "nodeGroupRef": {"name": "group"},
    "workspaceTemplateRef": {"name": "node"},
    "instanceType": "t3.medium",
}
GROUP: Mapping[str, Any] = {
    "nodeGroupConfig": {
        "instanceType": "t3.large",
        "scaling": {"minSize": 1, "maxSize": 3, "desiredSize": 2},
    },
    "workspaceTemplateRef": {"name": "group"},
}


def ago(seconds: float) -> str:
    """Return the time that long before `NOW`, as in manifests."""
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def owned_by(owner: CaptMachineSet | CaptMachineDeployment | CaptMachine) -> dict[str, Any]:
    """Return metadata that makes `owner` the controller."""
    reference = {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
    }
    return {"ownerReferences": [reference]}


def condition(
    kind: str, value: str, reason: str = "Any", *, since: float = 60, **fields: Any
) -> dict[str, Any]:
    """Return a condition that turned to `value` `since` seconds before `NOW`, for generation 1."""
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "lastTransitionTime": ago(since),
        "observedGeneration": 1,
        **fields,
    }


def machine(
    name: str = "m",
    *,
    ready: float | None = None,
    failing: str = "",
    age: float = 600,
    deleting: bool = False,
    metadata: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] = NODE,
    status: Mapping[str, Any] | None = None,
) -> CaptMachine:
    """Return a machine.

    Args:
        name: Its name; its uid is `uid-<name>`.
        ready: Seconds since when it is Ready; None when it is not.
        failing: Terraform's words, when it cannot be made.
        age: Seconds since it was created.
        deleting: Whether it is being deleted.
        metadata: More metadata.
        spec: Its spec.
        status: Its status, instead of one that follows from `ready` and `failing`.
    """
    if status is None:
        state = condition("Ready", "False", "WaitingForWorkspace")
        if ready is not None:
            state = condition("Ready", "True", "Provisioned", since=ready)
        elif failing:
            state = condition("Ready", "False", "WorkspaceError", message=failing)
        status = {"observedGeneration": 1, "ready": ready is not None, "conditions": [state]}
    return CaptMachine.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": f"uid-{name}",
                "generation": 1,
                "creationTimestamp": ago(age),
                **({"deletionTimestamp": ago(1)} if deleting else {}),
                **(metadata or {}),
            },
            "spec": spec,
            "status": status,
        }
    )


def machine_set(
    name: str = "s",
    *,
    replicas: int = 3,
    spec: Mapping[str, Any] = NODE,
    labels: Mapping[str, str] | None = None,
    age: float = 600,
    deleting: bool = False,
    metadata: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    **fields: Any,
) -> CaptMachineSet:
    """Return a set; its uid is `uid-<name>`.

    Args:
        name: Its name.
        replicas: Machines that it asks for.
        spec: Spec of its machines.
        labels: Labels of its template.
        age: Seconds since it was created.
        deleting: Whether it is being deleted.
        metadata: More metadata.
        status: Its status.
        fields: More of its spec.
    """
    return CaptMachineSet.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": f"uid-{name}",
                "generation": 1,
                "creationTimestamp": ago(age),
                **({"deletionTimestamp": ago(1)} if deleting else {}),
                **(metadata or {}),
            },
            "spec": {
                "replicas": replicas,
                "template": {"metadata": {"labels": dict(labels or {})}, "spec": spec},
                **fields,
            },
            "status": {"observedGeneration": 1, **(status or {})},
        }
    )


def counts(replicas: int, ready: int | None = None, available: int | None = None) -> dict[str, Any]:
    """Return the counts of a set's status; what is not said is as many as exist."""
    ready = replicas if ready is None else ready
    return {
        "replicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready if available is None else available,
    }


def deployment(
    name: str = "d",
    *,
    replicas: int = 3,
    spec: Mapping[str, Any] = NODE,
    labels: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    **fields: Any,
) -> CaptMachineDeployment:
    """Return a deployment; its uid is `uid-<name>`.

    Args:
        name: Its name.
        replicas: Machines that it asks for.
        spec: Spec of its machines.
        labels: Labels of its template.
        metadata: More metadata.
        status: Its status.
        fields: More of its spec.
    """
    return CaptMachineDeployment.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": f"uid-{name}",
                "generation": 1,
                "creationTimestamp": ago(3600),
                **(metadata or {}),
            },
            "spec": {
                "replicas": replicas,
                "template": {"metadata": {"labels": dict(labels or {})}, "spec": spec},
                **fields,
            },
            "status": status or {},
        }
    )
