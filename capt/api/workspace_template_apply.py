"""WorkspaceTemplateApply: one use of a WorkspaceTemplate, with its variables; it makes one Workspace."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from capt.api.external.workspace import NonEmpty
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
    is_empty,
)
from capt.api.schema import AGE, REASON, Column, Schema


class WorkspaceTemplateApplySpec(ApiModel):
    """Desired state of a WorkspaceTemplateApply."""

    template_ref: ObjectReference
    """The WorkspaceTemplate to use."""
    write_connection_secret_to_ref: ObjectReference | None = None
    """Secret that receives all outputs; default: the one that the template names."""
    variables: StringMap = Field(default_factory=dict)
    """Terraform variables that are strings; `${name}` in the template stands for them too."""
    values: JsonObject = Field(default_factory=dict)
    """Terraform variables of any type; a name that `variables` has too takes its value from here."""
    optional_variables: Annotated[
        tuple[NonEmpty, ...], Field(exclude_if=is_empty), Schema(max_items=4096, list_type="set")
    ] = ()
    """Names among `variables` and `values` that the module gets only where it declares them; any other is an error."""
    wait_for_secrets: Annotated[tuple[ObjectReference, ...], Field(exclude_if=is_empty)] = ()
    """Secrets that must exist before the Workspace is made."""
    wait_for_workspaces: Annotated[tuple[ObjectReference, ...], Field(exclude_if=is_empty)] = ()
    """Workspaces, or the WorkspaceTemplateApplies that make them, that must be ready first."""
    retain_workspace_on_delete: bool = False
    """True to keep what Terraform made when the WorkspaceTemplateApply is deleted."""


class WorkspaceTemplateApplyStatus(ApiModel):
    """Observed state of a WorkspaceTemplateApply."""

    observed_generation: int | None = None
    """The generation that this status describes."""
    workspace_name: str | None = None
    """Name of the Workspace."""
    workspace_group: str | None = None
    """API group of the Workspace; once there is one, no other flavour is used, even while this one is not served."""
    connection_secret_ref: ObjectReference | None = None
    """Secret that the Workspace writes all outputs to, sensitive ones included."""
    applied: bool = False
    """Whether Terraform has applied what the spec asks for."""
    last_applied_time: Time | None = None
    """When `last_applied_revision` was first seen applied."""
    last_applied_revision: str | None = None
    """Hash of what was last applied."""
    last_failed_revision: str | None = None
    """Hash of what last failed."""
    last_failed_time: Time | None = None
    """When `last_failed_revision` was first seen failing."""
    last_failure_message: str | None = None
    """Why it failed."""
    outputs: JsonObject = Field(default_factory=dict)
    """Terraform outputs that are not sensitive."""
    conditions: Conditions = ()
    """Ready: applied, and the infrastructure exists."""


class WorkspaceTemplateApply(ApiObject):
    """One use of a WorkspaceTemplate, with its variables; it makes one Workspace."""

    RESOURCE = ResourceInfo(
        group=GROUP,
        version=VERSION,
        kind="WorkspaceTemplateApply",
        plural="workspacetemplateapplies",
        short_names=("wtapply",),
        categories=(*CATEGORIES, "terraform"),
        crd_labels=CRD_LABELS,
        columns=(
            Column("Workspace", ".status.workspaceName", "string", "The Workspace that was made."),
            Column(
                "Applied",
                ".status.applied",
                "boolean",
                "Whether Terraform has applied what the spec asks for.",
            ),
            Column(
                "Ready",
                '.status.conditions[?(@.type=="Ready")].status',
                "string",
                "Whether the infrastructure exists.",
            ),
            REASON,
            Column("Template", ".spec.templateRef.name", "string", "The template in use.", priority=1),
            AGE,
        ),
    )

    api_version: Literal["infrastructure.cluster.x-k8s.io/v1beta1"] = (
        "infrastructure.cluster.x-k8s.io/v1beta1"
    )
    kind: Literal["WorkspaceTemplateApply"] = "WorkspaceTemplateApply"
    spec: WorkspaceTemplateApplySpec
    status: WorkspaceTemplateApplyStatus = Field(default_factory=WorkspaceTemplateApplyStatus)
