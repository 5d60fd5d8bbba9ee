"""What an owner does about the WorkspaceTemplateApply that belongs to it."""

from __future__ import annotations

from typing import Any

import pytest

from capt.controllers.child_apply import Keep, Update, bring_up_to_date
from tests.support.chain import apply_of

OWNED = ("templateRef", "variables", "values")


def brought(
    spec: dict[str, Any], wanted: dict[str, Any], labels: dict[str, str] | None = None
) -> Update | Keep:
    apply = apply_of(metadata={"labels": {"mine": "x"}}, **spec)
    whole = {"templateRef": {"name": "small"}, **wanted}
    return bring_up_to_date(apply, labels=labels or {}, spec=whole, owned=OWNED)


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": None}, {"a": [{"b": None}]}])
def test_what_is_as_wanted_is_left_alone(values: dict[str, Any]) -> None:
    """Nothing is written while nothing differs, nulls included; nor because of fields that are a user's."""
    spec = {"values": values} if values else {}
    assert (
        brought({**spec, "retainWorkspaceOnDelete": True, "waitForSecrets": [{"name": "s"}]}, spec) == Keep()
    )


@pytest.mark.parametrize(
    ("before", "after", "update"),
    [
        ({"variables": {"a": "1"}}, {"variables": {"b": "1"}}, {"variables": {"a": None, "b": "1"}}),
        ({"values": {"a": 1, "b": 2}}, {"values": {"a": 1}}, {"values": {"b": None}}),
        ({"values": {"a": 1}}, {}, {"values": None}),
    ],
)
def test_differences(before: dict[str, Any], after: dict[str, Any], update: dict[str, Any]) -> None:
    """Only what differs is written, and what is not wanted any more goes away."""
    assert brought(before, after) == Update(patch={"spec": update})


def test_labels_join_those_that_are_there() -> None:
    """A label of the owner is added beside the user's."""
    assert brought({}, {}, {"cluster": "c"}) == Update(patch={"metadata": {"labels": {"cluster": "c"}}})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 1}, {"a": None}),
        ({"a": None}, {}),
        ({"a": None, "b": 1}, {"a": None}),
        ({}, {"a": [{"b": None}]}),
    ],
)
def test_nulls_take_the_values_as_a_whole(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Where a null comes, stays or goes beside a change, the values are written as they are to be."""
    assert brought({"values": before}, {"values": after}) == Update(patch={"spec": {}}, values=after)
