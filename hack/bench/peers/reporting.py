"""What every peer in Python tells, and how."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from typing import Any


def say(at: str, **fields: Any) -> None:
    """Print a line for the one who measures."""
    print(json.dumps({"at": at} | fields), flush=True)


def say_synced(**fields: Any) -> None:
    """Tell that the cache is full, after garbage has been given back to the system."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    say("synced", **fields)


class Span:
    """Counts steps, and tells how long they took from the first to the last."""

    def __init__(self, goal: int) -> None:
        self._goal = goal
        self._seen = 0
        self._begun = self._cpu = 0.0

    def begin(self) -> None:
        """Start the clocks; the first step does so otherwise."""
        self._begun, self._cpu = time.perf_counter(), time.process_time()

    def step(self) -> None:
        """Count one."""
        if not self._begun:
            self.begin()
        self._seen += 1
        if self._seen == self._goal:
            seconds, cpu = time.perf_counter() - self._begun, time.process_time() - self._cpu
            say("done", count=self._goal, seconds=seconds, cpu=cpu)
