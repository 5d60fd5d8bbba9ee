"""``ApiServer``: the API over HTTPS on the loopback interface, from start to stop."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
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
from capt.embedded.credentials import load_credentials, write_private
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
        host: Loopback address to listen on.
        port: Port to listen on; 0 takes the one of the last run if ``data_dir`` knows it and it is free, else any.
        watch_window: Changes per resource that a watch may start from.
        bookmark_interval: Seconds between the bookmarks of a watch that asked for them.
        audit_limit: Most audit events kept.
    """

    data_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    watch_window: int = 5000
    bookmark_interval: float = 60.0
    audit_limit: int = 100_000


class ApiServer:
    """A Kubernetes API server in this process. An async context manager: serves from entry to exit.

    Raises:
        ValueError: The host is not a loopback address.
        OSError: The wanted port is taken.
    """

    def __init__(self, options: ServerOptions) -> None:
        if not ipaddress.ip_address(options.host).is_loopback:
            raise ValueError(
                f"the embedded API server listens on loopback addresses only, not on {options.host}"
            )
        self._options = options
        if options.data_dir is not None:
            options.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._credentials = load_credentials(options.data_dir, options.host)
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
            audit_limit=options.audit_limit,
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
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return f"https://{host}:{self._port}"

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
        """Every finished request, oldest first."""
        return self._api.audit

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
        wanted = self._options.port or last
        try:
            listening = _bind(self._options.host, wanted)
        except OSError:
            if self._options.port:
                raise
            listening = _bind(self._options.host, 0)
        self._port = listening.getsockname()[1]
        if self._journal is not None:
            self._journal.set_setting("port", str(self._port))
        return listening


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=512)


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
