"""Objects read without knowing their kind, as core reads those of providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from capt.api.meta import ApiModel, ObjectMeta
from capt.runtime import Kind, Resource


class Unstructured(ApiModel):
    """Any object with metadata; spec and status as they are on the wire."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: Mapping[str, Any] = Field(default_factory=dict)
    status: Mapping[str, Any] = Field(default_factory=dict)


DEFINITION = Kind(
    Resource(
        group="apiextensions.k8s.io",
        version="v1",
        kind="CustomResourceDefinition",
        plural="customresourcedefinitions",
        namespaced=False,
    ),
    Unstructured,
)


def at(value: Any, *path: str) -> Any:
    """Return what lies at a path of nested objects, None where the path ends early."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
