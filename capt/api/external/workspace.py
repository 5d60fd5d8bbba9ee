"""Workspace, the kind of Crossplane's provider-terraform and provider-opentofu: Terraform, kept up to date.

The kind exists in four flavours that differ in group and scope; one model reads them all. Values that
providers may extend (`source`, policies) are plain strings, so that a newer provider's objects stay readable.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from capt.api.meta import (
    ApiModel,
    ApiObject,
    JsonObject,
    ResourceInfo,
    Text,
    Time,
    is_empty,
)
from capt.api.schema import AGE, Column, Rule, Schema

NonEmpty = Annotated[str, Schema(min_length=1)]

DeletionPolicy = Annotated[str, Schema(enum=("Delete", "Orphan"))]
"""What deleting a Workspace does to what Terraform made: destroy it, or leave it."""

ManagementPolicies = Annotated[
    tuple[Annotated[str, Schema(enum=("*", "Observe", "Create", "Update", "Delete", "LateInitialize"))], ...],
    Schema(list_type="atomic"),
]
"""What the provider may do; `*` is everything, an empty list pauses it."""


class SecretReference(ApiModel):
    """Names a Secret; in a WorkspaceTemplate the name may hold `${...}` placeholders, hence no pattern."""

    name: NonEmpty
    """Name of the Secret."""
    namespace: NonEmpty | None = None
    """Namespace of the Secret; default: the namespace of the object that refers to it."""


class KeyReference(ApiModel):
    """One key of a ConfigMap or Secret; in a WorkspaceTemplate it may hold `${...}` placeholders."""

    name: NonEmpty
    """Name of the ConfigMap or Secret."""
    namespace: NonEmpty | None = None
    """Namespace of the ConfigMap or Secret; default: the namespace of the object that refers to it."""
    key: NonEmpty
    """Key in its data."""


class EnvVar(ApiModel):
    """One environment variable for the Terraform CLI."""

    name: NonEmpty
    """Name of the variable."""
    value: str | None = None
    """Its value; a value that is given and not empty wins over the references."""
    config_map_key_ref: KeyReference | None = None
    """ConfigMap key that holds the value."""
    secret_key_ref: KeyReference | None = None
    """Secret key that holds the value."""


class Var(ApiModel):
    """One Terraform variable, given as `-var key=value`."""

    key: NonEmpty
    """Name of the variable."""
    value: str
    """Its value; for a type other than string an HCL or JSON literal."""


class VarFile(ApiModel):
    """A file of Terraform variables, read from a ConfigMap or a Secret."""

    RULES = (
        Rule(
            "self.source == 'ConfigMapKey' ? has(self.configMapKeyRef) : has(self.secretKeyRef)",
            "source ConfigMapKey needs configMapKeyRef, source SecretKey needs secretKeyRef",
            field_path=".source",
        ),
    )

    source: Annotated[str, Schema(enum=("ConfigMapKey", "SecretKey"))]
    """Where the file comes from."""
    config_map_key_ref: KeyReference | None = None
    """ConfigMap key that holds the file."""
    secret_key_ref: KeyReference | None = None
    """Secret key that holds the file."""
    format: Annotated[str, Schema(enum=("HCL", "JSON"))] = "HCL"
    """Syntax of the file."""


class WorkspaceParameters(ApiModel):
    """What Terraform runs, and with which inputs.

    Terraform lets the last value win: `varFiles` override `vars`, and `varmap` overrides both.
    """

    source: Annotated[str, Schema(enum=("Remote", "Inline", "Flux"))]
    """Where the module comes from: an address (Remote), this object (Inline) or a Flux source (Flux)."""
    module: NonEmpty
    """The module: go-getter address, inline text, or `GitRepository::namespace/name`."""
    inline_format: Annotated[str, Schema(enum=("HCL", "JSON"))] | None = None
    """Syntax of an inline module; default HCL."""
    entrypoint: Text = ""
    """Directory within the module in which Terraform runs; default: its root."""
    env: Annotated[tuple[EnvVar, ...], Field(exclude_if=is_empty)] = ()
    """Environment of the Terraform CLI."""
    vars: Annotated[tuple[Var, ...], Field(exclude_if=is_empty)] = ()
    """Variables as text."""
    varmap: JsonObject = Field(default_factory=dict)
    """Variables of any type."""
    var_files: Annotated[tuple[VarFile, ...], Field(exclude_if=is_empty), Schema(max_items=64)] = ()
    """Files of variables."""
    init_args: Annotated[tuple[str, ...], Field(exclude_if=is_empty)] = ()
    """Further arguments for `terraform init`."""
    plan_args: Annotated[tuple[str, ...], Field(exclude_if=is_empty)] = ()
    """Further arguments for `terraform plan`."""
    apply_args: Annotated[tuple[str, ...], Field(exclude_if=is_empty)] = ()
    """Further arguments for `terraform apply`."""
    destroy_args: Annotated[tuple[str, ...], Field(exclude_if=is_empty)] = ()
    """Further arguments for `terraform destroy`."""
    enable_terraform_cli_logging: Annotated[bool | None, Field(alias="enableTerraformCLILogging")] = None
    """Whether the provider logs what the Terraform CLI prints; default false."""


class ResolutionPolicy(ApiModel):
    """How the provider resolves a reference."""

    resolution: Annotated[str, Schema(enum=("Required", "Optional"))] | None = None
    """Whether a missing object is an error; default Required."""
    resolve: Annotated[str, Schema(enum=("Always", "IfNotPresent"))] | None = None
    """When the reference is resolved; default IfNotPresent."""


class ProviderConfigReference(ApiModel):
    """Names the provider's configuration: credentials and state backend."""

    name: NonEmpty
    """Name of the configuration."""
    kind: str | None = None
    """ProviderConfig or ClusterProviderConfig; only the namespaced flavours know it."""
    policy: ResolutionPolicy | None = None
    """How the reference is resolved; only the cluster-scoped flavours know it."""


