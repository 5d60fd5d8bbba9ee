"""Virtual time: what never ends is told with all that is pending, and the shortest wait takes its time."""

import asyncio
import itertools
import socket
import threading

import pytest

from tests.support import virtual_time
from tests.support.virtual_time import Limits, OverdueError


async def wait_for_ever():
    await asyncio.get_running_loop().create_future()


async def spin():
    for _ in itertools.count():
        await asyncio.sleep(0)


async def tick():
    for _ in itertools.count():
        await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("work", "limits", "problem"),
    [
        (wait_for_ever, Limits(), "nothing is left that could ever happen"),
        (spin, Limits(cpu=0.05), "CPU time"),
        (tick, Limits(virtual=100), "100 virtual seconds"),
    ],
)
def test_what_never_ends_is_told_with_what_is_pending(work, limits, problem):
    """A run that waits for ever, spins, or lets time pass without end fails, and names its tasks, and where they stand."""

    async def main():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work(), name="the culprit")

    with pytest.raises(OverdueError, match=problem) as caught:
        virtual_time.run(main(), limits=limits)
    assert "task the culprit\n" in str(caught.value)
    assert work.__name__ in str(caught.value)


def test_the_shortest_wait_takes_its_time():
    """Who waits for less than the clock's resolution finds that time passed, also when sockets are busy."""

    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            await asyncio.sleep(100.1)
            theirs.send(b"never read")
            loop.add_reader(ours, lambda: None)
            end = loop.time() + 1e-13
            for _ in range(10):
                if loop.time() < end:
                    await asyncio.sleep(end - loop.time())
            loop.remove_reader(ours)
            return loop.time() >= end

    assert virtual_time.run(main(), limits=Limits(cpu=5))


def test_time_stands_still_while_a_thread_works():
    """What a thread returns comes in the instant in which it was asked for."""

    async def main():
        loop = asyncio.get_running_loop()
        later = asyncio.create_task(asyncio.sleep(1))
        asked = threading.Event()
        loop.call_soon(asked.set)
        await asyncio.to_thread(asked.wait)
        passed = loop.time()
        await later
        return passed

    assert virtual_time.run(main()) == 0
