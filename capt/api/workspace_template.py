"""WorkspaceTemplate: the Terraform module, and how it is run, from which Workspaces are made.

Seed 000 puts the module under `template.spec.forProvider`, seed 001 right under `template.spec`; both are accepted.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from capt.api.external.workspace import (
    DEFAULT_PROVIDER_CONFIG,
    DeletionPolicy,
    ManagementPolicies,
    NonEmpty,
    ProviderConfigReference,
    SecretReference,
    WorkspaceParameters,
)
from capt.api.group import CATEGORIES, CRD_LABELS, GROUP, MOVED, VERSION
from capt.api.meta import (
    ApiModel,
    ApiObject,
    Conditions,
    JsonObject,
    ResourceInfo,
    StringMap,
)
from capt.api.schema import AGE, Column, Rule


class WorkspaceTemplateMetadata(ApiModel):
    """What a template says about itself, for people."""

    description: str | None = None
    """What the template makes."""
    version: str | None = None
    """Version of the template, as its author counts."""
    tags: StringMap = Field(default_factory=dict)
    """Free-form marks of the template; they reach neither Workspaces nor the cloud."""


class TemplateWorkspaceSpec(ApiModel):
    """The Workspace that the template makes: a Workspace spec, plus `module` as a short form."""

    RULES = (
        Rule(
            "has(self.module) != has(self.forProvider)",
            "exactly one of module and forProvider must be set",
            reason="FieldValueInvalid",
        ),
    )

    module: NonEmpty | None = None
    """Inline HCL; short for `forProvider` with `source: Inline` and this `module`."""
    for_provider: WorkspaceParameters | None = None
    """What Terraform runs, and with which inputs."""
    provider_config_ref: ProviderConfigReference = DEFAULT_PROVIDER_CONFIG
    """The provider's configuration: credentials and state backend."""
    deletion_policy: DeletionPolicy = "Delete"
    """Whether deleting the Workspace destroys what Terraform made."""
    management_policies: ManagementPolicies = ("*",)
    """What the provider may do; an empty list pauses it."""
    write_connection_secret_to_ref: SecretReference | None = None
    """Secret that receives all outputs; a WorkspaceTemplateApply's own reference wins over it."""
    publish_connection_details_to: JsonObject = Field(default_factory=dict)
    """Accepted for manifests written for older providers, without effect: current ones no longer have it."""

    @property
    def parameters(self) -> WorkspaceParameters:
        """What Terraform runs, whichever of the two forms the template uses.

        Raises:
            ValueError: if the template has neither form, which the CRD refuses.
        """
        if self.for_provider is not None:
            return self.for_provider
        if self.module is None:
            msg = "exactly one of module and forProvider must be set"
            raise ValueError(msg)
        return WorkspaceParameters(source="Inline", module=self.module)


class WorkspaceTemplateDefinition(ApiModel):
    """The template proper."""

    metadata: WorkspaceTemplateMetadata | None = None
    """What the template says about itself."""
    spec: TemplateWorkspaceSpec
    """The Workspace that the template makes."""


class WorkspaceTemplateSpec(ApiModel):
    """Desired state of a WorkspaceTemplate."""

    template: WorkspaceTemplateDefinition
    """The template proper."""
    write_connection_secret_to_ref: SecretReference | None = None
    """Secret that receives all outputs; `template.spec` and the WorkspaceTemplateApply may name another."""


class WorkspaceTemplateStatus(ApiModel):
    """Observed state of a WorkspaceTemplate."""

    observed_generation: int | None = None
    """The generation that this status describes."""
    revision: str | None = None
    """Hash of the template's content; it changes exactly when what the template makes changes."""
    workspace_name: str | None = None
    """Kept for compatibility and never set: a template has many Workspaces."""
    conditions: Conditions = ()
    """Ready: the template can be used."""


class WorkspaceTemplate(ApiObject):
    """A Terraform module, and how it is run, from which Workspaces are made."""

    RESOURCE = ResourceInfo(
        group=GROUP,
        version=VERSION,
        kind="WorkspaceTemplate",
        plural="workspacetemplates",
        short_names=("wtemplate",),
        categories=(*CATEGORIES, "terraform"),
        crd_labels=(*CRD_LABELS, *MOVED),
        columns=(
            Column("Workspace", ".status.workspaceName", "string", "Kept for compatibility.", priority=1),
            Column(
                "Ready",
                '.status.conditions[?(@.type=="Ready")].status',
                "string",
                "Whether the template can be used.",
            ),
            Column("Version", ".spec.template.metadata.version", "string", "Version that the author gave."),
            Column("Revision", ".status.revision", "string", "Hash of the content.", priority=1),
            AGE,
        ),
    )

    api_version: Literal["infrastructure.cluster.x-k8s.io/v1beta1"] = (
        "infrastructure.cluster.x-k8s.io/v1beta1"
    )
    kind: Literal["WorkspaceTemplate"] = "WorkspaceTemplate"
    spec: WorkspaceTemplateSpec
    status: WorkspaceTemplateStatus = Field(default_factory=WorkspaceTemplateStatus)
