"""A manager with secure metrics: HTTPS, callers that are asked who they are, and the rights that asking takes."""

import asyncio
import ssl

import aiohttp

from capt.runtime import Manager, ManagerOptions
from capt.runtime.delegated_auth import RIGHTS
from tests.support.memory_api import MemoryApi
from tests.support.scripted import until

OPTIONS = {"metrics_bind_address": "127.0.0.1:0", "health_probe_bind_address": "0"}


def test_the_rights_are_asked_for_only_where_they_are_used():
    """A manager without secure metrics may not review tokens."""
    api = MemoryApi()
    assert set(RIGHTS) <= set(Manager(None, ManagerOptions(metrics_secure=True), transport=api).rights)
    assert not set(RIGHTS) & set(Manager(None, transport=api).rights)


async def test_metrics_are_behind_tls_and_a_token():
    """Nobody reads without one, nor while the API server cannot say whose it is."""
    api = MemoryApi()  # knows no TokenReviews
    manager = Manager(None, ManagerOptions(**OPTIONS, metrics_secure=True), transport=api)
    stop = asyncio.Event()
    running = asyncio.create_task(manager.run(stop))
    await until(lambda: "metrics" in manager.addresses or running.done())
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    url = f"https://{manager.addresses['metrics']}/metrics"
    async with aiohttp.ClientSession() as http:
        async with http.get(url, ssl=unverified) as answer:
            assert (answer.status, await answer.text()) == (401, "Unauthorized\n")
        async with http.get(url, ssl=unverified, headers={"Authorization": "Bearer x"}) as answer:
            assert answer.status == 500
    stop.set()
    await running
