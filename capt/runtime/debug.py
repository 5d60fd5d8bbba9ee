"""What a manager is doing right now, for the person who has to find out why it does not: JSON, on loopback only.

``/debug/informers`` shows every cache, ``/debug/controllers`` every queue with the reconciles that are under way (how
long, why, and where they stand when that is long), ``/debug/tasks`` every task with its stack.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import msgspec
from aiohttp import web

from capt.runtime.informer import Informers
from capt.runtime.reconcile_loop import ReconcileLoop
from capt.runtime.serving import BindAddress, parse_bind_address

STALLED_SECONDS: Final = 10.0
"""From this age on a reconcile is shown with its stack."""


def parse_loopback_address(text: str) -> BindAddress | None:
    """Read the bind address of a debug endpoint.

    Args:
        text: ``127.0.0.1:6060``, ``localhost:0``, ``[::1]:6060``; ``0`` and "" switch it off.

    Raises:
        ValueError: it is no bind address, or others than this machine could connect.
    """
    address = parse_bind_address(text)
    if address is not None and not _is_loopback(address.host):
        raise ValueError(f"{text!r}: the debug endpoint listens on loopback only; give 127.0.0.1:PORT")
    return address


def debug_app(informers: Informers, loops: Callable[[], Mapping[str, ReconcileLoop]]) -> web.Application:
    """Return an application that shows caches, queues, reconciles and tasks.

    Args:
        informers: the caches.
        loops: returns the controllers that run now, by name.
    """
    pages: Mapping[str, Callable[[], Any]] = {
        "/debug/informers": lambda: [asdict(each) for each in informers.statistics()],
        "/debug/controllers": lambda: {name: _controller(loop) for name, loop in loops().items()},
        "/debug/tasks": lambda: {
            task.get_name(): stack(task) for task in sorted(asyncio.all_tasks(), key=_name)
        },
    }
    app = web.Application()
    app.router.add_get("/debug", _page(lambda: list(pages)))
    for path, content in pages.items():
        app.router.add_get(path, _page(content))
    return app


def stack(task: asyncio.Task[Any]) -> list[str]:
    """Return where a task waits, outermost call first, as ``file:line function``.

    ``Task.get_stack`` shows the outermost coroutine only.
    """
    lines = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            break
        code = frame.f_code
        lines.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return lines


def _controller(loop: ReconcileLoop) -> dict[str, Any]:
    reconciles = [
        {
            "object": str(each.key),
            "seconds": round(each.seconds, 3),
            "reasons": sorted(each.reasons),
            "stack": stack(each.task) if each.seconds >= STALLED_SECONDS else [],
        }
        for each in sorted(loop.in_flight(), key=lambda each: -each.seconds)
    ]
    return {"queue": asdict(loop.queue_statistics()), "reconciles": reconciles}


def _page(content: Callable[[], Any]) -> Callable[[web.Request], Any]:
    async def handle(_request: web.Request) -> web.Response:
        body = msgspec.json.format(msgspec.json.encode(content()), indent=2)
        return web.Response(body=body + b"\n", content_type="application/json")

    return handle


def _name(task: asyncio.Task[Any]) -> str:
    return task.get_name()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
