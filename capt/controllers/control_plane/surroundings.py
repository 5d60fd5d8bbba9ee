"""What surrounds a control plane: its Cluster's infrastructure before it, machines after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from capt.api import ApiObject, CAPTCluster, CAPTControlPlane, Cluster
from capt.controllers.kinds import (
    CAPT_CLUSTER,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
)
from capt.controllers.names import CLUSTER_NAME_LABEL
from capt.controllers.parent_cluster import Parent, is_externally_managed, parent_key
from capt.runtime import Kind
from capt.runtime.client import Client

# in the order in which they are deleted: what makes machines before the machines
MACHINE_KINDS: Final[tuple[Kind[Any], ...]] = (MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The infrastructure of a Cluster, as its control plane needs it.

    Attributes:
        lacks: What it waits for, for people; empty when it is ready.
        capt_cluster: The CAPTCluster with the VPC; None when the infrastructure is somebody else's.
        provides_endpoint: Whether the Cluster's endpoint is the infrastructure's to give: Cluster API takes that first, and
            keeps it whatever the control plane says.
    """

    lacks: str
    capt_cluster: CAPTCluster | None = None
    provides_endpoint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineObject:
    """A machine of a cluster, or what makes some."""

    kind: Kind[Any]
    obj: ApiObject

    @property
    def text(self) -> str:
        """Kind and name."""
        return f"{self.kind.resource.kind} {self.obj.metadata.name}"


async def network_of(client: Client, parent: Parent) -> Network:
    """Return the infrastructure of a Cluster; one that names none has nothing to wait for.

    A CAPTCluster says itself that its VPC is ready, sooner than the Cluster can. Of what somebody else provides, and of a
    CAPTCluster that somebody else manages, only the Cluster knows it in every version of the contract.
    """
    reference = parent.infrastructure
    if reference is None or not reference.name:
        return Network(lacks="")
    resource = CAPT_CLUSTER.resource
    if (reference.group, reference.kind) != (resource.group, resource.kind):
        lacks = "" if _is_provisioned(parent) else f"waits for {reference.kind} {reference.name} to be ready"
        # what stands there may be theirs: it is not replaced
        return Network(lacks=lacks, provides_endpoint=parent.endpoint is not None)
    namespace = parent.cluster.metadata.namespace or ""
    found = await client.get(CAPT_CLUSTER, namespace, reference.name)
    if found is None:
        return Network(lacks=f"waits for CAPTCluster {reference.name}, which does not exist")
    if found.metadata.deletion_timestamp is not None:
        return Network(lacks=f"CAPTCluster {reference.name} is being deleted", capt_cluster=found)
    ready = found.status.ready or (is_externally_managed(found) and _is_provisioned(parent))
    lacks = "" if ready else f"waits for the VPC of CAPTCluster {reference.name} to be ready"
    own = found.spec.control_plane_endpoint
    return Network(lacks=lacks, capt_cluster=found, provides_endpoint=own is not None and own.is_set)


async def machines_of(client: Client, control_plane: CAPTControlPlane) -> list[MachineObject]:
    """Return what stands on a control plane: everything of a machine kind with the label of its cluster."""
    cluster = cluster_name(control_plane)
    if cluster is None:
        return []
    namespace, labels = control_plane.metadata.namespace or "", {CLUSTER_NAME_LABEL: cluster}
    return [
        MachineObject(kind=kind, obj=obj)
        for kind in MACHINE_KINDS
        for obj in await client.list(kind, namespace, labels=labels)
    ]


def cluster_name(control_plane: CAPTControlPlane) -> str | None:
    """Return the name of the Cluster of a control plane, whether that is still there or not."""
    key = parent_key(control_plane)
    return key.name if key is not None else control_plane.metadata.labels.get(CLUSTER_NAME_LABEL)


def _is_provisioned(parent: Parent) -> bool:
    cluster = parent.cluster
    if isinstance(cluster, Cluster):
        initialization = cluster.status.initialization
        return initialization is not None and bool(initialization.infrastructure_provisioned)
    return cluster.status.infrastructure_ready
