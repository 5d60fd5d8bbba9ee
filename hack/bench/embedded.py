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
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from capt.embedded import ApiServer, ServerOptions
from hack.bench.table import Row, render
from tests.support.api_client import Client

_MAPS = "/api/v1/namespaces/default/configmaps"
_JSON = {"Content-Type": "application/json"}
_MERGE = {"Content-Type": "application/merge-patch+json"}
_WRITERS = 16
_WRITES = 3_000
_WATCHERS = 200
_EVENTS = 1_000
_LISTED = 10_000
_LISTS = 10


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
class _Served:
    """The server's process and a client of it."""

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
                yield _Served(client, process)
        finally:
            os.sched_setaffinity(0, cores)
            process.terminate()
            await process.wait()


async def _send_all(client: Client, method: str, requests: list[tuple[str, bytes]], headers: Any) -> None:
    queue = iter(requests)

    async def work() -> None:
        for path, body in queue:
            async with client.session.request(method, path, data=body, headers=headers) as answer:
                await answer.read()
                assert answer.status < 300, answer.status

    async with asyncio.TaskGroup() as group:
        for _ in range(_WRITERS):
            group.create_task(work())


async def _drain(response: aiohttp.ClientResponse, wanted: int) -> None:
    seen = 0
    async for chunk in response.content.iter_any():
        seen += chunk.count(b"\n")
        if seen >= wanted:
            return


async def _open_watches(client: Client) -> list[aiohttp.ClientResponse]:
    version = (await client.get(_MAPS, limit="1")).rv
    query = {"watch": "1", "resourceVersion": version}
    return [await client.session.get(_MAPS, params=query) for _ in range(_WATCHERS)]


async def _fan_out(client: Client, watches: list[aiohttp.ClientResponse]) -> None:
    """Change what all of them watch, until every watcher has heard of every change."""
    changes = [(f"{_MAPS}/m{number}", b'{"data":{"k":"x"}}') for number in range(_EVENTS)]
    async with asyncio.TaskGroup() as group:
        for watch in watches:
            group.create_task(_drain(watch, _EVENTS))
        group.create_task(_send_all(client, "PATCH", changes, _MERGE))


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
    names = [f"m{number}" for number in range(_WRITES)]
    creates = [(_MAPS, _map(name)) for name in names]
    patches = [(f"{_MAPS}/{name}", b'{"data":{"k":"w"}}') for name in names]
    more = [(_MAPS, _map(f"n{number}")) for number in range(_LISTED - _WRITES)]
    async with _server() as served:
        client = served.client
        yield await served.timed(
            "creates over HTTPS", _WRITES, _send_all(client, "POST", creates, _JSON), 1_500
        )
        yield await served.timed(
            "patches over HTTPS", _WRITES, _send_all(client, "PATCH", patches, _MERGE), 1_500
        )
        watches = await _open_watches(client)
        events, heard = _WATCHERS * _EVENTS, _fan_out(client, watches)
        yield await served.timed(f"watch events to {_WATCHERS} watchers", events, heard, 100_000)
        for watch in watches:
            watch.close()
        await _send_all(client, "POST", more, _JSON)
        async for row in _beside_lists(served):
            yield row


async def main() -> None:
    """Measure and print."""
    async for row in measure():
        print(render(row), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])) if len(sys.argv) > 1 else main())
