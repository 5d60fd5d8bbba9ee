from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hack.envtest import ControlPlane
from tests.support.api_servers import shared_plane
from tests.support.cluster import Cluster
from tests.support.cluster import cluster as start_cluster


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane | None]:
    """A real control plane for all tests of this process, where they are to run on one."""
    with shared_plane() as running:
        yield running


@pytest.fixture
async def cluster(tmp_path: Path, plane: ControlPlane | None) -> AsyncIterator[Cluster]:
    """An API server with capt's definitions on it and nothing else."""
    async with start_cluster(tmp_path, plane) as running:
        yield running
