"""A toy controller that mirrors one kind into another, and one bad day of it."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from capt.embedded import ApiServer, ServerOptions
from capt.runtime import (
    AlreadyExists,
    Backoff,
    Client,
    ClusterConfig,
    Controller,
    Done,
    HttpTransport,
    Manager,
    ManagerOptions,
    NotFound,
    Request,
    Result,
    raise_for_status,
    watch_mapped,
    watch_self,
)
from tests.support.storm import BadDay, LaggingTransport, Storm, skewed_clock, storm_over, until
from tests.support.things import PART, THING

NAMESPACE = "default"
_NAMES = "abcdef"


class Mirror:
    """Keeps for each Thing a Part of the same name and spec, and no other Part."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def reconcile(self, request: Request) -> Result:
        thing = await self._client.get(THING, request.namespace, request.name)
        part = await self._client.get(PART, request.namespace, request.name)
        if thing is None:
            if part is not None:
                await self._client.delete(PART, request.namespace, request.name, uid=part.metadata.uid)
        elif part is None:
            metadata = {"namespace": request.namespace, "name": request.name}
            await self._client.create(PART, {"metadata": metadata, "spec": thing.spec})
        elif part.spec != thing.spec:
            await self._client.patch(
                PART, request.namespace, request.name, {"spec": thing.spec}, uid=part.metadata.uid
            )
        return Done()


async def mirror_day(seed: int) -> BadDay:
    """Run two managers through a storm while users change what is mirrored; return when all is equal again."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ApiServer(ServerOptions(data_dir=None)))
        storm = await stack.enter_async_context(storm_over(server, seed, "capt.runtime"))
        config = ClusterConfig.from_dict(storm.server.kubeconfig())
        user = await stack.enter_async_context(HttpTransport(config, user_agent="user"))
        await _define(user)
        client = Client(user)
        transports = [HttpTransport(config, user_agent=f"capt/{number}") for number in range(2)]
        ways = [LaggingTransport(await stack.enter_async_context(each), storm.chance) for each in transports]
        stop = asyncio.Event()
        managers = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(stop.set)
        for number, way in enumerate(ways):
            managers.create_task(_manager(way, number, storm.chance).run(stop), name=f"manager {number}")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(storm.blow(storm.chance.choice((30.0, 120.0))))
            tasks.create_task(_change(client, storm))
        for way in ways:
            way.calm()
        recovery = await until(lambda: _equal(client))
        return BadDay(recovery=recovery, fastest=storm.fastest, met=storm.met)


def _manager(transport: LaggingTransport, number: int, chance: random.Random) -> Manager:
    options = ManagerOptions(
        metrics_bind_address="0",
        health_probe_bind_address="0",
        leader_elect=True,
        leader_election_id="mirror",
        leader_election_namespace=NAMESPACE,
        graceful_shutdown=0.0,
        identity=f"manager-{number}",
    )
    manager = Manager(None, options, transport=transport, clock=skewed_clock(chance))
    watches = (watch_self(THING), watch_mapped(PART, lambda obj: (obj.key,), reason="Part"))
    backoff = Backoff(base=0.1, cap=30)
    manager.add(
        Controller(name="mirror", reconciler=Mirror(manager.client), watches=watches, backoff=backoff)
    )
    return manager


async def _change(client: Client, storm: Storm) -> None:
    """Do what users do: create, change, delete, and meddle with what is not theirs."""
    chance = storm.chance
    for number in range(chance.randrange(20, 60)):
        name = chance.choice(_NAMES)
        kind = chance.choice((THING, THING, THING, PART))
        spec = {"spec": {"n": number}}
        try:
            if chance.random() < 0.3:
                await client.delete(kind, NAMESPACE, name)
            elif await client.get_live(kind, NAMESPACE, name) is None:
                await client.create(kind, {"metadata": {"namespace": NAMESPACE, "name": name}, **spec})
            else:
                await client.patch(kind, NAMESPACE, name, spec)
        except (NotFound, AlreadyExists):
            pass  # the mirror was quicker
        await asyncio.sleep(chance.choice((0.0, 0.1, 3.0)))


async def _equal(client: Client) -> bool:
    things, parts = [
        {item.metadata.name: item.spec for item in await client.list_live(kind, NAMESPACE)}
        for kind in (THING, PART)
    ]
    return things == parts


async def _define(transport: HttpTransport) -> None:
    for kind in (THING, PART):
        resource = kind.resource
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }
        version = {
            "name": resource.version,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
        }
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": str(resource)},
            "spec": {
                "group": resource.group,
                "names": {
                    "kind": resource.kind,
                    "plural": resource.plural,
                    "singular": resource.kind.lower(),
                },
                "scope": "Namespaced",
                "versions": [version],
            },
        }
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        raise_for_status(await transport.request("POST", path, body=msgspec.json.encode(definition)))
