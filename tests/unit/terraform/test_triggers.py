"""Which changes of a Workspace the engine looks at."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capt.runtime import Event, Object, parse_object
from capt.terraform.kinds import FLAVOURS
from capt.terraform.triggers import worth_a_look


def workspace(**metadata: Any) -> Object:
    status = metadata.pop("status", {})
    body = {
        "metadata": {"name": "node", "uid": "u", "resourceVersion": "1", "generation": 1, **metadata},
        "status": status,
    }
    return parse_object(json.dumps(body).encode(), FLAVOURS[0].resource)


DELETING: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["ours", "other"]}


@pytest.mark.parametrize(
    ("old", "new", "worth"),
    [
        (workspace(), workspace(status={"conditions": []}), False),
        (workspace(**DELETING), workspace(**DELETING, status={"conditions": []}), False),
        (workspace(), workspace(finalizers=["ours"]), False),
        (workspace(), workspace(generation=2), True),
        (workspace(), workspace(labels={"a": "b"}), True),
        (workspace(), workspace(annotations={"a": "b"}), True),
        (workspace(finalizers=DELETING["finalizers"]), workspace(**DELETING), True),
        (workspace(**DELETING), workspace(**{**DELETING, "finalizers": ["ours"]}), True),
    ],
)
def test_what_is_asked_is_looked_at_what_was_answered_is_not(old: Object, new: Object, worth: bool) -> None:
    """Spec, labels, annotations and a deletion's progress count; status and our own finalizer do not."""
    assert worth_a_look(Event(type="modified", old=old, new=new)) is worth


def test_coming_and_going_is_looked_at() -> None:
    """A new Workspace is work, and one that has gone may have left a directory."""
    assert worth_a_look(Event(type="added", new=workspace()))
    assert worth_a_look(Event(type="deleted", old=workspace()))
