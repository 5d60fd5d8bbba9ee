from __future__ import annotations

from typing import Any

import pytest

from capt.embedded.schema import Schema

TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "value", "kept", "unknown"),
    [
        ({"type": "object", "properties": {"a": TEXT}}, {"a": "1", "b": 2}, {"a": "1"}, ["b"]),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            {"b": {"c": 1}},
            {"b": {"c": 1}},
            [],
        ),
        ({"type": "object", "additionalProperties": TEXT}, {"x": "1"}, {"x": "1"}, []),
        (
            {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}},
            [{"a": "1"}, {"z": 1}],
            [{"a": "1"}, {}],
            ["[1].z"],
        ),
        (
            {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "properties": {"spec": {"type": "object"}},
            },
            {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": {"x": 1}, "other": 1},
            {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": {}},
            ["spec.x", "other"],
        ),
    ],
)
def test_pruning(schema: dict[str, Any], value: Any, kept: Any, unknown: list[str]) -> None:
    """What the schema does not know goes, and its place is reported."""
    found: list[str] = []
    Schema(schema).prune(value, found)
    assert (value, found) == (kept, unknown)


@pytest.mark.parametrize(
    ("properties", "value", "expected"),
    [
        ({"a": TEXT | {"default": "d"}}, {}, {"a": "d"}),
        ({"a": TEXT | {"default": "d"}}, {"a": None}, {"a": "d"}),
        ({"a": TEXT | {"default": "d", "nullable": True}}, {"a": None}, {"a": None}),
        ({"a": TEXT}, {"a": None}, {}),
        ({"o": {"type": "object", "properties": {"a": TEXT | {"default": "d"}}}}, {}, {}),
        (
            {"o": {"type": "object", "default": {}, "properties": {"a": TEXT | {"default": "d"}}}},
            {},
            {"o": {"a": "d"}},
        ),
        (
            {
                "l": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"a": TEXT | {"default": "d"}}},
                }
            },
            {"l": [{}, {"a": "x"}]},
            {"l": [{"a": "d"}, {"a": "x"}]},
        ),
        (
            {
                "m": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "properties": {"a": TEXT | {"default": "d"}}},
                }
            },
            {"m": {"x": {}, "y": None}},
            {"m": {"x": {"a": "d"}}},
        ),
    ],
)
def test_defaulting(properties: dict[str, Any], value: Any, expected: Any) -> None:
    """Missing fields get their default; nulls that are not allowed count as missing."""
    Schema({"type": "object", "properties": properties}).default(value)
    assert value == expected


def test_defaults_are_not_shared() -> None:
    """Two objects that got the same default do not get the same list."""
    schema = Schema(
        {"type": "object", "properties": {"l": {"type": "array", "items": TEXT, "default": ["x"]}}}
    )
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    schema.default(first)
    schema.default(second)
    first["l"].append("y")
    assert second == {"l": ["x"]}
