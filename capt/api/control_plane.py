"""CAPTControlPlane: the EKS control plane of a cluster; and the templates that it is cloned from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from capt.api.contract import APIEndpoint, CloneMetadata, CloudTags, Region
from capt.api.group import CATEGORIES, CONTROL_PLANE_GROUP, CRD_LABELS, VERSION
from capt.api.meta import (
    ApiModel,
    ApiObject,
    Conditions,
    JsonObject,
    ObjectReference,
    ResourceInfo,
    StringMap,
    Text,
    is_empty,
)
from capt.api.schema import AGE, REASON, Column, Rule, Schema, in_capitals

Minutes = Annotated[int, Schema(format="int32", minimum=1, maximum=10080)]
"""A number of minutes, up to a week."""

KubernetesVersion = Annotated[
    str, Schema(max_length=32, pattern=r"^v?[0-9]+\.[0-9]+(\.[0-9]+)?([-+][0-9A-Za-z.+-]+)?$")
]
"""`1.31`, `v1.31` or `v1.31.0`; EKS takes major and minor."""


class EndpointAccess(ApiModel):
    """From where the API server is reached."""

    RULES = (
        Rule(
            "self.public || self.private",
            "at least one of public and private must be true, or nobody could reach the API server",
        ),
        Rule(
            "self.public || !has(self.publicCIDRs)",
            "publicCIDRs needs public",
            field_path=".publicCIDRs",
        ),
    )

    public: bool = True
    """Whether the API server is reached from the internet."""
    private: bool = True
    """Whether the API server is reached from within the VPC."""
    public_cidrs: Annotated[
        tuple[Annotated[str, Schema(max_length=43, pattern=r"^[0-9A-Fa-f.:]+/[0-9]{1,3}$")], ...],
        Field(alias="publicCIDRs", exclude_if=is_empty),
        Schema(max_items=40, list_type="atomic"),
    ] = ()
    """Networks from which the public endpoint is reached; default: all."""


class Addon(ApiModel):
    """One EKS add-on."""

    name: Annotated[str, Schema(min_length=1, max_length=63)]
    """Name of the add-on, `vpc-cni` for instance."""
    version: Text = ""
    """Version of the add-on; default: EKS's choice for the Kubernetes version."""
    configuration_values: Text = ""
    """Configuration of the add-on, as JSON text."""


class ControlPlaneTimeouts(ApiModel):
    """How long a control plane may take before it is reported as failed; it goes on nevertheless (seed 003)."""

    control_plane_timeout: Minutes = 30
    """Minutes for making the control plane."""
    vpc_ready_timeout: Minutes = 15
    """Minutes for the VPC to become ready."""
    secret_timeout: Minutes = 5
    """Minutes for the connection secret to hold what is needed."""


class ControlPlaneConfig(ApiModel):
    """How EKS runs the control plane."""

    region: Region
    """AWS region, variable `region` of the template."""
    endpoint_access: EndpointAccess | None = None
    """From where the API server is reached; default: the template's."""
    addons: Annotated[
        tuple[Addon, ...],
        Field(exclude_if=is_empty),
        Schema(max_items=64, list_type="map", list_map_keys=("name",)),
    ] = ()
    """EKS add-ons, variable `addons` of the template."""
    timeouts: ControlPlaneTimeouts | None = None
    """How long things may take; default: 30, 15 and 5 minutes."""


class ControlPlaneSettings(ApiModel):
    """What a control plane and a template of control planes have in common: everything but the version."""

    workspace_template_ref: ObjectReference
    """The WorkspaceTemplate that makes the control plane."""
    control_plane_config: ControlPlaneConfig | None = None
    """How EKS runs the control plane."""
    additional_tags: CloudTags = Field(default_factory=dict)
    """Cloud tags, variable `tags` of the template."""
    variables: StringMap = Field(default_factory=dict)
    """Further Terraform variables that are strings."""
    values: JsonObject = Field(default_factory=dict)
    """Further Terraform variables of any type."""
    kubeconfig_template_ref: ObjectReference | None = None
    """A WorkspaceTemplate whose output `kubeconfig` becomes the cluster's kubeconfig; default: the control plane's."""
    spot_role_template_ref: ObjectReference | None = None
    """A WorkspaceTemplate that makes the account's service-linked role for EC2 Spot. Optional, and never destroyed."""
    fargate_template_ref: ObjectReference | None = None
    """A WorkspaceTemplate that makes Fargate profiles once the control plane is there. Optional."""
    control_plane_endpoint: APIEndpoint | None = None
    """Where the API server is reached; the controller sets it (Cluster API contract)."""
    workspace_template_apply_name: str | None = None
    """Kept for objects of the Go original, without effect: the name stands in the status."""


