"""The way of a request: authenticate -> decode -> admit and store -> encode, all of it in ``Api``.

``__call__`` is the outer frame (authentication, faults, errors, audit); ``_answer`` chooses what is asked for; one method
per verb does it. Rules of writing are in ``writes``, of lists in ``listing``, of watches in ``watch``.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from capt.embedded import discovery, openapi
from capt.embedded.audit import AuditEvent, RequestInfo, record
from capt.embedded.bodies import decode_body
from capt.embedded.errors import (
    PathNotFoundError,
    StatusError,
    bad_request,
    expired,
    go_quote,
    method_not_allowed,
    not_found,
    not_served,
    unsupported_media_type,
)
from capt.embedded.faults import (
    Action,
    Answer,
    Delay,
    DropAfter,
    DropBefore,
    ExpireHistory,
    Faults,
    Hang,
    TruncateWatch,
)
from capt.embedded.listing import Selection, list_page
from capt.embedded.patches import (
    APPLY_PATCHES,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    json_patch,
    merge,
    strategic,
)
from capt.embedded.representation import Representation, wanted_form
from capt.embedded.request import DeleteOptions, ListOptions, WriteOptions, read_info
from capt.embedded.resource import Catalogue, Resource
from capt.embedded.scaling import apply_scale, scale_of
from capt.embedded.store import Key, Store, Stored
from capt.embedded.watch import Watch
from capt.embedded.writes import Mutation, Writer

_LOG = logging.getLogger(__name__)
_SMALL = 256 * 1024  # bytes of a list that leave in one piece
_PROBES = ("/healthz", "/livez", "/readyz")
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_NO_APPLY = "server-side apply is not served by this API server: use client-side apply (kubectl apply without --server-side)"


class _DropConnectionError(Exception):
    """A fault wants the connection closed instead of an answer."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request on its way to one resource. ``warnings`` go out with the answer, whatever it is."""

    request: web.BaseRequest
    info: RequestInfo
    resource: Resource
    action: Action | None
    warnings: list[str]


