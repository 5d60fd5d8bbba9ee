"""The debug endpoint tells what a manager is doing, to this machine only."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest

from capt.runtime import Backoff, Controller, Done, Manager, ManagerOptions, watch_self
from capt.runtime.debug import parse_loopback_address, stack
from capt.runtime.serving import BindAddress
from capt.runtime.testing import FakeClock, settle
from tests.support.memory_api import MemoryApi
from tests.support.scripted import until
from tests.support.things import THING


@pytest.mark.parametrize("text", ["127.0.0.1:6060", "[::1]:6060", "localhost:6060", "127.3.2.1:6060"])
def test_loopback_addresses_are_taken(text):
    """Whatever this machine alone can connect to."""
    assert isinstance(parse_loopback_address(text), BindAddress)


@pytest.mark.parametrize("text", [":6060", "0.0.0.0:6060", "10.0.0.1:6060", "[::]:6060", "example.com:6060"])
def test_others_are_refused(text):
    """It shows names of objects and stacks, and asks nobody who they are."""
    with pytest.raises(ValueError, match="loopback only"):
        parse_loopback_address(text)


def test_it_is_off_by_default():
    """Nobody listens unless told to."""
    assert parse_loopback_address(ManagerOptions().debug_bind_address) is None


class Stuck:
    """A reconciler that waits for a and fails for b."""

    def __init__(self):
        self.release = asyncio.Event()

    async def reconcile(self, request):
        if request.name == "a":
            await self.wait_for_the_cloud()
        if request.name == "b":
            raise TimeoutError
        return Done()

    async def wait_for_the_cloud(self):
        await self.release.wait()


@asynccontextmanager
async def debugged(clock, reconciler):
    api = MemoryApi("things")
    for name in "ab":
        api.put("things", "ns", name)
    options = ManagerOptions(
        metrics_bind_address="0", health_probe_bind_address="0", debug_bind_address="127.0.0.1:0"
    )
    manager = Manager(None, options, clock=clock, transport=api)
    manager.add(
        Controller(name="c", reconciler=reconciler, watches=(watch_self(THING),), backoff=Backoff(base=100.0))
    )
    stop = asyncio.Event()
    running = asyncio.create_task(manager.run(stop))
    await until(lambda: "debug" in manager.addresses and manager.leading)
    await settle()
    async with aiohttp.ClientSession() as http:

        async def get(path):
            async with http.get(f"http://{manager.addresses['debug']}{path}") as answer:
                return await answer.json()

        yield get
    reconciler.release.set()
    stop.set()
    await running


async def test_what_a_manager_is_doing_can_be_looked_at():
    """Caches, queues, reconciles with their age, reasons and, once they are old, where they stand."""
    clock = FakeClock()
    async with debugged(clock, Stuck()) as get:
        assert await get("/debug") == ["/debug/informers", "/debug/controllers", "/debug/tasks"]
        (informer,) = await get("/debug/informers")
        assert (informer["resource"], informer["objects"], informer["synced"]) == ("things.test.dev", 2, True)
        controller = (await get("/debug/controllers"))["c"]
        assert controller["queue"] == {
            "ready": {},
            "longest_wait": 0.0,
            "delayed": 1,
            "parked": 0,
            "processing": 1,
        }
        (reconcile,) = controller["reconciles"]
        assert reconcile == {"object": "ns/a", "seconds": 0.0, "reasons": ["Thing added"], "stack": []}
        await clock.advance(11.0)
        (reconcile,) = (await get("/debug/controllers"))["c"]["reconciles"]
        assert reconcile["seconds"] == 11.0
        assert "Stuck.wait_for_the_cloud" in "\n".join(reconcile["stack"])
        tasks = await get("/debug/tasks")
        assert any("Stuck.wait_for_the_cloud" in line for lines in tasks.values() for line in lines)


async def test_a_stack_goes_as_far_as_the_wait():
    """Also through generators and to a task that has not begun or has ended."""

    async def ended():
        return

    task = asyncio.create_task(ended())
    assert len(stack(task)) == 1
    await task
    assert stack(task) == []
