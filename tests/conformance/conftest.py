from __future__ import annotations

from collections.abc import Iterator

import pytest

from hack.envtest import find
from tests.conformance.servers import Servers, both_servers
from tests.support.api_servers import REAL


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Both servers; they are compared where the suite is run against a real one."""
    if not REAL:
        pytest.skip("compares with a real API server: `make test-envtest`")
    if find() is None:
        pytest.skip("no kube-apiserver on this machine: `make envtest` obtains one")
    with both_servers() as running:
        yield running
