"""CaptMachineTemplate: a CaptMachine that Cluster API clones, or the Go original's form of it, which nobody could clone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from capt.api.contract import CloneMetadata, CloudTags
from capt.api.group import CATEGORIES, CRD_LABELS, GROUP, VERSION
from capt.api.machine import CaptMachineSpec, NodeGroupScaling, NodeGroupTaint
from capt.api.meta import ApiModel, ApiObject, ResourceInfo, is_empty
from capt.api.schema import AGE, Rule, Schema


class ClonedMachineSpec(CaptMachineSpec):
    """Spec of a machine that Cluster API clones: that of a CaptMachine.

    With `nodeType` it is the Go original's form instead, so that manifests written for it are accepted. A CaptMachine has
    no such fields, so nothing can be cloned from it.
    """

    RULES = (
        Rule(
            "has(self.nodeType) ? !has(self.nodeGroupRef) && !has(self.nodeGroupConfig) : "
            "has(self.nodeGroupRef) != has(self.nodeGroupConfig)",
            "exactly one of nodeGroupRef and nodeGroupConfig must be set, or, in the Go original's form, nodeType",
        ),
        Rule(
            "has(self.nodeType) || !(has(self.scaling) || has(self.taints) || has(self.additionalTags))",
            "scaling and taints belong under nodeGroupConfig, and additionalTags is tags; beside nodeType only they "
            "stand here",
        ),
        *(rule for rule in CaptMachineSpec.RULES if rule.field_path == ".instanceType"),
    )

    node_type: Literal["ManagedNodeGroup", "Fargate"] | None = None
    """Marks the Go original's form. Instead of `ManagedNodeGroup` write `nodeGroupConfig`, instead of `Fargate` a
    `fargateTemplateRef` of the CAPTControlPlane.
    """
    scaling: NodeGroupScaling | None = None
    """In the Go original's form: how many nodes the group has."""
    taints: Annotated[
        tuple[NodeGroupTaint, ...], Field(exclude_if=is_empty), Schema(max_items=50, list_type="atomic")
    ] = ()
    """In the Go original's form: Kubernetes taints of the nodes."""
    additional_tags: CloudTags = Field(default_factory=dict)
    """In the Go original's form: cloud tags."""


class CaptMachineTemplateResource(ApiModel):
    """The CaptMachine that Cluster API clones."""

    metadata: CloneMetadata | None = None
    """Metadata of the clone."""
    spec: ClonedMachineSpec
    """Spec of the clone."""


class CaptMachineTemplateSpec(ApiModel):
    """Desired state of a CaptMachineTemplate."""

    template: CaptMachineTemplateResource
    """The CaptMachine that Cluster API clones."""


class CaptMachineTemplate(ApiObject):
    """A CaptMachine that a ClusterClass or MachineDeployment refers to; Cluster API clones one for each machine."""

    RESOURCE = ResourceInfo(
        group=GROUP,
        version=VERSION,
        kind="CaptMachineTemplate",
        plural="captmachinetemplates",
        short_names=("captmt",),
        categories=CATEGORIES,
        crd_labels=CRD_LABELS,
        columns=(AGE,),
    )

    api_version: Literal["infrastructure.cluster.x-k8s.io/v1beta1"] = (
        "infrastructure.cluster.x-k8s.io/v1beta1"
    )
    kind: Literal["CaptMachineTemplate"] = "CaptMachineTemplate"
    spec: CaptMachineTemplateSpec