class Api:
    """The API over a store; the HTTP server calls it with every request."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        writer: Writer,
        *,
        token: str,
        bookmark_interval: float,
        audit_limit: int,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._writer = writer
        self._authorization = f"Bearer {token}".encode()
        self._bookmark_interval = bookmark_interval
        self._audit_limit = audit_limit
        self._watches: set[Watch] = set()
        self.audit: list[AuditEvent] = []
        self.faults = Faults()
        catalogue.on_replaced.append(self._end_watches_of)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request."""
        agent = request.headers.get("User-Agent", "")
        info = read_info(request.method, request.path, request.query, agent)
        code = 0
        try:
            response = await self._serve(request, info)
            code = response.status
        except _DropConnectionError:
            response = _cut(request)
        finally:
            record(self.audit, self._audit_limit, info, code)
        return response

    def end_watches(self, error: StatusError | None = None) -> None:
        """End every running watch, with an error event if there is an error."""
        for watch in tuple(self._watches):
            watch.stop()
            watch.close(error)

    def _end_watches_of(self, resource_id: str) -> None:
        for watch in tuple(self._watches):
            if watch.resource_id == resource_id:
                watch.stop()
                watch.close()

    async def _serve(self, request: web.BaseRequest, info: RequestInfo) -> web.StreamResponse:
        warnings: list[str] = []
        action: Action | None = None
        response: web.StreamResponse
        try:
            self._authenticate(request)
            action = self.faults.take(info)
            await self._meet(action)
            response = await self._answer(request, info, action, warnings)
        except _DropConnectionError:
            raise
        except StatusError as error:
            response = _json(msgspec.json.encode(error.body()), code=error.code, headers=error.headers)
        except PathNotFoundError:
            response = web.Response(status=404, text="404 page not found\n")
        except web.HTTPRequestEntityTooLarge:
            large = StatusError(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
            response = _json(msgspec.json.encode(large.body()), code=413)
        except Exception:  # noqa: BLE001 - a bug must become an answer, as in the real server, not a cut connection
            _LOG.exception("cannot serve %s %s", request.method, request.path)
            broken = StatusError(500, "InternalError", "Internal error occurred: see the server's log")
            response = _json(msgspec.json.encode(broken.body()), code=500)
        if isinstance(action, DropAfter):
            raise _DropConnectionError
        for warning in () if response.prepared else warnings:
            response.headers.add("Warning", f"299 - {go_quote(warning)}")
        return response

    def _authenticate(self, request: web.BaseRequest) -> None:
        if request.path in _PROBES or request.path == "/version":
            return
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            raise StatusError(401, "Unauthorized", "Unauthorized")

    async def _meet(self, action: Action | None) -> None:
        """Do what a fault does before the request is served."""
        match action:
            case Answer(code=code, retry_after=retry_after):
                headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
                details = None if retry_after is None else {"retryAfterSeconds": retry_after}
                reason = _REASONS.get(code, "")
                raise StatusError(code, reason, f"injected fault: {code}", details=details, headers=headers)
            case Delay(seconds=seconds):
                await asyncio.sleep(seconds)
            case Hang():
                await asyncio.Event().wait()
            case DropBefore():
                raise _DropConnectionError
            case ExpireHistory():
                self._store.forget_history()
                self.end_watches(expired("too old resource version: injected fault"))

    async def _answer(
        self, request: web.BaseRequest, info: RequestInfo, action: Action | None, warnings: list[str]
    ) -> web.StreamResponse:
        if not info.resource:
            return self._answer_about_server(request, info.path)
        resource = self._catalogue.find(info.group, info.version, info.resource)
        if resource is None or (info.namespace and not resource.namespaced):
            raise PathNotFoundError
        if info.subresource and info.subresource not in (*resource.subresources, "finalize"):
            if resource.custom:
                raise not_found(resource.group, resource.plural, info.name)
            raise not_served()
        everywhere = resource.namespaced and not info.namespace
        if everywhere and info.verb not in ("list", "watch", "deletecollection"):
            if resource.custom:
                raise PathNotFoundError
            raise method_not_allowed(custom=False) if info.verb == "create" else not_served()
        if resource.deprecation:
            warnings.append(resource.deprecation)
        serve = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }.get(info.verb)
        if serve is None or info.verb not in resource.verbs:
            raise method_not_allowed(custom=resource.custom)
        if info.verb in ("update", "patch") and not info.name:
            raise (
                bad_request("name must be provided") if resource.custom else method_not_allowed(custom=False)
            )
        return await serve(_Exchange(request, info, resource, action, warnings))

    def _answer_about_server(self, request: web.BaseRequest, path: str) -> web.Response:
        """Health, version, discovery, OpenAPI."""
        parts = [part for part in path.split("/") if part]
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed(custom=False)
        if f"/{parts[0] if parts else ''}" in _PROBES:
            return web.Response(text="ok")
        aggregated = "APIGroupDiscoveryList" in request.headers.get("Accept", "")
        if aggregated and parts in (["api"], ["apis"]):
            shown = discovery.aggregated(self._catalogue, core=parts == ["api"])
            return _json(msgspec.json.encode(shown), content_type=discovery.AGGREGATED)
        document = (
            self._openapi(parts[1:])
            if parts[:1] == ["openapi"]
            else discovery.document(self._catalogue, parts)
        )
        if document is None:
            raise PathNotFoundError
        return _json(msgspec.json.encode(document))

    def _openapi(self, parts: list[str]) -> dict[str, Any] | None:
        match parts:
            case ["v3"]:
                return openapi.index(self._catalogue)
            case ["v3", *rest]:
                return openapi.document(self._catalogue, "/".join(rest))
        return None

    async def _get(self, exchange: _Exchange) -> web.Response:
        info, resource = exchange.info, exchange.resource
        stored = self._stored(info, resource)
        if info.subresource == "scale":
            return _json(msgspec.json.encode(scale_of(resource, resource.decode(stored))))
        return _json(_representation(exchange.request, resource).one(stored))

    async def _list(self, exchange: _Exchange) -> web.StreamResponse:
        request, info, resource = exchange.request, exchange.info, exchange.resource
        options = ListOptions.read(request.query, watch=False)
        selection = Selection.of(resource, info.namespace, options)
        collection = self._store.collection(resource.id)
        page = list_page(collection, selection, options, self._store.revision)
        pieces = _representation(request, resource).many(page.objects, page.metadata)
        start = b""
        for piece in pieces:
            start += piece
            if len(start) > _SMALL:
                break
        else:
            return _json(start)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(start)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)  # others have their turn between two pieces of a long list
        await response.write_eof()
        return response

    async def _watch(self, exchange: _Exchange) -> web.StreamResponse:
        request, info, resource = exchange.request, exchange.info, exchange.resource
        options = ListOptions.read(request.query, watch=True)
        selection = Selection.of(resource, info.namespace, options)
        representation = _representation(request, resource)
        collection = self._store.collection(resource.id)
        watch = Watch(
            self._store,
            collection,
            selection,
            representation,
            options,
            bookmark_interval=self._bookmark_interval,
        )
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        left = exchange.action.after if isinstance(exchange.action, TruncateWatch) else None
        self._watches.add(watch)
        watch.start()
        try:
            await response.prepare(request)
            while lines := await watch.lines():
                if left is not None:
                    if len(lines) > left:
                        cut = b"".join(lines[:left]) + lines[left][: len(lines[left]) // 2]
                        await response.write(cut)
                        raise _DropConnectionError
                    left -= len(lines)
                await response.write(b"".join(lines))
                await watch.pause()
            await response.write_eof()
        except ConnectionResetError:
            pass  # the client went away, which is how most watches end
        finally:
            watch.stop()
            self._watches.discard(watch)
        return response

    async def _create(self, exchange: _Exchange) -> web.Response:
        request, info, resource = exchange.request, exchange.info, exchange.resource
        if info.name:
            raise method_not_allowed(custom=resource.custom)
        options = WriteOptions.read(request.query, exchange.warnings, kind="CreateOptions")
        body = await _read_object(exchange, options)
        created = self._writer.create(resource, info.namespace, body, options)
        return _json(created, code=201)

    async def _update(self, exchange: _Exchange) -> web.Response:
        request, info, resource = exchange.request, exchange.info, exchange.resource
        options = WriteOptions.read(request.query, exchange.warnings, kind="UpdateOptions")
        body = await _read_object(exchange, options)
        key = Key(info.namespace, info.name)
        if resource.create_on_update and self._store.get(resource.id, key) is None:
            if body.setdefault("metadata", {}).setdefault("name", info.name) != info.name:
                raise bad_request("the name of the object does not match the name on the URL")
            created = self._writer.create(resource, info.namespace, body, options)
            return _json(created, code=201)
        return self._write(info, resource, lambda _: body, options, replace=True)

    async def _patch(self, exchange: _Exchange) -> web.Response:
        request, info, resource = exchange.request, exchange.info, exchange.resource
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
        accepted = [JSON_PATCH, MERGE_PATCH, *(() if resource.custom else (STRATEGIC_PATCH,))]
        if content_type in APPLY_PATCHES:
            raise StatusError(415, "UnsupportedMediaType", _NO_APPLY)
        if content_type not in accepted:
            raise unsupported_media_type(accepted)
        options = WriteOptions.read(request.query, exchange.warnings, kind="PatchOptions")
        patch = await _read_body(exchange, options)
        if content_type != JSON_PATCH and not isinstance(patch, dict):
            prefix = "error decoding patch: " if content_type == MERGE_PATCH else ""
            into = "map[string]interface {}"
            raise bad_request(f"{prefix}json: cannot unmarshal array into Go value of type {into}")

        def mutate(content: dict[str, Any]) -> dict[str, Any]:
            if content_type == JSON_PATCH:
                patched = json_patch(content, patch)
            elif content_type == MERGE_PATCH or info.subresource == "scale":
                patched = merge(content, patch)
            else:
                patched = strategic(resource.schema, content, patch)
            if not isinstance(patched, dict):
                raise bad_request("the patched object is no object")
            return patched

        return self._write(info, resource, mutate, options)

    def _write(
        self,
        info: RequestInfo,
        resource: Resource,
        mutate: Mutation,
        options: WriteOptions,
        *,
        replace: bool = False,
    ) -> web.Response:
        """PUT or PATCH of an object or one of its subresources."""
        key = Key(info.namespace, info.name)
        if info.subresource == "scale":

            def mutate_scale(content: dict[str, Any]) -> dict[str, Any]:
                return apply_scale(resource, content, mutate(scale_of(resource, content)))

            content = msgspec.json.decode(self._writer.update(resource, key, mutate_scale, options))
            return _json(msgspec.json.encode(scale_of(resource, content)))
        written = self._writer.update(
            resource, key, mutate, options, subresource=info.subresource, replace=replace
        )
        return _json(written)

    async def _delete(self, exchange: _Exchange) -> web.Response:
        info, resource = exchange.info, exchange.resource
        options, write = await _read_delete_options(exchange)
        answer, _gone = self._writer.delete(resource, Key(info.namespace, info.name), options, write)
        return _json(answer)

    async def _delete_collection(self, exchange: _Exchange) -> web.Response:
        request, info, resource = exchange.request, exchange.info, exchange.resource
        options, write = await _read_delete_options(exchange)
        listing = ListOptions.read(request.query, watch=False)
        selection = Selection.of(resource, info.namespace, listing)
        collection = self._store.collection(resource.id)
        page = list_page(collection, selection, listing, self._store.revision)
        for stored in page.objects:
            if collection.objects.get(stored.key) is not None:
                self._writer.delete(resource, stored.key, options, write)
        metadata = {"resourceVersion": str(self._store.revision)}
        return _json(b"".join(Representation(resource).many(page.objects, metadata)))

    def _stored(self, info: RequestInfo, resource: Resource) -> Stored:
        stored = self._store.get(resource.id, Key(info.namespace, info.name))
        if stored is None:
            raise not_found(resource.group, resource.plural, info.name)
        return stored


def _representation(request: web.BaseRequest, resource: Resource) -> Representation:
    form = wanted_form(request.headers.get("Accept", ""))
    include = request.query.get("includeObject") or "Metadata"
    if form == "table" and include not in ("Metadata", "Object", "None"):
        raise bad_request(
            f"Unable to convert to Table as requested: includeObject: Invalid value: {go_quote(include)}: must be"
            " 'Metadata', 'Object', 'None', or empty"
        )
    return Representation(resource, form, include)


async def _read_body(exchange: _Exchange, options: WriteOptions) -> Any:
    request, resource = exchange.request, exchange.resource
    checked = options.field_validation != "Ignore"
    content_type = request.headers.get("Content-Type", "")
    body, repeated = decode_body(await request.read(), content_type, find_repeated=checked)
    texts = [f'duplicate field "{path}"' for path in repeated]
    if texts and options.field_validation == "Strict":
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: strict decoding'
            f" error: {', '.join(texts)}"
        )
    options.warnings += texts
    return body


async def _read_object(exchange: _Exchange, options: WriteOptions) -> dict[str, Any]:
    body = await _read_body(exchange, options)
    if not isinstance(body, dict):
        raise bad_request(f"the body of the request is no {exchange.resource.kind}")
    return body


async def _read_delete_options(exchange: _Exchange) -> tuple[DeleteOptions, WriteOptions]:
    request = exchange.request
    raw = await request.read()
    body: Any = {}
    if raw.strip():
        body, _ = decode_body(raw, request.headers.get("Content-Type", ""), find_repeated=False)
        if not isinstance(body, dict):
            raise bad_request("the body of the request is no DeleteOptions")
    dry_run = next(iter(body.get("dryRun") or ()), None)
    options = WriteOptions.read(request.query, exchange.warnings, kind="DeleteOptions", dry_run=dry_run)
    return DeleteOptions.read(body, request.query), options


def _json(
    body: bytes,
    *,
    code: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> web.Response:
    sent = CIMultiDict(headers or {})
    sent["Content-Type"] = content_type
    return web.Response(body=body, status=code, headers=sent)


def _cut(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
