from __future__ import annotations

from typing import Any

import pytest

from capt.embedded.schema import Schema
from capt.embedded.validation import validate

TEXT = {"type": "string"}
SKIPPED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation"
)


def node(schema: dict[str, Any]) -> Schema:
    """A schema whose only field is ``a``."""
    return Schema({"type": "object", "properties": {"a": schema}})


def errors(schema: dict[str, Any], value: Any) -> list[str]:
    return [str(error) for error in validate(node(schema), {"a": value})]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (TEXT, 1, ['a: Invalid value: "integer": a in body must be of type string: "integer"']),
        (TEXT, None, ['a: Invalid value: "null": a in body must be of type string: "null"']),
        (TEXT | {"nullable": True}, None, []),
        ({"type": "integer"}, 1.0, []),
        (
            {"type": "integer"},
            1.5,
            ['a: Invalid value: "number": a in body must be of type integer: "number"'],
        ),
        (
            {"type": "integer"},
            True,
            ['a: Invalid value: "boolean": a in body must be of type integer: "boolean"'],
        ),
        ({"type": "number"}, 1, []),
        ({"type": "object"}, [], ['a: Invalid value: "array": a in body must be of type object: "array"']),
        ({"x-kubernetes-int-or-string": True}, "5%", []),
        (
            {"x-kubernetes-int-or-string": True},
            True,
            ['a: Invalid value: "boolean": a in body must be of type integer,string: "boolean"'],
        ),
        (TEXT | {"enum": ["x", "y"]}, "z", ['a: Unsupported value: "z": supported values: "x", "y"']),
        ({"type": "integer", "enum": [1, 2]}, 3, ['a: Unsupported value: 3: supported values: "1", "2"']),
        (TEXT | {"minLength": 2}, "é", ['a: Invalid value: "é": a in body should be at least 2 chars long']),
        (TEXT | {"maxLength": 2}, "éé", []),
        (TEXT | {"maxLength": 2}, "abc", ["a: Too long: may not be more than 2 bytes"]),
        (TEXT | {"pattern": "^[a-z]+$"}, "abc", []),
        (
            TEXT | {"pattern": "^[a-z]+$"},
            "abc\n",
            ["a: Invalid value: \"abc\\n\": a in body should match '^[a-z]+$'"],
        ),
        (TEXT | {"format": "date-time"}, "2024-01-02T03:04:05Z", []),
        (
            TEXT | {"format": "date-time"},
            "yesterday",
            ['a: Invalid value: "yesterday": a in body must be of type date-time: "yesterday"'],
        ),
        (TEXT | {"format": "no-such-format"}, "anything", []),
        (
            {"type": "integer", "minimum": 1},
            0,
            ["a: Invalid value: 0: a in body should be greater than or equal to 1"],
        ),
        (
            {"type": "integer", "maximum": 5, "exclusiveMaximum": True},
            5,
            ["a: Invalid value: 5: a in body should be less than 5"],
        ),
        (
            {"type": "number", "multipleOf": 0.5},
            0.7,
            ["a: Invalid value: 0.7: a in body should be a multiple of 0.5"],
        ),
        (
            {"type": "array", "items": TEXT, "maxItems": 1},
            ["x", "y"],
            ["a: Too many: 2: must have at most 1 item"],
        ),
        (
            {"type": "array", "items": TEXT},
            ["x", 1],
            ['a[1]: Invalid value: "integer": a[1] in body must be of type string: "integer"'],
        ),
        (
            {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
            ["x", "x"],
            ['a[1]: Duplicate value: "x"'],
        ),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": TEXT}},
            },
            [{"k": "1"}, {"k": "1"}],
            ['a[1]: Duplicate value: {"k":"1"}'],
        ),
        ({"type": "object", "required": ["b"]}, {}, ["a.b: Required value"]),
        (
            {"type": "object", "additionalProperties": TEXT, "maxProperties": 1},
            {"x": "1", "y": "2"},
            ["a: Too many: 2: must have at most 1 item"],
        ),
        (
            {"type": "object", "additionalProperties": TEXT},
            {"x": 1},
            ['a.x: Invalid value: "integer": a.x in body must be of type string: "integer"'],
        ),
        (
            {
                "type": "object",
                "properties": {"x": TEXT, "y": TEXT},
                "oneOf": [{"required": ["x"]}, {"required": ["y"]}],
            },
            {},
            [
                '<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found none valid',
                "a.x: Required value",
            ],
        ),
        (
            {
                "type": "object",
                "properties": {"x": TEXT, "y": TEXT},
                "oneOf": [{"required": ["x"]}, {"required": ["y"]}],
            },
            {"x": "", "y": ""},
            [
                '<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found 2 valid alternatives'
            ],
        ),
        (
            {"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]},
            3,
            [
                '<nil>: Invalid value: "": "a" must validate at least one schema (anyOf)',
                "a: Invalid value: 3: a in body should be greater than or equal to 5",
            ],
        ),
        (
            {"type": "integer", "allOf": [{"minimum": 5}, {"maximum": 10}]},
            3,
            [
                "a: Invalid value: 3: a in body should be greater than or equal to 5",
                '<nil>: Invalid value: "": "a" must validate all the schemas (allOf)',
            ],
        ),
        (
            {"type": "integer", "format": "int32"},
            1 << 31,
            ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in a'],
        ),
        (
            {"type": "string", "not": {"enum": ["x"]}},
            "x",
            ['<nil>: Invalid value: "": "a" must not validate the schema (not)'],
        ),
    ],
)
def test_values_are_checked_in_the_servers_words(
    schema: dict[str, Any], value: Any, expected: list[str]
) -> None:
    """Each keyword of a schema refuses with the API server's own text."""
    assert errors(schema, value) == expected


