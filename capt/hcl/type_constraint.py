"""Whether a JSON value fits a variable's type constraint, by Terraform's rules of conversion.

Terraform converts where nothing is lost: a number or a bool to a string, a string that spells one to a number or a
bool, an array to a list, a set or a tuple, an object to a map or to an object type that asks for no more than it has.
A constraint that is not understood fits everything: Terraform has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class _Type:
    """One type: its name, and what it is made of.

    Attributes:
        name: keyword of Terraform's type language.
        element: of a list, set or map.
        items: of a tuple.
        attributes: of an object.
        optional: attributes of an object that may be absent.
    """

    name: str
    element: _Type | None = None
    items: tuple[_Type, ...] = ()
    attributes: Mapping[str, _Type] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()


_ANY: Final = _Type(name="any")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_TOKEN: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z_][\w-]*|[(){}\[\],=:]|[^\s(){}\[\],=:"]+)')
_OPENING: Final = frozenset("([{")
_CLOSING: Final = frozenset(")]}")
_COLLECTIONS: Final = frozenset({"list", "set", "map"})


def mismatch(value: Any, constraint: str) -> str | None:
    """Return why a value does not fit, for people and without the value itself; None when it does, or may.

    Args:
        value: a JSON value.
        constraint: the type expression of a ``variable`` block; "" for none.
    """
    try:
        wanted = _Parser(constraint).type() if constraint else _ANY
    except _NotUnderstoodError:
        return None
    return _mismatch(value, wanted, "")


def _mismatch(value: Any, wanted: _Type, path: str) -> str | None:
    if value is None or wanted.name == "any":
        return None
    match wanted.name:
        case "string" | "number" | "bool":
            fits = _primitive_fits(value, wanted.name)
        case "list" | "set":
            fits = isinstance(value, list)
        case "tuple":
            fits = isinstance(value, list) and len(value) == len(wanted.items)
        case _:
            fits = isinstance(value, Mapping)
    if not fits:
        where = f"at {path} " if path else ""
        return f"{where}{_described(wanted)} is wanted, {_described_value(value)} is given"
    return next((wrong for part in _parts(value, wanted, path) if (wrong := part)), None)


def _parts(value: Any, wanted: _Type, path: str) -> list[str | None]:
    match wanted.name:
        case "list" | "set" if wanted.element:
            return [_mismatch(item, wanted.element, f"{path}[{index}]") for index, item in enumerate(value)]
        case "map" if wanted.element:
            return [_mismatch(item, wanted.element, f"{path}[{name!r}]") for name, item in value.items()]
        case "tuple":
            pairs = zip(value, wanted.items, strict=True)
            return [_mismatch(item, each, f"{path}[{index}]") for index, (item, each) in enumerate(pairs)]
        case "object":
            lacking = sorted(wanted.attributes.keys() - value.keys() - wanted.optional)
            where = f"at {path} " if path else ""
            return [
                *(f"{where}attribute {name!r} is required" for name in lacking),
                *(
                    _mismatch(value[name], each, f"{path}.{name}")
                    for name, each in wanted.attributes.items()
                    if name in value
                ),
            ]
        case _:
            return []


def _primitive_fits(value: Any, name: str) -> bool:
    if isinstance(value, Mapping | list):
        return False
    match name:
        case "number":
            return not isinstance(value, bool) and (not isinstance(value, str) or _spells_number(value))
        case "bool":
            return isinstance(value, bool) or value in ("true", "false", "1", "0")
        case _:
            return True


def _spells_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _described(wanted: _Type) -> str:
    if wanted.name == "tuple":
        return f"a tuple of {len(wanted.items)}"
    article = "an" if wanted.name == "object" else "a"
    return f"{article} {wanted.name}"


def _described_value(value: Any) -> str:
    match value:
        case bool():
            return "a bool"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return f"an array of {len(value)}"
        case _:
            return "an object"


class _NotUnderstoodError(Exception):
    """The text is no type that we know."""


class _Parser:
    """Recursive descent over one type expression."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def type(self) -> _Type:
        """Read the expression, all of it."""
        found = self._type()
        if self._at != len(self._tokens):
            raise _NotUnderstoodError
        return found

    def _type(self) -> _Type:
        name = self._next()
        if name in {"any", "string", "number", "bool"}:
            return _Type(name=name)
        if name in _COLLECTIONS:
            if self._peek() != "(":
                return _Type(name=name, element=_ANY)
            self._expect("(")
            element = self._type()
            self._expect(")")
            return _Type(name=name, element=element)
        if name == "tuple":
            self._expect("(")
            self._expect("[")
            items = []
            while self._peek() != "]":
                items.append(self._type())
                self._skip(",")
            self._expect("]")
            self._expect(")")
            return _Type(name=name, items=tuple(items))
        if name == "object":
            return self._object()
        raise _NotUnderstoodError

    def _object(self) -> _Type:
        self._expect("(")
        self._expect("{")
        attributes: dict[str, _Type] = {}
        optional: set[str] = set()
        while self._peek() != "}":
            name = self._next().strip('"')
            if self._next() not in {"=", ":"}:
                raise _NotUnderstoodError
            if self._peek() == "optional":
                optional.add(name)
                attributes[name] = self._optional()
            else:
                attributes[name] = self._type()
            self._skip(",")
        self._expect("}")
        self._expect(")")
        return _Type(name="object", attributes=attributes, optional=frozenset(optional))

    def _optional(self) -> _Type:
        self._expect("optional")
        self._expect("(")
        found = self._type()
        depth = 1
        while depth:  # the default is an expression, which is none of our business
            bracket = self._next()
            depth += (bracket in _OPENING) - (bracket in _CLOSING)
        return found

    def _peek(self) -> str:
        if self._at >= len(self._tokens):
            raise _NotUnderstoodError
        token: str = self._tokens[self._at]
        return token

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise _NotUnderstoodError

    def _skip(self, token: str) -> None:
        if self._peek() == token:
            self._at += 1
