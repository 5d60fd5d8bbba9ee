"""``/metrics``, ``/healthz`` and ``/readyz``, as Prometheus and the kubelet ask for them."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from capt.runtime.metrics import Metrics

Check = Callable[[], str]
"""Says what is wrong, in one line or several; "" when all is well. Must not block."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_SHUTDOWN_SECONDS = 1.0  # for a scrape that is under way


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Where a server listens.

    Attributes:
        host: "" for all interfaces.
        port: 0 for any free one.
    """

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_bind_address(text: str) -> BindAddress | None:
    """Read a bind address as controller-runtime takes it.

    Args:
        text: ``:8080``, ``127.0.0.1:0``, ``[::1]:8080``; ``0`` and "" switch the server off.

    Returns:
        The address; ``None`` for off.

    Raises:
        ValueError: it is none of these.
    """
    if text in {"", "0"}:
        return None
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        message = f"{text!r} is no bind address; give host:port, :port, or 0 for none"
        raise ValueError(message)
    return BindAddress(host.strip("[]"), int(port))


@asynccontextmanager
async def serve(
    app: web.Application, address: BindAddress, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve ``app`` while the context lasts, with ``tls`` over HTTPS; yields the ``host:port`` that it listens on.

    Raises:
        OSError: the address cannot be used; the message names it.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host or None, address.port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            # asyncio's own text repeats the address; numbers below zero are getaddrinfo's
            number = error.errno or 0
            reason = os.strerror(number) if number > 0 else error.strerror or str(error)
            raise OSError(error.errno, f"cannot listen on {address}: {reason}") from error
        host, port = runner.addresses[0][:2]
        yield str(BindAddress(host, port))
    finally:
        await runner.cleanup()


def metrics_app(metrics: Metrics, *guards: Middleware) -> web.Application:
    """Return an application with ``/metrics``, behind ``guards``."""

    async def scrape(_request: web.Request) -> web.Response:
        return web.Response(body=await metrics.text(), headers={"Content-Type": _TEXT})

    app = web.Application(middlewares=guards)
    app.router.add_get("/metrics", scrape)
    return app


def health_app(endpoints: Mapping[str, Mapping[str, Check]]) -> web.Application:
    """Return an application that runs checks, as Kubernetes' own health endpoints do.

    ``/healthz`` answers ``ok``, or 500 and the list of checks; with ``?verbose`` always the list; ``?exclude=name``
    leaves a check out, ``/healthz/name`` runs one alone. Unlike controller-runtime, the list says why a check failed:
    that is what one looks there for, and the port is not public.

    Args:
        endpoints: checks by name, by path (``/healthz``).
    """
    app = web.Application()
    for path, checks in endpoints.items():
        app.router.add_get(path, _all_checks(path, checks))
        app.router.add_get(path + "/{check}", _one_check(checks))
    return app


def _all_checks(path: str, checks: Mapping[str, Check]) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        excluded = set(request.query.getall("exclude", []))
        ok, lines = True, []
        for name, check in checks.items():
            if name in excluded:
                excluded.discard(name)
                lines.append(f"[+]{name} excluded: ok")
            elif problem := check():
                ok = False
                lines.append(f"[-]{name} failed: {problem}")
            else:
                lines.append(f"[+]{name} ok")
        if excluded:
            names = ", ".join(f'"{name}"' for name in sorted(excluded))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        if ok and "verbose" not in request.query:
            return _text("ok")
        lines.append(f"{path.strip('/')} check {'passed' if ok else 'failed'}")
        return _text("\n".join(lines) + "\n", status=200 if ok else 500)

    return handle


def _one_check(checks: Mapping[str, Check]) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        check = checks.get(request.match_info["check"])
        if check is None:
            return _text("404 page not found\n", status=404)
        problem = check()
        return _text(f"internal server error: {problem}\n", status=500) if problem else _text("ok")

    return handle


def _text(text: str, *, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-cache, no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(text=text, status=status, headers=headers)
