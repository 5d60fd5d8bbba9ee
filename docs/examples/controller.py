"""A controller for a kind of one's own, on capt.runtime alone: every Greeting gets a ConfigMap that says it.

kubectl create -f docs/examples/greeting.yaml && python docs/examples/controller.py
"""

import asyncio

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from capt import runtime
from capt.runtime import ClusterConfig, Controller, Done, Kind, Resource, watch_owned, watch_self


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Metadata(Model):
    name: str
    uid: str


class Spec(Model):
    name: str = "world"


class Greeting(Model):
    metadata: Metadata
    spec: Spec = Spec()


class ConfigMap(Model):
    metadata: Metadata
    data: dict[str, str] = {}


GREETING = Kind(Resource(group="example.com", version="v1", kind="Greeting", plural="greetings"), Greeting)
CONFIG_MAP = Kind(Resource(group="", version="v1", kind="ConfigMap", plural="configmaps"), ConfigMap)


class Greeter:
    def __init__(self, client: runtime.Client) -> None:
        self.client = client

    async def reconcile(self, request: runtime.Request) -> runtime.Result:
        greeting = await self.client.get(GREETING, request.namespace, request.name)
        if greeting is None:
            return Done()  # the garbage collector takes the ConfigMap
        found = await self.client.get(CONFIG_MAP, request.namespace, request.name)
        data = {"text": f"Hello, {greeting.spec.name}!"}
        if found is None:
            owners = [runtime.controller_reference(GREETING, greeting)]
            metadata = {"namespace": request.namespace, "name": request.name, "ownerReferences": owners}
            await self.client.create(CONFIG_MAP, {"metadata": metadata, "data": data})
        elif found.data != data:
            await self.client.patch(CONFIG_MAP, request.namespace, request.name, {"data": data})
        return Done()


async def run(config: ClusterConfig, stop: asyncio.Event) -> None:
    manager = runtime.Manager(
        config, runtime.ManagerOptions(metrics_bind_address="0", health_probe_bind_address="0")
    )
    watches = (watch_self(GREETING), watch_owned(CONFIG_MAP, GREETING))
    manager.add(Controller(name="greeter", reconciler=Greeter(manager.client), watches=watches))
    await manager.run(stop)


if __name__ == "__main__":
    runtime.configure_logging(format="console")
    asyncio.run(run(ClusterConfig.default(), asyncio.Event()))
