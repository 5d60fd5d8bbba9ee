"""What a Cluster says about itself: phase, conditions, and what its providers reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from capt.demo.core.contract import Provided, is_endpoint
from capt.demo.core.edition import Edition
from capt.demo.core.unstructured import Unstructured, at


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A Cluster and what its providers report.

    Attributes:
        edition: The version of Cluster API.
        cluster: The Cluster.
        infrastructure: The infrastructure; None while it is not there.
        control_plane: The control plane; None while it is not there.
        now: The time.
    """

    edition: Edition
    cluster: Unstructured
    infrastructure: Provided | None
    control_plane: Provided | None
    now: datetime

    @property
    def deleting(self) -> bool:
        """Whether the Cluster is being deleted."""
        return self.cluster.metadata.deletion_timestamp is not None


@dataclass(frozen=True, slots=True)
class _Aspect:
    type: str
    holds: bool
    reason: str
    message: str = ""


def endpoint_to_copy(seen: Observation) -> Mapping[str, Any] | None:
    """Return the endpoint that the Cluster is to get, None if it has one or nobody offers one yet.

    An infrastructure's endpoint counts once that is provisioned, a control plane's as soon as it is there.
    """
    if is_endpoint(at(seen.cluster.spec, "controlPlaneEndpoint")):
        return None
    if seen.infrastructure is not None and seen.infrastructure.ready and seen.infrastructure.endpoint:
        return seen.infrastructure.endpoint
    return seen.control_plane.endpoint if seen.control_plane is not None else None


def cluster_status(seen: Observation) -> dict[str, Any]:
    """Return the whole new status; what others wrote into it stays."""
    status = {**seen.cluster.status, "observedGeneration": seen.cluster.metadata.generation}
    infrastructure, control_plane = seen.infrastructure, seen.control_plane
    provisioned = _was(seen, "infrastructureReady", "infrastructureProvisioned") or (
        infrastructure.ready if infrastructure is not None else not _wants(seen, "infrastructureRef")
    )
    initialized = _was_initialized(seen) or (control_plane is not None and control_plane.initialized)
    if seen.edition.name == "v1beta1":
        status["infrastructureReady"] = provisioned
        status["controlPlaneReady"] = control_plane is not None and control_plane.ready
    else:
        status["initialization"] = {
            "infrastructureProvisioned": provisioned,
            "controlPlaneInitialized": initialized,
        }
    if infrastructure is not None and infrastructure.ready and infrastructure.failure_domains:
        status["failureDomains"] = infrastructure.failure_domains
    failure = _failure(seen)
    _set_failure(seen.edition, status, failure)
    status["phase"] = _phase(seen, provisioned=provisioned, failed=failure is not None)
    aspects = _aspects(seen, initialized=initialized)
    status["conditions"] = _conditions(seen, list(aspects))
    return status


def _was(seen: Observation, v1beta1: str, v1beta2: str) -> bool:
    path = (v1beta1,) if seen.edition.name == "v1beta1" else ("initialization", v1beta2)
    return at(seen.cluster.status, *path) is True


def _was_initialized(seen: Observation) -> bool:
    if seen.edition.name == "v1beta2":
        return at(seen.cluster.status, "initialization", "controlPlaneInitialized") is True
    conditions = at(seen.cluster.status, "conditions") or ()
    return any(each["type"] == "ControlPlaneInitialized" and each["status"] == "True" for each in conditions)


def _wants(seen: Observation, field: str) -> bool:
    return seen.edition.reference(seen.cluster, field) is not None


def _phase(seen: Observation, *, provisioned: bool, failed: bool) -> str:
    if seen.deleting:
        return "Deleting"
    if failed and seen.edition.name == "v1beta1":
        return "Failed"
    if provisioned and is_endpoint(at(seen.cluster.spec, "controlPlaneEndpoint")):
        return "Provisioned"
    if _wants(seen, "infrastructureRef") or _wants(seen, "controlPlaneRef"):
        return "Provisioning"
    return "Pending"


def _failure(seen: Observation) -> tuple[str, str] | None:
    return next(
        (each.failure for each in (seen.infrastructure, seen.control_plane) if each and each.failure), None
    )


def _set_failure(edition: Edition, status: dict[str, Any], failure: tuple[str, str] | None) -> None:
    if failure is None:
        return
    fields = {"failureReason": failure[0], "failureMessage": failure[1]}
    if edition.name == "v1beta1":
        status |= fields
    else:
        deprecated = at(status, "deprecated", "v1beta1") or {}
        status["deprecated"] = {**(status.get("deprecated") or {}), "v1beta1": {**deprecated, **fields}}


def _aspects(seen: Observation, *, initialized: bool) -> Iterator[_Aspect]:
    infrastructure = _Aspect("InfrastructureReady", True, "NoInfrastructure")
    if seen.infrastructure is not None or _wants(seen, "infrastructureRef"):
        infrastructure = _mirrored("InfrastructureReady", seen.infrastructure, "WaitingForInfrastructure")
    available = "ControlPlaneReady" if seen.edition.name == "v1beta1" else "ControlPlaneAvailable"
    control_plane = _mirrored(available, seen.control_plane, "WaitingForControlPlane")
    yield infrastructure
    yield control_plane
    if initialized:
        yield _Aspect("ControlPlaneInitialized", True, "Initialized")
    else:
        yield _Aspect("ControlPlaneInitialized", False, "WaitingForControlPlaneProviderInitialized")
    missing = next((each for each in (infrastructure, control_plane) if not each.holds), None)
    summary = "Ready" if seen.edition.name == "v1beta1" else "Available"
    if seen.deleting:
        yield _Aspect(summary, False, "Deleting", "the Cluster is being deleted")
    elif missing is not None:
        yield _Aspect(summary, False, missing.reason, missing.message)
    else:
        yield _Aspect(summary, True, "Available")


def _mirrored(kind: str, provided: Provided | None, waiting: str) -> _Aspect:
    if provided is None:
        return _Aspect(kind, False, waiting, "the object is not there")
    condition = provided.condition
    if condition is None:
        return _Aspect(kind, provided.ready, "Ready" if provided.ready else waiting)
    return _Aspect(
        kind,
        condition["status"] == "True",
        condition.get("reason") or waiting,
        condition.get("message") or "",
    )


def _conditions(seen: Observation, aspects: list[_Aspect]) -> list[dict[str, Any]]:
    old = {each["type"]: each for each in at(seen.cluster.status, "conditions") or ()}
    written = {aspect.type: _condition(seen, aspect, old.get(aspect.type)) for aspect in aspects}
    return [*({**old, **written}).values()]


def _condition(seen: Observation, aspect: _Aspect, old: Mapping[str, Any] | None) -> dict[str, Any]:
    status = "True" if aspect.holds else "False"
    since = old["lastTransitionTime"] if old is not None and old["status"] == status else None
    condition: dict[str, Any] = {
        "type": aspect.type,
        "status": status,
        "lastTransitionTime": since or seen.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if seen.edition.name == "v1beta2":
        generation = seen.cluster.metadata.generation
        return condition | {
            "reason": aspect.reason,
            "message": aspect.message,
            "observedGeneration": generation,
        }
    if aspect.holds:
        return condition
    return condition | {"severity": "Info", "reason": aspect.reason, "message": aspect.message}
