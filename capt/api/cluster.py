"""CAPTCluster: the network of a cluster, a VPC; and the template that Cluster API clones it from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from capt.api.contract import APIEndpoint, CloneMetadata, FailureDomains, Region
from capt.api.group import CATEGORIES, CRD_LABELS, GROUP, VERSION
from capt.api.meta import (
    ApiModel,
    ApiObject,
    Conditions,
    JsonObject,
    ObjectReference,
    ResourceInfo,
    StringMap,
    Time,
)
from capt.api.schema import AGE, REASON, Column, Rule, Schema, in_capitals


class VPCConfig(ApiModel):
    """How the VPC is made."""

    name: Annotated[str, Schema(min_length=1, max_length=255)] | None = None
    """Name of the VPC, variable `vpc_name` of the template; default: the CAPTCluster's name and `-vpc`."""


class CAPTClusterSpec(ApiModel):
    """Desired state of a CAPTCluster: a VPC that a template makes, or one that exists."""

    RULES = (
        Rule(
            "has(self.vpcTemplateRef) != has(self.existingVpcId)",
            "exactly one of vpcTemplateRef and existingVpcId must be set",
        ),
        Rule(
            "!self.retainVpcOnDelete || has(self.vpcTemplateRef)",
            "retainVpcOnDelete needs vpcTemplateRef: an existing VPC is never deleted",
            field_path=".retainVpcOnDelete",
        ),
        Rule(
            "!has(self.existingVpcTemplateRef) || has(self.existingVpcId)",
            "existingVpcTemplateRef needs existingVpcId: it looks that VPC up",
            field_path=".existingVpcTemplateRef",
        ),
    )

    region: Region
    """AWS region, variable `region` of the template."""
    vpc_template_ref: ObjectReference | None = None
    """The WorkspaceTemplate that makes the VPC."""
    existing_vpc_id: (
        Annotated[str, Schema(max_length=64, pattern=r"^vpc-[0-9A-Za-z][0-9A-Za-z-]*$")] | None
    ) = None
    """A VPC that exists; it is used and never changed."""
    existing_vpc_template_ref: ObjectReference | None = None
    """A WorkspaceTemplate that looks up the existing VPC, given as variable `vpc_id`, and puts out that id again, its
    subnets and zones. Optional; without it nobody checks that the VPC exists.
    """
    retain_vpc_on_delete: bool = False
    """True to keep the VPC when the CAPTCluster is deleted."""
    vpc_config: VPCConfig | None = None
    """How the VPC is made."""
    control_plane_endpoint: APIEndpoint | None = None
    """Where the cluster's API server is reached, if that is known beforehand; as a rule the control plane says it."""
    variables: StringMap = Field(default_factory=dict)
    """Further Terraform variables that are strings."""
    values: JsonObject = Field(default_factory=dict)
    """Further Terraform variables of any type."""
    workspace_template_apply_name: str | None = None
    """Kept for objects of the Go original, without effect: the name stands in the status."""

    @property
    def template_ref(self) -> ObjectReference | None:
        """The WorkspaceTemplate that makes the VPC, or looks it up."""
        return self.vpc_template_ref or self.existing_vpc_template_ref


class VPCInitialization(ApiModel):
    """How far the first provisioning is (Cluster API contract v1beta2)."""

    provisioned: bool | None = None
    """Whether the VPC has been there once; never goes back to false."""


class VPCApplyStatus(ApiModel):
    """How the WorkspaceTemplateApply of the VPC fares."""

    ready: bool = False
    """Whether Terraform has applied what is asked for."""
    last_applied_revision: str | None = None
    """Hash of what was last applied."""
    last_applied_time: Time | None = None
    """When it was first seen applied."""
    last_failed_revision: str | None = None
    """Hash of what last failed."""
    last_failure_message: str | None = None
    """Why it failed."""
    workspace_name: str | None = None
    """The Workspace behind it."""


