from __future__ import annotations

import asyncio
import gc
import ssl
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import structlog
import trustme
from aiohttp import web
from multidict import CIMultiDict

from capt import __version__
from capt.runtime import (
    ClusterConfig,
    ConfigError,
    ConnectionFailed,
    Gone,
    HttpTransport,
    RequestTimeout,
    Unauthorized,
)
from capt.runtime.config import Endpoint
from tests.support.scripted import until

STATUS_410 = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}


@dataclass
class Server:
    """A small API server whose behaviour the test decides, and the ways to reach it."""

    url: str = ""
    tls: ssl.SSLContext | bool = False
    token: str = "good"
    issued: str = "good"
    connects: int = 0
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    counted: list[tuple[str, str, str]] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    warnings: list[list[str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.raw_path, dict(request.headers), body))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "code": 401, "reason": "Unauthorized"}, status=401)
        match request.path:
            case "/status":
                return web.json_response({"kind": "Status"}, status=418, headers={"Retry-After": "3"})
            case "/hang":
                await self.release.wait()
            case "/gone":
                return web.json_response(STATUS_410, status=410)
            case "/break":
                request.transport.abort()
            case "/watch" | "/cut" | "/silent" | "/big":
                return await self.watch(request)
        return web.json_response({"path": request.path}, headers=self.warned())

    def warned(self) -> CIMultiDict[str]:
        texts = self.warnings.pop(0) if self.warnings else []
        return CIMultiDict(("Warning", text) for text in texts)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=self.warned())
        response.enable_chunked_encoding()
        await response.prepare(request)
        if request.path == "/big":
            await response.write(b"x" * 5_000_000 + b"\n")
            return response
        await response.write(b"one\n\ntw")
        await response.write(b"o\nthree")
        if request.path == "/cut":
            request.transport.abort()
        if request.path == "/silent":
            await self.release.wait()
        return response

    def config(self, expires=None) -> ClusterConfig:
        async def connect() -> Endpoint:
            self.connects += 1
            token = self.issued

            async def headers():
                return {"Authorization": f"Bearer {token}"}

            return Endpoint(url=self.url, headers=headers, ssl=self.tls, expires=expires)

        return ClusterConfig(source="test", namespace="default", connect=connect)

    def transport(self, **options) -> HttpTransport:
        return HttpTransport(self.config(), on_request=lambda *call: self.counted.append(call), **options)


@asynccontextmanager
async def serving(server_tls: ssl.SSLContext | None = None):
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_tls)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"{'https' if server_tls else 'http'}://{host}:{port}"
    try:
        yield server
    finally:
        server.release.set()
        await runner.cleanup()


@pytest.fixture
async def server():
    async with serving() as running:
        yield running


async def read(transport, path, idle_timeout=60.0):
    async with aclosing(transport.stream(path, idle_timeout=idle_timeout)) as lines:
        return [line async for line in lines]


async def test_a_request_and_its_answer(server):
    """Method, path, query, body and type reach the server; the answer comes back whatever its status."""
    async with server.transport() as transport:
        answer = await transport.request(
            "PATCH", "/a%2Fb", query={"labelSelector": "a in (b,c)"}, body=b"{}", content_type="application/x"
        )
        assert (answer.status, answer.body) == (200, b'{"path": "/a/b"}')
        method, path, headers, body = server.requests[0]
        assert (method, path, body) == ("PATCH", "/a%2Fb?labelSelector=a+in+%28b%2Cc%29", b"{}")
        assert headers["Content-Type"] == "application/x"
        assert headers["Accept"] == "application/json"
        assert headers["User-Agent"] == f"capt/{__version__}"
        teapot = await transport.request("GET", "/status")
        assert (teapot.status, teapot.headers.get("retry-after")) == (418, "3")


async def test_requests_are_counted(server):
    """Each exchange is counted with its code, method and host; one without an answer as an error."""
    async with server.transport() as transport:
        await transport.request("GET", "/x")
        with pytest.raises(ConnectionFailed):
            await transport.request("POST", "/break", body=b"")
    host = server.url.removeprefix("http://")
    assert server.counted == [("200", "GET", host), ("<error>", "POST", host)]


