"""What is served: one ``Resource`` per resource and version, found by the path or by the kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from capt.embedded.errors import FieldError
from capt.embedded.schema import METADATA, Schema
from capt.embedded.store import Stored

_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table that ``kubectl get`` shows: its definition, and what turns an object into the cell."""

    definition: Mapping[str, Any]
    value: Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the scale subresource finds its values (dotted paths without the leading dot)."""

    spec_replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    selector: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resource:
    """One resource at one version.

    Attributes:
        storage_version: Version in which objects are stored; conversion is by ``apiVersion`` alone.
        custom: Comes from a CustomResourceDefinition: always generation, PUT needs a resourceVersion, ...
        prepare: Fills what the server owns, in place, before validation: (new, old or None).
        validate: The rules that the schema cannot express: (new, old or None).
        fields: What field selectors may look at beside metadata.name and metadata.namespace.
        generation: The server counts changes of the desired state, as it does for custom resources.
        closing: The definition is being deleted: no new objects.
        terminate: Marks an object whose deletion is more work, done by the collector, in place.
        id: Name of the collection in the store: ``plural.group``.
        head: The opening of an encoded object, up to what the store keeps.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    list_kind: str
    namespaced: bool
    schema: Schema
    columns: Sequence[Column]
    storage_version: str
    storage_schema: Schema
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: bool = False
    scale: Scale | None = None
    custom: bool = False
    generation: bool = False
    unconditional_update: bool = True
    create_on_update: bool = False
    closing: bool = False
    terminate: Callable[[dict[str, Any]], None] | None = None
    deprecation: str = ""
    prepare: Callable[[dict[str, Any], dict[str, Any] | None], None] = lambda _new, _old: None
    validate: Callable[[dict[str, Any], dict[str, Any] | None], Iterable[FieldError]] = lambda _new, _old: ()
    fields: Mapping[str, Callable[[dict[str, Any]], str]] = field(default_factory=dict)
    id: str = field(init=False)
    head: bytes = field(init=False)

    def __post_init__(self) -> None:
        kind = msgspec.json.encode({"apiVersion": self.api_version, "kind": self.kind})
        object.__setattr__(self, "head", kind[:-1] + b",")
        object.__setattr__(self, "id", f"{self.plural}.{self.group}" if self.group else self.plural)

    @property
    def api_version(self) -> str:
        """``group/version``; the core group has none."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def typed(self) -> Schema:
        """What must have the right types already to be decoded: everything of a built-in kind, metadata of a custom one."""
        return METADATA if self.custom else self.schema

    @property
    def verbs(self) -> list[str]:
        """The verbs, in the order in which discovery lists them."""
        if self.custom:
            return list(_CUSTOM_VERBS)
        return sorted(verb for verb in _CUSTOM_VERBS if verb != "deletecollection" or self.id != "namespaces")

    @property
    def subresources(self) -> tuple[str, ...]:
        """The subresources that are served."""
        return (*(("status",) if self.status else ()), *(("scale",) if self.scale else ()))

    def view(self, stored: Stored) -> bytes:
        """The object's JSON at this version, without ``apiVersion`` and ``kind``.

        What was written under another version or an older schema gets the defaults of the stored version's present
        schema and is pruned for this one, as the API server does when it reads.
        """
        if not self.custom:
            return stored.body
        token = self.schema.token
        if (seen := stored.views.get(token)) is None:
            content = stored.decode()
            self.storage_schema.default(content)
            self.schema.prune(content, [])
            seen = msgspec.json.encode(content)
            seen = stored.views[token] = stored.body if seen == stored.body else seen
        return seen

    def encode(self, stored: Stored) -> bytes:
        """The whole object's JSON at this version."""
        return self.head + self.view(stored)[1:]

    def decode(self, stored: Stored) -> dict[str, Any]:
        """The whole object at this version, as a fresh dict."""
        content: dict[str, Any] = msgspec.json.decode(self.view(stored))
        return {"apiVersion": self.api_version, "kind": self.kind, **content}


@dataclass(slots=True)
class Catalogue:
    """All that is served now; CustomResourceDefinitions come and go."""

    _by_path: dict[tuple[str, str, str], Resource] = field(default_factory=dict)
    revision: int = 0
    on_replaced: list[Callable[[str], None]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_path.values())

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource served at ``/apis/group/version/plural``."""
        return self._by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an ``apiVersion`` and ``kind``, as owner references name it."""
        group, _, version = api_version.rpartition("/")
        wanted = (group, version, kind)
        return next((r for r in self if (r.group, r.version, r.kind) == wanted), None)

    def by_id(self, resource_id: str) -> Resource | None:
        """A served version of ``plural.group``, the one in which objects are stored if it is served."""
        found = [resource for resource in self if resource.id == resource_id]
        stored = [resource for resource in found if resource.version == resource.storage_version]
        return next(iter(stored or found), None)

    def replace(self, resource_id: str, versions: Iterable[Resource]) -> None:
        """Serve exactly these versions of a resource; none of them takes it out of service."""
        kept = {path: known for path, known in self._by_path.items() if known.id != resource_id}
        self._by_path = kept | {(r.group, r.version, r.plural): r for r in versions}
        self.revision += 1
        for listener in self.on_replaced:
            listener(resource_id)

    def groups(self) -> dict[str, list[str]]:
        """Group names with their versions, preferred first: GA before beta before alpha, newer before older."""
        groups: dict[str, set[str]] = {}
        for resource in self:
            groups.setdefault(resource.group, set()).add(resource.version)
        return {group: sorted(versions, key=version_rank) for group, versions in groups.items()}


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sort key that puts v2 before v1 before v1beta2 before v1alpha1 before anything else."""
    digits = version[1:] if version.startswith("v") else ""
    for stage, word in enumerate(("", "beta", "alpha")):
        major, found, minor = digits.partition(word) if word else (digits, "", "")
        if major.isdigit() and (minor.isdigit() or not found) and bool(word) == bool(found):
            return (stage, -int(major), -int(minor or 0), "")
    return (3, 0, 0, version)