class CAPTControlPlaneSpec(ControlPlaneSettings):
    """Desired state of a CAPTControlPlane."""

    version: KubernetesVersion
    """Kubernetes version; changing it upgrades the control plane."""


class ControlPlaneInitialization(ApiModel):
    """How far the first provisioning is (Cluster API contract v1beta2)."""

    control_plane_initialized: bool | None = None
    """Whether the API server has been reachable once; never goes back to false."""


class ControlPlaneVersion(ApiModel):
    """A Kubernetes version that runs (Cluster API contract v1beta2)."""

    version: str
    """The version, `v1.31.0` for instance."""
    replicas: int | None = None
    """Never set: EKS shows no replicas."""


class ControlPlaneApplyStatus(ApiModel):
    """How the WorkspaceTemplateApply of the control plane fares (seed 003)."""

    ready: bool = False
    """Whether Terraform has applied what is asked for."""
    state: str | None = None
    """What it is at, as one CamelCase word: the reason of its condition Ready."""
    last_applied_revision: str | None = None
    """Hash of what was last applied."""
    last_failed_revision: str | None = None
    """Hash of what last failed."""
    last_failure_message: str | None = None
    """Why it failed."""
    outputs: StringMap = Field(default_factory=dict)
    """Terraform outputs that are not sensitive; what is no string is JSON."""


class ControlPlaneWorkspaceStatus(ApiModel):
    """How the Workspace of the control plane fares."""

    ready: bool = False
    """Whether the infrastructure exists."""
    state: str | None = None
    """What it is at, as one CamelCase word."""
    at_provider: JsonObject = Field(default_factory=dict)
    """What the provider observed."""


class CAPTControlPlaneStatus(ApiModel):
    """Observed state of a CAPTControlPlane."""

    observed_generation: int | None = None
    """The generation that this status describes."""
    ready: bool = False
    """Whether the API server can be used (Cluster API contract v1beta1)."""
    initialized: bool = False
    """Whether the API server has been reachable once (Cluster API contract v1beta1); never goes back to false."""
    initialization: ControlPlaneInitialization | None = None
    """How far the first provisioning is (Cluster API contract v1beta2)."""
    secrets_ready: bool = False
    """Whether the kubeconfig and CA secrets are there."""
    external_managed_control_plane: bool | None = None
    """True: no machines of this cluster run the control plane (Cluster API contract)."""
    phase: Annotated[str, Schema(enum=("Creating", "Ready", "Failed", "Deleting"))] | None = None
    """Where in its life the control plane is (seed 003)."""
    version: str | None = None
    """Kubernetes version that runs (Cluster API contract v1beta1)."""
    versions: Annotated[
        tuple[ControlPlaneVersion, ...],
        Field(exclude_if=is_empty),
        Schema(list_type="map", list_map_keys=("version",)),
    ] = ()
    """Kubernetes versions that run, oldest first (Cluster API contract v1beta2)."""
    endpoint: str | None = None
    """Where the API server is reached, as `host:port`."""
    workspace_template_apply_name: str | None = None
    """The WorkspaceTemplateApply that the control plane owns."""
    workspace_template_status: ControlPlaneApplyStatus | None = None
    """How the WorkspaceTemplateApply fares."""
    workspace_status: ControlPlaneWorkspaceStatus | None = None
    """How its Workspace fares."""
    failure_reason: str | None = None
    """A terminal failure, as one CamelCase word; absent when there is none."""
    failure_message: str | None = None
    """A terminal failure, as text; absent when there is none."""
    conditions: Conditions = ()
    """Ready, Initialized, Creating, Failed, Available, RollingOut and what else there is to tell."""


