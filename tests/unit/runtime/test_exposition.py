"""What /metrics shows: every default metric of controller-runtime to the letter, and never at the loop's expense."""

import asyncio
from pathlib import Path

from prometheus_client import Counter, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from capt.runtime import Metrics
from capt.runtime.exposition import SLICE, Family, Registry, slices
from capt.runtime.testing import FakeClock
from capt.runtime.workqueue import WorkQueue

FIXTURE = Path(__file__).with_name("controller_runtime_metrics.txt")


def test_every_default_metric_of_controller_runtime_is_there_to_the_letter():
    """Names, types, labels, buckets and the series that exist before anything happens are controller-runtime's."""
    metrics = Metrics()
    metrics.controller("machine", workers=7)
    metrics.leader("capt-leader")
    metrics.rest_request("200", "GET", "10.0.0.1:443")
    WorkQueue(clock=FakeClock(), metrics=metrics.queue("machine")).add("key")
    wanted = FIXTURE.read_text().splitlines()
    names = {line.split()[2] for line in wanted if line.startswith("#")}
    shown = []
    family = ""
    for line in metrics.render().decode().splitlines():
        if line.startswith("#"):
            family = line.split()[2]
        if family in names and not line.startswith("# HELP"):
            shown.append(line.removesuffix(".0"))
    assert sorted(shown) == sorted(wanted)


def test_the_text_is_that_of_the_library():
    """Where Go and Python do not differ, the text is the Python client's own, escapes and all."""
    registry = Registry()
    counter = Counter("things", 'back\\slash\n"quoted"', ["b", "a"], registry=registry)
    counter.labels('x"\\\n', "ü").inc(1.5)
    counter.labels("", "2.0").inc(float("inf"))
    registry.register(_Foreign())
    own, foreign = registry.families()
    made = [Family(metric) for each in foreign for metric in each.collect()]
    text = b"".join(slices([*own, *made]))
    expected = [line for line in generate_latest(registry).splitlines(True) if b"_created" not in line]
    assert text == b"".join(expected)
    assert len(list(text_string_to_metric_families(text.decode()))) == 2


class _Foreign:
    def collect(self):
        family = GaugeMetricFamily("others", "Made all at once.", labels=["n"])
        family.add_metric(["1"], 1, timestamp=12.5)
        yield family


def test_a_slice_is_small_and_read_when_it_is_made():
    """One metric with 10,000 series is read and rendered a hundred series at a time."""
    registry = Registry()
    counter = Counter("things", "Things.", ["n"], registry=registry)
    children = [counter.labels(str(number)) for number in range(10_000)]
    own, _ = registry.families()
    parts = slices(own)
    first = next(parts)
    assert first.count(b"\nthings_total{") == SLICE - 1
    children[-1].inc(42)
    rest = list(parts)
    assert b'things_total{n="9999"} 42.0\n' in rest[-1] + rest[-2]
    assert max(part.count(b"\n") for part in rest) == SLICE


async def test_a_scrape_gives_the_loop_its_turn(monkeypatch):
    """Between any two turns of the event loop, at most one slice is rendered."""
    metrics = Metrics()
    for number in range(30):
        metrics.controller(f"c{number}", workers=1)
    made = 0
    longest = 0

    def counted(families):
        nonlocal made
        for part in slices(families):
            made += 1
            yield part

    async def turns():
        nonlocal longest
        seen = made
        while True:
            await asyncio.sleep(0)
            longest, seen = max(longest, made - seen), made

    monkeypatch.setattr("capt.runtime.metrics.slices", counted)
    other = asyncio.create_task(turns())
    text = await metrics.text()
    other.cancel()
    assert made > 10
    assert longest == 1
    assert text.count(b"controller_runtime_reconcile_time_seconds_bucket{") == 30 * 41


def test_a_collector_can_be_taken_away():
    """What was unregistered is shown no more."""
    registry = Registry()
    counter = Counter("things", "Things.", registry=registry)
    registry.unregister(counter)
    assert registry.families() == ([], [])
