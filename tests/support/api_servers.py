"""The API server that integration tests run against: the embedded one, or a real kube-apiserver.

`CAPT_TEST_APISERVER=real` (`make test-envtest`) chooses the real one. It is started once per process and swept
between tests; the embedded one is quick enough for each test to have its own. On the real one managers are the
ServiceAccount of `manifests/rbac` and have its role only; with `CAPT_TEST_AUDIT` its audit log is kept in that folder,
for `hack/check_rbac.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import yaml

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
from capt.runtime import (
    Client,
    ClusterConfig,
    HttpTransport,
    Kind,
    NotFound,
    Resource,
    raise_for_status,
)
from hack.envtest import ControlPlane, control_plane
from tests.support import project, steady_loop
from tests.support.waiting import until

_SWEPT: tuple[tuple[Kind[Any], str], ...] = (
    *(
        (kind, "")
        for kind in (MACHINE_DEPLOYMENT, MACHINE_SET, MACHINE, APPLY, TEMPLATE, *WORKSPACE_FLAVOURS)
    ),
    *((kind_of(model), "default") for model in (Secret, Event, Lease)),
    (kind_of(Lease), "capt-system"),
)
_ACCOUNT = ("capt-system", "capt-manager")
_GRANTED = (
    "manager/namespace.yaml",
    "rbac/service_account.yaml",
    "rbac/manager_role.yaml",
    "rbac/leader_election_role.yaml",
    "terraform/engine_role.yaml",
)

REAL = os.environ.get("CAPT_TEST_APISERVER") == "real"


class Api(Protocol):
    """An API server as a test sees it."""

    def kubeconfig(self) -> dict[str, Any]:
        """Return a superuser's kubeconfig."""

    def manager_kubeconfig(self) -> dict[str, Any]:
        """Return a kubeconfig with the rights of a manager, where the server knows rights."""

    def audit(self) -> list[AuditEvent]:
        """Return every request of this test that came to its end."""


class EmbeddedApi:
    """The embedded API server."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def kubeconfig(self) -> dict[str, Any]:
        return self._server.kubeconfig()

    def manager_kubeconfig(self) -> dict[str, Any]:
        return self._server.kubeconfig()

    def audit(self) -> list[AuditEvent]:
        return list(self._server.audit)


class RealApi:
    """A real kube-apiserver, whose audit log is read from where this test began."""

    def __init__(self, plane: ControlPlane, manager_kubeconfig: dict[str, Any]) -> None:
        self._plane = plane
        self._manager_kubeconfig = manager_kubeconfig
        self._before = plane.audit_position

    def kubeconfig(self) -> dict[str, Any]:
        return self._plane.kubeconfig()

    def manager_kubeconfig(self) -> dict[str, Any]:
        return self._manager_kubeconfig

    def audit(self) -> list[AuditEvent]:
        return [_audit_event(event) for event in self._plane.audit(self._before)]


@contextlib.asynccontextmanager
async def api(plane: ControlPlane | None) -> AsyncIterator[Api]:
    """Return the API server for one test, without any object of an earlier one."""
    if plane is None:
        async with ApiServer(ServerOptions(data_dir=None)) as server:
            yield EmbeddedApi(server)
    else:
        try:
            yield RealApi(plane, await plane.service_account_kubeconfig(*_ACCOUNT))
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
                await grant(plane)
                started.set_result((plane, asyncio.get_running_loop(), stop))
                await stop.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=lambda: steady_loop.run(run()), name="control plane")
    thread.start()
    try:
        plane, loop, stop = started.result()
        try:
            yield plane
            if folder := os.environ.get("CAPT_TEST_AUDIT"):
                shutil.copy(plane.folder / "audit.log", Path(folder) / f"{os.getpid()}.log")
        finally:
            loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join()


async def grant(plane: ControlPlane) -> None:
    """Make the manager's ServiceAccount, with the roles that are generated for it."""
    config = ClusterConfig.from_dict(plane.kubeconfig())
    async with HttpTransport(config, user_agent="grant") as transport:
        for file in _GRANTED:
            for document in yaml.safe_load_all((project.ROOT / "manifests" / file).read_text()):
                group, _, version = document["apiVersion"].rpartition("/")
                resource = Resource(
                    group=group,
                    version=version,
                    kind=document["kind"],
                    plural=f"{document['kind'].lower()}s",
                )
                path = resource.path(document["metadata"].get("namespace", ""))
                raise_for_status(await transport.request("POST", path, body=json.dumps(document).encode()))


async def _sweep(plane: ControlPlane) -> None:
    """Delete all that tests make, finalizers or not, and wait until it is gone."""
    async with HttpTransport(ClusterConfig.from_dict(plane.kubeconfig()), user_agent="sweep") as transport:
        client = Client(transport)
        for kind, scope in _SWEPT:
            await until(partial(is_swept, client, kind, scope))
        for flavour in WORKSPACE_FLAVOURS[1:]:
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{flavour.resource}"
            await transport.request("DELETE", path)
            await until(partial(_is_unknown, transport, flavour))


async def is_swept(client: Client, kind: Kind[Any], scope: str) -> bool:
    """Delete all objects of a kind, finalizers or not; whether there was none. To be asked until it is so."""
    items = await _present(client, kind, scope)
    for item in items:
        namespace, name = item.metadata.namespace or "", item.metadata.name
        await client.delete(kind, namespace, name)
        if item.metadata.finalizers:
            with contextlib.suppress(NotFound):
                await client.patch(kind, namespace, name, {"metadata": {"finalizers": None}})
    return not items


async def _is_unknown(transport: HttpTransport, kind: Kind[Any]) -> bool:
    return (await transport.request("GET", kind.resource.path("default"))).status == 404


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
