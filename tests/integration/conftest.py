from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from capt.demo.core import EditionName
from capt.runtime import Client, ClusterConfig, HttpTransport
from hack.envtest import ControlPlane
from tests.support.api_servers import shared_plane
from tests.support.cluster import Cluster
from tests.support.cluster import cluster as start_cluster
from tests.support.core import remove_definitions
from tests.support.steady_loop import run


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane | None]:
    """A real control plane for all tests of this process, where they are to run on one."""
    with shared_plane() as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def _cluster_api_is_not_there(plane: ControlPlane | None) -> Iterator[None]:
    """Tests that do not ask for Cluster API find an API server without it."""
    yield
    if plane is not None:
        run(_forget_cluster_api(plane))


async def _forget_cluster_api(plane: ControlPlane) -> None:
    async with HttpTransport(ClusterConfig.from_dict(plane.kubeconfig()), user_agent="sweep") as transport:
        await remove_definitions(Client(transport))


@pytest.fixture(scope="module", params=["v1beta1", "v1beta2"])
def edition(request: pytest.FixtureRequest) -> EditionName:
    """One edition of Cluster API after the other, each for all tests that ask for it."""
    name: EditionName = request.param
    return name


@pytest.fixture
async def cluster(tmp_path: Path, plane: ControlPlane | None) -> AsyncIterator[Cluster]:
    """An API server with capt's definitions on it and nothing else."""
    async with start_cluster(tmp_path, plane) as running:
        yield running