DEFAULT_PROVIDER_CONFIG = ProviderConfigReference(name="default")


class WorkspaceSpec(ApiModel):
    """Desired state of a Workspace."""

    for_provider: WorkspaceParameters
    """What Terraform runs, and with which inputs."""
    provider_config_ref: ProviderConfigReference | None = DEFAULT_PROVIDER_CONFIG
    """The provider's configuration: credentials and state backend."""
    deletion_policy: DeletionPolicy | None = "Delete"
    """Whether deletion destroys what Terraform made; the namespaced flavours do not have the field."""
    management_policies: ManagementPolicies = ("*",)
    """What the provider may do; an empty list pauses it."""
    write_connection_secret_to_ref: SecretReference | None = None
    """Secret that receives all outputs, sensitive ones included."""


class WorkspaceCondition(ApiModel):
    """One aspect of a Workspace's state, as Crossplane's providers write it: less strict than metav1.Condition."""

    type: str
    """Name of the aspect."""
    status: str
    """Whether the aspect holds: True, False or Unknown."""
    reason: Annotated[str, Schema(required=True)] = ""
    """Why, as one word for programs."""
    message: Text = ""
    """Why, as text for people; providers leave it out where there is nothing to say."""
    last_transition_time: Time
    """When `status` last changed."""
    observed_generation: int | None = None
    """The metadata.generation that the condition was computed from; older providers do not set it."""


class WorkspaceObservation(ApiModel):
    """What the provider observed after its last run."""

    checksum: str | None = None
    """Checksum of the work directory."""
    outputs: JsonObject = Field(default_factory=dict)
    """Outputs that are not sensitive, as JSON values."""


class WorkspaceStatus(ApiModel):
    """Observed state of a Workspace."""

    at_provider: Annotated[WorkspaceObservation, Schema(preserve_unknown=True)] = Field(
        default_factory=WorkspaceObservation
    )
    """What the provider observed after its last run."""
    conditions: Annotated[
        tuple[WorkspaceCondition, ...],
        Field(exclude_if=is_empty),
        Schema(list_type="map", list_map_keys=("type",)),
    ] = ()
    """Ready: the infrastructure exists. Synced: the last run succeeded; its message holds the error text."""
    observed_generation: int | None = None
    """The generation that the provider last looked at; older providers do not set it."""


class Workspace(ApiObject):
    """One Terraform run that is kept up to date: module, inputs, outputs."""

    RESOURCE = ResourceInfo(
        group="tf.upbound.io",
        version="v1beta1",
        kind="Workspace",
        plural="workspaces",
        namespaced=False,
        categories=("crossplane", "managed", "terraform"),
        columns=(
            Column(
                "READY",
                '.status.conditions[?(@.type=="Ready")].status',
                "string",
                "Whether the infrastructure exists.",
            ),
            Column(
                "SYNCED",
                '.status.conditions[?(@.type=="Synced")].status',
                "string",
                "Whether the last run succeeded.",
            ),
            Column("AGE", AGE.json_path, AGE.type),
        ),
    )

    api_version: str = RESOURCE.api_version
    kind: Literal["Workspace"] = "Workspace"
    spec: WorkspaceSpec
    status: WorkspaceStatus = Field(default_factory=WorkspaceStatus)


WORKSPACE_FLAVOURS: tuple[ResourceInfo, ...] = (
    Workspace.RESOURCE,
    replace(Workspace.RESOURCE, group="tf.m.upbound.io", namespaced=True),
    replace(Workspace.RESOURCE, group="opentofu.upbound.io"),
    replace(Workspace.RESOURCE, group="opentofu.m.upbound.io", namespaced=True),
)
"""The four flavours of Workspace; the one that the Go original used comes first."""
