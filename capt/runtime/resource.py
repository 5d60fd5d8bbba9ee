"""Where a kind lives in the API, and which model reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar
from urllib.parse import quote


class Key(NamedTuple):
    """Names one object within its kind.

    Attributes:
        namespace: "" for a cluster-scoped object.
        name: ``metadata.name``.
    """

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of the API, as discovery describes it: GroupVersionKind and GroupVersionResource in one.

    Attributes:
        group: API group; "" for the core group.
        version: API version.
        kind: Kind, as in manifests.
        plural: resource name, as in URLs.
        namespaced: False for cluster-scoped resources.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``group/version``, or the bare version in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_path(self) -> str:
        """The URL path of the group and version, where discovery lists its resources."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of a collection (no name), an object, or a subresource of an object.

        Args:
            namespace: "" addresses all namespaces; ignored for a cluster-scoped resource.
            name: "" addresses the collection.
            subresource: ``status`` or ``scale`` for instance.
        """
        segments = [self.group_path]
        if namespace and self.namespaced:
            segments += ["namespaces", _segment(namespace)]
        segments.append(self.plural)
        if name:
            segments.append(_segment(name))
        if subresource:
            segments.append(subresource)
        return "/".join(segments)

    def key(self, namespace: str | None, name: str) -> Key:
        """Return the key of the object ``name``; the namespace does not count where the resource has none."""
        return Key((namespace or "") if self.namespaced else "", name)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _segment(text: str) -> str:
    # RBAC names hold colons; anything else that is no plain path character is escaped
    return quote(text, safe=":")


class OwnerReferenceView(Protocol):
    """What the runtime reads of a typed owner reference."""

    @property
    def uid(self) -> str:
        """The owner's uid."""

    @property
    def controller(self) -> bool | None:
        """Whether the owner is the controller."""


class MetadataView(Protocol):
    """What the runtime reads of a typed object's metadata."""

    @property
    def name(self) -> str:
        """``metadata.name``."""

    @property
    def namespace(self) -> str | None:
        """``metadata.namespace``; ``None`` or "" for a cluster-scoped object."""

    @property
    def uid(self) -> str:
        """``metadata.uid``."""

    @property
    def resource_version(self) -> str:
        """``metadata.resourceVersion``."""

    @property
    def generation(self) -> int | None:
        """``metadata.generation``; ``None`` for kinds that have none."""

    @property
    def deletion_timestamp(self) -> datetime | None:
        """``metadata.deletionTimestamp``; set when the object is being deleted."""

    @property
    def labels(self) -> Mapping[str, str]:
        """``metadata.labels``."""

    @property
    def annotations(self) -> Mapping[str, str]:
        """``metadata.annotations``."""

    @property
    def finalizers(self) -> Sequence[str]:
        """``metadata.finalizers``."""

    @property
    def owner_references(self) -> Sequence[OwnerReferenceView]:
        """``metadata.ownerReferences``."""


class Dumpable(Protocol):
    """What can be written as plain data; pydantic models can."""

    def model_dump(
        self,
        *,
        mode: str = ...,
        by_alias: bool | None = ...,
        exclude_unset: bool = ...,
        exclude_none: bool = ...,
    ) -> dict[str, Any]:
        """Write it as plain data.

        Args:
            mode: ``json`` for values that JSON has.
            by_alias: with the names of the API (camelCase), not those of Python.
            exclude_unset: without fields that were never given.
            exclude_none: without fields that are ``None``.
        """


class KubeObject(Dumpable, Protocol):
    """A typed view of an API object. Frozen pydantic models with camelCase aliases satisfy it."""

    @property
    def metadata(self) -> MetadataView:
        """``metadata``."""

    @classmethod
    def model_validate_json(cls, json_data: bytes, /) -> Self:
        """Read the object from JSON."""


T = TypeVar("T", bound=KubeObject)


# Without slots: typing stores __orig_class__ on what ``Kind[Model](...)`` makes, and a frozen dataclass with
# slots answers that with a TypeError instead of the AttributeError that typing expects.
@dataclass(frozen=True)
class Kind(Generic[T]):
    """A resource and the model that reads its objects.

    A kind is a value: one model may serve several resources (the four flavours of Workspace), and two models
    may read one resource; both then share one cache.

    Attributes:
        resource: where the objects live.
        model: what they are decoded into.
    """

    resource: Resource
    model: type[T]

    def __str__(self) -> str:
        return str(self.resource)
