"""Whether a JSON value fits a variable's type constraint, by Terraform's rules of conversion.

Terraform converts where nothing is lost: a number or a bool to a string, a string that spells one to a number or a
bool, an array to a list, a set or a tuple, an object to a map or to an object type that asks for no more than it has.
A constraint that is not understood fits everything: Terraform has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from capt.hcl.unification import ANY, Type, unified

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
        wanted = _Parser(constraint).type() if constraint else ANY
    except _NotUnderstoodError:
        return None
    try:
        _converted(value, wanted, "")
    except _UnfitError as unfit:
        return str(unfit)
    return None


def _converted(value: Any, wanted: Type, path: str) -> Type:
    """Return the type that a value has once it is converted.

    Raises:
        _UnfitError: there is no such conversion.
    """
    if wanted.name == "any":
        return _of_value(value)
    if value is None:
        return wanted
    match wanted.name:
        case "string" | "number" | "bool":
            fits = _primitive_fits(value, wanted.name)
        case "list" | "set":
            fits = isinstance(value, list)
        case "tuple":
            fits = isinstance(value, list) and len(value) == len(wanted.items)
        case _:
            fits = isinstance(value, Mapping)
    where = f"at {path} " if path else ""
    if not fits:
        message = f"{where}{_described(wanted)} is wanted, {_described_value(value)} is given"
        raise _UnfitError(message)
    match wanted.name:
        case "list" | "set" if wanted.element:
            items = [_converted(item, wanted.element, f"{path}[{index}]") for index, item in enumerate(value)]
            return _collection(wanted, items, where)
        case "map" if wanted.element:
            items = [_converted(item, wanted.element, f"{path}[{name!r}]") for name, item in value.items()]
            return _collection(wanted, items, where)
        case "tuple":
            pairs = zip(value, wanted.items, strict=True)
            items = [_converted(item, each, f"{path}[{index}]") for index, (item, each) in enumerate(pairs)]
            return Type(name="tuple", items=tuple(items))
        case "object":
            return _object(value, wanted, path)
        case _:
            return wanted


def _collection(wanted: Type, elements: list[Type], where: str) -> Type:
    """Return the type of a collection that has these elements: they must have one type in common."""
    if wanted.element is None or not elements:
        return wanted
    common = _common(wanted, elements)
    if common is None:
        message = f"{where}{_described(wanted)} whose elements have one type is wanted, they have several"
        raise _UnfitError(message)
    return Type(name=wanted.name, element=common)


def _common(wanted: Type, elements: list[Type]) -> Type | None:
    if wanted.name == "set" and wanted.element != ANY:
        # what a set holds is converted one by one, and must come out alike
        return elements[0] if _alike(elements) else None
    known = [each for each in elements if each != ANY]
    if wanted.name == "map" and wanted.element == ANY and known and _alike(known):
        # in this one place null takes the structure of its neighbours
        return known[0]
    return unified(elements)


def _alike(types: list[Type]) -> bool:
    return all(each == types[0] for each in types)


def _object(value: Mapping[str, Any], wanted: Type, path: str) -> Type:
    lacking = sorted(wanted.attributes.keys() - value.keys() - wanted.optional)
    if lacking:
        where = f"at {path} " if path else ""
        message = f"{where}attribute {lacking[0]!r} is required"
        raise _UnfitError(message)
    attributes = {
        name: _converted(value[name], each, f"{path}.{name}") if name in value else each
        for name, each in wanted.attributes.items()
    }
    return Type(name="object", attributes=attributes)


def _of_value(value: Any) -> Type:
    """Return the type that a JSON value has by itself."""
    match value:
        case None:
            return ANY
        case bool():
            return Type(name="bool")
        case int() | float():
            return Type(name="number")
        case str():
            return Type(name="string")
        case list():
            return Type(name="tuple", items=tuple(map(_of_value, value)))
        case _:
            return Type(name="object", attributes={name: _of_value(item) for name, item in value.items()})


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


def _described(wanted: Type) -> str:
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


class _UnfitError(Exception):
    """The value has no conversion; the text says why."""


class _NotUnderstoodError(Exception):
    """The text is no type that we know."""


class _Parser:
    """Recursive descent over one type expression."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def type(self) -> Type:
        """Read the expression, all of it."""
        found = self._type()
        if self._at != len(self._tokens):
            raise _NotUnderstoodError
        return found

    def _type(self) -> Type:
        name = self._next()
        if name in {"any", "string", "number", "bool"}:
            return Type(name=name)
        if name in _COLLECTIONS:
            if self._peek() != "(":
                return Type(name=name, element=ANY)
            self._expect("(")
            element = self._type()
            self._expect(")")
            return Type(name=name, element=element)
        if name == "tuple":
            self._expect("(")
            self._expect("[")
            items = []
            while self._peek() != "]":
                items.append(self._type())
                self._skip(",")
            self._expect("]")
            self._expect(")")
            return Type(name=name, items=tuple(items))
        if name == "object":
            return self._object()
        raise _NotUnderstoodError

    def _object(self) -> Type:
        self._expect("(")
        self._expect("{")
        attributes: dict[str, Type] = {}
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
        return Type(name="object", attributes=attributes, optional=frozenset(optional))

    def _optional(self) -> Type:
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
