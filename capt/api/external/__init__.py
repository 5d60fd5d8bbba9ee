"""Kinds that others define and capt reads or writes; fields that capt does not use are ignored."""

from __future__ import annotations

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
    WorkspaceObservation,
    WorkspaceParameters,
    WorkspaceSpec,
    WorkspaceStatus,
)

__all__ = [
    "WORKSPACE_FLAVOURS",
    "DeletionPolicy",
    "EnvVar",
    "Event",
    "EventSeries",
    "EventSource",
    "InvolvedObject",
    "KeyReference",
    "Lease",
    "LeaseSpec",
    "ManagementPolicies",
    "ProviderConfigReference",
    "ResolutionPolicy",
    "Secret",
    "SecretReference",
    "Var",
    "VarFile",
    "Workspace",
    "WorkspaceObservation",
    "WorkspaceParameters",
    "WorkspaceSpec",
    "WorkspaceStatus",
]
