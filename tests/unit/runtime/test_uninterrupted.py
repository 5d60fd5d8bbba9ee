from __future__ import annotations

import asyncio

import pytest

from capt.runtime.uninterrupted import uninterrupted


async def test_a_result_and_an_error_come_through():
    """It is an await like any other for whom nobody cancels."""

    async def refuse():
        raise FileNotFoundError("no such program")

    assert await uninterrupted(asyncio.sleep(0, "process")) == "process"
    with pytest.raises(FileNotFoundError, match="no such program"):
        await uninterrupted(refuse())


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancellation_comes_after_it(times: int):
    """However often it was asked, the work is done, and the next await tells."""
    go, seen = asyncio.Event(), []

    async def work():
        await go.wait()
        return "process"

    async def holder():
        seen.append(await uninterrupted(work()))
        seen.append("in time to stop it")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("stopped")

    task = asyncio.create_task(holder())
    for _ in range(times):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert seen == []
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["process", "in time to stop it", "stopped"]
    assert task.cancelling() == times


async def test_a_deadline_is_one():
    """What `asyncio.timeout` wants to end ends with a TimeoutError, after the work."""
    done = []

    async def work():
        for _ in range(5):
            await asyncio.sleep(0)
        done.append(True)

    async def holder():
        async with asyncio.timeout(0):
            await uninterrupted(work())
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await holder()
    assert done == [True]
