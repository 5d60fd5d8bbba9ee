"""How many outputs fit into a status."""

from __future__ import annotations

from capt.controllers.workspace_template_apply.outputs import bounded


def test_all_fit() -> None:
    """Outputs keep their types."""
    outputs = {"b": [1, {"c": None}], "a": True}
    assert bounded(outputs).values == outputs
    assert bounded(outputs).left_out == ()


def test_each() -> None:
    """One that is too large is left out, and named."""
    found = bounded({"a": "x" * 30, "b": "y"}, each=20)
    assert (found.values, found.left_out) == ({"b": "y"}, ("a",))


def test_total() -> None:
    """What is left out when there are too many does not depend on the order in which they came."""
    outputs = {"a": 1, "b": 2, "c": 3}
    first = bounded(outputs, total=4)
    second = bounded(dict(reversed(outputs.items())), total=4)
    assert first == second
    assert (dict(first.values), first.left_out) == ({"a": 1, "b": 2}, ("c",))
