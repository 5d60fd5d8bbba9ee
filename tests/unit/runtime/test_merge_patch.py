from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from capt.runtime.merge_patch import apply, difference, overlay

scalars = st.one_of(
    st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, 1.0, 0.5]), st.text("ab", max_size=2)
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
documents = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def same(left, right):
    """JSON equality: 1 and 1.0 are one number, 1 and true are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@given(documents, documents)
def test_difference_leads_there(before, after):
    """Applied to the one document, the difference gives the other; inputs stay as they were."""
    kept = copy.deepcopy((before, after))
    assert same(apply(before, difference(before, after)), after)
    assert (before, after) == kept


@given(documents, documents)
def test_no_difference_means_equal(before, after):
    """The difference is empty exactly when the documents are equal."""
    assert (difference(before, after) == {}) == same(before, after)


@given(documents, documents)
def test_overlay_sets_what_is_desired_and_nothing_else(before, desired):
    """After an overlay nothing is left to overlay, and fields that are not desired are as before."""
    result = apply(before, overlay(before, desired))
    assert overlay(result, desired) == {}
    assert all(same(result[name], before[name]) for name in before.keys() - desired.keys())


def test_only_what_differs_is_sent():
    """A patch carries the changed leaves only; a list is replaced as a whole."""
    before = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": 1}
    after = {"a": {"b": 1, "c": 3}, "d": [1], "e": 1}
    assert difference(before, after) == {"a": {"c": 3}, "d": [1]}


def test_none_removes():
    """None in a desired state removes a field, and asks for nothing when it is not there."""
    assert overlay({"a": 1, "b": {"c": 1}}, {"a": None, "b": {"c": None}}) == {"a": None, "b": {"c": None}}
    assert overlay({}, {"a": None, "b": {"c": None}}) == {"b": {}}
    assert overlay({"b": {}}, {"b": {"c": None}}) == {}


def test_nulls_are_absent_fields():
    """The API server drops nulls, so a null and an absent field are no difference."""
    assert difference({"a": None, "b": 1}, {"b": 1, "c": None}) == {}
    assert difference({}, {"a": {"b": None, "c": 1}}) == {"a": {"c": 1}}
