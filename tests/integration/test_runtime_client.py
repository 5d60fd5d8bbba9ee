"""The data plane of the runtime over HTTPS: client, caches and transport against an API server with faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from capt.embedded import (
    Answer,
    ApiServer,
    DropAfter,
    DropBefore,
    ExpireHistory,
    Fault,
    ServerOptions,
    TruncateWatch,
)
from capt.embedded.faults import Action
from capt.runtime import (
    AlreadyExists,
    Client,
    ClusterConfig,
    Conflict,
    ConnectionFailed,
    HttpTransport,
    Informers,
    Invalid,
    Kind,
    Resource,
    SystemClock,
)
from tests.support.scripted import THINGS, Thing

pytestmark = pytest.mark.embedded

CONFIG_MAP: Kind[Thing] = Kind(Resource(group="", version="v1", kind="ConfigMap", plural="configmaps"), Thing)
CRD: Kind[Thing] = Kind(
    Resource(
        group="apiextensions.k8s.io",
        version="v1",
        kind="CustomResourceDefinition",
        plural="customresourcedefinitions",
        namespaced=False,
    ),
    Thing,
)
THINGS_CRD = {
    "metadata": {"name": "things.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


class HastyClock(SystemClock):
    """Waits a fiftieth of the time, so that backoffs do not last."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 50)


@dataclass
class Setup:
    server: ApiServer
    client: Client
    informers: Informers

    def fault(self, action: Action, verb: str, times: int = 1) -> Fault:
        return self.server.faults.add(
            Fault(
                match=lambda info: info.verb == verb and info.resource == "configmaps",
                action=action,
                times=times,
            )
        )

    async def make(self, name: str, **data: str) -> Thing:
        body = {"metadata": {"namespace": "default", "name": name}, "data": data}
        return await self.client.create(CONFIG_MAP, body)


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    clock = HastyClock()
    async with ApiServer(ServerOptions(data_dir=None)) as server:
        config = ClusterConfig.from_dict(server.kubeconfig())
        async with (
            HttpTransport(config, user_agent="test") as transport,
            Informers(transport, clock=clock) as informers,
        ):
            yield Setup(server, Client(transport, informers, clock=clock), informers)


def names(things) -> list[str]:
    return [thing.metadata.name for thing in things]


async def caught_up(run: Setup) -> None:
    """Return when the cache holds exactly what the server holds; pytest's timeout is the deadline."""
    changed = asyncio.Event()
    handle = await run.informers.watch(CONFIG_MAP, lambda _: changed.set())
    while True:
        changed.clear()
        live = await run.client.list_live(CONFIG_MAP)
        cached = run.informers.store(CONFIG_MAP).list()
        if [(thing.metadata.name, thing.metadata.resource_version) for thing in live] == [
            (obj.name, str(obj.resource_version)) for obj in cached
        ]:
            break
        await changed.wait()
    await handle.close()


async def test_reads_show_own_writes(setup: Setup):
    """Right after each create, patch and delete, the cached read shows it, fifty times in a row."""
    handle = await setup.informers.watch(CONFIG_MAP, lambda _: None)
    await handle.wait_synced()
    for number in range(50):
        name = f"c{number}"
        created = await setup.make(name, n=str(number))
        assert await setup.client.get(CONFIG_MAP, "default", name) == created
        patched = await setup.client.apply_difference(CONFIG_MAP, created, {"data": {"n": "x", "m": "y"}})
        assert await setup.client.get(CONFIG_MAP, "default", name) == patched
        assert name in names(await setup.client.list(CONFIG_MAP, "default"))
        if number % 2:
            assert await setup.client.delete(CONFIG_MAP, "default", name, uid=created.metadata.uid)
            assert await setup.client.get(CONFIG_MAP, "default", name) is None
    assert not await setup.client.delete(CONFIG_MAP, "default", "c1")