def rule(text: str, **rest: Any) -> dict[str, Any]:
    properties = {
        "n": {"type": "integer"},
        "s": TEXT,
        "namespace": TEXT,
        "a-b": TEXT,
        "when": TEXT | {"format": "date-time"},
        "took": TEXT | {"format": "duration"},
        "ratio": {"type": "number"},
    }
    return {"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": text, **rest}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("self.n > 1 && self.s.startsWith('x')", {"n": 2, "s": "xy"}),
        ("!has(self.s)", {"n": 2}),
        ("self.?s.orValue('d') == 'd'", {}),
        ("self.__namespace__ == 'n' && self.a__dash__b == 'c'", {"namespace": "n", "a-b": "c"}),
        ("timestamp(self.when) > timestamp('2020-01-01T00:00:00Z')", {"when": "2024-01-01T00:00:00Z"}),
        ("duration(self.took) < duration('2m')", {"took": "1m30s"}),
        ("self.ratio + 0.5 == 1.5", {"ratio": 1}),
        ("self.s.find('[0-9]+') == '12' && [1, 2].isSorted() && [1, 2].sum() == 3", {"s": "ab12"}),
        ("isURL('https://x/y') && isIP('::1') && isCIDR('10.0.0.0/8') && !isIP('x')", {}),
        ("sets.contains(['a', 'b'], ['a']) && size('é') == 1", {}),
        ("oldSelf.n == self.n", {"n": 1}),
    ],
)
def test_rules_that_hold(text: str, value: dict[str, Any]) -> None:
    """The language with Kubernetes' names, types and functions; transition rules wait for an update."""
    assert errors(rule(text), value) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, "a: Invalid value: failed rule: self.n > 1"),
        ({"message": "more"}, "a: Invalid value: more"),
        (
            {"messageExpression": "'not ' + string(self.n)", "message": "more"},
            "a: Invalid value: not 1",
        ),
        ({"messageExpression": "string(self.none)", "message": "more"}, "a: Invalid value: more"),
        ({"message": "more", "fieldPath": ".n"}, "a.n: Invalid value: more"),
        ({"message": "more", "reason": "FieldValueForbidden"}, "a: Forbidden: more"),
        ({"message": "more", "reason": "FieldValueRequired"}, "a: Required value: more"),
        ({"reason": "FieldValueDuplicate"}, "a: Duplicate value"),
    ],
)
def test_rules_that_do_not_hold(source: dict[str, Any], expected: str) -> None:
    """message, messageExpression, reason and fieldPath shape the refusal."""
    assert errors(rule("self.n > 1", **source), {"n": 1}) == [expected]


def test_rules_on_plain_values_show_the_value() -> None:
    """A refused scalar is shown; objects and lists are not."""
    schema = {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1"}]}
    assert errors(schema, 1) == ["a: Invalid value: 1: failed rule: self > 1"]


def test_rules_that_cannot_be_evaluated() -> None:
    """A run-time error refuses the value and names the rule."""
    assert errors(rule("self.s == 'x'"), {}) == [
        "a: Invalid value: \"object\": no such key: s evaluating rule: self.s == 'x'"
    ]


def test_transition_rules_compare_with_the_value_before() -> None:
    """oldSelf is the stored value; list items are found by their keys."""
    schema = node(rule("self.n >= oldSelf.n", message="only up"))
    assert [str(e) for e in validate(schema, {"a": {"n": 1}}, {"a": {"n": 2}})] == [
        "a: Invalid value: only up"
    ]
    assert validate(schema, {"a": {"n": 3}}, {"a": {"n": 2}}) == []
    items = {"type": "object", "properties": {"k": TEXT, "v": TEXT}}
    items["x-kubernetes-validations"] = [{"rule": "self.v == oldSelf.v", "message": "fixed"}]
    listed = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        "items": items,
    }
    before = {"a": [{"k": "1", "v": "x"}, {"k": "2", "v": "y"}]}
    after = {"a": [{"k": "2", "v": "y"}, {"k": "1", "v": "z"}, {"k": "3", "v": "new"}]}
    assert [str(e) for e in validate(node(listed), after, before)] == ["a[1]: Invalid value: fixed"]


def test_an_optional_old_self_is_none_at_first() -> None:
    """With optionalOldSelf a transition rule also runs when there is no value before."""
    schema = node(
        rule("!oldSelf.hasValue() || self.n == oldSelf.value().n", optionalOldSelf=True, message="fixed")
    )
    assert validate(schema, {"a": {"n": 1}}) == []
    assert validate(schema, {"a": {"n": 1}}, {"a": {"n": 1}}) == []
    assert [str(e) for e in validate(schema, {"a": {"n": 2}}, {"a": {"n": 1}})] == ["a: Invalid value: fixed"]


def test_what_did_not_change_is_not_checked_again() -> None:
    """A value that became invalid by a new schema is left alone by writes that leave it alone."""
    properties = {"s": TEXT | {"maxLength": 1}, "n": {"type": "integer"}}
    schema = Schema({"type": "object", "properties": properties})
    assert validate(schema, {"s": "long", "n": 2}, {"s": "long", "n": 1}) == []
    assert len(validate(schema, {"s": "longer", "n": 2}, {"s": "long", "n": 1})) == 1


def test_rules_wait_for_a_sound_structure() -> None:
    """When the structure is broken the rules are not run, and the answer says so."""
    assert errors(rule("self.n > 1"), {"n": "x"})[-1] == SKIPPED
