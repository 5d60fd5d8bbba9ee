"""One program of a control plane: a process that can be stopped, killed, paused, and started again as it was."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

_STOP_SECONDS = 10.0
_LOG_LINES = 20


class Program:
    """A program with its flags, and the process that runs it now.

    Args:
        path: The program.
        flags: What it is started with, each time.
        folder: Where it runs, and where its log lies.
    """

    def __init__(self, path: Path, *flags: str, folder: Path) -> None:
        self._path = path
        self._flags = flags
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process, be it paused."""
        return self._process is not None and self._process.returncode is None

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[Self]:
        """Start it, and stop it at the end of the block unless it has ended by then."""
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        """Start it with the flags that it had before; its log goes on.

        Raises:
            RuntimeError: It runs.
        """
        if self.running:
            raise RuntimeError(f"{self._path.name} runs already")
        with self._log.open("ab") as log:
            # where the kernel can be asked to, it ends the program with us even if we are killed
            guard = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
            self._process = await asyncio.create_subprocess_exec(
                *guard,
                str(self._path),
                *self._flags,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    async def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait until it has; after 10 s it is killed."""
        self._signal(signal.SIGTERM)
        self.resume()  # a paused one would not hear of it
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._ended()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it in the middle of whatever it does (SIGKILL), paused or not, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        await self._ended()

    def pause(self) -> None:
        """Stop its time (SIGSTOP): connections stay, and the kernel takes new ones, but nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after a pause (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def last_words(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])

    @property
    def _log(self) -> Path:
        return self._folder / f"{self._path.name}.log"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)

    async def _ended(self) -> None:
        if self._process is not None:
            await self._process.wait()