@pytest.mark.parametrize(
    "action",
    [
        TruncateWatch(after=1),
        DropBefore(),
        ExpireHistory(),
        *(Answer(code=code) for code in (410, 429, 500, 503)),
    ],
    ids=repr,
)
async def test_the_cache_survives_faults(setup: Setup, action: Action):
    """Whatever becomes of a watch, while listing or after, the cache ends up with what the server has."""
    handle = await setup.informers.watch(CONFIG_MAP, lambda _: None)
    await handle.wait_synced()
    for number in range(5):
        await setup.make(f"before{number}")
    # history expires with the next create: the running watch ends, and the next meets the fault while listing
    faults = [setup.fault(action, "watch"), setup.fault(ExpireHistory(), "create")]
    await setup.make("first")
    await setup.client.delete(CONFIG_MAP, "default", "before0")
    await caught_up(setup)
    # once more, but the watch that takes the list breaks some events later, and the one after it meets the fault
    alive = len(await setup.client.list_live(CONFIG_MAP))
    faults += [setup.fault(TruncateWatch(after=alive + 3), "watch"), setup.fault(action, "watch")]
    faults += [setup.fault(ExpireHistory(), "create")]
    for number in range(5):
        await setup.make(f"after{number}")
    await setup.client.delete(CONFIG_MAP, "default", "before1")
    await caught_up(setup)
    assert [fault.times for fault in faults] == [0] * 5
    assert setup.informers.unsynced() == []


async def test_a_server_without_streamed_lists(setup: Setup):
    """A server that refuses streamed lists is listed instead."""
    await setup.make("a")
    setup.fault(Answer(code=422), "watch")
    handle = await setup.informers.watch(CONFIG_MAP, lambda _: None)
    await handle.wait_synced()
    assert "a" in names(await setup.client.list(CONFIG_MAP))
    assert any(event.verb == "list" for event in setup.server.audit)


async def test_a_write_whose_answer_is_lost(setup: Setup):
    """A create that was stored but not answered fails and is not repeated; doing it again finds the name taken."""
    setup.fault(DropAfter(), "create")
    with pytest.raises(ConnectionFailed):
        await setup.make("a")
    with pytest.raises(AlreadyExists):
        await setup.make("a")
    assert [event.code for event in setup.server.audit if event.verb == "create" and event.name != "default"][
        -2:
    ] == [0, 409]


async def test_a_server_that_is_busy(setup: Setup):
    """What is refused with 429 is sent again, and happens once."""
    setup.fault(Answer(code=429, retry_after=1), "create", times=2)
    assert (await setup.make("a")).metadata.name == "a"
    assert [event.code for event in setup.server.audit if event.verb == "create"][-3:] == [429, 429, 201]


async def test_conflicts(setup: Setup):
    """A patch under an old version conflicts, and the next cached read shows the newer one."""
    handle = await setup.informers.watch(CONFIG_MAP, lambda _: None)
    await handle.wait_synced()
    first = await setup.make("a")
    await setup.client.patch(CONFIG_MAP, "default", "a", {"data": {"x": "1"}})
    with pytest.raises(Conflict):
        await setup.client.patch(
            CONFIG_MAP, "default", "a", {"data": {}}, resource_version=first.metadata.resource_version
        )
    fresh = await setup.client.get(CONFIG_MAP, "default", "a")
    assert fresh is not None
    assert fresh.metadata.resource_version > first.metadata.resource_version
    with pytest.raises((Conflict, Invalid)):
        await setup.client.patch(CONFIG_MAP, "default", "a", {"data": {}}, uid="somebody-else")


async def test_a_kind_that_comes_and_goes(setup: Setup):
    """A kind is watched as soon as its definition is there, and empties when that is deleted; no restart."""
    kind = Kind(THINGS, Thing)
    heard: list[tuple[str, str]] = []
    handle = await setup.informers.watch(
        kind, lambda event: heard.append((event.type, event.obj.name)), optional=True
    )
    await handle.wait_settled()
    assert handle.missing
    assert await setup.client.list(kind) == []
    await setup.client.create(CRD, THINGS_CRD)
    await handle.wait_synced()
    await setup.client.create(kind, {"metadata": {"namespace": "default", "name": "a"}, "spec": {"size": 1}})
    assert (await setup.client.get(kind, "default", "a")).spec.size == 1
    await setup.client.delete(CRD, "", "things.example.com")
    while not handle.missing:  # noqa: ASYNC110 - the state of the informer is what is waited for
        await asyncio.sleep(0)
    assert heard == [("added", "a"), ("deleted", "a")]
