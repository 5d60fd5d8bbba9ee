"""CaptMachineDeployment: CaptMachines that are kept up to date with a template, by a strategy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from capt.api.group import CATEGORIES, CRD_LABELS, GROUP, VERSION
from capt.api.machine_set import SELECTION_RULES, MachineTemplateSpec
from capt.api.meta import (
    ApiModel,
    ApiObject,
    Conditions,
    Count,
    LabelSelector,
    ResourceInfo,
    Time,
)
from capt.api.schema import AGE, Column, Rule, Scale, Schema


class RollingUpdate(ApiModel):
    """How far a rolling update may deviate from `replicas`, as numbers or percentages of it."""

    RULES = (
        Rule(
            "!((type(self.maxSurge) == string ? self.maxSurge == '0%' : self.maxSurge == 0) && "
            "(type(self.maxUnavailable) == string ? self.maxUnavailable == '0%' : self.maxUnavailable == 0))",
            "maxSurge and maxUnavailable must not both be zero: the update could not take a single step",
            field_path=".maxUnavailable",
        ),
    )

    max_surge: Annotated[int | str, Schema(minimum=0, pattern=r"^(0|[1-9][0-9]{0,2})%$")] = 1
    """Machines above `replicas`; a percentage is rounded up."""
    max_unavailable: Annotated[int | str, Schema(minimum=0, pattern=r"^(100|[1-9]?[0-9])%$")] = 0
    """Machines that may be missing from `replicas`; a percentage is rounded down."""


class DeploymentStrategy(ApiModel):
    """How machines are replaced when the template changes."""

    type: Literal["RollingUpdate", "Recreate", "OnDelete"] = "RollingUpdate"
    """How old machines go.

    RollingUpdate replaces a few at a time. Recreate makes new ones when all old ones are gone. OnDelete
    replaces those that a user deletes.
    """
    rolling_update: RollingUpdate | None = None
    """Limits of RollingUpdate; other strategies ignore it. Absent, it means its defaults."""


class CaptMachineDeploymentSpec(ApiModel):
    """Desired state of a CaptMachineDeployment."""

    RULES = (
        *SELECTION_RULES,
        Rule(
            "self.progressDeadlineSeconds > self.minReadySeconds",
            "progressDeadlineSeconds must be above minReadySeconds, or no update could ever be in time",
            field_path=".progressDeadlineSeconds",
        ),
    )

    replicas: Count = 1
    """Number of CaptMachines."""
    selector: Annotated[LabelSelector | None, Schema(map_type="atomic")] = None
    """Selects the machines of the deployment; default: a label of the deployment's own. Immutable."""
    template: MachineTemplateSpec
    """The machine that is made; changing it starts a rollout."""
    strategy: DeploymentStrategy = DeploymentStrategy(rolling_update=RollingUpdate())
    """How machines are replaced when the template changes."""
    min_ready_seconds: Count = 0
    """Seconds that a machine must be ready before it counts as available."""
    revision_history_limit: Count = 10
    """Old CaptMachineSets that are kept for rolling back."""
    progress_deadline_seconds: Count = 600
    """Seconds without progress after which a rollout is reported as stuck; it goes on nevertheless."""
    paused: bool = False
    """True to hold rollouts; scaling goes on."""
    rollout_after: Time | None = None
    """Replace every machine made before this time, once it has come."""


class CaptMachineDeploymentStatus(ApiModel):
    """Observed state of a CaptMachineDeployment."""

    observed_generation: int | None = None
    """The generation that this status describes."""
    selector: str | None = None
    """The selector as text, for the scale subresource."""
    replicas: Count = 0
    """Number of machines, over all sets."""
    updated_replicas: Count = 0
    """Machines made from the current template."""
    ready_replicas: Count = 0
    """Machines that are ready."""
    available_replicas: Count = 0
    """Machines that have been ready for `minReadySeconds`."""
    unavailable_replicas: Count = 0
    """Machines that are missing from those asked for, or not available."""
    collision_count: Count | None = None
    """How often the name of a new set was already taken."""
    failure_reason: str | None = None
    """A terminal failure, as one CamelCase word; absent when there is none."""
    failure_message: str | None = None
    """A terminal failure, as text; absent when there is none."""
    conditions: Conditions = ()
    """Available and Progressing as in apps/v1, and Ready."""


class CaptMachineDeployment(ApiObject):
    """CaptMachines that are kept up to date with a template, by a strategy."""

    RESOURCE = ResourceInfo(
        group=GROUP,
        version=VERSION,
        kind="CaptMachineDeployment",
        plural="captmachinedeployments",
        short_names=("captmd",),
        categories=CATEGORIES,
        crd_labels=CRD_LABELS,
        scale=Scale(),
        columns=(
            Column(
                "Ready",
                '.status.conditions[?(@.type=="Ready")].status',
                "string",
                "Whether all machines are available.",
            ),
            Column("Desired", ".spec.replicas", "integer", "Number of machines asked for."),
            Column("Replicas", ".status.replicas", "integer", "Number of machines."),
            Column(
                "Updated", ".status.updatedReplicas", "integer", "Machines made from the current template."
            ),
            Column(
                "Available", ".status.availableReplicas", "integer", "Machines ready for minReadySeconds."
            ),
            Column("Paused", ".spec.paused", "boolean", "Whether rollouts are held.", priority=1),
            AGE,
        ),
    )

    api_version: Literal["infrastructure.cluster.x-k8s.io/v1beta1"] = (
        "infrastructure.cluster.x-k8s.io/v1beta1"
    )
    kind: Literal["CaptMachineDeployment"] = "CaptMachineDeployment"
    spec: CaptMachineDeploymentSpec
    status: CaptMachineDeploymentStatus = Field(default_factory=CaptMachineDeploymentStatus)