async def test_warnings_are_logged_once(server):
    """Each text that the server warns of is in the log once, whoever hears of it how often, on requests and watches."""
    first, second = '299 - "Thing is \\"deprecated\\""', '299 kube "a, b" "Wed, 21 Oct 2026 07:28:00 GMT"'
    server.warnings = [[first], [first, second], [second]]
    async with server.transport() as transport:
        other = transport.with_user_agent("other")
        with structlog.testing.capture_logs() as logs:
            assert await read(other, "/watch") == [b"one", b"two"]
            await transport.request("GET", "/x", query={"a": "b"})
            await other.request("GET", "/x")
    assert [(line["warning"], line["method"], line["path"]) for line in logs] == [
        ('Thing is "deprecated"', "GET", "/watch"),
        ("a, b", "GET", "/x"),
    ]


async def test_another_user_agent_on_the_same_connections(server):
    """A derived transport shares everything but its name."""
    async with server.transport(user_agent="one") as transport:
        await transport.request("GET", "/x")
        await transport.with_user_agent("two").request("GET", "/x")
        assert [headers["User-Agent"] for _, _, headers, _ in server.requests] == ["one", "two"]
        assert server.connects == 1


async def test_no_answer_in_time(server):
    """A server that does not answer is given up after the request's own time."""
    async with server.transport() as transport:
        with pytest.raises(RequestTimeout, match="GET /hang"):
            await transport.request("GET", "/hang", timeout=0.05)


async def test_a_connection_that_breaks(server):
    """A write whose connection breaks raises, and reaches the server once."""
    async with server.transport() as transport:
        with pytest.raises(ConnectionFailed, match="POST /break"):
            await transport.request("POST", "/break", body=b"{}")
    assert len(server.requests) == 1


async def test_nobody_listens():
    """A refused connection is a connection that failed, and says to whom."""
    server = Server(url="http://127.0.0.1:1")
    async with server.transport() as transport:
        with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1"):
            await transport.request("GET", "/x")
        with pytest.raises(ConnectionFailed):
            await read(transport, "/watch")


async def test_refused_credentials_are_renewed_once(server):
    """After a 401 the credentials are loaded again and the request repeated; then requests go on with the new ones."""
    async with server.transport() as transport:
        server.token = server.issued = "new"
        await asyncio.gather(*(transport.request("GET", "/x") for _ in range(3)))
        server.token = server.issued = "newer"
        answers = await asyncio.gather(*(transport.request("GET", "/x") for _ in range(3)))
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert server.connects == 2


async def test_credentials_that_stay_bad(server):
    """Credentials that are refused after renewal too are the caller's problem."""
    async with server.transport() as transport:
        server.token = "other"
        assert (await transport.request("GET", "/x")).status == 401
        with pytest.raises(Unauthorized):
            await read(transport, "/watch")


async def test_credentials_that_run_out_are_renewed_before(server):
    """Credentials with an end are loaded again before it, without a refused request."""
    from datetime import UTC, datetime, timedelta

    config = server.config(expires=datetime.now(UTC) + timedelta(seconds=30))
    async with HttpTransport(config) as transport:
        await transport.request("GET", "/x")
        await transport.request("GET", "/x")
    assert server.connects == 2
    assert len(server.requests) == 2


async def test_a_config_that_does_not_load(server):
    """What keeps credentials from loading is raised as it is."""

    async def connect():
        raise ConfigError("the plugin is not there")

    async with HttpTransport(ClusterConfig(source="x", namespace="x", connect=connect)) as transport:
        with pytest.raises(ConfigError, match="plugin"):
            await transport.request("GET", "/x")


class Loading:
    """A configuration that loads when the test lets it, and counts how often it was begun, ended and cancelled."""

    def __init__(self, server):
        self.begun = self.ended = self.cancelled = 0
        self.error = None
        self.ready = asyncio.Event()
        self._connect = server.config().connect
        self.config = ClusterConfig(source="context 'x'", namespace="default", connect=self.connect)

    async def connect(self):
        self.begun += 1
        try:
            await self.ready.wait()
            error, self.error = self.error, None  # kept, it would keep the task, through its traceback
            if error is not None:
                raise error
            return await self._connect()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # killing a plugin takes a while, too
            self.cancelled += 1
            raise
        finally:
            self.ended += 1


