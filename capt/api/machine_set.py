"""CaptMachineSet: a number of CaptMachines made from one template."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from capt.api.group import CATEGORIES, CRD_LABELS, GROUP, VERSION
from capt.api.machine import CaptMachineSpec
from capt.api.meta import (
    ApiModel,
    ApiObject,
    Conditions,
    Count,
    Labels,
    LabelSelector,
    ResourceInfo,
    StringMap,
)
from capt.api.schema import AGE, Column, Rule, Scale, Schema


class TemplateMetadata(ApiModel):
    """Metadata of the machines that are made."""

    labels: Labels = Field(default_factory=dict)
    """Labels of the machines; the selector must select them."""
    annotations: StringMap = Field(default_factory=dict)
    """Annotations of the machines."""


class MachineTemplateSpec(ApiModel):
    """The machine that is made."""

    metadata: TemplateMetadata = Field(default_factory=TemplateMetadata)
    """Metadata of the machines."""
    spec: CaptMachineSpec
    """Spec of the machines."""


_LABELS = "self.template.metadata.labels"
_HAS_LABELS = f"has(self.template.metadata) && has({_LABELS})"
_HAS_KEY = f"{_HAS_LABELS} && e.key in {_LABELS}"
_HAS_VALUE = f"{_HAS_KEY} && has(e.values) && {_LABELS}[e.key] in e.values"
SELECTION_RULES = (
    Rule(
        "!has(oldSelf.selector) || (has(self.selector) && self.selector == oldSelf.selector)",
        "selector is immutable",
        field_path=".selector",
    ),
    Rule(
        "!has(self.selector) || (has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0) || "
        "(has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0)",
        "selector must not be empty, it would select every CaptMachine; leave it out for the default",
        field_path=".selector",
    ),
    Rule(
        "!has(self.selector) || !has(self.selector.matchLabels) || self.selector.matchLabels.all(key, "
        f"{_HAS_LABELS} && key in {_LABELS} && {_LABELS}[key] == self.selector.matchLabels[key])",
        "selector.matchLabels must match template.metadata.labels",
        field_path=".selector",
    ),
    Rule(
        "!has(self.selector) || !has(self.selector.matchExpressions) || "
        "self.selector.matchExpressions.all(e, "
        f"e.operator == 'In' ? {_HAS_VALUE} : e.operator == 'NotIn' ? !({_HAS_VALUE}) : "
        f"e.operator == 'Exists' ? {_HAS_KEY} : !({_HAS_KEY}))",
        "selector.matchExpressions must match template.metadata.labels",
        field_path=".selector",
    ),
    Rule(
        "self.replicas <= 1 || !has(self.template.spec.nodeGroupConfig) || "
        "!has(self.template.spec.nodeGroupConfig.name)",
        "template.spec.nodeGroupConfig.name cannot be set with more than one replica: "
        "every node group of a cluster needs its own name; leave it out to name each after its CaptMachine",
        field_path=".template",
    ),
)
"""What `replicas`, `selector` and `template` of a set or deployment owe each other.

A selector that misses its own template would make machines for ever, for none would be counted.
"""


class CaptMachineSetSpec(ApiModel):
    """Desired state of a CaptMachineSet."""

    RULES = SELECTION_RULES

    replicas: Count = 1
    """Number of CaptMachines."""
    selector: Annotated[LabelSelector | None, Schema(map_type="atomic")] = None
    """Selects the machines of the set; default: a label of the set's own. Immutable."""
    template: MachineTemplateSpec
    """The machine that is made."""
    min_ready_seconds: Count = 0
    """Seconds that a machine must be ready before it counts as available."""


class CaptMachineSetStatus(ApiModel):
    """Observed state of a CaptMachineSet."""

    observed_generation: int | None = None
    """The generation that this status describes."""
    selector: str | None = None
    """The selector as text, for the scale subresource."""
    replicas: Count = 0
    """Number of machines."""
    fully_labeled_replicas: Count = 0
    """Machines that carry all labels of the template."""
    ready_replicas: Count = 0
    """Machines that are ready."""
    available_replicas: Count = 0
    """Machines that have been ready for `minReadySeconds`."""
    failure_reason: str | None = None
    """A terminal failure, as one CamelCase word; absent when there is none."""
    failure_message: str | None = None
    """A terminal failure, as text; absent when there is none."""
    conditions: Conditions = ()
    """Ready: as many machines as asked for are available."""


class CaptMachineSet(ApiObject):
    """A number of CaptMachines made from one template."""

    RESOURCE = ResourceInfo(
        group=GROUP,
        version=VERSION,
        kind="CaptMachineSet",
        plural="captmachinesets",
        short_names=("captms",),
        categories=CATEGORIES,
        crd_labels=CRD_LABELS,
        scale=Scale(),
        columns=(
            Column("Desired", ".spec.replicas", "integer", "Number of machines asked for."),
            Column("Current", ".status.replicas", "integer", "Number of machines."),
            Column("Ready", ".status.readyReplicas", "integer", "Machines that are ready."),
            Column(
                "Available", ".status.availableReplicas", "integer", "Machines ready for minReadySeconds."
            ),
            AGE,
        ),
    )

    api_version: Literal["infrastructure.cluster.x-k8s.io/v1beta1"] = (
        "infrastructure.cluster.x-k8s.io/v1beta1"
    )
    kind: Literal["CaptMachineSet"] = "CaptMachineSet"
    spec: CaptMachineSetSpec
    status: CaptMachineSetStatus = Field(default_factory=CaptMachineSetStatus)
