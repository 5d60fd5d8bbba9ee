"""How fast the embedded API server is: writes, watch fan-out, and what a long list costs others.

Run it as `python -m hack.bench.embedded`. The server is a process of its own on one core, with its objects on disk; its
clients are on another. On a machine that is busy with other things, the rate per second of the server's own CPU time tells
what that core would do for the server alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from capt.embedded import ApiServer, ServerOptions
from hack.bench.table import Row, render
from tests.support.api_client import Client

_MAPS = "/api/v1/namespaces/default/configmaps"
_JSON, _MERGE = "application/json", "application/merge-patch+json"
_WRITERS = 16
_WRITES = 3_000
_WATCHERS = 200
_EVENTS = 1_000
_LISTED = 10_000
_LISTS = 10


_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


def _map(name: str) -> bytes:
    return json.dumps({"metadata": {"name": name}, "data": {"k": "v"}}).encode()


async def _serve(folder: Path) -> None:
    """Be the server; for each line on standard input, tell the longest stall of the event loop since the last one."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()  # a stall of our making, not of a busy machine's
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)
            await asyncio.sleep(0.001)

    async with ApiServer(ServerOptions(data_dir=folder)) as server, asyncio.TaskGroup() as group:
        print(server.url, flush=True)
        ticking = group.create_task(tick())
        while await reader.readline():
            print(longest, flush=True)
            longest = 0.0
        ticking.cancel()


def _cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


@dataclass(frozen=True, slots=True)
class _Wire:
    """A client that costs less than the server: it sends bytes made beforehand and hardly looks at what comes back."""

    url: str
    ca: str
    token: str

    def request(self, method: str, path: str, body: bytes = b"", content_type: str = _JSON) -> bytes:
        """Return a whole request, as it goes over the wire."""
        head = (
            f"{method} {path} HTTP/1.1",
            f"Host: {urlsplit(self.url).netloc}",
            f"Authorization: Bearer {self.token}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
        )
        return "\r\n".join((*head, "", "")).encode() + body

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection of its own."""
        at = urlsplit(self.url)
        context = ssl.create_default_context(cadata=self.ca)
        return await asyncio.open_connection(at.hostname, at.port, ssl=context, limit=1 << 20)

    async def send_all(self, requests: list[bytes]) -> None:
        """Send them over some connections, on each of them the next one when the last one is answered."""
        queue = iter(requests)
        connections = [await self.connect() for _ in range(_WRITERS)]
        async with asyncio.TaskGroup() as group:
            for reader, writer in connections:
                group.create_task(_send(reader, writer, queue))
        for _, writer in connections:
            writer.close()


@dataclass(frozen=True, slots=True)
class _Served:
    """The server's process and clients of it."""

    wire: _Wire
    client: Client
    process: asyncio.subprocess.Process

    async def longest_stall(self) -> float:
        """Return the event loop's longest stall since the last call, in seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        return float(await self.process.stdout.readline())

    async def timed(self, what: str, count: int, work: Coroutine[Any, Any, None], wanted: float) -> Row:
        """Return the rate at which ``work`` gets ``count`` things done."""
        start, before = time.perf_counter(), _cpu_seconds(self.process.pid)
        await work
        per_second = count / (time.perf_counter() - start)
        per_cpu_second = count / (_cpu_seconds(self.process.pid) - before)
        return Row(what, "/s", {"capt": per_second, "per CPU second": per_cpu_second, "wanted": wanted})


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[_Served]:
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hack.bench.embedded", name, stdin=pipe, stdout=pipe
        )
        os.sched_setaffinity(process.pid, {cores[0]})
        os.sched_setaffinity(0, {cores[-1]})
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        ca, token = ((Path(name) / file).read_text() for file in ("ca.crt", "token"))
        try:
            async with Client(url, ca, token) as client:
                yield _Served(_Wire(url, ca, token), client, process)
        finally:
            os.sched_setaffinity(0, cores)
            process.terminate()
            await process.wait()


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, queue: Iterator[bytes]) -> None:
    for request in queue:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 20"), head
        length = _LENGTH.search(head)
        assert length is not None, head
        await reader.readexactly(int(length[1]))


async def _hear(reader: asyncio.StreamReader, wanted: int) -> None:
    """Read until so many events have come; each of them is an object and a line."""
    seen, last = 0, b""
    while seen < wanted:
        chunk = await reader.read(1 << 18)
        seen += (last + chunk).count(b"}\n")
        last = chunk[-1:]


async def _fan_out(wire: _Wire, watchers: list[asyncio.StreamReader]) -> None:
    """Change what all of them watch, until every watcher has heard of every change."""
    changes = [
        wire.request("PATCH", f"{_MAPS}/m{number}", b'{"data":{"k":"x"}}', _MERGE)
        for number in range(_EVENTS)
    ]
    async with asyncio.TaskGroup() as group:
        for watcher in watchers:
            group.create_task(_hear(watcher, _EVENTS))
        group.create_task(wire.send_all(changes))


async def _beside_lists(served: _Served) -> AsyncIterator[Row]:
    """What gets of one object take while others list them all, and the longest that the server did nothing else."""
    done = asyncio.Event()
    delays: list[float] = []

    async def ask() -> None:
        while not done.is_set():
            start = time.perf_counter()
            await served.client.get(f"{_MAPS}/m0")
            delays.append(1000 * (time.perf_counter() - start))
            await asyncio.sleep(0.002)

    await served.longest_stall()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask())
        for _ in range(_LISTS):
            async with served.client.session.get(_MAPS) as answer:
                async for _chunk in answer.content.iter_any():
                    pass
        done.set()
        await asking
    median, p99 = statistics.median(delays), statistics.quantiles(delays, n=100)[98]
    stall = 1000 * await served.longest_stall()
    yield Row(f"a get beside lists of {_LISTED:,}", "ms", {"capt": median, "p99": p99}, less_is_better=True)
    yield Row(
        f"longest stall of the loop beside lists of {_LISTED:,}", "ms", {"capt": stall}, less_is_better=True
    )


async def measure() -> AsyncIterator[Row]:
    """Measure, and yield each row as it comes."""
    async with _server() as served:
        wire, client = served.wire, served.client
        creates = [wire.request("POST", _MAPS, _map(f"m{number}")) for number in range(_LISTED)]
        patches = [
            wire.request("PATCH", f"{_MAPS}/m{number}", b'{"data":{"k":"w"}}', _MERGE)
            for number in range(_WRITES)
        ]
        yield await served.timed("creates over HTTPS", _WRITES, wire.send_all(creates[:_WRITES]), 1_500)
        yield await served.timed("patches over HTTPS", _WRITES, wire.send_all(patches), 1_500)
        version = (await client.get(_MAPS, limit="1")).rv
        watches = [await wire.connect() for _ in range(_WATCHERS)]
        for _, writer in watches:
            writer.write(wire.request("GET", f"{_MAPS}?watch=1&resourceVersion={version}"))
        events, heard = _WATCHERS * _EVENTS, _fan_out(wire, [reader for reader, _ in watches])
        yield await served.timed(f"watch events to {_WATCHERS} watchers", events, heard, 100_000)
        for _, writer in watches:
            writer.close()
        await wire.send_all(creates[_WRITES:])
        async for row in _beside_lists(served):
            yield row


async def main() -> None:
    """Measure and print."""
    async for row in measure():
        print(render(row), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])) if len(sys.argv) > 1 else main())
