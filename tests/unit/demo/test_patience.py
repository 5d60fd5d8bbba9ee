from __future__ import annotations

import asyncio

import pytest

from capt.demo.patience import patience
from tests.support import virtual_time


def test_it_ends():
    """What does not happen is waited for as long as was said."""

    async def waiting():
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with patience(3):
                await asyncio.Event().wait()
        return loop.time()

    assert virtual_time.run(waiting()) == pytest.approx(3)


def test_a_machine_that_stands_still_is_not_waited_for():
    """However long it stood still, that was a second."""

    async def standstill():
        loop = asyncio.get_running_loop()
        async with patience(3):
            for _ in range(2):
                loop.now += 500
                await asyncio.sleep(0.5)
        await asyncio.sleep(10)  # no timer is left that would cancel this

    virtual_time.run(standstill())
