"""A kind for tests of the runtime, which knows none of ours."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from capt.runtime import Key, Kind, Object, Resource, parse_object


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Owner(Model):
    uid: str = ""
    controller: bool | None = None


class Metadata(Model):
    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[Owner, ...] = ()


class Thing(Model):
    metadata: Metadata = Field(default_factory=Metadata)
    spec: dict[str, Any] = Field(default_factory=dict)


THING = Kind(Resource(group="test.dev", version="v1", kind="Thing", plural="things"), Thing)
PART = Kind(Resource(group="test.dev", version="v1", kind="Part", plural="parts"), Thing)
WORLD = Kind(Resource(group="test.dev", version="v1", kind="World", plural="worlds", namespaced=False), Thing)


def cached(kind: Kind[Thing] = THING, *, name: str = "a", namespace: str = "ns", **metadata: Any) -> Object:
    """Return an object as a cache would hold it."""
    fields = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "1", **metadata}
    return parse_object(json.dumps({"kind": kind.resource.kind, "metadata": fields}).encode(), kind.resource)


def controlled_by(
    kind: Kind[Thing], name: str, *, controller: bool = True, **fields: Any
) -> list[dict[str, Any]]:
    """Return owner references that name an owner."""
    resource = kind.resource
    owner = {"apiVersion": resource.api_version, "kind": resource.kind, "name": name, "uid": f"uid-{name}"}
    return [owner | {"controller": controller} | fields]


def key(name: str) -> Key:
    return Key("ns", name)
