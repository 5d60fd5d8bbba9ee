"""Prometheus scrapes a manager: the exposition is well-formed, and keeps its shape while the manager works."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from capt.runtime import ManagerOptions
from tests.support.cluster import Cluster, samples
from tests.support.ports import free_port
from tests.support.waiting import until

SERVING = ManagerOptions(metrics_bind_address="127.0.0.1:0", health_probe_bind_address="0")

Shape = dict[str, tuple[str, str, dict[str, frozenset[frozenset[str]]]]]


async def scrape(address: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"http://{address}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


def shape(text: str) -> Shape:
    """Return type, help and the label names of each series, by metric family."""
    families: Shape = {}
    for family in text_string_to_metric_families(text):
        labels: defaultdict[str, set[frozenset[str]]] = defaultdict(set)
        for sample in family.samples:
            labels[sample.name].add(frozenset(sample.labels))
        assert family.name not in families, "a family stands in one place"
        families[family.name] = (
            family.type,
            family.documentation,
            {name: frozenset(found) for name, found in labels.items()},
        )
    return families


async def test_metrics_keep_their_shape(cluster: Cluster) -> None:
    """Every family has HELP and TYPE, one set of labels for each series, and the same ones after a rollout as before."""
    async with cluster.manager(options=SERVING) as manager:
        await manager.wait_leading()
        first = shape(await scrape(manager.addresses["metrics"]))
        await cluster.apply(*samples())
        await cluster.observer.settled("worker-deployment", replicas=3)
        last = shape(await scrape(manager.addresses["metrics"]))
    assert first.keys() <= last.keys()
    for name, (kind, text, labels) in last.items():
        assert kind in {"counter", "gauge", "histogram", "summary"}, name
        assert text, name
        assert all(len(found) == 1 for found in labels.values()), name
        if name in first:
            before_kind, before_text, before_labels = first[name]
            assert (kind, text) == (before_kind, before_text), name
            assert before_labels.items() <= labels.items(), name


@pytest.mark.promtool
@pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="prometheus and promtool are not on PATH",
)
async def test_prometheus_scrapes_it(cluster: Cluster, tmp_path: Path) -> None:
    """`promtool check metrics` finds no fault, and a Prometheus that scrapes the manager knows its machines."""
    async with cluster.manager(options=SERVING) as manager:
        await cluster.apply(*samples())
        await cluster.observer.settled("worker-deployment", replicas=3)
        address = manager.addresses["metrics"]
        code, said = await run("promtool", "check", "metrics", stdin=await scrape(address))
        assert (code, said) == (0, "")
        assert await scraped(tmp_path, address, 'capt_objects{kind="CaptMachine",phase="Ready"}') == "3"


async def run(*command: str, stdin: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(stdin.encode())
    return process.returncode, output.decode()


async def scraped(folder: Path, address: str, query: str) -> str:
    """Return the value that a Prometheus of our own has for a query, as soon as it has one."""
    # JSON is YAML
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "capt", "static_configs": [{"targets": [address]}]}],
    }
    (folder / "prometheus.yaml").write_text(json.dumps(config))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    found: list[Any] = []

    async def answered() -> bool:
        url = f"http://127.0.0.1:{port}/api/v1/query"
        # it may still be starting
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with aiohttp.ClientSession() as http, http.get(url, params={"query": query}) as answer:
                found[:] = (await answer.json())["data"]["result"] if answer.status == 200 else []
        return bool(found)

    try:
        await until(answered)
    finally:
        process.terminate()
        await process.wait()
    return str(found[0]["value"][1])
