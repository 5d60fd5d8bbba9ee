"""Metrics over HTTPS, for those only whom a real API server knows and lets read them."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp
import pytest
import yaml

from capt.runtime import Manager, ManagerOptions
from hack.envtest import ControlPlane
from tests.support import project
from tests.support.api_servers import REAL
from tests.support.cluster import Cluster
from tests.support.waiting import until

pytestmark = [
    pytest.mark.envtest,
    pytest.mark.skipif(not REAL, reason="needs an API server that reviews tokens and access"),
]

MANIFESTS = project.ROOT / "manifests" / "metrics-secure"
NAMESPACE = "capt-system"
OPTIONS = ManagerOptions(
    metrics_bind_address="127.0.0.1:0", health_probe_bind_address="0", metrics_secure=True
)


def documents() -> list[dict[str, Any]]:
    """What the overlay adds, and the binding that its head asks a cluster operator for."""
    roles = [
        document
        for name in ("auth_role.yaml", "reader_role.yaml")
        for document in yaml.safe_load_all((MANIFESTS / name).read_text(encoding="utf-8"))
    ]
    accounts = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": NAMESPACE},
        }
        for name in ("scraper", "stranger")
    ]
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "scraper"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "capt-metrics-reader",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "scraper", "namespace": NAMESPACE}],
    }
    return [*roles, *accounts, binding]


async def apply(plane: ControlPlane) -> None:
    async with plane.session() as http:
        for document in documents():
            base = "/api/v1" if document["apiVersion"] == "v1" else f"/apis/{document['apiVersion']}"
            namespace = document["metadata"].get("namespace")
            place = f"{base}/namespaces/{namespace}" if namespace else base
            async with http.post(f"{plane.url}{place}/{document['kind'].lower()}s", json=document) as answer:
                assert answer.status in {201, 409}, await answer.text()


async def token(plane: ControlPlane, account: str) -> str:
    kubeconfig = await plane.service_account_kubeconfig(NAMESPACE, account)
    return str(kubeconfig["users"][0]["user"]["token"])


async def test_who_may_read_metrics_reads_them(cluster: Cluster, plane: ControlPlane) -> None:
    """B-K19: 200 for a ServiceAccount with the reader's role, 403 for one without, 401 for nobody; never without TLS."""
    await apply(plane)
    manager = Manager(cluster.manager_config, OPTIONS)
    stop = asyncio.Event()
    running = asyncio.create_task(manager.run(stop))
    try:

        async def serving() -> bool:
            return "metrics" in manager.addresses

        await until(serving)
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        async with aiohttp.ClientSession() as http:

            async def scrape(bearer: str, scheme: str = "https") -> tuple[int, str]:
                url = f"{scheme}://{manager.addresses['metrics']}/metrics"
                headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
                async with http.get(url, headers=headers, ssl=unverified) as answer:
                    return answer.status, await answer.text()

            reader = await token(plane, "scraper")

            async def allowed() -> bool:
                return (await scrape(reader))[0] == 200

            await until(allowed)  # a role that was made just now takes the authorizer a moment
            assert "process_cpu_seconds_total" in (await scrape(reader))[1]
            status, text = await scrape(await token(plane, "stranger"))
            assert (status, text) == (
                403,
                f"Authorization denied for user system:serviceaccount:{NAMESPACE}:stranger\n",
            )
            assert (await scrape(""))[0] == 401
            assert (await scrape("made-up"))[0] == 401
            with pytest.raises(aiohttp.ClientError):
                await scrape(reader, "http")
    finally:
        stop.set()
        await running
