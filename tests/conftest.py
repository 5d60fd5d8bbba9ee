from __future__ import annotations

import pytest

from capt.runtime import configure_logging


@pytest.fixture(autouse=True, scope="session")
def _quiet_logs() -> None:
    """Keep what a failing test shows to what went wrong."""
    configure_logging(format="console", level="warning")
