"""JSON patches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capt.runtime import merge_patch
from capt.runtime.json_patch import difference, equal, needed

LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.text("a~/", max_size=2)
OBJECTS = st.dictionaries(
    st.text("ab~/", min_size=1, max_size=2),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("a~/"), inner)),
    max_size=3,
)


def carried_out(document: Any, operations: list[dict[str, Any]]) -> Any:
    for operation in operations:
        *parents, name = [
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
        ]
        holder = document
        for parent in parents:
            holder = holder[parent]
        if operation["op"] == "remove":
            del holder[name]
        else:
            holder[name] = operation["value"]
    return document


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    return list(value) if isinstance(value, list) else value


@given(OBJECTS, OBJECTS)
def test_the_difference_makes_one_document_of_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Nulls, slashes, tildes and nesting included."""
    assert equal(carried_out(copied(before), difference(before, after)), after)
    assert difference(after, copied(after)) == []


@pytest.mark.parametrize(
    ("before", "after", "operations"),
    [
        ({"a": 1}, {"a": None}, [{"op": "add", "path": "/a", "value": None}]),
        ({"a": None}, {}, [{"op": "remove", "path": "/a"}]),
        ({"a": {"b/c": 1}}, {"a": {"b/c": True}}, [{"op": "add", "path": "/a/b~1c", "value": True}]),
        ({"a": [1]}, {"a": [1, None]}, [{"op": "add", "path": "/a", "value": [1, None]}]),
    ],
)
def test_what_the_operations_are(before: Any, after: Any, operations: Any) -> None:
    """Only what differs is named."""
    assert difference(before, after) == operations


@pytest.mark.parametrize(
    ("before", "after", "answer"),
    [
        ({"a": 1}, {"a": 2}, False),
        ({"a": None}, {"a": None}, False),
        ({"a": 1}, {"a": None}, True),
        ({"a": None}, {}, True),
        ({"a": [{"b": 1}]}, {"a": [{"b": None}]}, True),
        ({"a": None, "b": 1}, {"a": None, "b": 2}, True),
    ],
)
def test_needed_for_nulls_only(before: Any, after: Any, answer: bool) -> None:
    """A merge patch does for everything but documents that differ and hold a null."""
    assert needed(before, after) is answer


@given(OBJECTS, OBJECTS)
def test_where_it_is_not_needed_a_merge_patch_does(before: dict[str, Any], after: dict[str, Any]) -> None:
    """What is not said to need a JSON patch comes out right with a merge patch."""
    if not needed(before, after):
        assert equal(merge_patch.apply(before, merge_patch.difference(before, after)), after)
