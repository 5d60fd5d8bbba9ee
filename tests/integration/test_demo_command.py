"""`python -m capt.demo` as a process that is told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys

import pytest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
async def test_an_interrupted_demo_takes_its_manager_along(tmp_path, number):
    """Ctrl-C and a time limit stop the manager in order before the demo ends."""
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "capt.demo"),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert demo.stdout is not None
        async with asyncio.timeout(60):
            async for line in demo.stdout:
                if line.startswith(b"it runs;"):
                    break
            assert list(tmp_path.glob("capt-*"))
            demo.send_signal(number)
            stdout, stderr = await demo.communicate()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()

    assert demo.returncode == 128 + number
    assert stderr == b""
    for folder in tmp_path.glob("capt-*"):  # kept only for the Terraform state in it, and said so
        assert str(folder) in stdout.decode()
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
