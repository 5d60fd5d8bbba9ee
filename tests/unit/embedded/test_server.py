from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import stat
import sys
import urllib.request
from pathlib import Path

import aiohttp
import pytest
import yaml

from capt.embedded import ApiServer, ServerOptions
from capt.embedded.journal import Journal
from tests.support.api_client import (
    CONFIG_MAPS,
    WIDGETS,
    Client,
    config_map,
    connect,
    definition,
    owner,
    widget,
)
from tests.support.ports import free_port

SERVE = """
import asyncio, sys
from pathlib import Path
from capt.embedded import ApiServer, ServerOptions

async def main():
    async with ApiServer(ServerOptions(data_dir=Path(sys.argv[1]))) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def has_run(folder: Path) -> None:
    """Leave the data of a server that had a port which nobody is given while it does not run."""
    async with ApiServer(ServerOptions(data_dir=folder)):
        pass
    journal = Journal(folder / "objects.db")
    journal.set_setting("port", str(free_port()))
    journal.close()


async def test_everything_is_as_it_was_after_a_restart(tmp_path: Path) -> None:
    """Objects, versions, definitions, address, certificates and token survive; old versions cannot be watched from."""
    options = ServerOptions(data_dir=tmp_path)
    await has_run(tmp_path)
    async with ApiServer(options) as server, connect(server) as api:
        await api.define(definition())
        created = await api.create(WIDGETS, widget())
        revision = (await api.get(WIDGETS)).rv
        before = (server.url, server.ca_pem, server.token)
    async with ApiServer(options) as server, connect(server) as api:
        assert (server.url, server.ca_pem, server.token) == before
        assert (await api.get(f"{WIDGETS}/w")).body == created
        assert (await api.get(WIDGETS)).rv == revision
        early = await api.watch(WIDGETS, resourceVersion=created["metadata"]["resourceVersion"])
        now = await api.watch(WIDGETS, resourceVersion=revision)
        await api.patch(f"{WIDGETS}/w", {"spec": {"color": "blue"}})
        assert await now.take(1) == [("MODIFIED", "w")]
        kinds = {(await early.next())["type"]}
        assert kinds == ({"MODIFIED"} if created["metadata"]["resourceVersion"] == revision else {"ERROR"})
        assert (await api.post(WIDGETS, widget(color="green"))).code == 422


async def test_work_that_a_stop_interrupted_is_done_after_the_restart(tmp_path: Path) -> None:
    """A dependent whose owner is gone is collected by the next run, too."""
    options = ServerOptions(data_dir=tmp_path)
    async with ApiServer(options) as server, connect(server) as api:
        parent = await api.create(CONFIG_MAPS, config_map("parent"))
        await api.create(CONFIG_MAPS, config_map("child", ownerReferences=[owner(parent)]))
        await api.delete(f"{CONFIG_MAPS}/parent")
    async with ApiServer(options) as server, connect(server) as api:
        await api.until_gone(f"{CONFIG_MAPS}/child")


async def test_a_taken_port_gives_way(tmp_path: Path) -> None:
    """When another process has the last port, another is used."""
    await has_run(tmp_path / "own")
    async with ApiServer(ServerOptions(data_dir=tmp_path / "own")) as before:
        last = before.url
    shutil.copytree(tmp_path / "own", tmp_path / "other")
    async with ApiServer(ServerOptions(data_dir=tmp_path / "other")) as first:
        assert first.url == last
        async with ApiServer(ServerOptions(data_dir=tmp_path / "own")) as second:
            assert second.url != last


def test_the_kubeconfig_lets_its_owner_in(server: ApiServer, tmp_path: Path) -> None:
    """The file is private to its owner, names everything capt, and holds what a client needs."""
    path = tmp_path / "kubeconfig"
    server.write_kubeconfig(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = yaml.safe_load(path.read_text())
    assert config == server.kubeconfig()
    names = {
        config["current-context"],
        *(config[part][0]["name"] for part in ("clusters", "users", "contexts")),
    }
    assert names == {"capt"}
    assert config["clusters"][0]["cluster"]["server"] == server.url


async def test_the_files_of_the_data_directory_are_private(tmp_path: Path) -> None:
    """Nobody else may read the token or the keys."""
    folder = tmp_path / "data"
    async with ApiServer(ServerOptions(data_dir=folder)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for name in ("token", "server.pem"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


async def test_only_the_servers_own_authority_vouches_for_it(server: ApiServer) -> None:
    """A client that does not know the CA refuses the connection."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"{server.url}/version")


async def test_a_standard_library_client_can_talk_to_it(server: ApiServer) -> None:
    """Nothing in the protocol is special to one client."""

    def fetch() -> int:
        request = urllib.request.Request(
            f"{server.url}/api", headers={"Authorization": f"Bearer {server.token}"}
        )
        context = ssl.create_default_context(cadata=server.ca_pem)
        with urllib.request.urlopen(request, context=context) as response:
            return int(response.status)

    assert await asyncio.to_thread(fetch) == 200


async def test_kill_9_in_a_storm_of_writes_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Every write that was answered before the process was killed is there after the restart, at its version or later."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    acknowledged: dict[str, int] = {}
    enough = asyncio.Event()

    async def storm(api: Client, worker: int) -> None:
        count = 0
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                name = f"c{worker}-{count % 20}"
                body = config_map(name) | {"data": {"count": str(count)}}
                path = CONFIG_MAPS if count < 20 else f"{CONFIG_MAPS}/{name}"
                answer = await api.send("POST" if count < 20 else "PUT", path, body)
                acknowledged[name] = int(answer.rv)
                count += 1
                if count == 60:
                    enough.set()

    authority, token = (tmp_path / "ca.crt").read_text(), (tmp_path / "token").read_text()
    async with Client(url, authority, token) as api, asyncio.TaskGroup() as group:
        for worker in range(4):
            group.create_task(storm(api, worker))
        await enough.wait()
        process.kill()
    await process.wait()
    async with ApiServer(ServerOptions(data_dir=tmp_path)) as server, connect(server) as api:
        items = (await api.get(CONFIG_MAPS)).body["items"]
        stored = {item["metadata"]["name"]: int(item["metadata"]["resourceVersion"]) for item in items}
        assert len(acknowledged) >= 20
        assert all(stored[name] >= version for name, version in acknowledged.items())
