"""Metrics in the Prometheus text format 0.0.4, in slices.

``prometheus_client.generate_latest`` renders everything in one step, which holds the event loop for as long as there are
series (10,000 take a tenth of a second), and in a thread it holds the interpreter instead. Here the text comes in
slices of at most :data:`SLICE` series, and each series is read when its slice is made, so the caller can give the loop
a turn in between.

Two things are as Go's client has them: there are no ``_created`` series (the Python client's switch for that is global
to the process), and a bound is written ``le="1"``, not ``le="1.0"``, which alerts that name a bucket need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

SLICE: Final = 100
"""Most series of one slice: less than a millisecond of work."""

_TYPES: Final = {"unknown": "untyped", "info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram"}
_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_VALUE_ESCAPES: Final = _HELP_ESCAPES | str.maketrans({'"': r"\""})


class Registry(CollectorRegistry):
    """A registry that can show its metrics one by one."""

    def __init__(self) -> None:
        super().__init__(auto_describe=True)
        self._collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        """Add a collector.

        Raises:
            ValueError: it has a metric with the name of another.
        """
        super().register(collector)
        self._collectors.append(collector)

    def unregister(self, collector: Collector) -> None:
        """Take a collector away.

        Raises:
            KeyError: it is not there.
        """
        super().unregister(collector)
        self._collectors.remove(collector)

    def families(self) -> tuple[list[Family], list[Collector]]:
        """Return the metrics whose series can be read one by one, and the collectors that make theirs all at once."""
        own, foreign = [], []
        for collector in self._collectors:
            # the library's own way to read a metric without making a list of its series first
            read: Callable[[], Iterable[Any]] | None = getattr(collector, "_samples", None)
            if isinstance(collector, MetricWrapperBase) and read is not None:
                own += [Family(metric, read) for metric in collector.describe()]
            else:
                foreign.append(collector)
        return own, foreign


class Family:
    """One metric with all its series.

    Args:
        metric: its name, type and text.
        read: yields its series, whose names lack the metric's; by default those that ``metric`` holds.
    """

    def __init__(self, metric: Metric, read: Callable[[], Iterable[Any]] | None = None) -> None:
        self._metric = metric
        self._read = read

    def lines(self) -> Iterator[str]:
        """Yield the lines of the metric; the first one is head and type."""
        metric = self._metric
        kind = _TYPES.get(metric.type, metric.type)
        name = metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")
        yield f"# HELP {name} {metric.documentation.translate(_HELP_ESCAPES)}\n# TYPE {name} {kind}\n"
        samples, prefix = (metric.samples, "") if self._read is None else (self._read(), metric.name)
        for sample in samples:
            if not sample.name.endswith("_created"):
                yield _line(prefix + sample.name, sample)


def slices(families: Iterable[Family]) -> Iterator[bytes]:
    """Yield the text of ``families``, at most :data:`SLICE` series at a time."""
    lines: list[str] = []
    for family in families:
        for line in family.lines():
            lines.append(line)
            if len(lines) == SLICE:
                yield "".join(lines).encode()
                lines.clear()
    yield "".join(lines).encode()


def _line(name: str, sample: Sample) -> str:
    labels = ",".join([f'{label}="{_value(label, value)}"' for label, value in sorted(sample.labels.items())])
    value = cast("str", floatToGoString(sample.value))  # type: ignore[no-untyped-call]  # the library's own
    time = f" {int(float(sample.timestamp) * 1000)}" if sample.timestamp is not None else ""
    return f"{name}{{{labels}}} {value}{time}\n" if labels else f"{name} {value}{time}\n"


def _value(label: str, value: str) -> str:
    return value.removesuffix(".0") if label == "le" else value.translate(_VALUE_ESCAPES)
