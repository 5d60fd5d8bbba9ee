"""HTTP to the API server: bytes in, bytes out.

:class:`Transport` is the seam of the runtime: everything that talks to a cluster goes through it, so a test
that wraps one can lose, delay or refuse any request. :class:`HttpTransport` is the real one.

It brings its own aiohttp sessions. Those of kubernetes-asyncio trust the environment, which costs a hop to a
thread for ``~/.netrc`` with each request, have no timeouts, and let watches and requests compete for one
pool.

Nothing is sent twice here, except after a 401, which proves that nothing was done. Whether a lost
answer may be asked for again is known by the caller (see :mod:`capt.runtime.rest`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from capt import __version__
from capt.runtime.config import ClusterConfig, Endpoint
from capt.runtime.errors import ConfigError, ConnectionFailed, RequestTimeout, raise_for_status
from capt.runtime.logging import get_logger
from capt.runtime.server_warnings import Warnings
from capt.runtime.wire import lines

REQUEST_TIMEOUT = 30.0
"""Seconds that a request may take. The API server itself gives up after 60."""

RECHECK_SECONDS = 10.0
"""How often the files that credentials came from are looked at. A certificate, an authority or a token that was replaced
is used from the next request on. Requests that are under way end as they began; open watches end when our client
certificate was replaced, and go on from where they were with the new one. client-go, which looks every five minutes,
cuts requests too."""

LOADING_SECONDS = 120.0
"""How long loading credentials may take: an exec plugin may wait for a person. Requests wait within their own time."""

_CONNECT_TIMEOUT = 10.0
MAX_IN_FLIGHT: Final = 64
"""Requests that a transport has under way at once, beside watches; the API server's own fairness queues what is more."""

_RESERVED = 2  # connections of those that must not wait for others
_WATCH_BUFFER = 2**18  # bytes read ahead of the reader: what the loop decodes in one step, a few milliseconds


