"""The API server that integration tests run against: the embedded one, or a real kube-apiserver.

`CAPT_TEST_APISERVER=real` (`make test-envtest`) chooses the real one. It is started once per process and swept
between tests; the embedded one is quick enough for each test to have its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import Any, Protocol

from capt.api import Event, Lease, Secret
from capt.controllers.kinds import (
    APPLY,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
    TEMPLATE,
    WORKSPACE_FLAVOURS,
    kind_of,
)
from capt.embedded import ApiServer, AuditEvent, ServerOptions
from capt.runtime import Client, ClusterConfig, HttpTransport, Kind, NotFound, SystemClock
from hack.envtest import ControlPlane, control_plane

_SWEPT: tuple[tuple[Kind[Any], str], ...] = (
    *(
        (kind, "")
        for kind in (MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, APPLY, TEMPLATE, *WORKSPACE_FLAVOURS)
    ),
    *((kind_of(model), "default") for model in (Secret, Event, Lease)),
)

_POLL_SECONDS = 0.05

REAL = os.environ.get("CAPT_TEST_APISERVER") == "real"


class Api(Protocol):
    """An API server as a test sees it."""

    def kubeconfig(self) -> dict[str, Any]:
        """Return a superuser's kubeconfig."""

    def audit(self) -> list[AuditEvent]:
        """Return every request of this test that came to its end."""


class EmbeddedApi:
    """The embedded API server."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def kubeconfig(self) -> dict[str, Any]:
        return self._server.kubeconfig()

    def audit(self) -> list[AuditEvent]:
        return list(self._server.audit)


class RealApi:
    """A real kube-apiserver, whose audit log is read from where this test began."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._before = len(plane.audit())

    def kubeconfig(self) -> dict[str, Any]:
        return self._plane.kubeconfig()

    def audit(self) -> list[AuditEvent]:
        return [_audit_event(event) for event in self._plane.audit()[self._before :]]


@contextlib.asynccontextmanager
async def api(plane: ControlPlane | None) -> AsyncIterator[Api]:
    """Return the API server for one test, without any object of an earlier one."""
    if plane is None:
        async with ApiServer(ServerOptions(data_dir=None)) as server:
            yield EmbeddedApi(server)
    else:
        try:
            yield RealApi(plane)
        finally:
            await _sweep(plane)


@contextlib.contextmanager
def shared_plane() -> Iterator[ControlPlane | None]:
    """Run a real control plane beside the tests, on an event loop of its own; None when the embedded server is meant."""
    if not REAL:
        yield None
        return
    started: Future[tuple[ControlPlane, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        try:
            async with control_plane() as plane:
                started.set_result((plane, asyncio.get_running_loop(), stop))
                await stop.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="control plane")
    thread.start()
    try:
        plane, loop, stop = started.result()
        yield plane
        loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join()


async def _sweep(plane: ControlPlane) -> None:
    """Delete all that tests make, finalizers or not, and wait until it is gone."""
    async with HttpTransport(ClusterConfig.from_dict(plane.kubeconfig()), user_agent="sweep") as transport:
        client = Client(transport)
        for kind, scope in _SWEPT:
            while items := await _present(client, kind, scope):
                for item in items:
                    namespace, name = item.metadata.namespace or "", item.metadata.name
                    await client.delete(kind, namespace, name)
                    if item.metadata.finalizers:
                        with contextlib.suppress(NotFound):
                            await client.patch(kind, namespace, name, {"metadata": {"finalizers": None}})
        for flavour in WORKSPACE_FLAVOURS[1:]:
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{flavour.resource}"
            await transport.request("DELETE", path)
            while await _served(transport, flavour):
                await SystemClock().sleep(_POLL_SECONDS)


async def _served(transport: HttpTransport, kind: Kind[Any]) -> bool:
    return (await transport.request("GET", kind.resource.path("default"))).status != 404


async def _present(client: Client, kind: Kind[Any], namespace: str) -> list[Any]:
    try:
        return await client.list_live(kind, namespace)
    except NotFound:
        return []  # a flavour of Workspace that is not served


def _audit_event(event: dict[str, Any]) -> AuditEvent:
    reference = event.get("objectRef", {})
    return AuditEvent(
        user_agent=event.get("userAgent", ""),
        verb=event["verb"],
        group=reference.get("apiGroup", ""),
        resource=reference.get("resource", ""),
        subresource=reference.get("subresource", ""),
        namespace=reference.get("namespace", ""),
        name=reference.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
    )
