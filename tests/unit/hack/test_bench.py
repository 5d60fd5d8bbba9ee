"""What the benchmarks stand on: a replayed server that clients cannot tell from one that thinks, and an honest table."""

from __future__ import annotations

import json

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from hack.bench.replay import Replay
from hack.bench.table import Row, render


async def test_the_replayed_server_pages_its_list_and_streams_what_is_told() -> None:
    """Pages join to all objects; a streamed list ends with its bookmark; a burst brings ever newer versions."""
    replay = Replay(7)
    async with TestServer(replay.app()) as server, ClientSession(server.make_url("/")) as session:
        names, token = [], ""
        while True:
            async with session.get("/api/v1/configmaps", params={"limit": "3", "continue": token}) as answer:
                page = await answer.json()
            names += [item["metadata"]["name"] for item in page["items"]]
            token = page["metadata"].get("continue", "")
            if not token:
                break
        assert names == [f"c{number}" for number in range(7)]

        query = {"watch": "true", "sendInitialEvents": "true"}
        async with session.get("/api/v1/configmaps", params=query) as watch:
            first = [json.loads(await watch.content.readline()) for _ in range(8)]
            assert [event["type"] for event in first] == ["ADDED"] * 7 + ["BOOKMARK"]
            assert first[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
            await replay.burst(8)
            told = [json.loads(await watch.content.readline())["object"]["metadata"] for _ in range(8)]
        assert [each["name"] for each in told] == [f"c{number % 7}" for number in range(8)]
        versions = [int(each["resourceVersion"]) for each in told]
        assert versions == sorted(set(versions))
        assert versions[0] > int(first[-1]["object"]["metadata"]["resourceVersion"])


def test_a_row_relates_ours_to_each_peer() -> None:
    """Ours comes first; behind each peer's value stands how many times its value ours is."""
    line = render(Row("events", "/s", {"capt": 300.0, "other": 150.0, "idle": 0.0}))
    assert line.split() == ["events", "300", "/s", "other", "150", "(2.00x)", "idle", "0.00"]
