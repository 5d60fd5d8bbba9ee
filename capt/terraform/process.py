"""One command, run to its end, whatever happens to the task that runs it.

Terraform must not be abandoned or killed while it applies: what it has made and not yet written to its state is lost
to everybody. On SIGTERM it finishes or stops what is under way, writes the state and exits. So a cancelled task
forwards SIGTERM and waits; only a process that ignores it for the whole grace period is killed, with its plugins.

The child gets a session of its own: otherwise a Ctrl-C at the terminal reaches it too, and Terraform takes the second
signal as "at once".
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from capt.runtime.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a command ended.

    Attributes:
        code: exit code; negative for the signal that ended it.
        stdout: what it printed.
        stderr: what it printed as errors and warnings.
    """

    code: int
    stdout: str
    stderr: str


async def run(
    command: Sequence[str | Path],
    *,
    directory: Path,
    environment: Mapping[str, str],
    limit: float,
    grace: float,
) -> Completed:
    """Run ``command`` in ``directory``.

    Files that it creates are readable by this user only.

    Args:
        command: program and arguments; no shell is involved.
        directory: its working directory.
        environment: its whole environment.
        limit: most seconds it may take before it is stopped.
        grace: seconds between SIGTERM and SIGKILL.

    Raises:
        TimeoutError: it took longer than ``limit`` and was stopped.
    """
    process = await uninterrupted(
        asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=directory,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            umask=0o077,
        )
    )
    # a task of its own: output must be drained during the grace period too, or the command blocks on a full pipe
    reading = asyncio.create_task(process.communicate(), name=f"output of {command[0]} ({process.pid})")
    try:
        async with asyncio.timeout(limit):
            stdout, stderr = await asyncio.shield(reading)
    except (asyncio.CancelledError, TimeoutError):
        await _stop(process, reading, grace)
        raise
    assert process.returncode is not None, "communicate() returns after the end"
    return Completed(
        code=process.returncode,
        stdout=stdout.decode(errors="replace"),
        stderr=stderr.decode(errors="replace"),
    )


async def _stop(
    process: asyncio.subprocess.Process, reading: asyncio.Task[tuple[bytes, bytes]], grace: float
) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(grace):
            await asyncio.shield(reading)
    except (asyncio.CancelledError, TimeoutError):
        # a second cancellation says that there is no time left either
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await reading
