"""Both servers, once for all scripts, on an event loop of their own in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import aiohttp

from capt.embedded import ApiServer, ExpireHistory, Fault, ServerOptions
from hack.envtest import ControlPlane, control_plane
from tests.conformance.kinds import DEFINITIONS
from tests.conformance.player import Endpoint, play
from tests.conformance.steps import Script, defined
from tests.support import steady_loop

# ServiceAccounts come straight from etcd, so that what it no longer has is not served out of a cache.
_FLAGS = ("--watch-cache-sizes=serviceaccounts#0",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The two that are compared."""

    real: Endpoint
    embedded: Endpoint


@contextlib.contextmanager
def both_servers() -> Iterator[Servers]:
    """Run both until the block ends, each with the definitions that scripts share."""
    started: Future[tuple[Servers, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        try:
            async with _both() as servers:
                started.set_result((servers, asyncio.get_running_loop(), stop))
                await stop.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=lambda: steady_loop.run(run()), name="both servers")
    thread.start()
    try:
        servers, loop, stop = started.result()
        try:
            yield servers
        finally:
            loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join()


@contextlib.asynccontextmanager
async def _both() -> AsyncIterator[Servers]:
    async with control_plane(None, *_FLAGS) as plane, ApiServer(ServerOptions()) as server:
        servers = Servers(real=_real(plane), embedded=_embedded(server))
        prepare = Script("the shared kinds are defined", tuple(s for d in DEFINITIONS for s in defined(d)))
        for endpoint in (servers.real, servers.embedded):
            for step, outcome in await play(endpoint, prepare, "prepare"):
                assert outcome == "as wanted" or outcome["code"] == 201, (step, outcome)
        yield servers


def _real(plane: ControlPlane) -> Endpoint:
    return Endpoint(name="real", url=plane.url, session=plane.session, compact=plane.compact)


def _embedded(server: ApiServer) -> Endpoint:
    def session() -> aiohttp.ClientSession:
        context = ssl.create_default_context(cadata=server.ca_pem)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            headers={"Authorization": f"Bearer {server.token}"},
        )

    async def compact() -> None:
        server.faults.add(Fault(match=lambda info: info.path == "/version", action=ExpireHistory()))
        async with session() as http, http.get(f"{server.url}/version") as answer:
            await answer.read()

    return Endpoint(name="embedded", url=server.url, session=session, compact=compact)
