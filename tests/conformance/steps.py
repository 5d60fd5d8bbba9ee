"""The language of conformance scripts: requests, watches and waits, as data.

A path may hold ``{ns}``, which is the script's own namespace. ``Ref("saved", "metadata.uid")`` anywhere in a body or query
stands for a value from the answer that an earlier step saved under that name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TABLE = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
PARTIAL_LIST = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}

NAMESPACES = "/api/v1/namespaces"
CONFIG_MAPS = "/api/v1/namespaces/{ns}/configmaps"
SECRETS = "/api/v1/namespaces/{ns}/secrets"
EVENTS = "/api/v1/namespaces/{ns}/events"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
WIDGETS = "/apis/example.com/v1/namespaces/{ns}/widgets"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True, slots=True)
class Ref:
    """A value out of a saved answer; ``path`` is dotted, numbers index lists."""

    saved: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A request. ``view`` cuts the answer's body to what is to be compared; ``save`` keeps the body for ``Ref``."""

    method: str
    path: str
    body: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    save: str = ""
    view: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """Ask for a path until the answer is as wanted: gone, or as ``holds`` says of its body."""

    path: str
    holds: Callable[[Any], bool] | None = None

    def met(self, code: int, body: Any) -> bool:
        """Whether this answer is the one that was waited for."""
        return code == 404 if self.holds is None else code == 200 and self.holds(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Open a watch under a name."""

    name: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The next ``count`` events of a watch; without a count, all until the server ends the stream."""

    name: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Compact:
    """Make the server forget all versions but the present ones."""


Step = Send | Until | Watch | Events | Compact


@dataclass(frozen=True, slots=True)
class Script:
    """Steps that show one fact; ``fact`` is the sentence."""

    fact: str
    steps: tuple[Step, ...]


def script(fact: str, *steps: Step | tuple[Step, ...]) -> Script:
    """Return a script; tuples of steps are laid flat."""
    return Script(fact, tuple(s for each in steps for s in (each if isinstance(each, tuple) else (each,))))


def send(method: str, path: str, body: Any = None, **rest: Any) -> Send:
    """Return a request; keywords that are no field of ``Send`` are its query."""
    own = {name: rest.pop(name) for name in ("raw", "headers", "save", "view") if name in rest}
    headers = {"Content-Type": "application/json"} | own.pop("headers", {})
    return Send(method=method, path=path, body=body, headers=headers, query=rest, **own)


def get(path: str, **rest: Any) -> Send:
    """Return a GET."""
    return send("GET", path, **rest)


def post(path: str, body: Any, **rest: Any) -> Send:
    """Return a POST."""
    return send("POST", path, body, **rest)


def put(path: str, body: Any, **rest: Any) -> Send:
    """Return a PUT."""
    return send("PUT", path, body, **rest)


def delete(path: str, body: Any = None, **rest: Any) -> Send:
    """Return a DELETE."""
    return send("DELETE", path, body, **rest)


def _patch(kind: str, path: str, body: Any, **rest: Any) -> Send:
    return send("PATCH", path, body, headers={"Content-Type": f"application/{kind}+json"}, **rest)


def merge(path: str, body: Any, **rest: Any) -> Send:
    """Return a merge patch."""
    return _patch("merge-patch", path, body, **rest)


def json_patch(path: str, *operations: Any, **rest: Any) -> Send:
    """Return a JSON patch."""
    return _patch("json-patch", path, list(operations), **rest)


def strategic(path: str, body: Any, **rest: Any) -> Send:
    """Return a strategic merge patch."""
    return _patch("strategic-merge-patch", path, body, **rest)


def watch(name: str, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> Watch:
    """Return a watch to be opened; keywords are its query."""
    return Watch(name=name, path=path, headers=headers or {}, query={"watch": "1"} | query)


def events(name: str, count: int | None = None) -> Events:
    """Return the reading of a watch."""
    return Events(name=name, count=count)


def gone(path: str) -> Until:
    """Return the wait for the end of an object."""
    return Until(path=path)


def until(path: str, holds: Callable[[Any], bool]) -> Until:
    """Return the wait for a state of an object."""
    return Until(path=path, holds=holds)


def has_condition(kind: str, status: str = "True") -> Callable[[Any], bool]:
    """Return the test for a condition."""

    def holds(content: Any) -> bool:
        conditions = content.get("status", {}).get("conditions") or []
        return any(c["type"] == kind and c["status"] == status for c in conditions)

    return holds


def defined(manifest: dict[str, Any], **rest: Any) -> tuple[Step, ...]:
    """Return the creation of a definition and the wait until its resources are served."""
    path = f"{CRDS}/{manifest['metadata']['name']}"
    spec = manifest["spec"]
    served = next(v["name"] for v in spec["versions"] if v["served"])
    collection = f"/apis/{spec['group']}/{served}/{spec['names']['plural']}"
    return (
        post(CRDS, manifest, **rest),
        until(path, has_condition("Established")),
        until(collection, lambda _: True),
    )


def removed(*names: str) -> tuple[Step, ...]:
    """Return the deletion of definitions and the wait until they are gone."""
    return tuple(
        step
        for name in names
        for step in (delete(f"{CRDS}/{name}", view=lambda _: None), gone(f"{CRDS}/{name}"))
    )


def config_map(name: str = "c", data: Any = None, **meta: Any) -> dict[str, Any]:
    """Return a ConfigMap manifest."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **meta},
        "data": {"a": "b"} if data is None else data,
    }


def owned_by(saved: str, kind: str = "ConfigMap", api_version: str = "v1", **rest: Any) -> dict[str, Any]:
    """Return an owner reference to a saved object."""
    name, uid = Ref(saved, "metadata.name"), Ref(saved, "metadata.uid")
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, **rest}
