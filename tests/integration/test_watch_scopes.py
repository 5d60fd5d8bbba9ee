"""Watches that want less than everything of a kind, on a server that decides what that is."""

from __future__ import annotations

import asyncio

from capt.runtime import HttpTransport, Informers, Kind, Resource, project
from capt.runtime.list_watch import Phase
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.scripted import Thing

CONFIG_MAP = Kind(Resource(group="", version="v1", kind="ConfigMap", plural="configmaps"), Thing)


def body(name: str, **data: str):
    return {"metadata": {"name": name, "namespace": NAMESPACE, "labels": {"scope": name}}, "data": data}


async def watched(cluster: Cluster, **scope):
    """Watch two ConfigMaps, one of them made and changed after the first list; return what is cached in the end."""
    for name in ("before", "after"):
        await cluster.client.delete(CONFIG_MAP, NAMESPACE, name)
    await cluster.client.create(CONFIG_MAP, body("before", a="1", b="1"))
    changed = asyncio.Event()
    async with HttpTransport(cluster.config) as transport, Informers(transport) as informers:
        handle = await informers.watch(CONFIG_MAP, lambda _: changed.set(), **scope)
        await handle.wait_synced()
        made = await cluster.client.create(CONFIG_MAP, body("after", a="1", b="1"))
        await cluster.client.apply_difference(CONFIG_MAP, made, {"data": {"a": "2"}})
        written = await cluster.client.apply_difference(
            CONFIG_MAP, await cluster.client.get_live(CONFIG_MAP, NAMESPACE, "before"), {"data": {"a": "2"}}
        )
        async with asyncio.timeout(60):
            while informers.store(CONFIG_MAP).resource_version < int(written.metadata.resource_version):
                changed.clear()
                await changed.wait()
        assert informers.statistics()[0].phase is Phase.WATCH
        return {obj.name: obj.decode() for obj in informers.store(CONFIG_MAP).list()}


async def test_metadata_alone_is_streamed(cluster: Cluster):
    """Lists and events come as PartialObjectMetadata, and are cached as what they are metadata of."""
    found = await watched(cluster, namespace=NAMESPACE, metadata_only=True)
    for name in ("before", "after"):
        assert found[name].keys() == {"apiVersion", "kind", "metadata"}
        assert (found[name]["kind"], found[name]["metadata"]["labels"]) == ("ConfigMap", {"scope": name})


async def test_the_server_selects_by_field_and_the_cache_keeps_a_projection(cluster: Cluster):
    """One object by its name, of which one field is kept."""
    found = await watched(
        cluster, namespace=NAMESPACE, fields="metadata.name=before", transform=project("data.a")
    )
    assert {name: content["data"] for name, content in found.items()} == {"before": {"a": "2"}}
