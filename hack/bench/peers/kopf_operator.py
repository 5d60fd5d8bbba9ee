"""kopf, as a peer: it has no cache, and keeps a task for each object that it heard of lately."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import aiohttp
import kopf
from kubernetes_asyncio import client, config

from hack.bench.peers.reporting import Span, say_synced

_GROUP = ("bench.capt.dev", "v1")


def _watch(mode: str, count: int, objects: int) -> None:
    span, seen = Span(count), 0

    @kopf.on.event("", "v1", "configmaps")
    async def heard(type: str | None, **_: Any) -> None:  # noqa: A002 - kopf passes it by this name
        nonlocal seen
        if type is None or type == "ADDED":
            seen += 1
            if seen == objects:
                say_synced()
        elif mode == "ingest":
            span.step()


def _mirror(count: int) -> None:
    span = Span(count)
    sessions: list[tuple[aiohttp.ClientSession, str]] = []

    @kopf.on.startup()
    async def connect(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        say_synced()

    @kopf.on.create(*_GROUP, "sources")
    async def make(body: kopf.Body, patch: kopf.Patch, spec: kopf.Spec, **_: Any) -> None:
        metadata = {"name": body.metadata.name}
        child = {"apiVersion": "/".join(_GROUP), "kind": "Mirror", "metadata": metadata, "spec": dict(spec)}
        kopf.adopt(child, owner=body)
        await _create(child)
        patch.status["observedGeneration"] = body["metadata"]["generation"]
        span.step()

    async def _create(child: dict[str, Any]) -> None:
        if not sessions:
            sessions.append(await _session())
        session, server = sessions[0]
        path = f"{server}/apis/{'/'.join(_GROUP)}/namespaces/{child['metadata']['namespace']}/mirrors"
        async with session.post(path, json=child) as answer:
            answer.raise_for_status()


async def _session() -> tuple[aiohttp.ClientSession, str]:
    """Connect with the credentials that kopf has no client to offer for."""
    configuration = client.Configuration()
    await config.load_kube_config(client_configuration=configuration)
    rest = client.ApiClient(configuration).rest_client
    return rest.pool_manager, str(configuration.host)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    if sys.argv[1] == "mirror":
        _mirror(int(sys.argv[2]))
    else:
        _watch(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    asyncio.run(kopf.operator(clusterwide=True, standalone=True))
