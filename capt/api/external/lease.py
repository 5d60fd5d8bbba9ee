"""Lease, the coordination kind on which leaders are elected."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from capt.api.meta import ApiModel, ApiObject, MicroTime, ResourceInfo


class LeaseSpec(ApiModel):
    """Who holds the lease, since when, and for how long without renewal."""

    holder_identity: str | None = None
    """Identity of the holder; None or empty when nobody holds it."""
    lease_duration_seconds: int | None = None
    """Seconds after `renew_time` at which others may take over."""
    acquire_time: MicroTime | None = None
    """When the holder took over."""
    renew_time: MicroTime | None = None
    """When the holder last renewed."""
    lease_transitions: int | None = None
    """How often the holder changed."""


class Lease(ApiObject):
    """A coordination.k8s.io/v1 Lease."""

    RESOURCE = ResourceInfo(group="coordination.k8s.io", version="v1", kind="Lease", plural="leases")

    api_version: Literal["coordination.k8s.io/v1"] = "coordination.k8s.io/v1"
    kind: Literal["Lease"] = "Lease"
    spec: LeaseSpec = Field(default_factory=LeaseSpec)
    """State of the lease; the kind has no status."""
