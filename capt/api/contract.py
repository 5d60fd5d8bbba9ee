"""What the Cluster API contract asks of several kinds: endpoints, initialization, metadata of templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, JsonValue

from capt.api.meta import ApiModel, Labels, StringMap, is_empty
from capt.api.schema import Schema

Port = Annotated[int, Schema(format="int32", minimum=0, maximum=65535)]

Region = Annotated[str, Schema(max_length=32, pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]+$")]
"""AWS region, `us-west-2` or `us-gov-east-1` for instance."""

CloudTags = Annotated[
    Mapping[str, Annotated[str, Schema(max_length=256)]],
    Field(exclude_if=is_empty),
    Schema(max_properties=50),
]
"""Cloud tags: at most 50, as AWS has it."""

FailureDomains = Annotated[JsonValue, Field(exclude_if=is_empty)]
"""Failure domains in one of the contract's two shapes.

v1beta1 has a map of name to `{controlPlane, attributes}`, v1beta2 a list of `{name, controlPlane, attributes}`. It is one
field, and which shape is right depends on the Cluster API that reads it, so the schema leaves it open.
"""


class APIEndpoint(ApiModel):
    """Where an API server is reached; an empty host means that it is not known yet."""

    host: Annotated[str, Schema(max_length=512, pattern=r"^[^/\s]*$")] = ""
    """Name or address, without a scheme."""
    port: Port = 443
    """TCP port."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.host else ""

    @property
    def is_set(self) -> bool:
        """Whether the endpoint is known: it has a host and a port (Cluster API's `IsZero`, negated)."""
        return bool(self.host) and self.port > 0


class CloneMetadata(ApiModel):
    """Metadata that a template gives to what is cloned from it."""

    labels: Labels = Field(default_factory=dict)
    """Labels of the clone."""
    annotations: StringMap = Field(default_factory=dict)
    """Annotations of the clone."""
