"""Typed reads and writes.

Reads are answered from the cache unless they say ``live``; they wait until the cache shows what this process
wrote itself (read your own writes). Writes are create, patch and delete, never PUT: a merge patch carries
exactly the fields that differ, and where nothing differs there is no request.

Each write leaves one line in the log (``logger=audit``): who, what, and the answer's code and version, never
a body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Final, Literal, TypeVar

import msgspec

from capt.runtime import json_patch
from capt.runtime.clock import Clock, SystemClock
from capt.runtime.errors import (
    MALFORMED,
    ApiError,
    Conflict,
    NotFound,
    NotWatched,
    ServerError,
    UndecodableError,
)
from capt.runtime.informer import Informers
from capt.runtime.logging import get_logger
from capt.runtime.merge_patch import difference, overlay
from capt.runtime.object import Object, parse_object
from capt.runtime.reflector import PAGE
from capt.runtime.resource import Dumpable, Key, Kind, KubeObject, Resource
from capt.runtime.rest import Rest
from capt.runtime.selector import parse_selector
from capt.runtime.shared_informer import Informer
from capt.runtime.transport import Response, Transport
from capt.runtime.views import Views
from capt.runtime.wire import parse_page

T = TypeVar("T", bound=KubeObject)

Propagation = Literal["Background", "Foreground", "Orphan"]

DISCOVERY_SECONDS: Final = 10.0
"""How long an answer of discovery is believed."""

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
""""Accept" of an answer without spec, status and data."""


class Client:
    """Reads and writes objects of any kind.

    Unlike controller-runtime's, it has no update: patches carry what differs, and nothing that a model does not know is
    lost. Its reads from the cache wait for this process's own writes, up to five seconds. A request may take 30 seconds,
    and is sent up to five times where that is safe: reads that were not answered, and whatever was answered with 429, or
    with 5xx and ``Retry-After``. There is no limit of requests per second, which
    is the server's to set, but one of requests in flight: see :class:`HttpTransport`.

    Args:
        transport: the way to the API server; its User-Agent is what audit logs show.
        informers: the caches; without them there are live reads and writes only.
        clock: measures and waits; the system's by default.
    """

    def __init__(
        self, transport: Transport, informers: Informers | None = None, *, clock: Clock | None = None
    ) -> None:
        self._transport = transport
        self._clock: Clock = clock or SystemClock()
        self._rest = Rest(transport, self._clock)
        self._informers = informers
        self._views = Views()
        self._audit = get_logger("audit")
        self._discovered: dict[str, tuple[float, frozenset[str]]] = {}

    def with_user_agent(self, user_agent: str) -> Client:
        """Return a client that shares caches and connections, and tells the API server another name.

        Args:
            user_agent: what audit logs show, e.g. ``greeter/1.0``.
        """
        other = copy(self)
        other._transport = self._transport.with_user_agent(user_agent)  # noqa: SLF001 - its own class
        other._rest = Rest(other._transport, self._clock, deadline=self._rest.deadline)  # noqa: SLF001 - likewise
        return other

    def with_timeout(self, seconds: float) -> Client:
        """Return a client that shares everything, and whose calls to the API server end after so many seconds.

        All tries of a call together: ``await client.with_timeout(2).get_live(...)``. By default a try may take 30
        seconds, and there are up to five.
        """
        other = copy(self)
        other._rest = Rest(self._transport, self._clock, deadline=seconds)  # noqa: SLF001 - its own class
        return other

    async def get(self, kind: Kind[T], namespace: str, name: str) -> T | None:
        """Return an object from the cache, ``None`` if it is not there.

        Args:
            kind: what to read; somebody must watch it.
            namespace: ignored for a cluster-scoped kind.
            name: the object's name.

        Raises:
            NotWatched: nobody watches the kind.
            CacheLagError: the cache does not show an own write after five seconds.
            UndecodableError: the model cannot read the object.
        """
        informer = self._caching().reader(kind.resource, namespace)
        key = kind.resource.key(namespace, name)
        await informer.catch_up((key,))
        obj = informer.store.get(key)
        return None if obj is None else self._views.of(kind, obj)

    async def get_live(self, kind: Kind[T], namespace: str, name: str) -> T | None:
        """Return an object as the API server has it, ``None`` if it is not there (or the kind is not served).

        What controller-runtime's ``APIReader`` is for: it is never stale.

        Args:
            kind: what to read; it need not be watched.
            namespace: ignored for a cluster-scoped kind.
            name: the object's name.

        Raises:
            ApiError: the API server refused, or did not answer.
            UndecodableError: the model cannot read the object.
        """
        try:
            answer = await self._rest.call("GET", kind.resource.path(namespace, name))
        except NotFound:
            return None
        return self._views.of(kind, parse_object(answer.body, kind.resource))

    async def exists(self, kind: Kind[Any], namespace: str, name: str) -> bool:
        """Tell whether the API server has an object, without reading what is in it.

        Args:
            kind: of what.
            namespace: ignored for a cluster-scoped kind.
            name: the object's name.

        Raises:
            ApiError: the API server refused, or did not answer.
        """
        return await self.annotations(kind, namespace, name) is not None

    async def annotations(self, kind: Kind[Any], namespace: str, name: str) -> Mapping[str, str] | None:
        """Return the annotations of an object as the API server has it, ``None`` if it is not there.

        Only its metadata crosses the wire: what a Secret holds is in no buffer of this process.

        Args:
            kind: of what.
            namespace: ignored for a cluster-scoped kind.
            name: the object's name.

        Raises:
            ApiError: the API server refused, or did not answer.
        """
        try:
            answer = await self._rest.call("GET", kind.resource.path(namespace, name), accept=METADATA_ONLY)
        except NotFound:
            return None
        metadata = parse_object(answer.body, kind.resource).decode().get("metadata") or {}
        found: Mapping[str, str] = metadata.get("annotations") or {}
        return found

    async def create(self, kind: Kind[T], body: Mapping[str, Any]) -> T:
        """Create an object, and return it as it was stored.

        Args:
            kind: what to create.
            body: the manifest; ``apiVersion`` and ``kind`` are filled in where they are missing.

        Raises:
            AlreadyExists: the name is taken.
            ApiError: the API server refused, or did not answer.
        """
        resource = kind.resource
        metadata = body.get("metadata") or {}
        manifest = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        key = resource.key(
            metadata.get("namespace"), metadata.get("name") or metadata.get("generateName", "")
        )
        answer = await self._write(
            "POST", resource, key, path=resource.path(key.namespace), body=manifest, verb="create"
        )
        return self._written(kind, answer)

    async def patch(
        self,
        kind: Kind[T],
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str = "",
        resource_version: str = "",
        uid: str = "",
    ) -> T:
        """Apply a JSON merge patch, and return the object as it was stored.

        Args:
            kind: what to patch.
            namespace: ignored for a cluster-scoped kind.
            name: the object's name.
            patch: the fields to set; ``None`` removes one, a list replaces the whole list.
            subresource: ``status`` for instance.
            resource_version: patch this version of the object only. Needed for lists that others share.
            uid: patch this object only, not a namesake.

        Raises:
            NotFound: the object is not there.
            Conflict: a precondition does not hold.
            ApiError: the API server refused, or did not answer.
        """
        key = kind.resource.key(namespace, name)
        conditions = {
            field: value for field, value in (("resourceVersion", resource_version), ("uid", uid)) if value
        }
        body = {**patch, "metadata": {**(patch.get("metadata") or {}), **conditions}} if conditions else patch
        try:
            answer = await self._write(
                "PATCH",
                kind.resource,
                key,
                path=kind.resource.path(namespace, name, subresource),
                body=body,
                verb="patch",
                subresource=subresource,
                content_type=MERGE_PATCH,
            )
        except Conflict:
            self._outdated(kind.resource, key, resource_version)
            raise
        return self._written(kind, answer)

    async def json_patch(
        self,
        kind: Kind[T],
        namespace: str,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        resource_version: str,
        uid: str,
        subresource: str = "",
    ) -> T:
        """Apply a JSON patch (RFC 6902), and return the object as it was stored.

        Needed only for what a merge patch cannot say: a field that is null. See
        :func:`capt.runtime.json_patch.difference`.

        Args:
            kind: what to patch.
            namespace: ignored for a cluster-scoped kind.
            name: the object's name.
            operations: what to do, in order.
            resource_version: patch this version of the object only.
            uid: patch this object only, not a namesake.
            subresource: ``status`` for instance.

        Raises:
            NotFound: the object is not there.
            Conflict: a precondition does not hold.
            ApiError: the API server refused, or did not answer.
        """
        key = kind.resource.key(namespace, name)
        # not by "test": that fails as 422, a version that has passed as the 409 that it is
        conditions = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
            {"op": "replace", "path": "/metadata/uid", "value": uid},
        ]
        try:
            answer = await self._write(
                "PATCH",
                kind.resource,
                key,
                path=kind.resource.path(namespace, name, subresource),
                body=[*conditions, *operations],
                verb="patch",
                subresource=subresource,
                content_type=JSON_PATCH,
            )
        except Conflict:
            self._outdated(kind.resource, key, resource_version)
            raise
        return self._written(kind, answer)

    async def apply(
        self,
        kind: Kind[T],
        body: Mapping[str, Any],
        *,
        field_manager: str,
        force: bool = False,
        subresource: str = "",
    ) -> T:
        """Apply a manifest on the server (server-side apply), and return the object as it was stored.

        The fields of ``body`` become ``field_manager``'s; fields that it applied before and that are missing now go.
        Kubernetes does that, small API servers may not.

        Args:
            kind: what to apply.
            body: the manifest, with name; it must not come from the cache whole, which would claim every field.
            field_manager: who applies, always the same name for the same purpose.
            force: take fields from other managers.
            subresource: ``status`` for instance.

        Raises:
            FieldConflict: another manager owns a field with another value, and ``force`` is not set.
            Conflict: the body's uid or resourceVersion do not hold.
            ApiError: the API server refused (415: it does no server-side apply), or did not answer.
        """
        resource = kind.resource
        metadata = body["metadata"]
        key = resource.key(metadata.get("namespace"), metadata["name"])
        answer = await self._write(
            "PATCH",
            resource,
            key,
            path=resource.path(key.namespace, key.name, subresource),
            query={"fieldManager": field_manager} | ({"force": "true"} if force else {}),
            body={"apiVersion": resource.api_version, "kind": resource.kind, **body},
            verb="apply",
            subresource=subresource,
            content_type=APPLY_PATCH,
        )
        return self._written(kind, answer)

    def content(self, obj: KubeObject) -> dict[str, Any]:
        """Return all fields of an object that was read here, also those that its model does not know.

        For an object that was not read here (a copy with changes), the fields that were set. managedFields and
        last-applied-configuration are missing: what comes from here is no manifest to send back whole.
        """
        return self._views.content(obj)

    async def patch_status(self, kind: Kind[T], obj: T, status: Mapping[str, Any] | Dumpable) -> T:
        """Make the status of an object equal to ``status``.

        Args:
            kind: what to patch.
            obj: the object as it was read; the patch is what differs from its status.
            status: the whole new status. Fields that it lacks are removed. Nulls within a model's JSON are values; a
                null in a mapping is an absent field.

        Returns:
            The object as it was stored; ``obj`` itself when nothing differs, and then no request was made.

        Raises:
            NotFound: the object is gone.
            Conflict: a namesake has taken its place; or there are nulls, and somebody else wrote to the object.
            ApiError: the API server refused, or did not answer.
        """
        before = self._views.content(obj).get("status") or {}
        if isinstance(status, Mapping):
            after = status
        else:
            after = _dumped(status)
            if json_patch.needed(before, after):
                return await self._replace_status(kind, obj, after)
        patch = difference(before, after)
        if not patch:
            return obj
        return await self._patch_of(kind, obj, {"status": patch}, subresource="status")

    async def _replace_status(self, kind: Kind[T], obj: T, status: Mapping[str, Any]) -> T:
        content = self._views.content(obj)
        present = {"status": content["status"]} if "status" in content else {}
        meta = obj.metadata
        return await self.json_patch(
            kind,
            meta.namespace or "",
            meta.name,
            json_patch.difference(present, {"status": status}),
            resource_version=meta.resource_version,
            uid=meta.uid,
            subresource="status",
        )

    async def apply_difference(self, kind: Kind[T], obj: T, desired: Mapping[str, Any]) -> T:
        """Give an object the fields of ``desired``, and leave all others alone.

        Args:
            kind: what to patch.
            obj: the object as it was read.
            desired: part of a manifest: labels, annotations, parts of the spec. ``None`` removes a field, a
                list stands for the whole list.

        Returns:
            The object as it was stored; ``obj`` itself when nothing differs, and then no request was made.

        Raises:
            NotFound: the object is gone.
            Conflict: a namesake has taken its place.
            ApiError: the API server refused, or did not answer.
        """
        patch = overlay(self._views.content(obj), desired)
        return await self._patch_of(kind, obj, patch) if patch else obj

    async def delete(
        self,
        kind: Kind[Any],
        namespace: str,
        name: str,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
    ) -> bool:
        """Delete an object; one with finalizers is marked for deletion only.

        Args:
            kind: what to delete.
            namespace: ignored for a cluster-scoped kind.
            name: the object's name.
            uid: delete this object only, not a namesake.
            resource_version: delete this version of the object only.
            propagation: what becomes of the objects that it owns: they go afterwards, before, or stay.

        Returns:
            False when it was not there.

        Raises:
            Conflict: a precondition does not hold.
            ApiError: the API server refused, or did not answer.
        """
        key = kind.resource.key(namespace, name)
        conditions = {
            field: value for field, value in (("resourceVersion", resource_version), ("uid", uid)) if value
        }
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        if conditions:
            options["preconditions"] = conditions
        try:
            answer = await self._write(
                "DELETE",
                kind.resource,
                key,
                path=kind.resource.path(namespace, name),
                body=options,
                verb="delete",
            )
        except NotFound:
            return False
        self._deleted(kind.resource, key, answer, uid)
        return True

    async def served(self, kind: Kind[Any]) -> bool:
        """Tell whether the API server serves a kind; each group and version is asked for at most every ten seconds.

        Raises:
            ApiError: discovery failed.
            UndecodableError: what answered is no discovery.
        """
        path = kind.resource.group_path
        asked, plurals = self._discovered.get(path, (float("-inf"), frozenset[str]()))
        if self._clock.monotonic() - asked > DISCOVERY_SECONDS:
            try:
                answer = await self._rest.call("GET", path)
                plurals = frozenset(item.name for item in _decode_discovery(answer.body).resources)
            except NotFound:
                plurals = frozenset()
            except MALFORMED as error:
                raise UndecodableError(f"discovery of {path}: {error}") from error
            self._discovered[path] = (self._clock.monotonic(), plurals)
        return kind.resource.plural in plurals

    def _caching(self) -> Informers:
        if self._informers is None:
            raise NotWatched("this client has no caches: read live")
        return self._informers

    def _outdated(self, resource: Resource, key: Key, resource_version: str) -> None:
        if resource_version.isdecimal():
            for informer in self._caches(resource):
                informer.outdated(key, int(resource_version))

    def _caches(self, resource: Resource) -> Sequence[Informer]:
        return self._informers.of(resource) if self._informers is not None else ()

    async def _patch_of(self, kind: Kind[T], obj: T, patch: Mapping[str, Any], *, subresource: str = "") -> T:
        meta = obj.metadata
        return await self.patch(
            kind, meta.namespace or "", meta.name, patch, subresource=subresource, uid=meta.uid
        )

    async def _write(
        self,
        method: str,
        resource: Resource,
        key: Key,
        *,
        path: str,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        verb: str,
        subresource: str = "",
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Response:
        line = {
            "verb": verb,
            "resource": str(resource),
            "namespace": key.namespace,
            "name": key.name,
            "subresource": subresource,
        }
        try:
            answer = await self._rest.call(
                method,
                path,
                query=query,
                body=msgspec.json.encode(body, enc_hook=_plain),
                content_type=content_type,
            )
        except ApiError as error:
            self._audit.info("write", **line, code=error.status, resource_version="", reason=error.reason)
            raise
        self._audit.info("write", **line, code=answer.status, resource_version=_version(answer.body))
        return answer

    def _written(self, kind: Kind[T], answer: Response) -> T:
        try:
            obj = parse_object(answer.body, kind.resource)
        except UndecodableError as error:
            # not the object's fault: something between us and the server answered, and the write may have been done
            raise ServerError(f"the answer to a write is {error}", status=answer.status) from error
        for informer in self._caches(kind.resource):
            informer.wrote(obj)
        return self._views.of(kind, obj)

    def _deleted(self, resource: Resource, key: Key, answer: Response, uid: str) -> None:
        obj = _object_in(answer, resource)
        for informer in self._caches(resource):
            if obj is not None and obj.deleting:
                informer.wrote(obj)
            else:
                informer.deleted(key, uid or (obj.uid if obj is not None else _status_uid(answer.body)))

    # at the end, because a class that has a method ``list`` cannot name the type afterwards

    async def list_live(
        self, kind: Kind[T], namespace: str = "", *, labels: str | Mapping[str, str] = ""
    ) -> list[T]:
        """Return objects as the API server has them, sorted by key; taken in pages of 500, all of one version.

        Args:
            kind: what to read.
            namespace: "" for all namespaces.
            labels: a label selector, or labels that must be equal.

        Raises:
            ApiError: the API server refused, or did not answer.
            UndecodableError: the model cannot read an object.
        """
        selection = str(parse_selector(labels))
        query = {"limit": str(PAGE)} | ({"labelSelector": selection} if selection else {})
        objects: list[Object] = []
        while True:
            answer = await self._rest.call("GET", kind.resource.path(namespace), query=query)
            page = parse_page(answer.body)
            objects += (parse_object(item, kind.resource) for item in page.items)
            if not page.next:
                break
            query["continue"] = page.next
        return [self._views.of(kind, obj) for obj in sorted(objects, key=_key)]

    async def list(
        self,
        kind: Kind[T],
        namespace: str = "",
        *,
        labels: str | Mapping[str, str] = "",
        index: tuple[str, str] | None = None,
    ) -> list[T]:
        """Return objects from the cache, sorted by key.

        Args:
            kind: what to read; somebody must watch it.
            namespace: "" for all namespaces.
            labels: a label selector, or labels that must be equal.
            index: name of an index and the value to look up: ``("owner", uid)`` gives an owner's children.

        Raises:
            NotWatched: nobody watches the kind.
            CacheLagError: the cache does not show an own write after five seconds.
            UndecodableError: the model cannot read an object.
            KeyError: there is no such index.
        """
        selector = parse_selector(labels)
        objects: list[Object] = []
        for informer in self._caching().readers(kind.resource, namespace):
            await informer.catch_up(informer.own_writes.pending(namespace))
            if index is None:
                objects += informer.store.list(namespace)
            else:
                found = informer.store.by_index(*index)
                objects += (obj for obj in found if not namespace or obj.namespace == namespace)
        objects.sort(key=_key)
        return [self._views.of(kind, obj) for obj in objects if selector.matches(obj.labels)]


class _DiscoveredResource(msgspec.Struct):
    name: str


class _Discovery(msgspec.Struct):
    resources: list[_DiscoveredResource] = []


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _StatusDetails(msgspec.Struct):
    uid: str = ""


class _Answer(msgspec.Struct):
    metadata: _Metadata | None = None
    details: _StatusDetails | None = None


_decode_discovery = msgspec.json.Decoder(_Discovery).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def _object_in(answer: Response, resource: Resource) -> Object | None:
    # an object that is gone at once is answered with a Status, by some kinds with its last state
    try:
        return parse_object(answer.body, resource)
    except UndecodableError:
        return None


def _status_uid(body: bytes) -> str:
    details = _answer(body).details
    return details.uid if details is not None else ""


def _version(body: bytes) -> str:
    metadata = _answer(body).metadata
    return metadata.resource_version if metadata is not None else ""


def _answer(body: bytes) -> _Answer:
    try:
        return _decode_answer(body)
    except MALFORMED:
        return _Answer()


def _dumped(model: Dumpable) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _key(obj: Object) -> Key:
    return obj.key


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} is no JSON")
