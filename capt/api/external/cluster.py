"""Cluster, Cluster API's own kind, in the two versions that are served: the fields that capt reads and writes.

The two differ in how objects are referred to and in the whole status, so each has a model. Both can be written as a CRD,
for tests and for the demo, where Cluster API is not installed; each CRD serves one version, because serving both takes
Cluster API's conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from capt.api.contract import APIEndpoint
from capt.api.meta import (
    ApiModel,
    ApiObject,
    Conditions,
    JsonObject,
    ResourceInfo,
    Time,
    is_empty,
)
from capt.api.schema import AGE, Column, Schema

CLUSTER_API_GROUP = "cluster.x-k8s.io"


class VersionedReference(ApiModel):
    """Names an object by kind and API version (Cluster API v1beta1)."""

    api_version: str | None = None
    """Group and version."""
    kind: str | None = None
    """Kind."""
    name: str | None = None
    """Name."""
    namespace: str | None = None
    """Namespace; the Cluster's own."""

    @property
    def group(self) -> str:
        """The API group."""
        return (self.api_version or "").rpartition("/")[0]


class ContractReference(ApiModel):
    """Names an object by kind and API group; Cluster API finds the version by contract (Cluster API v1beta2)."""

    api_group: Annotated[str, Schema(required=True)] = ""
    """Group."""
    kind: Annotated[str, Schema(required=True)] = ""
    """Kind."""
    name: Annotated[str, Schema(required=True)] = ""
    """Name; the object is in the Cluster's namespace."""

    @property
    def group(self) -> str:
        """The API group."""
        return self.api_group


class FailureDomainSpec(ApiModel):
    """A place for machines (Cluster API v1beta1)."""

    control_plane: bool | None = None
    """Whether control plane machines may be placed there."""
    attributes: Annotated[Mapping[str, str], Field(exclude_if=is_empty)] = Field(default_factory=dict)
    """What else there is to say about it."""


class FailureDomain(FailureDomainSpec):
    """A place for machines (Cluster API v1beta2)."""

    name: str
    """Name of the place."""


class SeverityCondition(ApiModel):
    """clusterv1beta1.Condition."""

    type: str
    """Name of the aspect."""
    status: Literal["True", "False", "Unknown"]
    """Whether the aspect holds."""
    severity: str | None = None
    """Error, Warning or Info, when the aspect does not hold."""
    reason: str | None = None
    """Why, as one word."""
    message: str | None = None
    """Why, as text."""
    last_transition_time: Time
    """When `status` last changed."""


class ClusterSpecV1Beta1(ApiModel):
    """Desired state of a Cluster."""

    paused: bool = False
    """True to keep every controller off the cluster and its objects."""
    control_plane_endpoint: APIEndpoint | None = None
    """Where the API server is reached."""
    infrastructure_ref: VersionedReference | None = None
    """The infrastructure of the cluster."""
    control_plane_ref: VersionedReference | None = None
    """The control plane of the cluster."""
    cluster_network: JsonObject = Field(default_factory=dict)
    """Networks of pods and services; capt does not read it."""
    topology: JsonObject = Field(default_factory=dict)
    """What Cluster API makes the cluster from; capt does not read it."""


class ClusterStatusV1Beta1(ApiModel):
    """Observed state of a Cluster."""

    phase: str | None = None
    """Where in its life the cluster is."""
    infrastructure_ready: bool = False
    """Whether the infrastructure is ready."""
    control_plane_ready: bool = False
    """Whether the control plane is ready."""
    failure_reason: str | None = None
    """A terminal failure, as one word."""
    failure_message: str | None = None
    """A terminal failure, as text."""
    failure_domains: Annotated[Mapping[str, FailureDomainSpec], Field(exclude_if=is_empty)] = Field(
        default_factory=dict
    )
    """Where machines can be placed, by name."""
    conditions: Annotated[
        tuple[SeverityCondition, ...],
        Field(exclude_if=is_empty),
        Schema(list_type="map", list_map_keys=("type",)),
    ] = ()
    """Conditions, one per type."""
    observed_generation: int | None = None
    """The generation that this status describes."""


