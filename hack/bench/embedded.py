"""How fast the embedded API server is: writes, watch fan-out, and what a long list costs others.

Run it as `python -m hack.bench.embedded`. The server is a process of its own with its objects on disk; rates are also given
per second of the server's own CPU time, which is what one core for the server alone would do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from capt.embedded import ApiServer, ServerOptions
from tests.support.api_client import Client

_MAPS = "/api/v1/namespaces/default/configmaps"
_JSON = {"Content-Type": "application/json"}
_MERGE = {"Content-Type": "application/merge-patch+json"}
_WRITERS = 16
_WRITES = 3_000
_WATCHERS = 200
_EVENTS = 1_000
_LISTED = 10_000


def _map(name: str) -> bytes:
    return json.dumps({"metadata": {"name": name}, "data": {"k": "v"}}).encode()


async def _serve(folder: Path) -> None:
    """Be the server; stands for itself in a process of its own."""
    async with ApiServer(ServerOptions(data_dir=folder)) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


def _cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[tuple[Client, int]]:
    with tempfile.TemporaryDirectory() as name:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __spec__.name, name, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        ca, token = ((Path(name) / file).read_text() for file in ("ca.crt", "token"))
        try:
            async with Client(url, ca, token) as client:
                yield client, process.pid
        finally:
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


def _report(what: str, count: int, seconds: float, cpu: float) -> None:
    print(f"{what:<28} {count / seconds:>10,.0f}/s   {count / cpu:>10,.0f} per CPU second")


async def _measure(client: Client, pid: int) -> None:
    async def timed(what: str, count: int, work: Any) -> None:
        start, before = time.perf_counter(), _cpu_seconds(pid)
        await work
        _report(what, count, time.perf_counter() - start, _cpu_seconds(pid) - before)

    names = [f"m{number}" for number in range(_WRITES)]
    creates = [(_MAPS, _map(name)) for name in names]
    await timed("creates", _WRITES, _send_all(client, "POST", creates, _JSON))
    patches = [(f"{_MAPS}/{name}", b'{"data":{"k":"w"}}') for name in names]
    await timed("patches", _WRITES, _send_all(client, "PATCH", patches, _MERGE))

    version = (await client.get(_MAPS, limit="1")).rv
    watches = [
        await client.session.get(_MAPS, params={"watch": "1", "resourceVersion": version})
        for _ in range(_WATCHERS)
    ]

    async def fan_out() -> None:
        changes = [(f"{_MAPS}/m{n}", b'{"data":{"k":"x"}}') for n in range(_EVENTS)]
        async with asyncio.TaskGroup() as group:
            for watch in watches:
                group.create_task(_drain(watch, _EVENTS))
            group.create_task(_send_all(client, "PATCH", changes, _MERGE))

    await timed(f"events to {_WATCHERS} watchers", _WATCHERS * _EVENTS, fan_out())
    for watch in watches:
        watch.close()

    more = [(_MAPS, _map(f"n{number}")) for number in range(_LISTED - _WRITES)]
    await _send_all(client, "POST", more, _JSON)
    await _gets_beside_lists(client)


async def _gets_beside_lists(client: Client) -> None:
    done = asyncio.Event()
    delays: list[float] = []

    async def ask() -> None:
        while not done.is_set():
            start = time.perf_counter()
            await client.get(f"{_MAPS}/m0")
            delays.append(1000 * (time.perf_counter() - start))
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask())
        for _ in range(10):
            async with client.session.get(_MAPS) as answer:
                async for _chunk in answer.content.iter_any():
                    pass
        done.set()
        await asking
    p99 = statistics.quantiles(delays, n=100)[98]
    print(f"a get beside lists of {_LISTED:,}: median {statistics.median(delays):.1f} ms, p99 {p99:.1f} ms")


async def main() -> None:
    """Measure and print."""
    async with _server() as (client, pid):
        await _measure(client, pid)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])) if len(sys.argv) > 1 else main())
