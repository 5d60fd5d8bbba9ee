"""The real control plane itself: who may come in, what is counted, what is left when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from capt.runtime import ClusterConfig, Forbidden, HttpTransport, raise_for_status
from hack.envtest import ControlPlane, control_plane
from hack.envtest.control_plane import StartError
from tests.support import project
from tests.support.api_servers import REAL

pytestmark = [
    pytest.mark.envtest,
    pytest.mark.skipif(not REAL, reason="about the real control plane"),
]

_SECONDS = 120.0  # it never decides but where a test fails


async def ask(kubeconfig: dict[str, Any], method: str, path: str, body: bytes | None = None) -> bytes:
    config = ClusterConfig.from_dict(kubeconfig)
    async with HttpTransport(config, user_agent="asker/1") as transport:
        answer = await transport.request(method, path, body=body)
        raise_for_status(answer)
        return answer.body


async def test_a_user_is_in_all_the_groups_of_the_kubeconfig(plane: ControlPlane) -> None:
    """The API server takes name and every group from the client certificate; without groups a user may do nothing."""
    review = b'{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = (await ask(plane.kubeconfig("jane:doe", "developers", "on-call"), "POST", path, review)).decode()
    assert all(f'"{word}"' in answer for word in ("jane:doe", "developers", "on-call"))
    with pytest.raises(Forbidden):
        await ask(plane.kubeconfig("jane"), "GET", "/api/v1/namespaces")


async def test_a_service_account_has_a_token_and_a_namespace(plane: ControlPlane) -> None:
    """A kubeconfig of a ServiceAccount stands for it, in its own namespace."""
    accounts, account = "/api/v1/namespaces/default/serviceaccounts", b'{"metadata":{"name":"robot"}}'
    await ask(plane.kubeconfig(), "POST", accounts, account)
    kubeconfig = await plane.service_account_kubeconfig("default", "robot")
    assert kubeconfig["contexts"][0]["context"]["namespace"] == "default"
    await ask(kubeconfig, "GET", "/api")
    with pytest.raises(Forbidden, match="system:serviceaccount:default:robot"):
        await ask(kubeconfig, "GET", "/api/v1/secrets")
    await ask(plane.kubeconfig(), "DELETE", f"{accounts}/robot")


async def test_requests_are_counted_by_user_agent(plane: ControlPlane) -> None:
    """The audit log counts what each client asked, whatever the answer."""
    before = plane.requests_by_user_agent()["asker/1"]
    for _ in range(3):
        await ask(plane.kubeconfig(), "GET", "/version")
    assert plane.requests_by_user_agent()["asker/1"] - before == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "kill"])
async def test_an_interrupt_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """`python -m hack.envtest` tells how to reach it; after Ctrl-C or kill no process and no file of it is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hack.envtest"),
        cwd=project.ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    async with asyncio.timeout(_SECONDS):
        assert b"is up after" in await process.stdout.readline()
        assert b"KUBECONFIG=" in await process.stdout.readline()
    assert len(members(process.pid)) == 4, "itself and the three of the control plane"
    if number == signal.SIGINT:
        # as a terminal does: the whole foreground group is interrupted
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    async with asyncio.timeout(_SECONDS):
        assert await process.wait() == 0
    assert members(process.pid) == []
    assert files(tmp_path) == []


async def test_a_failed_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control plane that cannot start says what its API server said last, and leaves neither process nor file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = children()
    with pytest.raises(StartError, match="no-such-flag"):
        async with control_plane(None, "--no-such-flag"):
            pytest.fail("it started")
    assert children() == before
    assert files(tmp_path) == []


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def members(session: int) -> list[int]:
    """Return the processes of a session."""
    return [pid for pid, fields in processes() if int(fields[3]) == session]


def children() -> set[int]:
    """Return the living child processes of this one."""
    return {pid for pid, fields in processes() if int(fields[1]) == os.getpid() and fields[0] != "Z"}


def processes() -> list[tuple[int, list[str]]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue  # it has just ended
            found.append((int(folder.name), stat.rpartition(")")[2].split()))
    return found
