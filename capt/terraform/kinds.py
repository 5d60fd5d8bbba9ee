"""The kinds that the engine reconciles and reads, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from capt.api import WORKSPACE_FLAVOURS, ApiObject, ResourceInfo, Secret, Workspace
from capt.runtime import Kind, Resource


class ConfigMap(ApiObject):
    """A core/v1 ConfigMap, as far as ``env`` and ``varFiles`` refer to it: text, no ``binaryData``."""

    RESOURCE = ResourceInfo(group="", version="v1", kind="ConfigMap", plural="configmaps")

    api_version: Literal["v1"] = "v1"
    kind: Literal["ConfigMap"] = "ConfigMap"
    data: Annotated[Mapping[str, str], Field(default_factory=dict)]


def _resource(info: ResourceInfo) -> Resource:
    return Resource(
        group=info.group,
        version=info.version,
        kind=info.kind,
        plural=info.plural,
        namespaced=info.namespaced,
    )


SECRET: Final = Kind(_resource(Secret.RESOURCE), Secret)
CONFIG_MAP: Final = Kind(_resource(ConfigMap.RESOURCE), ConfigMap)
FLAVOURS: Final[tuple[Kind[Workspace], ...]] = tuple(
    Kind(_resource(info), Workspace) for info in WORKSPACE_FLAVOURS
)
