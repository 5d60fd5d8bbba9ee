from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.cluster import cluster as start_cluster


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """An API server with capt's definitions on it, of this test's own."""
    async with start_cluster(tmp_path) as running:
        yield running
