"""`python -m capt.demo` as a process that is told to stop, or killed."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from capt.runtime import SystemClock

pytestmark = pytest.mark.embedded

_SECONDS = 120.0  # it never decides but where a test fails


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
async def test_an_interrupted_demo_takes_its_manager_along(tmp_path, number):
    """Ctrl-C and a time limit stop the manager in order before the demo ends."""
    async with running_demo(tmp_path) as demo:
        assert list(tmp_path.glob("capt-*"))
        demo.send_signal(number)
        stdout, stderr = await demo.communicate()

    assert demo.returncode == 128 + number
    assert stderr == b""
    for folder in tmp_path.glob("capt-*"):  # kept only for the Terraform state in it, and said so
        assert str(folder) in stdout.decode()
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_a_killed_demo_takes_its_manager_along(tmp_path):
    """Whoever kills the demo so that it can say nothing any more is not left with its manager."""
    spacious = tmp_path / "with a space"
    spacious.mkdir()
    async with running_demo(spacious) as demo:
        (folder,) = spacious.glob("capt-*")
        with (folder / "lock").open() as lock:
            assert is_held(lock)
            demo.kill()
            async with asyncio.timeout(_SECONDS):
                while is_held(lock):
                    await SystemClock().sleep(0.05)


def is_held(lock):
    """Tell whether a manager lives that holds the lock of its folder."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


@contextlib.asynccontextmanager
async def running_demo(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a demo whose manager keeps its data in a folder, and end it at the latest with the block."""
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "capt.demo"),
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert demo.stdout is not None
        async with asyncio.timeout(_SECONDS):
            async for line in demo.stdout:
                if line.startswith(b"it runs;"):
                    break
        yield demo
    finally:
        with contextlib.suppress(ProcessLookupError):
            demo.kill()
        await demo.communicate()  # its manager has its pipes too: they are at their end when that is
