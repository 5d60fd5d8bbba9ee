from __future__ import annotations

import signal
import subprocess
import sys

HANGING = """
import asyncio
from capt import manager

async def main():
    stop = asyncio.Event()
    with manager._signals(stop):
        print("up", flush=True)
        await stop.wait()
        print("stopping", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_second_signal_ends_a_stop_that_hangs() -> None:
    """The first signal asks for an orderly stop; who cannot wait for it sends another, and the exit code says so."""
    with subprocess.Popen([sys.executable, "-c", HANGING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=600) == 1