class CAPTControlPlane(ApiObject):
    """The EKS control plane of a cluster."""

    RESOURCE = ResourceInfo(
        group=CONTROL_PLANE_GROUP,
        version=VERSION,
        kind="CAPTControlPlane",
        plural="captcontrolplanes",
        short_names=("captcp",),
        categories=CATEGORIES,
        crd_labels=CRD_LABELS,
        columns=(
            Column("READY", ".status.ready", "boolean", "Whether the API server can be used."),
            Column("PHASE", ".status.phase", "string", "Where in its life the control plane is."),
            Column("VERSION", ".spec.version", "string", "Kubernetes version that is asked for."),
            Column("ENDPOINT", ".status.endpoint", "string", "Where the API server is reached."),
            in_capitals(REASON),
            in_capitals(AGE),
        ),
    )

    api_version: Literal["controlplane.cluster.x-k8s.io/v1beta1"] = "controlplane.cluster.x-k8s.io/v1beta1"
    kind: Literal["CAPTControlPlane"] = "CAPTControlPlane"
    spec: CAPTControlPlaneSpec
    status: CAPTControlPlaneStatus = Field(default_factory=CAPTControlPlaneStatus)


class ClonedControlPlaneSpec(ControlPlaneSettings):
    """Spec of a control plane that Cluster API clones; it fills in the version of the cluster."""

    version: KubernetesVersion | None = None
    """Kubernetes version; Cluster API sets that of the Cluster's topology instead."""


class CAPTControlPlaneTemplateResource(ApiModel):
    """The CAPTControlPlane that Cluster API clones."""

    metadata: CloneMetadata | None = None
    """Metadata of the clone."""
    spec: ClonedControlPlaneSpec
    """Spec of the clone."""


class CAPTControlPlaneTemplateSpec(ApiModel):
    """Desired state of a template of control planes."""

    template: CAPTControlPlaneTemplateResource
    """The CAPTControlPlane that Cluster API clones."""


class CAPTControlPlaneTemplate(ApiObject):
    """A CAPTControlPlane that a ClusterClass refers to; Cluster API clones one for each cluster."""

    RESOURCE = ResourceInfo(
        group=CONTROL_PLANE_GROUP,
        version=VERSION,
        kind="CAPTControlPlaneTemplate",
        plural="captcontrolplanetemplates",
        short_names=("captcpt",),
        categories=CATEGORIES,
        crd_labels=CRD_LABELS,
        columns=(AGE,),
    )

    api_version: Literal["controlplane.cluster.x-k8s.io/v1beta1"] = "controlplane.cluster.x-k8s.io/v1beta1"
    kind: Literal["CAPTControlPlaneTemplate"] = "CAPTControlPlaneTemplate"
    spec: CAPTControlPlaneTemplateSpec


class CaptControlPlaneTemplate(ApiObject):
    """The Go original's spelling of CAPTControlPlaneTemplate, so that manifests written for it are accepted.

    Cluster API cannot clone it: it takes the kind of the clone from the template's, and a kind CaptControlPlane does not
    exist. Both spellings have the same plural by Cluster API's rule, so this one gets another.
    """

    RESOURCE = ResourceInfo(
        group=CONTROL_PLANE_GROUP,
        version=VERSION,
        kind="CaptControlPlaneTemplate",
        plural="legacycaptcontrolplanetemplates",
        singular="legacycaptcontrolplanetemplate",
        categories=CATEGORIES,
        crd_labels=CRD_LABELS,
        crd_annotations=(("clusterctl.cluster.x-k8s.io/skip-crd-name-preflight-check", ""),),
        columns=(AGE,),
    )

    api_version: Literal["controlplane.cluster.x-k8s.io/v1beta1"] = "controlplane.cluster.x-k8s.io/v1beta1"
    kind: Literal["CaptControlPlaneTemplate"] = "CaptControlPlaneTemplate"
    spec: CAPTControlPlaneTemplateSpec