class CAPTClusterStatus(ApiModel):
    """Observed state of a CAPTCluster."""

    observed_generation: int | None = None
    """The generation that this status describes."""
    ready: bool = False
    """Whether the VPC can be used (Cluster API contract v1beta1)."""
    initialization: VPCInitialization | None = None
    """How far the first provisioning is (Cluster API contract v1beta2)."""
    vpc_id: str | None = None
    """Cloud id of the VPC."""
    vpc_workspace_name: str | None = None
    """The Workspace of the VPC."""
    workspace_template_apply_name: str | None = None
    """The WorkspaceTemplateApply that the CAPTCluster owns."""
    workspace_template_status: VPCApplyStatus | None = None
    """How the WorkspaceTemplateApply fares."""
    endpoint: str | None = None
    """Where the cluster's API server is reached, as `host:port`: the CAPTCluster's own endpoint, or the Cluster's."""
    failure_domains: FailureDomains = None
    """Where machines can be placed: a map of names under contract v1beta1, a list under v1beta2."""
    outputs: JsonObject = Field(default_factory=dict)
    """Terraform outputs of the VPC that are not sensitive."""
    failure_reason: str | None = None
    """A terminal failure, as one CamelCase word; absent when there is none."""
    failure_message: str | None = None
    """A terminal failure, as text; absent when there is none."""
    conditions: Conditions = ()
    """Ready, VPCReady, VPCCreating, VPCFailed, WaitingForCluster."""


class CAPTCluster(ApiObject):
    """The network of a cluster: a VPC, made from a WorkspaceTemplate or there already."""

    RESOURCE = ResourceInfo(
        group=GROUP,
        version=VERSION,
        kind="CAPTCluster",
        plural="captclusters",
        short_names=("captc",),
        categories=CATEGORIES,
        crd_labels=CRD_LABELS,
        columns=(
            Column("VPC-ID", ".status.vpcId", "string", "Cloud id of the VPC."),
            Column("READY", ".status.ready", "boolean", "Whether the VPC can be used."),
            Column("ENDPOINT", ".status.endpoint", "string", "Where the cluster's API server is reached."),
            in_capitals(REASON),
            in_capitals(AGE),
        ),
    )

    api_version: Literal["infrastructure.cluster.x-k8s.io/v1beta1"] = (
        "infrastructure.cluster.x-k8s.io/v1beta1"
    )
    kind: Literal["CAPTCluster"] = "CAPTCluster"
    spec: Annotated[
        CAPTClusterSpec,
        Rule(
            "has(self.vpcTemplateRef) == has(oldSelf.vpcTemplateRef)",
            "a CAPTCluster cannot change between vpcTemplateRef and existingVpcId: its VPC would be left behind",
        ),
        Rule(
            "!has(oldSelf.existingVpcId) || (has(self.existingVpcId) && self.existingVpcId == oldSelf.existingVpcId)",
            "existingVpcId is immutable: the cluster stands in that VPC",
            field_path=".existingVpcId",
        ),
        Rule(
            "!has(oldSelf.existingVpcTemplateRef) || has(self.existingVpcTemplateRef)",
            "existingVpcTemplateRef cannot be taken away: the cluster stands in the subnets that it found",
            field_path=".existingVpcTemplateRef",
        ),
        Rule("self.region == oldSelf.region", "region is immutable", field_path=".region"),
    ]
    status: CAPTClusterStatus = Field(default_factory=CAPTClusterStatus)


class CAPTClusterTemplateResource(ApiModel):
    """The CAPTCluster that Cluster API clones."""

    metadata: CloneMetadata | None = None
    """Metadata of the clone."""
    spec: CAPTClusterSpec
    """Spec of the clone."""


class CAPTClusterTemplateSpec(ApiModel):
    """Desired state of a CAPTClusterTemplate."""

    template: CAPTClusterTemplateResource
    """The CAPTCluster that Cluster API clones."""


class CAPTClusterTemplate(ApiObject):
    """A CAPTCluster that a ClusterClass refers to; Cluster API clones one for each cluster."""

    RESOURCE = ResourceInfo(
        group=GROUP,
        version=VERSION,
        kind="CAPTClusterTemplate",
        plural="captclustertemplates",
        short_names=("captct",),
        categories=CATEGORIES,
        crd_labels=CRD_LABELS,
        columns=(AGE,),
    )

    api_version: Literal["infrastructure.cluster.x-k8s.io/v1beta1"] = (
        "infrastructure.cluster.x-k8s.io/v1beta1"
    )
    kind: Literal["CAPTClusterTemplate"] = "CAPTClusterTemplate"
    spec: CAPTClusterTemplateSpec
