"""kubernetes-asyncio's Watch, as a peer: it has no cache, so this reads the events and drops them."""

from __future__ import annotations

import asyncio
import sys

from kubernetes_asyncio import client, config, watch

from hack.bench.peers.reporting import Span, say_synced


async def main(count: int) -> None:
    """Watch ConfigMaps until the process is ended."""
    await config.load_kube_config()
    span = Span(count)
    async with client.ApiClient() as api:
        core = client.CoreV1Api(api)
        page = await core.list_config_map_for_all_namespaces(limit=1)
        version = page.metadata.resource_version
        say_synced()
        async with watch.Watch().stream(
            core.list_config_map_for_all_namespaces, resource_version=version
        ) as events:
            async for _event in events:
                span.step()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[2])))
