from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from capt.runtime import configure_logging

# how quick a machine is, or how busy, is no property of what is tested
settings.register_profile("capt", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("capt")


@pytest.fixture(autouse=True, scope="session")
def _quiet_logs() -> None:
    """Keep what a failing test shows to what went wrong."""
    configure_logging(format="console", level="warning")
