"""How the runtime compares with its peers: the same work, the same server, one core for each side, in one run.

Run it as `python -m hack.bench.runtime [PART ...]`; the parts are the names of :data:`PARTS`, all by default. Where Go is
missing, controller-runtime is left out; without a real control plane, what needs one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from capt.runtime import ClusterConfig, HttpTransport, raise_for_status
from hack.bench.table import Row, render
from hack.envtest import control_plane
from hack.envtest.binaries import find

_HERE = Path(__file__).parent
_PEERS = "hack.bench.peers"
_IDLE_SECONDS = 5.0
_GO = "controller-runtime"
_OURS = "capt"
_CORES = sorted(os.sched_getaffinity(0))
_SERVER_CORE, _PEER_CORE = _CORES[0], _CORES[-1]
_MANIFESTS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class PeerError(Exception):
    """A peer ended, or did not answer in time."""


@dataclass(slots=True)
class Peers:
    """The commands of the peers that this machine can run, by name; ours is the first.

    Attributes:
        commands: program and first arguments.
    """

    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def here(cls) -> Peers:
        """Find them, and build the one in Go."""

        def python(module: str) -> tuple[str, ...]:
            return (sys.executable, "-m", f"{_PEERS}.{module}")

        commands = {_OURS: python("capt")}
        if go := shutil.which("go"):
            commands[_GO] = (str(_build(go)),)
        commands |= {
            "kubernetes": python("official"),
            "kubernetes-asyncio": python("asyncio_watch"),
            "kopf": python("kopf_operator"),
        }
        return cls(commands)

    def only(self, *names: str) -> dict[str, tuple[str, ...]]:
        """Return those of the names that are here."""
        return {name: self.commands[name] for name in names if name in self.commands}


def _build(go: str) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = base / "capt-bench" / "controller-runtime"
    program.parent.mkdir(parents=True, exist_ok=True)
    flags = ("-mod=readonly", "-buildvcs=false", "-ldflags=-s -w")
    environment = {**os.environ, "CGO_ENABLED": "0"}
    subprocess.run(
        [go, "build", *flags, "-o", str(program), "."],
        cwd=_HERE / "peers" / "controller_runtime",
        env=environment,
        check=True,
    )
    return program


class Program:
    """A child that prints JSON or words, on the core that it was given."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self, seconds: float = 120.0) -> str:
        """Return the next line that it prints.

        Raises:
            PeerError: it ended instead, or took too long.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                line = (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            raise PeerError(f"nothing heard in {seconds:g} s") from None
        if not line:
            raise PeerError(f"ended with {await self._process.wait()}")
        return line

    async def until(self, at: str) -> dict[str, Any]:
        """Return the report with this name."""
        while (report := json.loads(await self.line()))["at"] != at:
            pass
        return dict(report)

    async def tell(self, command: str) -> None:
        """Give it a command, and wait for its `done`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        while await self.line() != "done":
            pass

    def rss(self) -> float:
        """Return its resident memory in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return float(status.split("VmRSS:")[1].split()[0]) * 1024

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        user, system = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def _program(core: int, *command: str, **environment: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def _replayed(objects: int) -> AsyncIterator[tuple[Program, str]]:
    """Serve objects from memory; yields the server and a kubeconfig for it."""
    async with _program(_SERVER_CORE, sys.executable, "-m", "hack.bench.replay", str(objects)) as server:
        url = await server.line()
        with tempfile.TemporaryDirectory() as folder:
            yield server, _kubeconfig(Path(folder), {"server": url}, {})


def _kubeconfig(folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> str:
    file = folder / "kubeconfig"
    context = {"cluster": "bench", "user": "bench"}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": dict(cluster)}],
        "users": [{"name": "bench", "user": dict(user)}],
        "contexts": [{"name": "bench", "context": context}],
        "current-context": "bench",
    }
    file.write_text(yaml.safe_dump(body))
    return str(file)


async def ingest(peers: Peers) -> AsyncIterator[Row]:
    """Watch events that a handler heard of, per second."""
    objects = 1_000
    counts = {_OURS: 100_000, _GO: 10_000, "kubernetes": 5_000, "kubernetes-asyncio": 5_000, "kopf": 4_000}
    values = {}
    for name, command in peers.only(*counts).items():
        count = str(counts[name])
        async with _replayed(objects) as (server, kubeconfig):
            arguments = (*command, "ingest", count, str(objects))
            async with _program(_PEER_CORE, *arguments, KUBECONFIG=kubeconfig) as peer:
                await peer.until("synced")
                # a client that has no cache opens its watch after it says so
                await asyncio.sleep(1.0)
                await server.tell(f"burst {count}")
                values[name] = int(count) / (await peer.until("done"))["seconds"]
    yield Row("watch events ingested", "/s", values)


async def memory(peers: Peers) -> AsyncIterator[Row]:
    """Resident memory that one cached object costs, after garbage was given back."""

    async def resident(command: tuple[str, ...], objects: int) -> tuple[float, float]:
        async with _replayed(objects) as (_, kubeconfig):
            arguments = (*command, "cache", "0", str(objects))
            async with _program(_PEER_CORE, *arguments, KUBECONFIG=kubeconfig) as peer:
                report = await peer.until("synced")
                return peer.rss(), report.get("stall", 0.0)

    chosen = peers.only(_OURS, _GO, "kubernetes")
    empty = {name: (await resident(command, 1))[0] for name, command in chosen.items()}
    for objects in (10_000, 50_000):
        values = {}
        for name, command in chosen.items():
            values[name] = ((await resident(command, objects))[0] - empty[name]) / objects / 1024
        yield Row(f"memory per cached object, {objects:,}", "KiB", values, less_is_better=True)
    stall = (await resident(chosen[_OURS], 20_000))[1]
    yield Row("longest stall of the loop, 20,000 in the first list", "ms", {_OURS: stall * 1000}, True)


async def idle(peers: Peers) -> AsyncIterator[Row]:
    """What a process with 5,000 objects needs while nothing happens."""
    objects = 5_000
    resident, busy = {}, {}
    for name, command in peers.only(_OURS, _GO, "kubernetes", "kopf").items():
        async with _replayed(objects) as (_, kubeconfig):
            arguments = (*command, "cache", "0", str(objects))
            async with _program(_PEER_CORE, *arguments, KUBECONFIG=kubeconfig) as peer:
                await peer.until("synced")
                await asyncio.sleep(1.0)
                before = peer.cpu()
                await asyncio.sleep(_IDLE_SECONDS)
                busy[name] = (peer.cpu() - before) / _IDLE_SECONDS * 100
                resident[name] = peer.rss() / 2**20
    yield Row("resident memory, 5,000 objects", "MiB", resident, less_is_better=True)
    yield Row("CPU while idle, 5,000 objects", "%", busy, less_is_better=True)


async def reconciles(peers: Peers) -> AsyncIterator[Row]:
    """Reconciles per second that are content with what there is, without a look at it and with one."""
    objects = 20_000
    for mode, what in (
        ("noop", "reconciles that do nothing"),
        ("read", "reconciles that read and do nothing"),
    ):
        values = {}
        for name, command in peers.only(_OURS, _GO).items():
            async with _replayed(objects) as (_, kubeconfig):
                arguments = (*command, mode, str(objects))
                async with _program(_PEER_CORE, *arguments, KUBECONFIG=kubeconfig) as peer:
                    values[name] = objects / (await peer.until("done"))["seconds"]
        yield Row(what, "/s", values)


async def latency(peers: Peers) -> AsyncIterator[Row]:
    """From the moment an event is sent to the start of the reconcile."""
    # a change that comes while another waits is merged with it, so not quite all are counted
    sent, counted, gap = 300, 270, 0.02
    for rate in (0, 1_000):
        middle, tail = {}, {}
        for name, command in peers.only(_OURS, _GO).items():
            async with _replayed(1_000) as (server, kubeconfig):
                arguments = (*command, "latency", str(counted))
                async with _program(_PEER_CORE, *arguments, KUBECONFIG=kubeconfig) as peer:
                    await peer.until("synced")
                    await asyncio.sleep(1.0)
                    await server.tell(f"probe {sent} {gap} {rate}")
                    report = await peer.until("done")
                    middle[name], tail[name] = report["p50"] * 1000, report["p99"] * 1000
        load = f"{rate:,} events/s" if rate else "idle"
        yield Row(f"event to reconcile, p50, {load}", "ms", middle, less_is_better=True)
        yield Row(f"event to reconcile, p99, {load}", "ms", tail, less_is_better=True)


async def queue(peers: Peers) -> AsyncIterator[Row]:
    """Keys that pass through the queue per second: added, taken, finished."""
    count, values = 200_000, {}
    for name, command in peers.only(_OURS, _GO).items():
        async with _program(_PEER_CORE, *command, "queue", str(count)) as peer:
            values[name] = count / (await peer.until("done"))["seconds"]
    yield Row("keys through the queue", "/s", values)


async def mirror(peers: Peers) -> AsyncIterator[Row]:
    """Reconciles per second that create one object and patch one status, on a real API server."""
    count, values = 1_500, {}
    if find() is None:
        return
    for name, command in peers.only(_OURS, _GO, "kopf").items():
        async with control_plane() as plane:
            kubeconfig = plane.folder / "bench.yaml"
            kubeconfig.write_text(yaml.safe_dump(plane.kubeconfig()))
            config = ClusterConfig.from_kubeconfig(kubeconfig)
            async with HttpTransport(config, user_agent="bench") as transport:
                await _make_sources(transport, count)
            arguments = (*command, "mirror", str(count))
            async with _program(_PEER_CORE, *arguments, KUBECONFIG=str(kubeconfig)) as peer:
                values[name] = count / (await peer.until("done"))["seconds"]
    yield Row("reconciles with a create and a status patch", "/s", values)


async def _make_sources(transport: HttpTransport, count: int) -> None:
    async def post(path: str, body: Mapping[str, Any]) -> None:
        raise_for_status(await transport.request("POST", path, body=json.dumps(body).encode()))

    group = "bench.capt.dev"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for kind, plural in (("Source", "sources"), ("Mirror", "mirrors")):
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}
            },
        }
        names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
        definition = {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}
        await post(
            _MANIFESTS,
            {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"} | definition,
        )
    collection = f"/apis/{group}/v1/namespaces/default/sources"
    for _ in range(100):
        if (await transport.request("GET", collection)).status == 200:
            break
        await asyncio.sleep(0.1)
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            metadata = {"name": f"s{number}", "namespace": "default"}
            spec = {"blob": "x" * 1_000, "number": number}
            await post(
                collection,
                {"apiVersion": f"{group}/v1", "kind": "Source", "metadata": metadata, "spec": spec},
            )

    async with asyncio.TaskGroup() as group_of_workers:
        for _ in range(8):
            group_of_workers.create_task(work())


PARTS: Mapping[str, Callable[[Peers], AsyncIterator[Row]]] = {
    part.__name__: part for part in (ingest, memory, idle, reconciles, latency, queue, mirror)
}
"""What can be measured, in order."""


async def measure(names: Sequence[str], show: Callable[[Row], Awaitable[None] | None]) -> None:
    """Measure the named parts, showing each row as it comes."""
    # this process, and the servers that it starts, on one core; each peer on another
    os.sched_setaffinity(0, {_SERVER_CORE})
    peers = Peers.here()
    for name in names:
        async for row in PARTS[name](peers):
            show(row)


def main() -> None:
    """Print a table, line by line."""
    parser = argparse.ArgumentParser(prog="python -m hack.bench.runtime", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    asyncio.run(measure(parser.parse_args().part, lambda row: print(render(row), flush=True)))


if __name__ == "__main__":
    main()
