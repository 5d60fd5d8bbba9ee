"""An API server that costs nothing: it lists and streams ConfigMaps from bytes, as fast as a client reads them.

`python -m hack.bench.replay COUNT` serves COUNT objects over plain HTTP on a free loopback port, prints its URL, and is told
what to do next on standard input, one line each:

* `burst EVENTS`: sends so many modifications, round robin over the objects, as one piece of memory;
* `probe COUNT GAP RATE`: sends COUNT modifications of one object, GAP seconds apart, each with the time at which it was sent
  (`data.sent`, nanoseconds since the epoch), among RATE events per second of other objects.

After each it prints `done`. What is measured with it is the client alone.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

PROBED = "c0"
"""Name of the object that probes change."""

_FIRST_VERSION = 1_000
_SLICE = 500
_DATA_BYTES = 2_300
_MANAGED_FIELDS = [
    {
        "manager": f"manager-{number}",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {".": {}} | {f"f:key-{number}-{field}": {} for field in range(12)}},
    }
    for number in range(2)
]


def _skeleton(api: bool) -> bytes:
    """An object of 3.5 KB, as a server sends it; items of a list carry no kind of their own."""
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap"} if api else {}
    body["metadata"] = {
        "name": "@NAME@",
        "namespace": "default",
        "uid": "00000000-0000-4000-8000-@UID@",
        "resourceVersion": "@VERSION@",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app.kubernetes.io/name": "bench", "app.kubernetes.io/part-of": "bench", "pool": "a"},
        "annotations": {"example.com/note": "n" * 80},
        "managedFields": _MANAGED_FIELDS,
    }
    body["data"] = {"sent": "@SENT@", "blob": "x" * _DATA_BYTES}
    return json.dumps(body, separators=(",", ":")).encode().replace(b"%", b"%%")


def _format(skeleton: bytes) -> bytes:
    for word, code in ((b"@NAME@", b"c%d"), (b"@UID@", b"%012d"), (b"@VERSION@", b"%d"), (b"@SENT@", b"%d")):
        skeleton = skeleton.replace(word, code)
    return skeleton


_ITEM = _format(_skeleton(api=False))
_EVENT = b'{"type":"%s","object":' + _format(_skeleton(api=True)) + b"}\n"
_BOOKMARK = (
    b'{"type":"BOOKMARK","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"%d",'
    b'"creationTimestamp":null,"annotations":{"k8s.io/initial-events-end":"true"}}}}\n'
)


# kopf begins nothing before it has found this kind, which it then has no use for
_NAMESPACES = {
    "name": "namespaces",
    "singularName": "",
    "namespaced": False,
    "kind": "Namespace",
    "verbs": [],
}


class Replay:
    """The objects, which are numbers, and whoever watches them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._version = _FIRST_VERSION
        self._watches: set[web.StreamResponse] = set()

    def app(self) -> web.Application:
        """The routes that clients of ConfigMaps ask for."""
        names = {"name": "configmaps", "singularName": "", "namespaced": True, "kind": "ConfigMap"}
        answers = {
            "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.3"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {
                "kind": "APIResourceList",
                "groupVersion": "v1",
                "resources": [names | {"verbs": ["get", "list", "watch", "patch"]}, _NAMESPACES],
            },
        }
        app = web.Application()
        for path, answer in answers.items():
            app.router.add_get(path, _constant(answer))
        app.router.add_get("/api/v1/configmaps", self._collection)
        app.router.add_get("/api/v1/namespaces/default/configmaps", self._collection)
        return app

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch", "") in {"1", "true", "True"}:
            return await self._watch(request)
        start = int(request.query.get("continue") or 0)
        end = min(self._count, start + int(request.query.get("limit") or self._count))
        token = b'"continue":"%d",' % end if end < self._count else b""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        head = b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{%s"resourceVersion":"%d"},"items":['
        await response.write(head % (token, self._version))
        for begin in range(start, end, _SLICE):
            items = [_ITEM % (n, n, 1 + n % 900, 0) for n in range(begin, min(end, begin + _SLICE))]
            await response.write((b"," if begin > start else b"") + b",".join(items))
        await response.write(b"]}")
        return response

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if request.query.get("sendInitialEvents") == "true":
            for begin in range(0, self._count, _SLICE):
                numbers = range(begin, min(self._count, begin + _SLICE))
                await response.write(b"".join(_EVENT % (b"ADDED", n, n, 1 + n % 900, 0) for n in numbers))
            await response.write(_BOOKMARK % self._version)
        self._watches.add(response)
        try:
            await asyncio.Event().wait()
        finally:
            self._watches.discard(response)
        return response

    def _events(self, numbers: Iterator[int], count: int, sent: int = 0) -> bytes:
        first = self._version + 1
        self._version += count
        picked = itertools.islice(numbers, count)
        return b"".join(_EVENT % (b"MODIFIED", n, n, first + place, sent) for place, n in enumerate(picked))

    async def _send(self, data: bytes) -> None:
        for watch in tuple(self._watches):
            await watch.write(data)

    async def burst(self, count: int) -> None:
        """Send modifications of all objects in turn, which were made before the first byte leaves."""
        await self._send(self._events(itertools.cycle(range(self._count)), count))

    async def probe(self, count: int, gap: float, rate: float) -> None:
        """Send modifications of one object that tell when they were sent, among others at a steady rate."""
        others = itertools.cycle(range(1, max(2, self._count)))
        tick = 0.005
        begun, due, sent_others = time.perf_counter(), 0.0, 0
        for number in range(count):
            due = (number + 1) * gap
            while (now := time.perf_counter() - begun) < due:
                behind = int(now * rate) - sent_others
                if behind > 0:
                    await self._send(self._events(others, behind))
                    sent_others += behind
                await asyncio.sleep(min(tick, max(0.0, due - now)) if rate else max(0.0, due - now))
            await self._send(self._events(iter((0,)), 1, time.time_ns()))


def _constant(answer: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(answer)

    return handler


async def _serve(count: int) -> None:
    replay = Replay(count)
    runner = web.AppRunner(replay.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    while line := (await commands.readline()).decode().split():
        if line[0] == "burst":
            await replay.burst(int(line[1]))
        else:
            await replay.probe(int(line[1]), float(line[2]), float(line[3]))
        print("done", flush=True)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
