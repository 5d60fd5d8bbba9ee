"""`python -m capt.manager` as a process: what it prints, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml

from capt.controllers.kinds import MACHINE_DEPLOYMENT
from capt.embedded import ApiServer, ServerOptions
from capt.runtime import ClusterConfig, HttpTransport, raise_for_status
from tests.support.cluster import NAMESPACE, Cluster, samples

# an idle manager ends within a second; the rest is room for a busy machine, short of the grace that it gives others
_STOP_SECONDS = 25
_SECONDS = 120  # it never decides but where a test fails


@dataclass(slots=True)
class Running:
    """A manager process and what it said on standard output."""

    process: asyncio.subprocess.Process
    said: dict[str, str]


@contextlib.asynccontextmanager
async def manager(*flags: str, home: Path) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "capt.manager", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    try:
        yield Running(process, {})
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def read_greeting(running: Running) -> None:
    assert running.process.stdout is not None
    async with asyncio.timeout(_SECONDS):
        while "try" not in running.said:
            line = (await running.process.stdout.readline()).decode()
            assert line, (await running.process.communicate())[1].decode()
            word, _, rest = line.partition(":")
            running.said[word] = rest.strip()


async def ends(running: Running) -> tuple[int, str]:
    async with asyncio.timeout(_SECONDS):
        _, stderr = await running.process.communicate()
    assert running.process.returncode is not None
    return running.process.returncode, stderr.decode()


@pytest.mark.embedded
async def test_embedded_keeps_everything_between_runs(tmp_path: Path) -> None:
    """A manager with a data directory greets with its kubeconfig, stops long before its grace is over, and remembers."""
    flags = ("--embedded", "--data-dir", str(tmp_path / "my data"), "--workspace-engine", "simulated")
    for run in ("first", "second"):
        async with manager(*flags, home=tmp_path) as running:
            await read_greeting(running)
            assert running.said["engine"] == "simulated"
            kubeconfig = Path(running.said["kubeconfig"])
            assert shlex.split(running.said["try"])[1:3] == ["--kubeconfig", str(kubeconfig)]
            assert kubeconfig.stat().st_mode & 0o777 == 0o600  # noqa: ASYNC240 - one stat
            async with HttpTransport(
                ClusterConfig.from_kubeconfig(kubeconfig), user_agent="test"
            ) as transport:
                answer = await transport.request("GET", "/api/v1/namespaces/default")
                raise_for_status(answer)
                if run == "first":
                    uid = yaml.safe_load(answer.body)["metadata"]["uid"]
                else:
                    assert yaml.safe_load(answer.body)["metadata"]["uid"] == uid
            running.process.terminate()
            async with asyncio.timeout(_STOP_SECONDS):
                code, _ = await ends(running)
            assert code == 0


@pytest.mark.embedded
async def test_two_managers_do_not_share_a_data_directory(tmp_path: Path) -> None:
    """The second manager on a data directory ends with one line that says so."""
    flags = ("--embedded", "--data-dir", str(tmp_path / "data"), "--workspace-engine", "simulated")
    async with manager(*flags, home=tmp_path) as first:
        await read_greeting(first)
        async with manager(*flags, home=tmp_path) as second:
            code, stderr = await ends(second)
    assert code == 1
    assert len(stderr.splitlines()) == 1
    assert "another manager is using it" in stderr


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--no-such-flag",), 2, "--no-such-flag"),
        (("--workspace-engine", "magic"), 2, "magic"),
        (("--metrics-bind-address", "nowhere"), 2, "nowhere"),
        (("--ephemeral",), 2, "--embedded"),
        (("--watch-filter", "no label!"), 2, "no label!"),
        (("--embedded", "--kubeconfig", "x"), 2, "--kubeconfig"),
        (("--kubeconfig", "no-such-file"), 1, "no-such-file"),
    ],
)
async def test_a_bad_start_is_one_clear_line(
    flags: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    """A bad flag or a missing kubeconfig ends the process with one line that names it."""
    async with manager(*flags, home=tmp_path) as running:
        ended, stderr = await ends(running)
    assert ended == code
    assert len(stderr.splitlines()) == 1
    assert words in stderr


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("file", "words"),
    [("apiserver/objects.db", "file is not a database"), ("simulated", "File exists")],
)
async def test_a_damaged_data_directory_is_one_clear_line(tmp_path: Path, file: str, words: str) -> None:
    """Objects that cannot be read, or a file where the engine needs a folder: one line names the directory."""
    data = tmp_path / "data"
    (data / file).parent.mkdir(parents=True)
    (data / file).write_bytes(b"no database " * 400)
    flags = ("--embedded", "--data-dir", str(data), "--workspace-engine", "simulated")
    async with manager(*flags, home=tmp_path) as running:
        code, stderr = await ends(running)
    assert code == 1
    assert stderr.splitlines()[-1].startswith(f"capt: --data-dir {data}: ")
    assert words in stderr
    assert "Traceback" not in stderr


@pytest.mark.embedded
async def test_an_engine_without_its_command_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--workspace-engine terraform` where neither terraform nor tofu is installed says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    async with manager(
        "--embedded", "--ephemeral", "--workspace-engine", "terraform", home=tmp_path
    ) as running:
        code, stderr = await ends(running)
    assert code == 1
    assert "neither terraform nor tofu is on PATH" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr


@pytest.mark.embedded
async def test_an_unreachable_server_is_one_clear_line(tmp_path: Path) -> None:
    """Nobody at the address, or a token that the server does not know: one line and exit code 1."""
    async with ApiServer(ServerOptions(data_dir=None)) as server:
        kubeconfig = server.kubeconfig()
        kubeconfig["users"][0]["user"] = {"token": "wrong"}
        (tmp_path / "stranger").write_text(yaml.safe_dump(kubeconfig))
        server.write_kubeconfig(tmp_path / "friend")
        async with manager("--kubeconfig", str(tmp_path / "stranger"), home=tmp_path) as running:
            code, stderr = await ends(running)
        assert (code, len(stderr.splitlines())) == (1, 1)
        assert "401" in stderr
        url = server.url
    async with manager("--kubeconfig", str(tmp_path / "friend"), home=tmp_path) as running:
        code, stderr = await ends(running)
    assert (code, len(stderr.splitlines())) == (1, 1)
    assert url.removeprefix("https://") in stderr


@pytest.mark.embedded
async def test_a_missing_definition_is_named_and_waited_for(tmp_path: Path) -> None:
    """Without our definitions the manager is alive, not ready, and says which kinds are missing."""
    async with ApiServer(ServerOptions(data_dir=None)) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        flags = ("--kubeconfig", str(tmp_path / "kubeconfig"), "--metrics-bind-address", "0")
        async with (
            manager(*flags, "--health-probe-bind-address", "127.0.0.1:0", home=tmp_path) as running,
            aiohttp.ClientSession() as http,
        ):
            assert running.process.stderr is not None
            probes, named = "", False
            async with asyncio.timeout(_SECONDS):
                while not (probes and named):
                    line = (await running.process.stderr.readline()).decode()
                    assert line, "the process has ended"
                    named = named or "captmachines" in line
                    if '"what":"probes"' in line and (found := re.search(r"127\.0\.0\.1:\d+", line)):
                        probes = found[0]
            async with http.get(f"http://{probes}/healthz") as answer:
                assert answer.status == 200
            async with http.get(f"http://{probes}/readyz?verbose") as answer:
                assert answer.status == 500
                assert "captmachines.infrastructure.cluster.x-k8s.io" in await answer.text()


async def test_any_api_server_will_do(cluster: Cluster, tmp_path: Path) -> None:
    """Given a kubeconfig, the process brings the samples to Ready on somebody else's API server."""
    kubeconfig = tmp_path / "kubeconfig"
    cluster.write_manager_kubeconfig(kubeconfig)
    flags = (
        "--kubeconfig",
        str(kubeconfig),
        "--metrics-bind-address",
        "0",
        "--health-probe-bind-address",
        "0",
    )
    async with manager(*flags, "--workspace-engine", "simulated", "--leader-elect", home=tmp_path) as running:
        await cluster.apply(*samples())
        await cluster.observer.settled("worker-deployment", replicas=3)
        running.process.terminate()
        code, _ = await ends(running)
    assert code == 0
    assert (await cluster.client.get(MACHINE_DEPLOYMENT, NAMESPACE, "worker-deployment")) is not None
