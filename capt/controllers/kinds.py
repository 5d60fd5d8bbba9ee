"""The kinds that the controllers watch, as values.

A kind is a resource and the model that reads it. The four flavours of Workspace are one model under four
resources; which of them a cluster serves is found by discovery.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Protocol, TypeVar

from capt.api import (
    WORKSPACE_FLAVOURS as WORKSPACE_RESOURCES,
)
from capt.api import (
    CAPTCluster,
    CAPTControlPlane,
    CaptMachine,
    CaptMachineDeployment,
    CaptMachineSet,
    Cluster,
    ClusterV1Beta1,
    ResourceInfo,
    Secret,
    Workspace,
    WorkspaceTemplate,
    WorkspaceTemplateApply,
)
from capt.runtime import Kind, KubeObject, Resource


class _Model(KubeObject, Protocol):
    RESOURCE: ClassVar[ResourceInfo]


_M = TypeVar("_M", bound=_Model)


def kind_of(model: type[_M]) -> Kind[_M]:
    """Return the kind that `model` describes by its `RESOURCE`."""
    return Kind(_resource(model.RESOURCE), model)


def _resource(info: ResourceInfo) -> Resource:
    return Resource(
        group=info.group,
        version=info.version,
        kind=info.kind,
        plural=info.plural,
        namespaced=info.namespaced,
    )


MACHINE: Final = kind_of(CaptMachine)
MACHINE_SET: Final = kind_of(CaptMachineSet)
MACHINE_DEPLOYMENT: Final = kind_of(CaptMachineDeployment)
TEMPLATE: Final = kind_of(WorkspaceTemplate)
APPLY: Final = kind_of(WorkspaceTemplateApply)
SECRET: Final = kind_of(Secret)
CAPT_CLUSTER: Final = kind_of(CAPTCluster)
CAPT_CONTROL_PLANE: Final = kind_of(CAPTControlPlane)

# Cluster API's Cluster; where both versions are served, the newer is used
CLUSTER: Final = kind_of(Cluster)
CLUSTER_V1BETA1: Final = kind_of(ClusterV1Beta1)

# in order of preference; a flavour is used where the cluster serves it
WORKSPACE_FLAVOURS: Final[tuple[Kind[Workspace], ...]] = tuple(
    Kind(_resource(info), Workspace) for info in WORKSPACE_RESOURCES
)

OWNERS: Final[tuple[Kind[Any], ...]] = (
    MACHINE,
    MACHINE_SET,
    MACHINE_DEPLOYMENT,
    CAPT_CLUSTER,
    CAPT_CONTROL_PLANE,
)
"""The kinds that own others."""