_log = get_logger("transport")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer, whatever its status.

    Attributes:
        status: HTTP status.
        headers: looked up without regard to case.
        body: all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """A way to an API server."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = REQUEST_TIMEOUT,  # noqa: ASYNC109 - the implementation enforces it on the connection
    ) -> Response:
        """Send one request and return the answer, whatever its status.

        Args:
            method: HTTP method.
            path: escaped URL path, as :meth:`capt.runtime.resource.Resource.path` makes it.
            query: query parameters, not escaped.
            body: the request's body.
            content_type: of the body.
            accept: in which form the answer is wanted.
            timeout: seconds for the whole exchange.

        Raises:
            RequestTimeout: no answer in time.
            ConnectionFailed: no connection, or it broke before the answer.
        """
        ...

    def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        idle_timeout: float,
    ) -> AsyncGenerator[bytes, None]:
        """Open a watch and return its lines, until the server ends it.

        Close the generator (``contextlib.aclosing``) when done: that closes the connection.

        Args:
            path: as in :meth:`request`.
            query: as in :meth:`request`.
            accept: as in :meth:`request`.
            idle_timeout: seconds without a single byte after which the watch counts as dead.

        Raises:
            ApiError: the server refused (the typed one), with the first line.
            RequestTimeout: silence for ``idle_timeout`` seconds.
            ConnectionFailed: no connection, or it broke.
        """
        ...

    def with_user_agent(self, user_agent: str) -> Transport:
        """Return a transport that shares the connections, under another User-Agent."""
        ...

    async def close(self) -> None:
        """Close all connections, also those of the transports derived from this one."""
        ...


class HttpTransport:
    """A way to an API server over HTTP, with credentials that renew themselves.

    What the server warns of is logged, each text once. Connections are made when first needed. Use it as an async
    context manager, or call :meth:`close`.

    Args:
        config: where the server is, and who we are.
        user_agent: what audit logs show.
        on_request: called with status code, method and host of each exchange (``rest_client_requests_total``);
            the code is ``<error>`` when there was no answer.
        max_in_flight: most requests under way at once, beside watches; further ones wait, within their own time.
        before_send: called with the method when a request has its connection, right before its first byte is
            written. A request may have waited long for that; what this raises stops it, and comes out as
            ``ConnectionFailed``.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        user_agent: str = f"capt/{__version__}",
        on_request: Callable[[str, str, str], object] = lambda _code, _method, _host: None,
        max_in_flight: int = MAX_IN_FLIGHT,
        before_send: Callable[[str], object] | None = None,
    ) -> None:
        self._connections = _Connections(config, max_in_flight, before_send)
        self._reserved = False
        self._user_agent = user_agent
        self._on_request = on_request

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, also those of the transports derived from this one."""
        await self._connections.close()

    def with_user_agent(self, user_agent: str) -> HttpTransport:
        """Return a transport that shares the connections, under another User-Agent."""
        other = copy(self)
        other._user_agent = user_agent  # noqa: SLF001 - its own class
        return other

    def reserved(self) -> HttpTransport:
        """Return a transport with a few connections of its own.

        A renewal of a lease must not wait because 64 other requests hang.
        """
        other = copy(self)
        other._reserved = True  # noqa: SLF001 - its own class
        return other

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = REQUEST_TIMEOUT,  # noqa: ASYNC109 - the error that it raises is the interface's
    ) -> Response:
        """Send one request; see :meth:`Transport.request`."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=min(timeout, _CONNECT_TIMEOUT))
        headers = {"Accept": accept} | ({"Content-Type": content_type} if body is not None else {})
        sessions = self._connections.sessions()
        async with self._exchange(
            sessions.reserved if self._reserved else sessions.requests,
            method,
            path,
            query=query,
            headers=headers,
            limits=limits,
            within=timeout,
            data=body,
        ) as answer:
            return Response(status=answer.status, headers=answer.headers, body=await answer.read())

    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        idle_timeout: float,
    ) -> AsyncGenerator[bytes, None]:
        """Open a watch; see :meth:`Transport.stream`."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=idle_timeout)
        # events are small and many: compressed, they would wait in the server's compressor for more
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        sessions = self._connections.sessions()
        async with self._exchange(
            sessions.watches, "GET", path, query=query, headers=headers, limits=limits
        ) as answer:
            if answer.status != 200:
                raise_for_status(
                    Response(status=answer.status, headers=answer.headers, body=await answer.read())
                )
            with self._connections.watching(answer):
                async with aclosing(lines(answer.content.iter_any())) as split:
                    async for line in split:
                        yield line

    @asynccontextmanager
    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        limits: aiohttp.ClientTimeout,
        within: float | None = None,
        data: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        target = f"{path}?{urlencode(query)}" if query else path
        patience = _CONNECT_TIMEOUT if within is None else within
        send = partial(self._send, session, method, target, headers=headers, data=data, timeout=limits)
        try:
            async with asyncio.timeout(within):
                endpoint = await self._connections.endpoint(patience)
                try:
                    answer = await send(endpoint)
                except aiohttp.ClientSSLError:
                    # a client certificate that ran out, or a CA that was replaced, shows in the handshake
                    answer = await send(await self._connections.renew(endpoint, patience))
                else:
                    if answer.status == 401:
                        answer.release()
                        answer = await send(await self._connections.renew(endpoint, patience))
                async with answer:
                    yield answer
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _no_answer(error, method, path) from error

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        target: str,
        endpoint: Endpoint,
        *,
        headers: Mapping[str, str],
        **options: Any,
    ) -> aiohttp.ClientResponse:
        code = "<error>"
        try:
            answer = await session.request(
                method,
                URL(endpoint.url + target, encoded=True),
                headers={
                    "Accept": "application/json",
                    "User-Agent": self._user_agent,
                    **headers,
                    **await endpoint.headers(),
                },
                ssl=endpoint.ssl,
                server_hostname=endpoint.server_hostname or None,
                proxy=endpoint.proxy or None,
                **options,
            )
            code = str(answer.status)
            self._connections.warnings.log(answer.headers, method, target.partition("?")[0])
            return answer
        finally:
            self._on_request(code, method, endpoint.host)


def _no_answer(error: Exception, method: str, path: str) -> RequestTimeout | ConnectionFailed:
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return RequestTimeout(f"{method} {path}: no answer in time")
    return ConnectionFailed(f"{method} {path}: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"certificate of {error.host}:{error.port} refused: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        # aiohttp's own text shows the TLS context's address in memory, asyncio's says "Connect call failed"
        cause = error.os_error
        number = cause.errno or 0
        text = os.strerror(number) if number > 0 else cause.strerror or str(cause)
        return f"no connection to {error.host}:{error.port}: {text}"
    return str(error) or type(error).__name__


@dataclass(frozen=True, slots=True)
class _Sessions:
    requests: aiohttp.ClientSession
    reserved: aiohttp.ClientSession
    watches: aiohttp.ClientSession


class _Connections:
    """What a transport and those derived from it share: sessions, the endpoint with its credentials, warnings heard."""

    def __init__(
        self, config: ClusterConfig, max_in_flight: int, before_send: Callable[[str], object] | None
    ) -> None:
        self._config = config
        self._max_in_flight = max_in_flight
        self._before_send = before_send
        self._sessions: _Sessions | None = None
        self._endpoint: Endpoint | None = None
        self._loading: asyncio.Task[Endpoint] | None = None
        self._checked = 0.0
        self._watches: set[aiohttp.ClientResponse] = set()
        self.warnings = Warnings()

    def sessions(self) -> _Sessions:
        if self._sessions is None:
            self._sessions = _Sessions(
                requests=_session(
                    aiohttp.TCPConnector(limit=self._max_in_flight), before_send=self._before_send
                ),
                reserved=_session(aiohttp.TCPConnector(limit=_RESERVED), before_send=self._before_send),
                # each watch holds a connection for minutes: with a limit, watches would starve one another
                watches=_session(aiohttp.TCPConnector(limit=0), read_bufsize=_WATCH_BUFFER),
            )
        return self._sessions

    async def endpoint(self, patience: float) -> Endpoint:
        endpoint = self._endpoint
        if endpoint is None or endpoint.is_stale() or await self._is_replaced(endpoint):
            endpoint = await self._renew_if_possible(endpoint, patience)
        return endpoint

    async def _is_replaced(self, endpoint: Endpoint) -> bool:
        now = time.monotonic()
        if not endpoint.files or now - self._checked < RECHECK_SECONDS:
            return False
        self._checked = now
        return await asyncio.to_thread(endpoint.is_replaced)

    async def _renew_if_possible(self, used: Endpoint | None, patience: float) -> Endpoint:
        try:
            return await self.renew(used, patience)
        except ConfigError as error:
            if used is None or used.is_stale():
                raise
            # a file that was half written, a certificate before its key: what we have is good until it is refused
            _log.warning("new credentials cannot be read, going on with the old", error=str(error))
            return used

    async def renew(self, used: Endpoint | None, patience: float) -> Endpoint:
        """Load the credentials again, unless somebody did since ``used`` was handed out.

        Those who want it at the same time wait for the same, ``patience`` seconds at most.
        """
        if self._loading is None:
            if self._endpoint is not None and self._endpoint is not used:
                return self._endpoint
            self._loading = asyncio.create_task(self._load(), name="credentials")
            self._loading.add_done_callback(self._loaded)
        loading = self._loading
        # unlike an await of it, this leaves it alone when a request runs out of time
        await asyncio.wait([loading], timeout=patience)
        if not loading.done():
            raise TimeoutError
        if loading.cancelled():
            raise ConnectionAbortedError("closed while credentials were loaded")
        return loading.result()

    async def _load(self) -> Endpoint:
        bound = asyncio.timeout(LOADING_SECONDS)
        try:
            async with bound:
                endpoint = await self._config.connect()
        except TimeoutError as error:
            if not bound.expired():
                raise
            text = f"{self._config.source}: loading credentials took longer than {LOADING_SECONDS:g} s"
            _log.warning(text)  # requests had less time, and may all have gone
            raise ConfigError(text) from error
        before, self._endpoint = self._endpoint, endpoint
        if before is not None and before.certificate != endpoint.certificate:
            self._end_watches()
        return endpoint

    def _loaded(self, loading: asyncio.Task[Endpoint]) -> None:
        self._loading = None
        if not loading.cancelled():
            loading.exception()  # there may be nobody left to hear of it

    @contextmanager
    def watching(self, watch: aiohttp.ClientResponse) -> Iterator[None]:
        """Let a watch end as if the server had ended it when the certificate that opened it is replaced."""
        self._watches.add(watch)
        try:
            yield
        except aiohttp.ClientConnectionError:
            if watch in self._watches:
                raise
        finally:
            self._watches.discard(watch)

    def _end_watches(self) -> None:
        watches, self._watches = self._watches, set()
        for watch in watches:
            watch.close()

    async def close(self) -> None:
        sessions, self._sessions = self._sessions, None
        if sessions is not None:
            await sessions.watches.close()
            await sessions.reserved.close()
            await sessions.requests.close()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])


def _session(
    connector: aiohttp.TCPConnector,
    *,
    read_bufsize: int = 2**16,
    before_send: Callable[[str], object] | None = None,
) -> aiohttp.ClientSession:
    traces = aiohttp.TraceConfig()
    if before_send is not None:

        async def ask(
            _session: aiohttp.ClientSession,
            _context: object,
            request: aiohttp.TraceRequestHeadersSentParams,
        ) -> None:
            before_send(request.method)

        # its name notwithstanding, it is sent before the headers are
        traces.on_request_headers_sent.append(ask)
    return aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=read_bufsize,
        trace_configs=[traces] if before_send is not None else None,
    )
