from __future__ import annotations

import json
from typing import Any

import pytest

from capt.api import Cluster
from capt.controllers.cluster_gate import cluster_names, is_to_be_owned, turns_pause
from capt.controllers.kinds import CLUSTER
from capt.controllers.parent_cluster import Parent
from capt.runtime.event import Event
from capt.runtime.object import Object, parse_object
from tests.support.machines import machine


def cluster(
    *, paused: bool | None = None, annotations: dict[str, str] | None = None, **metadata: Any
) -> Object:
    body: dict[str, Any] = {
        "metadata": {
            "name": "c",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "1",
            "annotations": annotations or {},
            **metadata,
        },
    }
    if paused is not None:
        body["spec"] = {"paused": paused}
    return parse_object(json.dumps(body).encode(), CLUSTER.resource)


PAUSED = (cluster(paused=True), cluster(annotations={"cluster.x-k8s.io/paused": "false"}))
RUNNING = (cluster(), cluster(paused=False), cluster(labels={"a": "b"}))


@pytest.mark.parametrize("running", RUNNING)
@pytest.mark.parametrize("paused", PAUSED)
def test_a_pause_that_begins_or_ends_wakes_what_belongs_to_the_cluster(running, paused):
    """A9: unpausing lets everything go on at once; the annotation counts whatever its value."""
    assert turns_pause(Event(type="modified", old=running, new=paused))
    assert turns_pause(Event(type="modified", old=paused, new=running))


def test_other_changes_of_a_cluster_wake_nobody():
    """A Cluster's status changes often, and concerns none of its hundreds of machines."""
    assert not turns_pause(Event(type="modified", old=RUNNING[0], new=RUNNING[2]))
    assert not turns_pause(Event(type="modified", old=PAUSED[0], new=PAUSED[1]))


def test_a_cluster_that_comes_or_goes_wakes_what_belongs_to_it():
    """A pause that is gone with its Cluster holds nobody up."""
    assert turns_pause(Event(type="added", old=None, new=RUNNING[0]))
    assert turns_pause(Event(type="deleted", old=PAUSED[0], new=None))


def test_what_belongs_to_a_cluster_carries_its_label():
    """Cluster API's own label, in the namespace of the Cluster."""
    assert cluster_names(cluster(labels={"cluster.x-k8s.io/cluster-name": "blue"})) == ("n/blue",)
    assert cluster_names(cluster()) == ()


def owner(uid: str, *, controller: bool | None = None) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Any", "name": "any", "uid": uid, "controller": controller}


def parent(**metadata: Any) -> Parent:
    body = {"metadata": {"name": "c", "namespace": "n", "uid": "u", **metadata}}
    return Parent(kind=CLUSTER, cluster=Cluster.model_validate(body))


@pytest.mark.parametrize(
    ("owners", "deleting", "expected"),
    [
        ([], False, True),
        ([owner("else")], False, True),
        ([owner("u")], False, False),
        ([owner("set", controller=True)], False, False),
        ([], True, False),
    ],
)
def test_a_cluster_owns_what_nothing_else_controls(owners, deleting, expected):
    """F11: the rest is reached through its controller, and what is being deleted needs no owner any more."""
    found = machine(deleting=deleting, metadata={"ownerReferences": owners})
    assert is_to_be_owned(found, parent()) is expected


def test_a_cluster_that_is_being_deleted_takes_nothing_more():
    """An owner that is going is a death warrant."""
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["cluster.cluster.x-k8s.io"]}
    assert not is_to_be_owned(machine(), parent(**going))
