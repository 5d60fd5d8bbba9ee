"""What a model says to the CRD generator beyond its Python types.

The constraints here are the API server's business, not Python's: they go into the generated CRD and are
enforced there, once, for every writer. Reading stays tolerant, so an object stored under an older CRD never
breaks a watch.

A constraint stands in `Annotated`, beside the type that it narrows; a CEL rule stands there too, or in the
model's `RULES` when it relates fields to one another:

    class Scaling(ApiModel):
        RULES = (Rule("self.minSize <= self.maxSize", "minSize must not be above maxSize", ".minSize"),)

        min_size: Annotated[int, Schema(minimum=0)]
        max_size: Annotated[int, Schema(minimum=1)]

CEL has a cost budget in the API server. Whatever a rule iterates over or compares needs a bound (`max_items`,
`max_properties`, `max_length`), or the server refuses the CRD.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Keywords of the OpenAPI schema that a Python type alone does not say.

    Attributes:
        enum: The values that the server accepts; Python reads any (for values that others may extend).
        format: OpenAPI format, `int32` instead of the default `int64` for instance.
        minimum: Least number.
        maximum: Greatest number.
        min_length: Least number of characters of a string.
        max_length: Greatest number of characters of a string.
        pattern: Regular expression (RE2) that a string must match.
        min_items: Least length of a list.
        max_items: Greatest length of a list.
        max_properties: Greatest number of entries of a map.
        list_type: `atomic`, `set` or `map`: how two writers' lists merge.
        list_map_keys: Fields that identify an item of a `map` list.
        map_type: `atomic` or `granular`: how two writers' objects merge.
        required: True where Python has a default for reading but a writer must give the field.
        preserve_unknown: True to keep fields that the schema does not name.
    """

    enum: tuple[str, ...] = ()
    format: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    min_items: int | None = None
    max_items: int | None = None
    max_properties: int | None = None
    list_type: Literal["atomic", "set", "map"] | None = None
    list_map_keys: tuple[str, ...] = ()
    map_type: Literal["atomic", "granular"] | None = None
    required: bool = False
    preserve_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule (`x-kubernetes-validations`).

    Attributes:
        rule: The expression; `self` is the value that the rule stands at. A rule with `oldSelf` is checked on
            updates only.
        message: What the user reads when it is broken; it names the field and what to do.
        field_path: JSON path, relative to `self`, of the field to blame; None blames `self`.
        reason: Machine-readable reason of the refusal.
    """

    rule: str
    message: str
    field_path: str | None = None
    reason: Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"] | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get` (`additionalPrinterColumns`).

    Attributes:
        name: Heading.
        json_path: Where the value lies in the object.
        type: OpenAPI type of the value; `date` prints an age.
        description: What the column tells.
        priority: 0 is always shown, 1 with `-o wide`.
    """

    name: str
    json_path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The scale subresource: what `kubectl scale` and the horizontal autoscaler read and write."""

    spec_replicas: str = ".spec.replicas"
    status_replicas: str = ".status.replicas"
    label_selector: str = ".status.selector"


AGE = Column("Age", ".metadata.creationTimestamp", "date")
"""The column that every kind ends with."""

REASON = Column(
    "Reason",
    '.status.conditions[?(@.type=="Ready")].reason',
    "string",
    "Why it is ready or not.",
    priority=1,
)
"""Why an object is ready or not, with `-o wide`."""


def in_capitals(column: Column) -> Column:
    """Return the column with its name in capitals, as seed 003 prints clusters and control planes."""
    return replace(column, name=column.name.upper())