@pytest.fixture
async def complaints():
    """What was reported to the event loop, as an exception that was never retrieved is."""
    reported = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: reported.append(context["message"]))
    yield reported
    loop.set_exception_handler(None)


async def test_requests_end_in_their_own_time_while_credentials_load(server, monkeypatch):
    """Loading is shared and outlives the request that began it; each request, and a watch, waits as long as it may."""
    loading = Loading(server)
    async with asyncio.timeout(60), HttpTransport(loading.config) as transport:
        leaving = asyncio.create_task(transport.request("GET", "/leaving"))
        patient = asyncio.create_task(transport.request("GET", "/patient"))
        with pytest.raises(RequestTimeout, match="GET /x"):
            await transport.request("GET", "/x", timeout=0.05)
        with monkeypatch.context() as patch:
            patch.setattr("capt.runtime.transport._CONNECT_TIMEOUT", 0.05)
            with pytest.raises(RequestTimeout, match="GET /watch"):
                await read(transport, "/watch")
        leaving.cancel()
        await asyncio.wait([leaving])
        assert (loading.begun, loading.ended) == (1, 0)
        loading.ready.set()
        assert (await patient).status == 200
        assert (loading.begun, loading.ended) == (1, 1)


async def test_a_refused_request_waits_no_longer_for_new_credentials_than_it_may(server, monkeypatch):
    """A plugin that hangs after a 401 ends requests and watches in their time too."""
    loading = Loading(server)
    loading.ready.set()
    async with asyncio.timeout(60), HttpTransport(loading.config) as transport:
        assert (await transport.request("GET", "/x")).status == 200
        loading.ready.clear()
        server.token = server.issued = "new"
        with pytest.raises(RequestTimeout):
            await transport.request("GET", "/x", timeout=0.25)
        with monkeypatch.context() as patch:
            patch.setattr("capt.runtime.transport._CONNECT_TIMEOUT", 0.25)
            with pytest.raises(RequestTimeout):
                await read(transport, "/watch")
        loading.ready.set()
        assert (await transport.request("GET", "/x")).status == 200
        assert loading.begun == 2


async def test_time_that_credentials_took_is_not_given_again(server):
    """A request that waited for credentials ends before one that began later and has until later."""
    loading = Loading(server)
    ended = []
    async with HttpTransport(loading.config) as transport:

        async def ask(name, seconds):
            with pytest.raises(RequestTimeout):
                await transport.request("GET", "/hang", timeout=seconds)
            ended.append(name)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask("first", 0.4))
            asyncio.get_running_loop().call_later(0.3, loading.ready.set)
            await loading.ready.wait()
            tasks.create_task(ask("second", 0.25))
    assert ended == ["first", "second"]


async def test_credentials_that_take_too_long(server, monkeypatch):
    """Loading has a bound, which is an error that names the source; the next request begins anew."""
    monkeypatch.setattr("capt.runtime.transport.LOADING_SECONDS", 0.05)
    loading = Loading(server)
    async with asyncio.timeout(60), HttpTransport(loading.config) as transport:
        with structlog.testing.capture_logs() as logs:
            for _ in range(2):
                with pytest.raises(ConfigError, match=r"^context 'x': loading .* longer than 0\.05 s$"):
                    await transport.request("GET", "/x")
        assert [line["log_level"] for line in logs] == ["warning"] * 2
        assert (loading.begun, loading.cancelled) == (2, 2)
        loading.ready.set()
        assert (await transport.request("GET", "/x")).status == 200


async def test_a_failure_that_nobody_waits_for_is_nobodys(server, complaints):
    """Credentials that fail after the request that wanted them has gone leave no complaint behind."""
    loading = Loading(server)
    async with asyncio.timeout(60), HttpTransport(loading.config) as transport:
        with pytest.raises(RequestTimeout):
            await transport.request("GET", "/x", timeout=0.01)
        loading.error = ConfigError("the plugin failed")
        loading.ready.set()
        await until(lambda: loading.ended == 1)
    gc.collect()
    assert complaints == []


