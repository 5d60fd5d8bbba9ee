"""What the provider contract says that core reads, by the contract's version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capt.demo.core.edition import EditionName
from capt.demo.core.unstructured import Unstructured, at


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """An object of a provider, as its contract shows it.

    Attributes:
        ready: An infrastructure is provisioned; a control plane's API server can be used.
        initialized: A control plane's API server has been reachable once.
        endpoint: Where the API server is reached, if the object says so.
        failure_domains: Where machines can be placed, in the shape of the contract's version.
        condition: The object's own word on its state.
        failure: Reason and message of a terminal failure.
    """

    ready: bool
    initialized: bool = False
    endpoint: Mapping[str, Any] | None = None
    failure_domains: Any = None
    condition: Mapping[str, Any] | None = None
    failure: tuple[str, str] | None = None


def read_infrastructure(obj: Unstructured, contract: EditionName) -> Provided:
    """Read an infrastructure object (contract rules InfraCluster: provisioned, endpoint, failure domains)."""
    path = ("ready",) if contract == "v1beta1" else ("initialization", "provisioned")
    return Provided(
        ready=at(obj.status, *path) is True,
        endpoint=_endpoint(obj),
        failure_domains=at(obj.status, "failureDomains"),
        condition=_condition(obj, "Ready"),
        failure=_failure(obj),
    )


def read_control_plane(obj: Unstructured, contract: EditionName) -> Provided:
    """Read a control plane object (contract rules ControlPlane: initialized, endpoint, conditions)."""
    if contract == "v1beta1":
        ready, initialized = at(obj.status, "ready"), at(obj.status, "initialized")
    else:
        ready = initialized = at(obj.status, "initialization", "controlPlaneInitialized")
    return Provided(
        ready=ready is True,
        initialized=initialized is True,
        endpoint=_endpoint(obj),
        condition=_condition(obj, "Ready" if contract == "v1beta1" else "Available"),
        failure=_failure(obj),
    )


def is_endpoint(value: Any) -> bool:
    """Tell whether an endpoint is complete: host and port."""
    return bool(at(value, "host")) and bool(at(value, "port"))


def _endpoint(obj: Unstructured) -> Mapping[str, Any] | None:
    value = at(obj.spec, "controlPlaneEndpoint")
    return {"host": value["host"], "port": value["port"]} if is_endpoint(value) else None


def _condition(obj: Unstructured, kind: str) -> Mapping[str, Any] | None:
    return next((each for each in at(obj.status, "conditions") or () if each.get("type") == kind), None)


def _failure(obj: Unstructured) -> tuple[str, str] | None:
    """Return a terminal failure; its message names the object, as core's does, so that its provider knows it again."""
    reason, message = at(obj.status, "failureReason"), at(obj.status, "failureMessage")
    if not reason and not message:
        return None
    origin = f'{obj.api_version}, Kind={obj.kind} with name "{obj.metadata.name}"'
    return reason or "", f"Failure detected from referenced resource {origin}: {message or ''}".rstrip()
