"""Commands, run to their end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from capt.terraform.process import run
from tests.support.fifo import ended, fifo

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


async def test_output_and_code_come_back(tmp_path: Path) -> None:
    """Both streams are read whole, bytes that are no text do no harm, files it makes are private."""
    script = (
        "import sys, os; open('f', 'w').close(); print('x' * 200_000);"
        "sys.stderr.buffer.write(b'\\xff bad'); sys.exit(3)"
    )
    completed = await run(python(script), directory=tmp_path, environment=ENVIRONMENT, limit=60, grace=1)
    assert completed.code == 3
    assert len(completed.stdout) == 200_001
    assert completed.stderr == "\N{REPLACEMENT CHARACTER} bad"
    assert (tmp_path / "f").stat().st_mode & 0o077 == 0


STOPS_IN_ORDER = """
import pathlib, signal, sys
def stop(*_):
    print("y" * 500_000, flush=True)
    pathlib.Path("saved").write_text("state")
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("started").write_text("yes\\n")
signal.pause()
"""


async def test_a_cancelled_command_saves_its_work_first(tmp_path: Path) -> None:
    """Cancellation sends SIGTERM and waits, reading all the while, until the command has ended by itself."""
    async with fifo(tmp_path / "started") as started:
        task = asyncio.create_task(
            run(python(STOPS_IN_ORDER), directory=tmp_path, environment=ENVIRONMENT, limit=60, grace=20)
        )
        await started.readline()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (tmp_path / "saved").read_text() == "state"


async def test_a_command_that_takes_too_long_is_stopped_in_order(tmp_path: Path) -> None:
    """The limit works like a cancellation and is reported as a timeout."""
    script = "trap 'echo state > saved; exit 1' TERM; echo > ready; while :; do sleep 0.05 & wait; done"
    limit = 0.25
    while not (tmp_path / "ready").exists():  # a busy machine needs longer to come as far as that
        limit *= 2
        with pytest.raises(TimeoutError):
            await run(
                ("/bin/sh", "-c", script), directory=tmp_path, environment=ENVIRONMENT, limit=limit, grace=60
            )
    assert (tmp_path / "saved").read_text() == "state\n"


@pytest.mark.parametrize("turns", range(1, 9))
async def test_a_command_that_is_cancelled_while_it_starts_is_stopped_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """At whichever turn of the loop: asyncio would kill it, and wait for its children to let go of its pipes."""
    signals: list[int] = []
    send = subprocess.Popen.send_signal
    monkeypatch.setattr(
        subprocess.Popen, "send_signal", lambda self, number: signals.append(number) or send(self, number)
    )
    task = asyncio.create_task(
        run(
            python("import time; time.sleep(600)"),
            directory=tmp_path,
            environment=ENVIRONMENT,
            limit=60,
            grace=60,
        )
    )
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert signals in ([], [signal.SIGTERM]), "none, if it had not been started"
    assert signals or turns == 1


STUBBORN = """
import pathlib, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
pathlib.Path("started").write_text(f"{child.pid}\\n")
signal.pause()
"""


async def test_a_command_that_ignores_it_is_killed_with_its_children(tmp_path: Path) -> None:
    """After the grace period the whole process group goes; nothing is left running."""
    async with fifo(tmp_path / "started") as started:
        task = asyncio.create_task(
            run(python(STUBBORN), directory=tmp_path, environment=ENVIRONMENT, limit=60, grace=0.1)
        )
        child = int(await started.readline())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended(child)
