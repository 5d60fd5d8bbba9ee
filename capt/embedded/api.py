"""The way of a request: authenticate -> decode -> admit and store -> encode, all of it in ``Api``.

``__call__`` is the outer frame (authentication, faults, errors, audit); ``_answer`` chooses what is asked for; one method
per verb does it. Rules of writing are in ``writes``, of lists in ``listing``, of watches in ``watch``.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from capt.embedded import discovery, errors, faults, openapi, patches
from capt.embedded.assets import kinds
from capt.embedded.audit import AuditEvent, RequestInfo
from capt.embedded.bodies import decode_body
from capt.embedded.errors import PathNotFoundError, StatusError
from capt.embedded.listing import Selection, list_page
from capt.embedded.representation import Representation, wanted_form
from capt.embedded.request import DeleteOptions, ListOptions, WriteOptions, read_info
from capt.embedded.resource import Catalogue, Resource
from capt.embedded.scaling import apply_scale, scale_of
from capt.embedded.schema import Schema
from capt.embedded.store import Key, Store
from capt.embedded.validation import check_structure
from capt.embedded.watch import Watch
from capt.embedded.writes import Mutation, Writer, check_target

_LOG = logging.getLogger(__name__)
_SMALL = 256 * 1024  # bytes of a list that leave in one piece
_PROBES = ("/healthz", "/livez", "/readyz")
_DELETE_OPTIONS = Schema(kinds()["deleteOptions"])
_NO_APPLY = "server-side apply is not served by this API server: use client-side apply (kubectl apply without --server-side)"


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request on its way to one resource. ``warnings`` go out with the answer, whatever it is."""

    request: web.BaseRequest
    info: RequestInfo
    resource: Resource
    action: faults.Action | None
    warnings: list[str]

    @property
    def key(self) -> Key:
        """The object's, if the request is about one."""
        return Key(self.info.namespace, self.info.name)

    @property
    def content_type(self) -> str:
        """The body's format, without parameters."""
        return self.request.headers.get("Content-Type", "").partition(";")[0].strip()

    def write_options(self, kind: str, dry_run: str | None = None) -> WriteOptions:
        """How a write is meant, in terms of options of this kind."""
        return WriteOptions.read(self.request.query, self.warnings, kind=kind, dry_run=dry_run)

    def representation(self) -> Representation:
        """How the client wants to see objects."""
        form = wanted_form(self.request.headers.get("Accept", ""))
        include = self.request.query.get("includeObject") or "Metadata"
        if form == "table" and include not in ("Metadata", "Object", "None"):
            text = f"Unable to convert to Table as requested: includeObject: Invalid value: {errors.go_quote(include)}"
            raise errors.bad_request(f"{text}: must be 'Metadata', 'Object', 'None', or empty")
        return Representation(self.resource, form, include)

    async def body(self, options: WriteOptions) -> Any:
        """The decoded body."""
        raw = await self.request.read()
        body, repeated = decode_body(raw, self.content_type, self.resource.schema)
        texts = [f'duplicate field "{path}"' for path in repeated if options.field_validation != "Ignore"]
        if texts and options.field_validation == "Strict":
            problem = f"strict decoding error: {', '.join(texts)}"
            raise errors.cannot_handle(self.resource.kind, self.resource.version, problem)
        options.warnings += texts
        return body

    async def object(self, options: WriteOptions) -> dict[str, Any]:
        """The object in the body."""
        body = await self.body(options)
        if body is None and not self.resource.custom:
            body = {}
        if not isinstance(body, dict):
            raise errors.bad_request(f"the body of the request is no {self.resource.kind}")
        return body

    async def delete_options(self) -> tuple[DeleteOptions, WriteOptions]:
        """How a deletion is meant: in the body, else in the query."""
        raw = await self.request.read()
        body: Any = {}
        if raw.strip():
            body, _ = decode_body(raw, self.content_type, _DELETE_OPTIONS)
            if check_structure(_DELETE_OPTIONS, body):
                raise errors.bad_request("the body of the request is no DeleteOptions")
        write = self.write_options("DeleteOptions", next(iter(body.get("dryRun") or ()), None))
        return DeleteOptions.read(body, self.request.query), write


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
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._writer = writer
        self._authorization = f"Bearer {token}".encode()
        self._bookmark_interval = bookmark_interval
        self._watches: set[Watch] = set()
        self._verbs = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        self.audit: deque[AuditEvent] = deque(maxlen=100_000)
        self.faults = faults.Faults()
        catalogue.on_replaced.append(lambda resource_id: self.end_watches(of=resource_id))

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request."""
        agent = request.headers.get("User-Agent", "")
        info = read_info(request.method, request.path, request.query, agent)
        code = 0
        try:
            response = await self._serve(request, info)
            code = response.status
        except faults.DropConnectionError:
            if request.transport is not None:
                request.transport.abort()
            response = web.Response()
        finally:
            self.audit.append(info.finished(code))
        return response

    def end_watches(self, error: StatusError | None = None, *, of: str | None = None) -> None:
        """End every running watch, or those of one resource, with an error event if there is an error."""
        for watch in tuple(self._watches):
            if of in (None, watch.resource_id):
                watch.stop()
                watch.close(error)

    async def _serve(self, request: web.BaseRequest, info: RequestInfo) -> web.StreamResponse:
        warnings: list[str] = []
        action: faults.Action | None = None
        response: web.StreamResponse
        try:
            self._authenticate(request)
            action = self.faults.take(info)
            if isinstance(action, faults.ExpireHistory):
                self._store.forget_history()
                self.end_watches(errors.expired("too old resource version: injected fault"))
            await faults.meet(action)
            response = await self._answer(request, info, action, warnings)
        except StatusError as error:
            response = _refusal(error)
        except PathNotFoundError:
            response = web.Response(status=404, text="404 page not found\n")
        except web.HTTPRequestEntityTooLarge:
            text = "Request entity too large: limit is 3145728"
            response = _refusal(StatusError(413, "RequestEntityTooLarge", text))
        except faults.DropConnectionError:
            raise
        except Exception:  # noqa: BLE001 - a bug must become an answer, as in the real server, not a cut connection
            _LOG.exception("cannot serve %s %s", request.method, request.path)
            text = "Internal error occurred: see the server's log"
            response = _refusal(StatusError(500, "InternalError", text))
        if isinstance(action, faults.DropAfter):
            raise faults.DropConnectionError
        for warning in () if response.prepared else warnings:
            response.headers.add("Warning", f"299 - {errors.go_quote(warning)}")
        return response

    def _authenticate(self, request: web.BaseRequest) -> None:
        if request.path in _PROBES or request.path == "/version":
            return
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, self._authorization):
            raise StatusError(401, "Unauthorized", "Unauthorized")

    async def _answer(
        self, request: web.BaseRequest, info: RequestInfo, action: faults.Action | None, warnings: list[str]
    ) -> web.StreamResponse:
        if not info.resource:
            return self._answer_about_server(request, info.path)
        resource = self._catalogue.find(info.group, info.version, info.resource)
        if resource is None and ("." not in info.group or info.group.endswith(".k8s.io")):
            raise errors.not_served(f"{info.resource}.{info.group}".strip("."))
        if resource is None or (info.namespace and not resource.namespaced):
            raise PathNotFoundError
        custom, serve = resource.custom, self._verbs.get(info.verb)
        if info.subresource == "token":
            raise errors.not_served("TokenRequest")
        if info.subresource and info.subresource not in resource.subresources:
            raise (
                errors.not_found(resource.group, resource.plural, info.name)
                if custom
                else errors.not_served()
            )
        everywhere = resource.namespaced and not info.namespace
        if everywhere and info.verb not in ("list", "watch", "deletecollection"):
            if custom:
                raise PathNotFoundError
            raise errors.method_not_allowed(custom=False) if info.verb == "create" else errors.not_served()
        if resource.deprecation:
            warnings.append(resource.deprecation)
        if info.verb in ("update", "patch") and not info.name and custom:
            raise errors.bad_request("name must be provided")
        named = {"create": False, "update": True, "patch": True}.get(info.verb)
        if serve is None or info.verb not in resource.verbs or named not in (None, bool(info.name)):
            raise errors.method_not_allowed(custom=custom)
        return await serve(_Exchange(request, info, resource, action, warnings))

    def _answer_about_server(self, request: web.BaseRequest, path: str) -> web.Response:
        """Health, version, discovery, OpenAPI."""
        parts = [part for part in path.split("/") if part]
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed(custom=False)
        if parts and f"/{parts[0]}" in _PROBES:
            return web.Response(text="ok")
        if parts in (["api"], ["apis"]) and "APIGroupDiscoveryList" in request.headers.get("Accept", ""):
            shown = discovery.aggregated(self._catalogue, core=parts == ["api"])
            return _json(msgspec.json.encode(shown), content_type=discovery.AGGREGATED)
        about = openapi.document if parts[:1] == ["openapi"] else discovery.document
        if (document := about(self._catalogue, parts)) is None:
            raise PathNotFoundError
        return _json(msgspec.json.encode(document))

    async def _get(self, exchange: _Exchange) -> web.Response:
        resource = exchange.resource
        stored = self._writer.existing(resource, exchange.key)
        if exchange.info.subresource == "scale":
            return _json(msgspec.json.encode(scale_of(resource, resource.decode(stored))))
        return _json(exchange.representation().one(stored))

    async def _list(self, exchange: _Exchange) -> web.StreamResponse:
        options = ListOptions.read(exchange.request.query, watch=False)
        selection = Selection.of(exchange.resource, exchange.info.namespace, options)
        page = list_page(self._store, selection, options)
        pieces = exchange.representation().many(page.objects, page.metadata)
        start = b""
        for piece in pieces:
            start += piece
            if len(start) > _SMALL:
                break
        else:
            return _json(start)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(exchange.request)
        await response.write(start)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)  # others have their turn between two pieces of a long list
        await response.write_eof()
        return response

    async def _watch(self, exchange: _Exchange) -> web.StreamResponse:
        options = ListOptions.read(exchange.request.query, watch=True)
        selection = Selection.of(exchange.resource, exchange.info.namespace, options)
        watch = Watch(
            self._store,
            selection,
            exchange.representation(),
            options,
            bookmark_interval=self._bookmark_interval,
        )
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        truncation = exchange.action if isinstance(exchange.action, faults.TruncateWatch) else None
        sent = 0
        self._watches.add(watch)
        watch.start()
        try:
            await response.prepare(exchange.request)
            while lines := await watch.lines():
                if truncation is not None and sent + len(lines) > truncation.after:
                    left = truncation.after - sent
                    await response.write(b"".join(lines[:left]) + lines[left][: len(lines[left]) // 2])
                    raise faults.DropConnectionError
                sent += len(lines)
                await response.write(b"".join(lines))
                await watch.pause(len(self._watches))
            await response.write_eof()
        except ConnectionResetError:
            pass  # the client went away, which is how most watches end
        finally:
            watch.stop()
            self._watches.discard(watch)
        return response

    async def _create(self, exchange: _Exchange) -> web.Response:
        options = exchange.write_options("CreateOptions")
        body = await exchange.object(options)
        return _json(self._writer.create(exchange.resource, exchange.info.namespace, body, options), code=201)

    async def _update(self, exchange: _Exchange) -> web.Response:
        options = exchange.write_options("UpdateOptions")
        body = await exchange.object(options)
        resource, key = exchange.resource, exchange.key
        if exchange.info.subresource != "scale":
            check_target(resource, key, body)
        if resource.create_on_update and self._store.get(resource.id, key) is None:
            return _json(self._writer.create(resource, key.namespace, body, options), code=201)
        return self._write(exchange, lambda _: body, options, replace=True)

    async def _patch(self, exchange: _Exchange) -> web.Response:
        resource, form = exchange.resource, exchange.content_type
        accepted = patches.accepted_by(resource)
        if form in patches.APPLY_PATCHES:
            raise StatusError(415, "UnsupportedMediaType", _NO_APPLY)
        if form not in accepted:
            raise errors.unsupported_media_type(accepted)
        options = exchange.write_options("PatchOptions")
        patch = await exchange.body(options)
        # a Scale has no lists, so that both kinds of merging are the same for it
        schema = resource.schema if exchange.info.subresource != "scale" else None
        return self._write(exchange, patches.mutation(form, patch, schema), options)

    def _write(
        self, exchange: _Exchange, mutate: Mutation, options: WriteOptions, *, replace: bool = False
    ) -> web.Response:
        """PUT or PATCH of an object or one of its subresources."""
        resource, key, subresource = exchange.resource, exchange.key, exchange.info.subresource
        if subresource != "scale":
            written = self._writer.update(
                resource, key, mutate, options, subresource=subresource, replace=replace
            )
            return _json(written)

        def mutate_scale(content: dict[str, Any]) -> dict[str, Any]:
            return apply_scale(resource, content, mutate(scale_of(resource, content)))

        content = msgspec.json.decode(self._writer.update(resource, key, mutate_scale, options))
        return _json(msgspec.json.encode(scale_of(resource, content)))

    async def _delete(self, exchange: _Exchange) -> web.Response:
        options, write = await exchange.delete_options()
        return _json(self._writer.delete(exchange.resource, exchange.key, options, write))

    async def _delete_collection(self, exchange: _Exchange) -> web.Response:
        options, write = await exchange.delete_options()
        listing = ListOptions.read(exchange.request.query, watch=False)
        selection = Selection.of(exchange.resource, exchange.info.namespace, listing)
        page = list_page(self._store, selection, listing)
        for stored in page.objects:
            if self._store.get(selection.resource.id, stored.key) is not None:
                self._writer.delete(selection.resource, stored.key, options, write)
        metadata = {"resourceVersion": str(self._store.revision)}
        return _json(b"".join(Representation(selection.resource).many(page.objects, metadata)))


def _json(body: bytes, *, code: int = 200, content_type: str = "application/json") -> web.Response:
    return web.Response(body=body, status=code, headers={"Content-Type": content_type})


def _refusal(error: StatusError) -> web.Response:
    headers: Mapping[str, str] = {"Content-Type": "application/json", **error.headers}
    return web.Response(body=msgspec.json.encode(error.body()), status=error.code, headers=headers)
