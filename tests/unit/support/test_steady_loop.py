"""The loop that the tests themselves run on."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.steady_loop import SteadyLoop, run


def test_a_machine_that_stands_still_ends_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it stood still, that was one turn of the loop."""
    running, stood_still = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: running() + stood_still)

    async def standstill() -> float:
        nonlocal stood_still
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.timeout(30):
            for _ in range(3):
                stood_still += 500
                await asyncio.sleep(0)
                assert loop.time() - begun < 1
        return loop.time() - begun

    assert 0.5 <= run(standstill()) < 1


def test_a_deadline_that_is_due_ends_what_waits() -> None:
    """An idle loop takes turns until it is."""

    async def waiting() -> None:
        assert isinstance(asyncio.get_running_loop(), SteadyLoop)
        async with asyncio.timeout(0.3):
            await asyncio.Event().wait()

    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        run(waiting())
    assert time.monotonic() - begun >= 0.3


async def test_tests_run_on_it() -> None:
    """All of them, by the hook in the conftest."""
    assert isinstance(asyncio.get_running_loop(), SteadyLoop)
