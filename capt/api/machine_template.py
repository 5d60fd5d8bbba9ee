"""CaptMachineTemplate: a CaptMachine that Cluster API clones."""

from __future__ import annotations

from typing import Literal

from capt.api.contract import CloneMetadata
from capt.api.group import CATEGORIES, CRD_LABELS, GROUP, VERSION
from capt.api.machine import CaptMachineSpec
from capt.api.meta import ApiModel, ApiObject, ResourceInfo
from capt.api.schema import AGE


class CaptMachineTemplateResource(ApiModel):
    """The CaptMachine that Cluster API clones."""

    metadata: CloneMetadata | None = None
    """Metadata of the clone."""
    spec: CaptMachineSpec
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
