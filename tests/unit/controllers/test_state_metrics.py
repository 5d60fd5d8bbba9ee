from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Histogram

from capt.controllers.kinds import MACHINE
from capt.controllers.state_metrics import Newcomers, Operations, gauges
from capt.runtime import Event, Object, parse_object
from capt.runtime.testing import FakeClock


def cached(name: str = "m", *, deleting: bool = False, **fields: Any) -> Object:
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T12:00:00Z",
    } | ({"deletionTimestamp": "2026-01-01T12:30:00Z"} if deleting else {})
    body = {"kind": "CaptMachine", "metadata": metadata, **fields}
    return parse_object(json.dumps(body).encode(), MACHINE.resource)


def status(ready: str, reason: str = "Any", *, at: str = "12:00:00", **fields: Any) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": reason,
        "lastTransitionTime": f"2026-01-01T{at}Z",
    }
    return {"conditions": [condition], **fields}


def shown(*objects: Object, kind: str = "CaptMachine") -> dict[str, float]:
    return {
        f"{sample.name}{{{','.join(value for label, value in sample.labels.items() if label != 'kind')}}}": sample.value
        for family in gauges({kind: objects})
        for sample in family.samples
    }


def test_objects_are_counted_by_phase() -> None:
    """An object on its way out is Deleting whatever it says of itself; a phase of its own comes before conditions."""
    found = shown(
        cached("a", status=status("True")),
        cached("b", status=status("True"), deleting=True),
        cached("c", status=status("False", failureReason="Broken")),
        cached("d", status=status("False", phase="Creating")),
        cached("e"),
    )
    phases = {name: value for name, value in found.items() if name.startswith("capt_objects{")}
    assert phases == {
        "capt_objects{Ready}": 1,
        "capt_objects{Deleting}": 1,
        "capt_objects{Failed}": 1,
        "capt_objects{Creating}": 1,
        "capt_objects{Pending}": 1,
    }


def test_no_objects_are_zero_ready_objects() -> None:
    """A kind without objects has a series nevertheless, so that an alert on it can tell 0 from nothing."""
    assert shown() == {"capt_objects{Ready}": 0}


def test_waiting_objects_are_counted_by_reason() -> None:
    """The reason is that of the Ready condition."""
    found = shown(*(cached(name, status=status("False", "WorkspaceError")) for name in "ab"))
    assert found["capt_objects_not_ready{WorkspaceError}"] == 2


def test_replicas_are_those_of_the_status() -> None:
    """Desired replicas come from the spec, all others from the status; what is not there is not shown."""
    found = shown(
        cached(
            "d",
            spec={"replicas": 3},
            status={"replicas": 4, "readyReplicas": 2, "availableReplicas": 1, "updatedReplicas": 0},
        ),
        cached("m"),
    )
    replicas = {name: value for name, value in found.items() if "replicas" in name}
    assert replicas == {
        "capt_replicas_desired{ns,d}": 3,
        "capt_replicas_current{ns,d}": 4,
        "capt_replicas_ready{ns,d}": 2,
        "capt_replicas_available{ns,d}": 1,
        "capt_replicas_updated{ns,d}": 0,
    }


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def newcomers(registry: CollectorRegistry) -> Newcomers:
    return Newcomers(Histogram("seconds", "Seconds.", registry=registry))


def measured(registry: CollectorRegistry) -> tuple[float | None, float | None]:
    return registry.get_sample_value("seconds_count"), registry.get_sample_value("seconds_sum")


def test_the_time_to_ready_is_measured_once(registry: CollectorRegistry, newcomers: Newcomers) -> None:
    """It runs from the creation to the first time that Ready turns true; a later recovery does not count."""
    new, ready = cached(), cached(status=status("True", at="12:01:30"))
    newcomers.on_event(Event(type="added", new=new))
    newcomers.on_event(Event(type="modified", old=new, new=ready))
    newcomers.on_event(Event(type="modified", old=ready, new=cached(status=status("False", at="12:05:00"))))
    newcomers.on_event(Event(type="modified", old=new, new=cached(status=status("True", at="12:06:00"))))
    assert measured(registry) == (1, 90)


def test_what_was_there_before_is_not_measured(registry: CollectorRegistry, newcomers: Newcomers) -> None:
    """Nobody can say whether it was Ready earlier."""
    newcomers.on_event(Event(type="added", new=cached(), initial=True))
    newcomers.on_event(Event(type="modified", old=cached(), new=cached(status=status("True"))))
    assert measured(registry) == (0, 0)


def test_what_is_gone_is_forgotten(registry: CollectorRegistry, newcomers: Newcomers) -> None:
    """An object that never was Ready leaves no measurement."""
    newcomers.on_event(Event(type="added", new=cached()))
    newcomers.on_event(Event(type="deleted", old=cached()))
    assert measured(registry) == (0, 0)


UNREADY, READY = cached(status=status("False")), cached(status=status("True"))
GOING = cached(status=status("True"), deleting=True)


@pytest.mark.parametrize(
    ("events", "measured"),
    [
        (
            [Event(type="added", new=cached()), Event(type="modified", old=cached(), new=READY)],
            {"create": 10},
        ),
        (
            [
                Event(type="added", new=READY, initial=True),
                Event(type="modified", old=READY, new=UNREADY),
                Event(type="modified", old=UNREADY, new=UNREADY),
                Event(type="modified", old=UNREADY, new=READY),
            ],
            {"update": 20},
        ),
        (
            [
                Event(type="modified", old=READY, new=GOING),
                Event(type="modified", old=GOING, new=GOING),
                Event(type="deleted", old=GOING),
            ],
            {"delete": 20},
        ),
        (
            [
                Event(type="added", new=cached()),
                Event(type="modified", old=cached(), new=GOING),
                Event(type="deleted", old=GOING),
            ],
            {"delete": 10},
        ),
        (
            [Event(type="added", new=UNREADY, initial=True), Event(type="modified", old=UNREADY, new=READY)],
            {},
        ),
        ([Event(type="added", new=cached()), Event(type="deleted", old=cached())], {}),
    ],
    ids=["create", "update", "delete", "never-made", "began-before", "gone-at-once"],
)
async def test_operations_of_terraform_are_measured(
    registry: CollectorRegistry, events: list[Event], measured: dict[str, float]
) -> None:
    """From the wish to its fulfilment, ten seconds a step here; what began before the process watched is left out."""
    clock = FakeClock()
    operations = Operations(Histogram("seconds", "Seconds.", ["operation"], registry=registry), clock)
    for event in events:
        operations.on_event(event)
        await clock.advance(10)
    found = {
        name: registry.get_sample_value("seconds_sum", {"operation": name})
        for name in ("create", "update", "delete")
    }
    assert {name: value for name, value in found.items() if value is not None} == measured
