from __future__ import annotations

from typing import Any

import pytest

from capt.embedded.tables import column, human_duration, json_path

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (9 * MINUTE + 5, "9m5s"),
        (10 * MINUTE + 5, "10m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR + 7 * MINUTE, "3h7m"),
        (8 * HOUR + 7 * MINUTE, "8h"),
        (2 * DAY + 3 * HOUR, "2d3h"),
        (8 * DAY + 3 * HOUR, "8d"),
        (2 * YEAR + 5 * DAY, "2y5d"),
        (9 * YEAR + 5 * DAY, "9y"),
    ],
)
def test_ages_read_as_kubectl_prints_them(seconds: int, text: str) -> None:
    """Ages lose precision as they grow, in kubectl's steps."""
    assert human_duration(seconds) == text


OBJECT = {
    "spec": {"a-b": 1, "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}], "map": {"k.l": "z"}},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".spec.a-b", [1]),
        (".spec.none", []),
        (".spec.list[0].n", ["x"]),
        (".spec.list[-1].n", ["y"]),
        (".spec.list[5].n", []),
        (".spec.list[*].v", [1, 2]),
        (r".spec.map.k\.l", ["z"]),
        (".spec.map['k.l']", ["z"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type != 'Ready')].status", ["False"]),
        (".spec.list[?(@.v==2)].n", ["y"]),
    ],
)
def test_json_paths(path: str, values: list[Any]) -> None:
    """The paths that printer columns use."""
    assert json_path(path)(OBJECT) == values


@pytest.mark.parametrize("path", ["spec", ".a b", ".a[", ".a[?(b)]"])
def test_paths_that_cannot_be_read(path: str) -> None:
    """A path of another kind is refused when the definition is made, not when it is used."""
    with pytest.raises(ValueError, match="cannot read the JSON path"):
        json_path(path)


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("string", "x", "x"),
        ("string", True, "true"),
        ("string", 3, "3"),
        ("string", ["a"], '["a"]'),
        ("integer", 3, 3),
        ("integer", "x", None),
        ("number", 1.5, 1.5),
        ("boolean", True, True),
        ("boolean", "x", None),
        ("date", "nonsense", "<invalid>"),
        ("date", 3, None),
    ],
)
def test_cells_have_the_type_of_their_column(kind: str, value: Any, cell: Any) -> None:
    """A value that does not fit its column leaves the cell empty."""
    made = column({"name": "C", "type": kind, "jsonPath": ".v"})
    assert made.value({"v": value}) == cell
    assert made.value({}) is None
