"""Metrics are those of controller-runtime, to the letter."""

import asyncio
import re

import pytest
from prometheus_client.metrics_core import GaugeMetricFamily

from capt.runtime import Metrics

RECONCILE_BOUNDS = (
    "0.005 0.01 0.025 0.05 0.1 0.15 0.2 0.25 0.3 0.35 0.4 0.45 0.5 0.6 0.7 0.8 0.9 1 1.25 1.5 1.75 2 2.5 3 3.5 4 4.5 "
    "5 6 7 8 9 10 15 20 25 30 40 50 60 +Inf"
)
QUEUE_BOUNDS = (
    "1e-08 1e-07 1e-06 9.999999999999999e-06 9.999999999999999e-05 0.001 0.01 0.1 1 10 100 1000 +Inf"
)


@pytest.fixture
def metrics():
    return Metrics()


def series(metrics):
    return [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]


def bounds(metrics, name):
    lines = [line for line in series(metrics) if line.startswith(name + "_bucket")]
    return " ".join(re.search(r'le="([^"]+)"', line).group(1) for line in lines)


def test_a_new_controller_shows_all_its_series_at_zero(metrics):
    """rate() sees the first increment, since the series were there before it."""
    metrics.controller("c", workers=10)
    shown = {line for line in series(metrics) if "_bucket" not in line and "controller=" in line}
    assert shown == {
        'controller_runtime_reconcile_total{controller="c",result="success"} 0.0',
        'controller_runtime_reconcile_total{controller="c",result="error"} 0.0',
        'controller_runtime_reconcile_total{controller="c",result="requeue"} 0.0',
        'controller_runtime_reconcile_total{controller="c",result="requeue_after"} 0.0',
        'controller_runtime_reconcile_errors_total{controller="c"} 0.0',
        'controller_runtime_terminal_reconcile_errors_total{controller="c"} 0.0',
        'controller_runtime_reconcile_panics_total{controller="c"} 0.0',
        'controller_runtime_reconcile_timeouts_total{controller="c"} 0.0',
        'controller_runtime_reconcile_time_seconds_count{controller="c"} 0.0',
        'controller_runtime_reconcile_time_seconds_sum{controller="c"} 0.0',
        'controller_runtime_max_concurrent_reconciles{controller="c"} 10.0',
        'controller_runtime_active_workers{controller="c"} 0.0',
        'controller_reconcile_errors_total{controller="c"} 0.0',
        'capt_reconcile_conflicts_total{controller="c"} 0.0',
    }


def test_a_new_queue_shows_its_series(metrics):
    """Names and labels of client-go's workqueue metrics, ``name`` and ``controller`` being equal."""
    metrics.queue("c")
    shown = {line.partition("{")[0] for line in series(metrics) if 'controller="c",name="c"' in line}
    assert {name for name in shown if not name.endswith("_bucket")} == {
        "workqueue_adds_total",
        "workqueue_retries_total",
        "workqueue_queue_duration_seconds_count",
        "workqueue_queue_duration_seconds_sum",
        "workqueue_work_duration_seconds_count",
        "workqueue_work_duration_seconds_sum",
        "workqueue_unfinished_work_seconds",
        "workqueue_longest_running_processor_seconds",
    }


def test_buckets_are_upstreams(metrics):
    """Bounds as Go computes and prints them, so that alerts that name one work."""
    metrics.controller("c", workers=1)
    metrics.queue("c")
    assert bounds(metrics, "controller_runtime_reconcile_time_seconds") == RECONCILE_BOUNDS
    assert bounds(metrics, "workqueue_queue_duration_seconds") == QUEUE_BOUNDS
    assert bounds(metrics, "workqueue_work_duration_seconds") == QUEUE_BOUNDS


def test_requests_are_counted_by_code_method_and_host(metrics):
    """rest_client_requests_total, with client-go's code for no answer."""
    metrics.rest_request("200", "GET", "h:1")
    metrics.rest_request("200", "GET", "h:1")
    metrics.rest_request("<error>", "PATCH", "h:1")
    shown = [line for line in series(metrics) if line.startswith("rest_client")]
    assert shown == [
        'rest_client_requests_total{code="200",host="h:1",method="GET"} 2.0',
        'rest_client_requests_total{code="<error>",host="h:1",method="PATCH"} 1.0',
    ]


def test_what_go_would_not_show_is_not_shown(metrics):
    """No _created series, no OpenMetrics; process metrics are there."""
    metrics.controller("c", workers=1)
    text = metrics.render().decode()
    assert "_created" not in text
    assert "# EOF" not in text
    assert "\nprocess_resident_memory_bytes " in text
    assert "# TYPE controller_runtime_reconcile_total counter" in text


def test_managers_do_not_share_metrics(metrics):
    """Two managers in one process count apart."""
    Metrics().controller("c", workers=1).errors.inc()
    assert metrics.controller("c", workers=1).errors is not None
    assert 'controller_runtime_reconcile_errors_total{controller="c"} 0.0' in series(metrics)


def test_informer_and_lease_metrics(metrics):
    """What controller-runtime lacks, or forgets to register."""
    informer = metrics.informer("secrets")
    informer.objects.set(3)
    informer.relists("gone").inc()
    informer.events("ADDED").inc()
    metrics.leader("l").slowpath.inc()
    metrics.cache_read_timeouts("secrets").inc()
    metrics.cache_read_wait("secrets").observe(0.01)
    shown = series(metrics)
    for line in (
        'capt_informer_objects{resource="secrets"} 3.0',
        'capt_informer_relists_total{reason="gone",resource="secrets"} 1.0',
        'capt_informer_watch_events_total{resource="secrets",type="ADDED"} 1.0',
        'leader_election_master_status{name="l"} 0.0',
        'leader_election_slowpath_total{name="l"} 1.0',
        'capt_cache_read_timeouts_total{resource="secrets"} 1.0',
        'capt_cache_read_wait_seconds_count{resource="secrets"} 1.0',
    ):
        assert line in shown


async def test_state_is_taken_at_once_and_shown_later(metrics):
    """What only the event loop may read is taken when a scrape begins; its metrics are made in a thread."""
    things = ["a"]

    def take():
        taken = len(things)
        return lambda: [GaugeMetricFamily("things", "Things.", value=taken)]

    metrics.add_state(take)
    scrape = asyncio.create_task(metrics.text())
    await asyncio.sleep(0)
    things.append("b")
    assert b"\nthings 1.0\n" in await scrape
    assert b"\nthings 2.0\n" in metrics.render()
