"""CEL rules: messages, reasons, field paths, transition rules."""

from __future__ import annotations

from typing import Any

from tests.conformance.kinds import plain
from tests.conformance.steps import merge, post, script

_RULES = "/apis/example.com/v1/namespaces/{ns}/rules"


def _created(*specs: Any) -> tuple[Any, ...]:
    return tuple(post(_RULES, plain("Rule", f"r{index}", spec)) for index, spec in enumerate(specs))


SCRIPTS = (
    script("a rule without a message is quoted", _created({"above": 1}, {"above": 2}, {"above": "x"})),
    script("message and reason", _created({"prefix": "b"}, {"prefix": "a"})),
    script(
        "messageExpression and fieldPath", _created({"said": {"x": "b"}}, {"said": {"x": "a"}}, {"said": {}})
    ),
    script("a rule that cannot be evaluated", _created({"divisor": 0}, {"divisor": 5}, {"divisor": 20})),
    script(
        "rules on values and items",
        _created({"values": {"k": 1}}, {"items": [2, 1]}, {"values": {"k": 2}, "items": [2]}),
    ),
    script(
        "quantifiers and functions",
        _created({"hosts": ["a.b", "A"]}, {"hosts": ["a.b"]}, {"hosts": ["abcdefghijkl"]}),
    ),
    script("has", _created({"required": {}}, {"required": {"a": "x"}}, {"required": {"a": "x", "b": "y"}})),
    script("functions of Kubernetes", _created({"url": "https://example.com/x"}, {"url": "no url"})),
    script("several rules at once", _created({"above": 1, "prefix": "b", "items": [0]})),
    script(
        "transition rules",
        _created({"rising": 1, "fixed": 1, "once": "a"}),
        merge(f"{_RULES}/r0", {"spec": {"rising": 0}}),
        merge(f"{_RULES}/r0", {"spec": {"fixed": 2}}),
        merge(f"{_RULES}/r0", {"spec": {"once": "b"}}),
        merge(f"{_RULES}/r0", {"spec": {"rising": 5}}),
        merge(f"{_RULES}/r0", {"spec": {"once": None}}),
        merge(f"{_RULES}/r0", {"spec": {"once": "b"}}),
    ),
)
