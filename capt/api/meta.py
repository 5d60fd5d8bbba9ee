"""What all kinds share: the base model, object metadata, references, conditions, selectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, PlainSerializer
from pydantic.alias_generators import to_camel

from capt.api.schema import Column, Rule, Scale, Schema


class ApiModel(BaseModel):
    """Base of everything that is read from or written to the API server.

    Attributes are snake_case, wire names camelCase. Instances are frozen. Fields that the model does not know
    are ignored when reading, so a newer server or a newer provider never breaks an older capt.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    RULES: ClassVar[tuple[Rule, ...]] = ()
    """CEL rules on the object as a whole, for the CRD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceInfo:
    """Where a kind lives in the API, and how its CRD presents it.

    Attributes:
        group: API group; empty for the core group.
        version: API version.
        kind: Kind, as in manifests.
        plural: Resource name, as in URLs.
        namespaced: False for cluster-scoped kinds.
        short_names: Short names for kubectl.
        categories: kubectl categories (`kubectl get cluster-api`).
        columns: Printer columns.
        scale: Paths of the scale subresource; None when the kind has none.
        crd_labels: Labels of the CRD itself.
        crd_annotations: Annotations of the CRD itself.
        singular: Name of one object for kubectl; default: the kind in lower case.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    scale: Scale | None = None
    crd_labels: tuple[tuple[str, str], ...] = ()
    crd_annotations: tuple[tuple[str, str], ...] = ()
    singular: str = ""

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


def _whole_seconds(value: datetime) -> datetime:
    return _utc(value).replace(microsecond=0)


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        msg = "a timestamp needs a time zone"
        raise ValueError(msg)
    return value.astimezone(UTC)


def _format_time(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _format_micro_time(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_empty(value: object) -> bool:
    """Tell whether a list, map or text is empty, so that it is left out when writing (Go's `omitempty`)."""
    return not value


Time = Annotated[datetime, AfterValidator(_whole_seconds), PlainSerializer(_format_time, when_used="json")]
"""metav1.Time: UTC, whole seconds, in memory as on the wire, so that a round trip changes nothing."""

MicroTime = Annotated[datetime, AfterValidator(_utc), PlainSerializer(_format_micro_time, when_used="json")]
"""metav1.MicroTime: UTC, always six digits of fraction (the API server refuses fewer)."""

StringMap = Annotated[Mapping[str, str], Field(exclude_if=is_empty)]
"""A map of strings; an empty one is not written."""

JsonObject = Annotated[Mapping[str, JsonValue], Field(exclude_if=is_empty)]
"""Any JSON object; the server keeps it as it is. An empty one is not written."""

Text = Annotated[str, Field(exclude_if=is_empty)]
"""A string whose emptiness means absence."""

DnsLabel = Annotated[str, Schema(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""RFC 1123 label: the name of a namespace."""

DnsName = Annotated[
    str,
    Schema(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
"""RFC 1123 subdomain: the name of an object."""

Count = Annotated[int, Schema(format="int32", minimum=0)]
"""A number of things, never negative."""

Labels = Annotated[
    Mapping[str, Annotated[str, Schema(max_length=63)]], Field(exclude_if=is_empty), Schema(max_properties=64)
]
"""Labels that a CEL rule compares: at most 64, each value at most 63 characters."""


class OwnerReference(ApiModel):
    """metav1.OwnerReference."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(ApiModel):
    """metav1.ObjectMeta without `managedFields` and without what the server deprecated."""

    name: Text = ""
    generate_name: str | None = None
    namespace: str | None = None
    uid: Text = ""
    resource_version: Text = ""
    generation: int | None = None
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: int | None = None
    labels: StringMap = Field(default_factory=dict)
    annotations: StringMap = Field(default_factory=dict)
    owner_references: Annotated[tuple[OwnerReference, ...], Field(exclude_if=is_empty)] = ()
    finalizers: Annotated[tuple[str, ...], Field(exclude_if=is_empty)] = ()

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that controls the object, if one does."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class ApiObject(ApiModel):
    """Base of every kind: type, metadata, and where the kind lives.

    `api_version` and `kind` have defaults because the items of a list come without them.
    """

    RESOURCE: ClassVar[ResourceInfo]

    api_version: str
    kind: str
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)


class Condition(ApiModel):
    """metav1.Condition: one aspect of the state of an object."""

    type: Annotated[
        str,
        Schema(
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]
    """Name of the aspect, in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """Whether the aspect holds."""
    reason: Annotated[
        str,
        Schema(
            required=True, min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
        ),
    ] = ""
    """Why, as one CamelCase word for programs."""
    message: Annotated[str, Schema(required=True, max_length=32768)] = ""
    """Why, as text for people."""
    last_transition_time: Time
    """When `status` last changed."""
    observed_generation: Annotated[int, Schema(minimum=0)] | None = None
    """The metadata.generation that the condition was computed from."""


Conditions = Annotated[
    tuple[Condition, ...], Field(exclude_if=is_empty), Schema(list_type="map", list_map_keys=("type",))
]
"""Conditions of an object, one per type."""


class ObjectReference(ApiModel):
    """Names another object; its kind follows from the field that holds the reference."""

    name: DnsName
    """Name of the object."""
    namespace: DnsLabel | None = None
    """Namespace of the object; default: the namespace of the object that refers to it."""


class LabelSelectorRequirement(ApiModel):
    """One requirement of a label selector."""

    key: Annotated[str, Schema(min_length=1, max_length=317)]
    """Label that the requirement looks at."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label's value relates to `values`."""
    values: Annotated[
        tuple[Annotated[str, Schema(max_length=63)], ...],
        Field(exclude_if=is_empty),
        Schema(max_items=32, list_type="atomic"),
    ] = ()
    """Values for In and NotIn; empty for Exists and DoesNotExist."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether `labels` meet the requirement; an absent label meets NotIn and DoesNotExist."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels

    def __str__(self) -> str:
        match self.operator:
            case "In":
                return f"{self.key} in ({','.join(sorted(self.values))})"
            case "NotIn":
                return f"{self.key} notin ({','.join(sorted(self.values))})"
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"


class LabelSelector(ApiModel):
    """metav1.LabelSelector: all of its requirements must hold. An empty selector matches everything."""

    RULES = (
        Rule(
            "!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] "
            "? has(e.values) && size(e.values) > 0 : !has(e.values) || size(e.values) == 0)",
            "matchExpressions: In and NotIn need values, Exists and DoesNotExist take none",
            field_path=".matchExpressions",
        ),
    )

    match_labels: Labels = Field(default_factory=dict)
    """Labels that must have exactly these values."""
    match_expressions: Annotated[
        tuple[LabelSelectorRequirement, ...],
        Field(exclude_if=is_empty),
        Schema(max_items=16, list_type="atomic"),
    ] = ()
    """Further requirements."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )

    def __str__(self) -> str:
        """The text form that the API's `labelSelector` parameter and the scale subresource take."""
        return ",".join(
            [
                *(f"{key}={value}" for key, value in sorted(self.match_labels.items())),
                *map(str, self.match_expressions),
            ]
        )
