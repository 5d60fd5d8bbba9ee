"""CaptMachine: one node of a node group, or one whole EKS managed node group.

The seeds know both: seeds 000 and 002 describe the node that refers to a group, seed 001 the group itself.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from capt.api.group import CATEGORIES, CRD_LABELS, GROUP, VERSION
from capt.api.meta import (
    ApiModel,
    ApiObject,
    Conditions,
    Count,
    DnsLabel,
    JsonObject,
    ObjectReference,
    ResourceInfo,
    StringMap,
    Time,
    is_empty,
)
from capt.api.schema import AGE, REASON, Column, Rule, Schema

InstanceType = Annotated[str, Schema(min_length=1, max_length=64)]
"""EC2 instance type, `t3.medium` for instance."""


class NodeGroupReference(ApiModel):
    """Names the node group that a node joins.

    It is the CaptMachine of that name with `nodeGroupConfig` if there is one, else a group that capt does not
    manage.
    """

    name: Annotated[str, Schema(min_length=1, max_length=253, pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*$")]
    """Name of the CaptMachine, or of the external node group."""
    namespace: DnsLabel | None = None
    """Namespace of the CaptMachine; default: the namespace of the machine that refers to it."""


class NodeGroupScaling(ApiModel):
    """How many nodes the group has; not to be confused with `replicas`, which counts CaptMachines."""

    RULES = (
        Rule("self.minSize <= self.maxSize", "minSize must not be above maxSize", field_path=".minSize"),
        Rule(
            "self.minSize <= self.desiredSize && self.desiredSize <= self.maxSize",
            "desiredSize must lie between minSize and maxSize",
            field_path=".desiredSize",
        ),
    )

    min_size: Count
    """Least number of nodes."""
    max_size: Annotated[int, Schema(format="int32", minimum=1)]
    """Greatest number of nodes."""
    desired_size: Count
    """Number of nodes to start with; an autoscaler may own it afterwards."""


class NodeGroupTaint(ApiModel):
    """A taint that every node of the group carries."""

    key: Annotated[str, Schema(min_length=1, max_length=317)]
    """Key of the taint."""
    value: Annotated[str, Schema(max_length=63)] | None = None
    """Value of the taint; default: none."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    """What the taint does to pods that do not tolerate it."""


Percentage = Annotated[int, Schema(format="int32", minimum=1, maximum=100)]


class NodeGroupUpdateConfig(ApiModel):
    """How EKS replaces the nodes of the group.

    This `maxUnavailable` counts nodes of one group; that of a CaptMachineDeployment counts CaptMachines.
    """

    RULES = (
        Rule(
            "has(self.maxUnavailable) != has(self.maxUnavailablePercentage)",
            "exactly one of maxUnavailable and maxUnavailablePercentage must be set",
        ),
    )

    max_unavailable: Percentage | None = None
    """Greatest number of nodes that are replaced at the same time, 1 to 100."""
    max_unavailable_percentage: Percentage | None = None
    """The same as a share of the group, 1 to 100 percent."""


class NodeGroupConfig(ApiModel):
    """One EKS managed node group."""

    RULES = (
        Rule(
            "!has(self.instanceType) || !has(self.instanceTypes)",
            "instanceType is short for instanceTypes with one entry; only one of them may be set",
            field_path=".instanceType",
        ),
        Rule(
            "!has(self.releaseVersion) || !has(self.amiType) || self.amiType != 'CUSTOM'",
            "releaseVersion cannot be set with amiType CUSTOM: the launch template names the image",
            field_path=".releaseVersion",
        ),
    )

    name: (
        Annotated[str, Schema(min_length=1, max_length=63, pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]*$")] | None
    ) = None
    """Name of the EKS node group, unique in its cluster; default: the name of the CaptMachine."""
    instance_type: InstanceType | None = None
    """EC2 instance type of the nodes."""
    instance_types: Annotated[
        tuple[InstanceType, ...],
        Field(exclude_if=is_empty),
        Schema(min_items=1, max_items=20, list_type="atomic"),
    ] = ()
    """EC2 instance types of the nodes, for groups that may mix them (Spot wants several)."""
    scaling: NodeGroupScaling | None = None
    """How many nodes the group has, not to be confused with `replicas` of CaptMachines; default: the module's."""
    capacity_type: Literal["OnDemand", "Spot", "CapacityBlock"] | None = None
    """How the instances are bought; default: the module's, OnDemand as a rule."""
    ami_type: Annotated[str, Schema(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_]+$")] | None = None
    """EKS image family, `AL2023_x86_64_STANDARD` for instance."""
    version: Annotated[str, Schema(max_length=16, pattern=r"^[0-9]+\.[0-9]+$")] | None = None
    """Kubernetes version of the nodes, `1.33` for instance; default: that of the control plane."""
    release_version: Annotated[str, Schema(min_length=1, max_length=64)] | None = None
    """Release of the image; default: the latest when the group is made."""
    disk_size: Annotated[int, Schema(format="int32", minimum=1)] | None = None
    """Size of the root disk in GiB."""
    labels: StringMap = Field(default_factory=dict)
    """Kubernetes labels of the nodes."""
    taints: Annotated[
        tuple[NodeGroupTaint, ...], Field(exclude_if=is_empty), Schema(max_items=50, list_type="atomic")
    ] = ()
    """Kubernetes taints of the nodes."""
    update_config: NodeGroupUpdateConfig | None = None
    """How EKS replaces nodes of the group; the `maxUnavailable` of a CaptMachineDeployment counts CaptMachines."""
    subnet_ids: Annotated[
        tuple[str, ...],
        Field(alias="subnetIDs", exclude_if=is_empty),
        Schema(min_items=1, list_type="atomic"),
    ] = ()
    """Subnets of the nodes; default: the module's."""
    tags: StringMap = Field(default_factory=dict)
    """Cloud tags of the group."""


class CaptMachineSpec(ApiModel):
    """Desired state of a CaptMachine, in exactly one of two forms.

    With `nodeGroupRef` it is one node that joins a group; with `nodeGroupConfig` it is a whole EKS managed
    node group.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.nodeGroupRef) != has(self.nodeGroupConfig)",
            "exactly one of nodeGroupRef and nodeGroupConfig must be set",
        ),
        Rule(
            "!has(self.nodeGroupRef) || has(self.instanceType)",
            "instanceType is required with nodeGroupRef",
            field_path=".instanceType",
            reason="FieldValueRequired",
        ),
    )

    node_group_ref: NodeGroupReference | None = None
    """The node group that the node joins."""
    node_group_config: NodeGroupConfig | None = None
    """The EKS managed node group to make."""
    workspace_template_ref: ObjectReference
    """The WorkspaceTemplate that makes the infrastructure."""
    instance_type: InstanceType | None = None
    """EC2 instance type of the node; with `nodeGroupConfig` it is used when that names none."""
    labels: StringMap = Field(default_factory=dict)
    """Labels, passed to the template as variable `labels`."""
    tags: StringMap = Field(default_factory=dict)
    """Cloud tags, passed to the template as variable `tags`."""
    variables: StringMap = Field(default_factory=dict)
    """Further Terraform variables that are strings."""
    values: JsonObject = Field(default_factory=dict)
    """Further Terraform variables of any type."""


class CaptMachineStatus(ApiModel):
    """Observed state of a CaptMachine."""

    observed_generation: int | None = None
    """The generation that this status describes."""
    ready: bool = False
    """Whether the infrastructure of the current spec exists."""
    instance_id: str | None = None
    """Cloud id of the instance, from the Terraform output `instance_id`."""
    private_ip: str | None = None
    """Private address of the instance, from the Terraform output `private_ip`."""
    node_group_name: str | None = None
    """The node group that the machine belongs to, or is."""
    workspace_template_apply_name: str | None = None
    """The WorkspaceTemplateApply that the machine owns."""
    workspace_name: str | None = None
    """The Workspace behind it."""
    outputs: JsonObject = Field(default_factory=dict)
    """Terraform outputs that are not sensitive."""
    last_transition_time: Time | None = None
    """When `ready` last changed."""
    failure_reason: str | None = None
    """A terminal failure, as one CamelCase word; absent when there is none."""
    failure_message: str | None = None
    """A terminal failure, as text; absent when there is none."""
    conditions: Conditions = ()
    """Ready: the infrastructure of the current spec exists."""


class CaptMachine(ApiObject):
    """One node of a node group (`nodeGroupRef`), or one whole EKS managed node group (`nodeGroupConfig`)."""

    RESOURCE = ResourceInfo(
        group=GROUP,
        version=VERSION,
        kind="CaptMachine",
        plural="captmachines",
        short_names=("captm",),
        categories=CATEGORIES,
        crd_labels=CRD_LABELS,
        columns=(
            Column("Ready", ".status.ready", "boolean", "Whether the infrastructure exists."),
            Column("Instance ID", ".status.instanceId", "string", "Cloud id of the instance."),
            Column(
                "Node Group",
                ".status.nodeGroupName",
                "string",
                "The group that the machine belongs to, or is.",
            ),
            Column("Instance Type", ".spec.instanceType", "string", "EC2 instance type."),
            Column(
                "Private IP", ".status.privateIp", "string", "Private address of the instance.", priority=1
            ),
            REASON,
            AGE,
        ),
    )

    api_version: Literal["infrastructure.cluster.x-k8s.io/v1beta1"] = (
        "infrastructure.cluster.x-k8s.io/v1beta1"
    )
    kind: Literal["CaptMachine"] = "CaptMachine"
    spec: Annotated[
        CaptMachineSpec,
        Rule(
            "has(self.nodeGroupRef) == has(oldSelf.nodeGroupRef)",
            "a machine cannot change between nodeGroupRef and nodeGroupConfig: make a new one",
        ),
    ]
    status: CaptMachineStatus = Field(default_factory=CaptMachineStatus)
