"""Tables: the rows and columns that ``kubectl get`` prints, made by the server."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from capt.embedded.formats import parse_time
from capt.embedded.resource import Column

_STEP = re.compile(
    r"\.(?P<name>(?:\\.|[\w$-])+)|\[(?P<quote>['\"])(?P<quoted>.*?)(?P=quote)\]|\[(?P<index>-?\d+)\]|(?P<all>\.\*|\[\*\])"
    r"|\[\?\(\s*@(?P<left>[^=!<>]+?)\s*(?P<sign>[=!])=\s*(?P<right>'[^']*'|\"[^\"]*\"|[^)]+?)\s*\)\]"
)


def json_path(text: str) -> Callable[[Any], list[Any]]:
    """The values that a JSONPath of the simple kind (fields, indexes, ``*``, one comparison) finds in an object.

    Raises:
        ValueError: The text is no such path.
    """
    steps: list[Callable[[Any], Iterable[Any]]] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if not found:
            raise ValueError(f"cannot read the JSON path {text!r} at {text[position:]!r}")
        steps.append(_step(found))
        position = found.end()

    def find(value: Any) -> list[Any]:
        values = [value]
        for step in steps:
            values = [result for each in values for result in step(each)]
        return values

    return find


def _step(found: re.Match[str]) -> Callable[[Any], Iterable[Any]]:
    if (name := found["name"] or found["quoted"]) is not None:
        key = re.sub(r"\\(.)", r"\1", name)
        return lambda value: [value[key]] if isinstance(value, dict) and key in value else []
    if found["index"]:
        place = int(found["index"])
        return lambda value: value[place : place + 1 or None] if isinstance(value, list) else []
    if found["left"]:
        left, right, equal = json_path(found["left"]), found["right"].strip("'\""), found["sign"] == "="
        return lambda value: [v for v in _items(value) if ([_text(x) for x in left(v)] == [right]) is equal]
    return _items


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
_AGES = (  # below so many seconds: the large unit, and the small one beside it
    (2 * _MINUTE, (1, "s"), None),
    (10 * _MINUTE, (_MINUTE, "m"), (1, "s")),
    (3 * _HOUR, (_MINUTE, "m"), None),
    (8 * _HOUR, (_HOUR, "h"), (_MINUTE, "m")),
    (2 * _DAY, (_HOUR, "h"), None),
    (8 * _DAY, (_DAY, "d"), (_HOUR, "h")),
    (2 * _YEAR, (_DAY, "d"), None),
    (8 * _YEAR, (_YEAR, "y"), (_DAY, "d")),
)


def human_duration(seconds: int) -> str:
    """An age as kubectl prints it: ``95s``, ``3m20s``, ``5h``, ``12d``."""
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    for limit, (size, unit), small in _AGES:
        if seconds < limit:
            rest = seconds % size // small[0] if small else 0
            return f"{seconds // size}{unit}" + (f"{rest}{small[1]}" if small and rest else "")
    return f"{seconds // _YEAR}y"


def age_of(timestamp: str | None) -> str:
    """How long ago a time was; ``<unknown>`` when it is not set."""
    if not timestamp:
        return "<unknown>"
    try:
        passed = dt.datetime.now(dt.UTC) - parse_time(timestamp)
    except ValueError:
        return "<invalid>"
    return human_duration(int(passed.total_seconds()))


def column(source: Mapping[str, Any], value: Callable[[dict[str, Any]], Any] | None = None) -> Column:
    """A column of a definition's ``additionalPrinterColumns``; ``value`` computes what no JSONPath finds."""
    about = f"Custom resource definition column (in JSONPath format): {source.get('jsonPath', '')}"
    shown = {
        "name": source["name"],
        "type": source["type"],
        "format": source.get("format", ""),
        "description": source.get("description") or about,
        "priority": source.get("priority", 0),
    }
    return Column(shown, value or _reader(json_path(source["jsonPath"]), source["type"]))


def _reader(find: Callable[[Any], list[Any]], kind: str) -> Callable[[dict[str, Any]], Any]:
    def cell(content: dict[str, Any]) -> Any:
        found = find(content)
        return _cell(kind, found[0]) if found else None

    return cell


def _cell(kind: str, value: Any) -> Any:
    match kind:
        case "integer":
            return int(value) if isinstance(value, int | float) else None
        case "number":
            return float(value) if isinstance(value, int | float) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return age_of(value) if isinstance(value, str) else None
    return _text(value) if not isinstance(value, dict | list) else str(value).replace("'", '"')
