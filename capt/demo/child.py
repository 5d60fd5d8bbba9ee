"""The manager as a child process: started, found, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from capt.demo.patience import patience
from capt.embedded_home import STATE_IS_KEPT
from capt.runtime.uninterrupted import uninterrupted

_START_SECONDS = 60
_STOP_SECONDS = 60
_LOG_LINES = 25


class ChildError(Exception):
    """The manager ended by itself, or would not start or stop; the message carries the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running `python -m capt.manager --embedded`.

    Attributes:
        kubeconfig: How to reach its API server.
        engine: Which engine reconciles Workspaces, `terraform` or `simulated`.
    """

    kubeconfig: Path
    engine: str


@contextlib.asynccontextmanager
async def manager(*, on_end: Callable[[str], object]) -> AsyncIterator[Child]:
    """Start a manager with an embedded API server on a temporary directory; stop it at exit.

    Args:
        on_end: Receives what the manager says for people while it stops: where Terraform state is kept that still
            holds resources.

    Raises:
        ChildError: It did not start within 60 s, did not stop within 60 s of SIGTERM, or ended with an error.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = await uninterrupted(
            asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "capt.demo.leashed_manager", "--embedded", "--ephemeral", "--log-format", "console"),
                # held open, never written to: it ends when this process does, and takes the manager along
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C reaches the whole foreground group: the demo stops its child itself, in order
                start_new_session=True,
            )
        )
        try:
            yield await _greeting(process, log.fileno())
        finally:
            await _stop(process, log.fileno())
            for line in await _rest(process):
                on_end(line)


async def _greeting(process: asyncio.subprocess.Process, log: int) -> Child:
    assert process.stdout is not None
    engine = ""
    try:
        async with patience(_START_SECONDS):
            async for line in process.stdout:
                word, _, rest = line.decode().partition(":")
                if word == "kubeconfig":
                    return Child(Path(rest.strip()), engine)
                if word == "engine":
                    engine = rest.strip()
    except TimeoutError:
        raise ChildError(f"the manager did not start within {_START_SECONDS} s\n{_tail(log)}") from None
    raise ChildError(f"the manager ended with exit code {await process.wait()}\n{_tail(log)}")


async def _stop(process: asyncio.subprocess.Process, log: int) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with patience(_STOP_SECONDS):
            code = await process.wait()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise ChildError(f"the manager did not stop within {_STOP_SECONDS} s\n{_tail(log)}") from None
    if code not in (0, -signal.SIGTERM):  # told to stop before it could listen, it simply ends
        raise ChildError(f"the manager ended with exit code {code}\n{_tail(log)}")


async def _rest(process: asyncio.subprocess.Process) -> list[str]:
    assert process.stdout is not None
    said = await process.stdout.read()
    return [line for line in said.decode(errors="replace").splitlines() if line.startswith(STATE_IS_KEPT)]


def _tail(log: int) -> str:
    text = os.pread(log, 1 << 20, 0).decode(errors="replace")
    return "\n".join(text.splitlines()[-_LOG_LINES:])
