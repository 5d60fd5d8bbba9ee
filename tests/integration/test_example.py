"""The example controller and the code of docs/runtime.md do what they say."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from capt.embedded import ApiServer, ServerOptions
from capt.install import install_definitions
from capt.runtime import Client, ClusterConfig, HttpTransport, SystemClock
from tests.support.project import ROOT

EXAMPLES = ROOT / "docs" / "examples"
PAGE = ROOT / "docs" / "runtime.md"
SECONDS = 120.0


def example() -> Any:
    """Return the example as a module."""
    spec = importlib.util.spec_from_file_location("example_controller", EXAMPLES / "controller.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.asynccontextmanager
async def greetings() -> AsyncIterator[tuple[ClusterConfig, Client]]:
    """Run a server that knows Greetings."""
    async with ApiServer(ServerOptions(data_dir=None)) as server:
        config = ClusterConfig.from_dict(server.kubeconfig())
        async with HttpTransport(config) as transport:
            client = Client(transport)
            definition = yaml.safe_load((EXAMPLES / "greeting.yaml").read_text())
            await install_definitions(client, [definition], SystemClock())
            yield config, client


async def said(module: Any, client: Client, text: str) -> None:
    """Wait until the ConfigMap says something."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = await client.get_live(module.CONFIG_MAP, "default", "g")
            if found is not None and found.data.get("text") == text:
                return


async def test_the_example_controller_greets() -> None:
    """A Greeting gets its ConfigMap, a change of either is answered, and a stop ends it all."""
    module = example()
    async with greetings() as (config, client):
        stop = asyncio.Event()
        running = asyncio.create_task(module.run(config, stop))
        await client.create(module.GREETING, {"metadata": {"namespace": "default", "name": "g"}})
        await said(module, client, "Hello, world!")
        await client.patch(module.GREETING, "default", "g", {"spec": {"name": "you"}})
        await said(module, client, "Hello, you!")
        await client.patch(module.CONFIG_MAP, "default", "g", {"data": {"text": "Bah!"}})
        await said(module, client, "Hello, you!")
        stop.set()
        await running


def test_the_example_is_sixty_lines() -> None:
    """Of code: blank lines and the text at its head do not count."""
    source = (EXAMPLES / "controller.py").read_text()
    code = source.split('"""', 2)[2]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 60


async def test_the_code_of_the_page_runs() -> None:
    """All Python of docs/runtime.md, from top to bottom, against a server that knows the example's kind."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    async with greetings() as (config, client):
        module = example()
        await client.create(module.GREETING, {"metadata": {"namespace": "default", "name": "g"}})
        names: dict[str, Any] = {"config": config, "asyncio": asyncio}
        for number, block in enumerate(blocks):
            code = compile(
                block,
                f"docs/runtime.md, block {number}",
                "exec",
                ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                dont_inherit=True,
            )
            async with asyncio.timeout(SECONDS):
                outcome = eval(code, names)
                if inspect.isawaitable(outcome):
                    await outcome


@pytest.mark.parametrize("name", ["controller.py", "greeting.yaml"])
def test_the_page_points_to_the_example(name: str) -> None:
    """Whoever reads of it finds it."""
    assert f"examples/{name}" in PAGE.read_text(encoding="utf-8")
