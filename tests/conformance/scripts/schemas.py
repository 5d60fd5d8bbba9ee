"""Structural schemas: types, formats, limits, lists, logic, defaults, pruning."""

from __future__ import annotations

from typing import Any

from tests.conformance.kinds import plain
from tests.conformance.steps import get, merge, post, script

_CHECKS = "/apis/example.com/v1/namespaces/{ns}/checks"
_SPECS: dict[str, tuple[Any, ...]] = {
    "text": (
        {"text": "a"},
        {"text": "abcd"},
        {"text": "A1"},
        {"text": 1},
        {"text": None},
        {"text": "ab"},
        {"text": ""},
    ),
    "formats": (
        {"time": "x"},
        {"time": "2024-01-02T03:04:05Z"},
        {"time": "2024-01-02"},
        {"address": "x"},
        {"address": "10.0.0.1"},
        {"duration": "5m"},
        {"duration": "x"},
        {"duration": "-1.5h30m"},
        {"duration": "1h1"},
        {"duration": "2 weeks"},
        {"duration": "3x"},
        {"byte": "YQ=="},
        {"byte": "?"},
    ),
    "numbers": (
        {"even": 0},
        {"even": 5},
        {"even": 6},
        {"even": 3},
        {"even": 1.5},
        {"even": 2.0},
        {"ratio": 1.7},
        {"ratio": "x"},
        {"ratio": 1},
        {"choice": 3},
        {"small": 3000000000},
        {"large": 1e3},
        {"large": 9223372036854775807},
    ),
    "lists": (
        {"list": []},
        {"list": ["a", "b", "c"]},
        {"list": "x"},
        {"list": [1]},
        {"set": ["a", "a"]},
        {"map": [{"k": "1"}, {"k": "1"}]},
        {"map": [{"v": "1"}]},
        {"map": [{"k": "1"}, {"k": "2"}]},
    ),
    "objects": (
        {"texts": {"a": "1", "b": "2"}},
        {"texts": {"a": 1}},
        {"texts": None},
        {"open": {}},
        {"open": {"a": None, "b": [1]}},
        {"flag": "true"},
        {"flag": True},
        [],
        "x",
        None,
        {},
    ),
    "logic": (
        {"one": {}},
        {"one": {"x": "", "y": ""}},
        {"one": {"x": ""}},
        {"any": 3},
        {"any": 7},
        {"all": 3},
        {"all": 20},
        {"all": 7},
        {"not": "x"},
        {"not": "y"},
    ),
    "defaults": (
        {"defaulted": None},
        {"defaulted": {}},
        {"defaulted": {"c": None}},
        {"nullable": None},
        {"unknown": {"a": 1}},
        {"defaulted": {"unknown": 1}},
    ),
    "either": ({"either": 1}, {"either": "a"}, {"either": 1.5}, {"either": True}),
    "many at once": ({"text": "1", "even": 0, "choice": 7},),
}

SCRIPTS = (
    *(
        script(
            f"{what} are checked" if what != "many at once" else what,
            *(post(_CHECKS, plain("Check", f"c{i}", spec)) for i, spec in enumerate(specs)),
        )
        for what, specs in _SPECS.items()
    ),
    script(
        "updates are checked where they change something",
        post(_CHECKS, plain("Check", "u", {"text": "ab", "map": [{"k": "1", "v": "a"}]})),
        merge(f"{_CHECKS}/u", {"spec": {"text": "A"}}),
        merge(f"{_CHECKS}/u", {"spec": {"map": [{"k": "1"}, {"k": "1"}]}}),
        merge(f"{_CHECKS}/u", {"spec": {"text": None}}),
        merge(f"{_CHECKS}/u", {"status": "x"}),
        merge(f"{_CHECKS}/u/status", {"status": "x"}),
        get(f"{_CHECKS}/u"),
    ),
)
