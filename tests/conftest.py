from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import signal
from collections import Counter
from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, settings

import capt
from capt.runtime import configure_logging
from tests.support.steady_loop import SteadyLoop

# how long an example takes says something about the machine: on a busy one it must not fail a test
settings.register_profile(
    "search", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# every run tries the same examples; `--hypothesis-profile=search` looks for new ones
settings.register_profile("capt", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("capt")

REQUIRED = frozenset(filter(None, os.environ.get("CAPT_TEST_REQUIRE", "").split(",")))
"""Markers of tools that must be here (`CAPT_TEST_REQUIRE=kubectl,terraform`): a test skipped for want of one fails.

So does one that is skipped and carries no marker, for nobody could tell what it lacked.
"""

TOOLS = {
    "kubectl": "for want of kubectl",
    "terraform": "for want of terraform or tofu",
    "promtool": "for want of prometheus and promtool",
    "envtest": "for want of a real API server: `make test-envtest` has one (from Go, setup-envtest or KUBEBUILDER_ASSETS)",
}
"""Markers of tests that need something which not every machine has, and what to say where they were left out."""

_left_out: Counter[str] = Counter()


@pytest.fixture(autouse=True, scope="session")
def _quiet_logs() -> None:
    """Keep what a failing test shows to what went wrong."""
    configure_logging(format="console", level="warning")


def pytest_configure() -> None:
    """Take back what a shell does that starts tests in the background: they ignore Ctrl-C, and so would all they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Measure deadlines by what the machine gets to do."""
    return {"steady": SteadyLoop}


def pytest_collection_finish() -> None:
    """Import all there is: hypothesis takes examples from constants of modules, whichever an earlier test has imported."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # a file that is run alone need not wait for that
        for module in pkgutil.walk_packages(capt.__path__, "capt."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> object:
    """Turn the skip of a test into a failure, if all that it needs is required to be here."""
    report = yield
    marks = {mark.name for mark in item.iter_markers()}
    report.tools = sorted(TOOLS.keys() & marks)
    wanted = REQUIRED.issuperset(report.tools) if report.tools else "embedded" not in marks
    if report.skipped and REQUIRED and wanted:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        asked = f"CAPT_TEST_REQUIRE asks for {', '.join(report.tools)}"
        report.outcome = "failed"
        report.longrepr = f"{why}, and {asked if report.tools else 'no marker says what it lacks'}"
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what was left out; with xdist the reports of all workers come here."""
    if report.skipped:
        _left_out.update(getattr(report, "tools", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which tools were missing and what that left out."""
    for tool, count in sorted(_left_out.items()):
        terminalreporter.write_line(f"{count} tests left out {TOOLS[tool]}", yellow=True)
