"""``ApiServer``: the API over HTTPS on the loopback interface, from start to stop."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from aiohttp import web

from capt.embedded.api import Api
from capt.embedded.audit import AuditEvent
from capt.embedded.builtin import builtin_resources
from capt.embedded.collector import Collector
from capt.embedded.credentials import LOOPBACK, load_credentials, write_private
from capt.embedded.faults import Faults
from capt.embedded.journal import Journal
from capt.embedded.request import WriteOptions
from capt.embedded.resource import Catalogue
from capt.embedded.store import Key, Store
from capt.embedded.writes import Writer

_MAX_BODY = 3 * 1024 * 1024  # as in kube-apiserver
_CONTEXT = "capt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How to run the server.

    Attributes:
        data_dir: Where objects, certificates and token are kept between runs; None keeps everything in memory.
        watch_window: Changes per resource that a watch may start from.
        bookmark_interval: Seconds between the bookmarks of a watch that asked for them.
    """

    data_dir: Path | None = None
    watch_window: int = 5000
    bookmark_interval: float = 60.0


class ApiServer:
    """A Kubernetes API server in this process, for this machine. An async context manager: serves from entry to exit.

    The port is the one of the last run, if ``data_dir`` knows it and it is free, else any.
    """

    def __init__(self, options: ServerOptions) -> None:
        if options.data_dir is not None:
            options.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._credentials = load_credentials(options.data_dir)
        self._journal = Journal(options.data_dir / "objects.db") if options.data_dir is not None else None
        self._store = Store(self._journal, window=options.watch_window)
        self._catalogue = Catalogue()
        for resource in builtin_resources():
            self._catalogue.replace(resource.id, [resource])
        writer = Writer(self._store)
        self._collector = Collector(self._store, self._catalogue, writer)
        self._api = Api(
            self._store,
            self._catalogue,
            writer,
            token=self._credentials.token,
            bookmark_interval=options.bookmark_interval,
        )
        namespaces = self._catalogue.by_id("namespaces")
        assert namespaces is not None
        for name in ("default", "kube-system"):
            if self._store.get("namespaces", Key("", name)) is None:
                writer.create(namespaces, "", {"metadata": {"name": name}}, WriteOptions())
        self._stack = contextlib.AsyncExitStack()
        self._port = 0

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            if self._journal is not None:
                stack.callback(self._journal.close)
            server = web.Server(
                self._api, request_factory=_request, handler_cancellation=True, access_log=None
            )
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.SockSite(runner, self._listen(), ssl_context=self._credentials.server_context())
            await site.start()
            collecting = asyncio.create_task(self._collector.run(), name="embedded-collector")
            stack.push_async_callback(_cancel, collecting)
            stack.callback(self._api.end_watches)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"https://{LOOPBACK}:{self._port}"

    @property
    def ca_pem(self) -> str:
        """The certificate of the server's own authority."""
        return self._credentials.ca_pem

    @property
    def token(self) -> str:
        """The bearer token that lets clients in."""
        return self._credentials.token

    @property
    def audit(self) -> list[AuditEvent]:
        """The last 100,000 finished requests, oldest first."""
        return list(self._api.audit)

    @property
    def faults(self) -> Faults:
        """The faults that tests put in force."""
        return self._api.faults

    def kubeconfig(self) -> dict[str, Any]:
        """A kubeconfig whose context, cluster and user are named ``capt``."""
        authority = base64.b64encode(self.ca_pem.encode()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        context = {"cluster": _CONTEXT, "user": _CONTEXT, "namespace": "default"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": _CONTEXT, "cluster": cluster}],
            "users": [{"name": _CONTEXT, "user": {"token": self.token}}],
            "contexts": [{"name": _CONTEXT, "context": context}],
            "current-context": _CONTEXT,
        }

    def write_kubeconfig(self, path: Path) -> None:
        """Write the kubeconfig, readable by its owner only, all of it or nothing."""
        write_private(path, yaml.safe_dump(self.kubeconfig(), sort_keys=False))

    def _listen(self) -> socket.socket:
        last = int(self._journal.setting("port") or 0) if self._journal is not None else 0
        try:
            listening = socket.create_server((LOOPBACK, last), backlog=512)
        except OSError:
            listening = socket.create_server((LOOPBACK, 0), backlog=512)
        self._port = listening.getsockname()[1]
        if self._journal is not None:
            self._journal.set_setting("port", str(self._port))
        return listening


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