async def test_closing_ends_the_loading_of_credentials(server):
    """Closing cancels it and waits for its end; whoever waited hears of a connection that failed."""
    before = asyncio.all_tasks()
    loading = Loading(server)
    async with asyncio.timeout(60), HttpTransport(loading.config) as transport:
        waiting = asyncio.create_task(transport.request("GET", "/x"))
        await until(lambda: loading.begun == 1)
        await transport.close()
        assert loading.cancelled == 1
        assert asyncio.all_tasks() <= before | {waiting}
        with pytest.raises(ConnectionFailed, match="closed"):
            await waiting


async def test_a_watch_yields_lines(server):
    """A watch yields whole lines however they were cut, without a truncated last one."""
    async with server.transport() as transport:
        assert await read(transport, "/watch") == [b"one", b"two"]
        assert [len(line) for line in await read(transport, "/big")] == [5_000_000]
        assert server.requests[0][2]["Accept-Encoding"] == "identity"


async def test_a_watch_that_is_refused(server):
    """A refused watch raises the typed error of the Status."""
    async with server.transport() as transport:
        with pytest.raises(Gone, match="too old"):
            await read(transport, "/gone")


async def test_a_watch_that_breaks(server):
    """A watch whose connection breaks raises, which tells it from one that the server ended."""
    async with server.transport() as transport:
        with pytest.raises(ConnectionFailed, match="/cut"):
            await read(transport, "/cut")


async def test_inv_075_a_silent_watch(server):
    """A half-open connection is noticed by its silence."""
    async with server.transport() as transport:
        with pytest.raises(RequestTimeout):
            await read(transport, "/silent", idle_timeout=0.1)


async def test_closing_a_watch_closes_its_connection(server):
    """A reader that stops in the middle leaves no connection behind, and requests go on."""
    async with server.transport() as transport:
        async with aclosing(transport.stream("/silent", idle_timeout=5)) as stream:
            assert await anext(stream) == b"one"
        assert (await transport.request("GET", "/x")).status == 200


async def test_tls_with_verification_and_a_renewed_authority():
    """Certificates are verified; after the authority was replaced, the configuration is loaded again."""
    old, new = trustme.CA(), trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    new.issue_cert("127.0.0.1").configure_cert(server_tls)
    trusting = {}
    for name, authority in (("old", old), ("new", new)):
        trusting[name] = ssl.create_default_context()
        authority.configure_trust(trusting[name])
    async with serving(server_tls) as server:
        server.tls = trusting["new"]
        async with server.transport() as transport:
            assert (await transport.request("GET", "/x")).status == 200
        server.tls = trusting["old"]
        async with server.transport() as transport:
            with pytest.raises(ConnectionFailed, match="certificate"):
                await transport.request("GET", "/x")
            server.tls = trusting["new"]
            assert (await transport.request("GET", "/x")).status == 200


async def test_a_request_that_had_to_wait_is_asked_once_more_before_its_first_byte(server):
    """What is called before sending hears of a request when it has its connection, and stops it by raising."""
    late = False
    asked = []

    def before_send(method):
        asked.append(method)
        if late:
            raise ConnectionError("too late")

    async with server.transport(before_send=before_send) as transport:
        assert (await transport.request("POST", "/ok", body=b"{}")).status == 200
        late = True
        for method, body in (("POST", b"{}"), ("DELETE", None)):
            with pytest.raises(ConnectionFailed, match="too late"):
                await transport.request(method, "/late", body=body)
        late = False
        await transport.request("DELETE", "/ok")
    assert asked == ["POST", "POST", "DELETE", "DELETE"]
    assert [(method, path) for method, path, *_ in server.requests] == [("POST", "/ok"), ("DELETE", "/ok")]


async def test_requests_in_flight_are_limited_and_some_connections_reserved(server):
    """What is over the limit waits, within its own time; what has connections of its own does not."""
    async with server.transport(max_in_flight=2) as transport:
        hanging = [asyncio.create_task(transport.request("GET", "/hang")) for _ in range(2)]
        await until(lambda: len(server.requests) == 2)
        with pytest.raises(RequestTimeout):
            await transport.request("GET", "/ok", timeout=0.05)
        assert (await transport.reserved().request("GET", "/lease")).status == 200
        assert [path for _, path, *_ in server.requests] == ["/hang", "/hang", "/lease"]
        server.release.set()
        await asyncio.gather(*hanging)
