from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capt.embedded.errors import StatusError
from capt.embedded.patches import json_patch, merge, strategic
from capt.embedded.schema import Schema

KEYS = st.sampled_from("abc")
VALUES = st.recursive(
    st.integers() | st.text(max_size=2), lambda v: st.dictionaries(KEYS, v) | st.lists(v, max_size=2)
)
OBJECTS = st.dictionaries(KEYS, VALUES)
PATCHES = st.dictionaries(KEYS, st.none() | VALUES)
ITEMS = {"type": "object", "properties": {"name": {"type": "string"}}}
LISTS = Schema(
    {
        "type": "object",
        "properties": {
            "keyed": {"type": "array", "items": ITEMS, "x-kubernetes-patch-merge-key": "name"},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
            "atomic": {"type": "array", "items": ITEMS},
        },
    }
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(OBJECTS, PATCHES)
def test_a_merge_patch_says_what_is_there_afterwards(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """Fields of the patch are in the result (nulls are not), others stay; doing it twice changes nothing more."""
    result = merge(target, patch)
    assert set(result) == (set(target) | set(patch)) - {
        name for name, value in patch.items() if value is None
    }
    assert all(result[name] == target[name] for name in set(target) - set(patch))
    assert merge(result, patch) == result


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(OBJECTS, PATCHES)
def test_a_merge_patch_leaves_its_arguments_alone(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """The target is not changed in place."""
    before = repr(target)
    merge(target, patch)
    assert repr(target) == before


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        (
            {"keyed": [{"name": "a", "v": 1}, {"name": "b"}]},
            {"keyed": [{"name": "a", "w": 2}, {"name": "c"}]},
            {"keyed": [{"name": "a", "v": 1, "w": 2}, {"name": "b"}, {"name": "c"}]},
        ),
        (
            {"keyed": [{"name": "a"}, {"name": "b"}]},
            {"keyed": [{"name": "a", "$patch": "delete"}]},
            {"keyed": [{"name": "b"}]},
        ),
        (
            {"keyed": [{"name": "a"}]},
            {"keyed": [{"name": "b"}, {"$patch": "replace"}]},
            {"keyed": [{"name": "b"}]},
        ),
        ({"set": ["a"]}, {"set": ["b", "a"]}, {"set": ["b", "a"]}),
        ({"set": ["a", "b"]}, {"$deleteFromPrimitiveList/set": ["a"]}, {"set": ["b"]}),
        ({"atomic": [{"name": "a"}]}, {"atomic": [{"name": "b"}]}, {"atomic": [{"name": "b"}]}),
        ({"o": {"a": 1, "b": 2}}, {"o": {"$patch": "replace", "c": 3}}, {"o": {"c": 3}}),
        ({"o": {"a": 1, "b": 2}}, {"o": {"$retainKeys": ["c"], "c": 3}}, {"o": {"c": 3}}),
        ({"a": 1, "b": 2}, {"a": None, "$setElementOrder/keyed": []}, {"b": 2}),
    ],
)
def test_strategic_merge_patches(
    target: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Lists with a merge key are merged by it, sets are joined, others replaced; directives are obeyed."""
    assert strategic(LISTS, target, patch) == expected


def test_strategic_merge_patches_that_make_no_sense() -> None:
    """Unknown directives are an error of the server, oddly; items without their key are bad requests."""
    for patch, code in (({"$patch": "explode"}, 500), ({"keyed": [{"v": 1}]}, 400)):
        with pytest.raises(StatusError) as caught:
            strategic(LISTS, {"keyed": []}, patch)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/l/1", "value": 9}, {"l": [1, 9, 2], "o": {"a/b": 1}}),
        ({"op": "add", "path": "/l/-", "value": 9}, {"l": [1, 2, 9], "o": {"a/b": 1}}),
        ({"op": "remove", "path": "/l/0"}, {"l": [2], "o": {"a/b": 1}}),
        ({"op": "replace", "path": "/o/a~1b", "value": 2}, {"l": [1, 2], "o": {"a/b": 2}}),
        ({"op": "move", "from": "/o/a~1b", "path": "/x"}, {"l": [1, 2], "o": {}, "x": 1}),
        ({"op": "copy", "from": "/l", "path": "/x"}, {"l": [1, 2], "o": {"a/b": 1}, "x": [1, 2]}),
    ],
)
def test_json_patch_operations(operation: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each operation of RFC 6902, with escaped pointers."""
    assert json_patch({"l": [1, 2], "o": {"a/b": 1}}, [operation]) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "add", "path": "/l/7", "value": 1},
        {"op": "test", "path": "/l", "value": []},
        {"op": "fly", "path": "/l"},
        {"op": "add", "path": "l", "value": 1},
        {"path": "/l"},
    ],
)
def test_json_patches_that_do_not_apply(operation: dict[str, Any]) -> None:
    """A patch that does not apply is unprocessable."""
    with pytest.raises(StatusError) as caught:
        json_patch({"l": [1, 2]}, [operation])
    assert caught.value.code == 422
