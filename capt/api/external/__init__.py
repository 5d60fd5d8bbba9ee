"""Kinds that others define and capt reads or writes; fields that capt does not use are ignored."""

from __future__ import annotations

from capt.api.external.cluster import (
    CLUSTER_EDITIONS,
    Cluster,
    ClusterV1Beta1,
    ContractReference,
    FailureDomain,
    FailureDomainSpec,
    SeverityCondition,
    VersionedReference,
)
from capt.api.external.event import Event, EventSeries, EventSource, InvolvedObject
from capt.api.external.lease import Lease, LeaseSpec
from capt.api.external.secret import Secret
from capt.api.external.workspace import (
    WORKSPACE_FLAVOURS,
    DeletionPolicy,
    EnvVar,
    KeyReference,
    ManagementPolicies,
    ProviderConfigReference,
    ResolutionPolicy,
    SecretReference,
    Var,
    VarFile,
    Workspace,
    WorkspaceCondition,
    WorkspaceObservation,
    WorkspaceParameters,
    WorkspaceSpec,
    WorkspaceStatus,
)

__all__ = [
    "CLUSTER_EDITIONS",
    "WORKSPACE_FLAVOURS",
    "Cluster",
    "ClusterV1Beta1",
    "ContractReference",
    "DeletionPolicy",
    "EnvVar",
    "Event",
    "EventSeries",
    "EventSource",
    "FailureDomain",
    "FailureDomainSpec",
    "InvolvedObject",
    "KeyReference",
    "Lease",
    "LeaseSpec",
    "ManagementPolicies",
    "ProviderConfigReference",
    "ResolutionPolicy",
    "Secret",
    "SecretReference",
    "SeverityCondition",
    "Var",
    "VarFile",
    "VersionedReference",
    "Workspace",
    "WorkspaceCondition",
    "WorkspaceObservation",
    "WorkspaceParameters",
    "WorkspaceSpec",
    "WorkspaceStatus",
]