class ClusterV1Beta1(ApiObject):
    """A cluster, as Cluster API v1beta1 has it."""

    RESOURCE = ResourceInfo(
        group=CLUSTER_API_GROUP,
        version="v1beta1",
        kind="Cluster",
        plural="clusters",
        short_names=("cl",),
        categories=("cluster-api",),
        columns=(Column("Phase", ".status.phase", "string", "Where in its life the cluster is."), AGE),
    )

    api_version: Literal["cluster.x-k8s.io/v1beta1"] = "cluster.x-k8s.io/v1beta1"
    kind: Literal["Cluster"] = "Cluster"
    spec: ClusterSpecV1Beta1 = Field(default_factory=ClusterSpecV1Beta1)
    status: ClusterStatusV1Beta1 = Field(default_factory=ClusterStatusV1Beta1)


class ClusterSpec(ApiModel):
    """Desired state of a Cluster."""

    paused: bool | None = None
    """True to keep every controller off the cluster and its objects."""
    control_plane_endpoint: APIEndpoint | None = None
    """Where the API server is reached."""
    infrastructure_ref: ContractReference | None = None
    """The infrastructure of the cluster."""
    control_plane_ref: ContractReference | None = None
    """The control plane of the cluster."""
    cluster_network: JsonObject = Field(default_factory=dict)
    """Networks of pods and services; capt does not read it."""
    topology: JsonObject = Field(default_factory=dict)
    """What Cluster API makes the cluster from; capt does not read it."""


class ClusterInitialization(ApiModel):
    """How far the first provisioning is."""

    infrastructure_provisioned: bool | None = None
    """Whether the infrastructure has been there once."""
    control_plane_initialized: bool | None = None
    """Whether the API server has been reachable once."""


class DeprecatedStatusV1Beta1(ApiModel):
    """What v1beta1 said about failures."""

    failure_reason: str | None = None
    """A terminal failure, as one word."""
    failure_message: str | None = None
    """A terminal failure, as text."""
    conditions: Annotated[
        tuple[SeverityCondition, ...],
        Field(exclude_if=is_empty),
        Schema(list_type="map", list_map_keys=("type",)),
    ] = ()
    """Conditions as v1beta1 had them."""


class DeprecatedStatus(ApiModel):
    """What earlier versions said."""

    v1beta1: Annotated[DeprecatedStatusV1Beta1 | None, Field(alias="v1beta1")] = None
    """What v1beta1 said."""


class ClusterStatus(ApiModel):
    """Observed state of a Cluster."""

    phase: str | None = None
    """Where in its life the cluster is."""
    initialization: ClusterInitialization | None = None
    """How far the first provisioning is."""
    failure_domains: Annotated[
        tuple[FailureDomain, ...],
        Field(exclude_if=is_empty),
        Schema(list_type="map", list_map_keys=("name",)),
    ] = ()
    """Where machines can be placed."""
    conditions: Conditions = ()
    """InfrastructureReady, ControlPlaneAvailable, Available and others."""
    deprecated: DeprecatedStatus | None = None
    """What earlier versions said."""
    observed_generation: int | None = None
    """The generation that this status describes."""


class Cluster(ApiObject):
    """A cluster, as Cluster API v1beta2 has it."""

    RESOURCE = ResourceInfo(
        group=CLUSTER_API_GROUP,
        version="v1beta2",
        kind="Cluster",
        plural="clusters",
        short_names=("cl",),
        categories=("cluster-api",),
        columns=(Column("Phase", ".status.phase", "string", "Where in its life the cluster is."), AGE),
    )

    api_version: Literal["cluster.x-k8s.io/v1beta2"] = "cluster.x-k8s.io/v1beta2"
    kind: Literal["Cluster"] = "Cluster"
    spec: ClusterSpec = Field(default_factory=ClusterSpec)
    status: ClusterStatus = Field(default_factory=ClusterStatus)


CLUSTER_EDITIONS: tuple[type[Cluster | ClusterV1Beta1], ...] = (Cluster, ClusterV1Beta1)
"""The versions of Cluster; where both are served, the newer is used."""
