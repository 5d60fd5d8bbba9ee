"""A server in memory for each test, a client of it, and a custom resource to play with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from capt.embedded import ApiServer, ServerOptions
from tests.support.api_client import Client, connect, definition


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    """A server that keeps nothing on disk."""
    async with ApiServer(ServerOptions(watch_window=50, bookmark_interval=0.05)) as running:
        yield running


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[Client]:
    """A client of the server."""
    async with connect(server) as client:
        yield client


@pytest.fixture
async def widgets(api: Client) -> Client:
    """A client of a server that serves Widgets."""
    await api.define(definition())
    return api
