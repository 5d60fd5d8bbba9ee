"""Checks values against a schema, with the API server's own texts.

On an update, what did not change is not checked again (ratcheting): an object that was stored before a schema became
stricter can still be written, as long as the write leaves the offending value alone.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from capt.embedded import errors
from capt.embedded.cel import CelError
from capt.embedded.errors import OMIT, FieldError
from capt.embedded.formats import fits
from capt.embedded.schema import Schema

ABSENT: Any = object()  # no value before: a creation, or a place that cannot be compared
_BLOCKING = frozenset(
    f"FieldValue{reason}" for reason in ("NotSupported", "Required", "TooLong", "TooMany", "TypeInvalid")
)
_ENCODER = msgspec.json.Encoder(order="sorted")
_INTEGER_BITS = {"int32": 31, "int64": 63}
_TYPE_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_RULES_SKIPPED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete"
    " validation"
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; to Python alone, true is 1."""
    return one is other or (one == other and _ENCODER.encode(one) == _ENCODER.encode(other))


def validate(schema: Schema, value: Any, old: Any = ABSENT) -> list[FieldError]:
    """Everything wrong with ``value``: structure first and, when that is sound enough, the CEL rules."""
    found = check_structure(schema, value, old)
    return found + check_rules(schema, value, old, found)


def check_structure(schema: Schema, value: Any, old: Any = ABSENT) -> list[FieldError]:
    """What is wrong with ``value`` but for the rules."""
    return list(_check(schema, value, old, ""))


def check_rules(schema: Schema, value: Any, old: Any, found: Iterable[FieldError]) -> list[FieldError]:
    """The rules that do not hold; they are not run when ``found`` says that the value is not what they expect."""
    if schema.has_rules and any(error.reason in _BLOCKING for error in found):
        return [errors.invalid("<nil>", None, _RULES_SKIPPED)]
    return list(_check_rules(schema, value, old, ""))


def type_name(value: Any) -> str:
    """The JSON type of a value, a whole number being an integer."""
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return _TYPE_NAMES[type(value)]


def _check(schema: Schema, value: Any, old: Any, path: str) -> Iterator[FieldError]:
    if old is not ABSENT and same(value, old):
        return
    actual = type_name(value)
    wanted = ("integer", "string") if schema.int_or_string else (schema.type,) if schema.type else ()
    if value is None and (schema.nullable or not wanted):
        return
    if wanted and actual not in wanted and not (actual == "integer" and "number" in wanted):
        text = f"{path} in body must be of type {','.join(wanted)}: {errors.go_quote(actual)}"
        yield FieldError("FieldValueTypeInvalid", path, text, actual)
        if value is None:
            return
    if schema.combines:
        yield from _check_combinations(schema, value, path)
    match value:
        case str():
            yield from _check_string(schema, value, path)
        case int() | float() if not isinstance(value, bool):
            yield from _check_number(schema, value, path)
        case list():
            yield from _check_list(schema, value, old, path)
        case dict():
            yield from _check_object(schema, value, old, path)
    if schema.enum is not None and value not in schema.enum:
        yield errors.not_supported(path, value, schema.enum)


def _check_combinations(schema: Schema, value: Any, path: str) -> Iterator[FieldError]:
    def failures_of(schemas: list[Schema]) -> list[list[FieldError]]:
        return sorted((list(_check(each, value, ABSENT, path)) for each in schemas), key=len)

    def composite(text: str) -> FieldError:
        return errors.invalid("<nil>", "", f"{errors.go_quote(path)} must {text}")

    if schema.any_of and all(failures := failures_of(schema.any_of)):
        yield composite("validate at least one schema (anyOf)")
        yield from failures[0]
    if schema.one_of and (valid := (failures := failures_of(schema.one_of)).count([])) != 1:
        found = f"Found {valid} valid alternatives" if valid else "Found none valid"
        yield composite(f"validate one and only one schema (oneOf). {found}")
        yield from failures[0]
    if schema.all_of and any(failures := failures_of(schema.all_of)):
        yield from itertools.chain(*failures)
        yield composite(f"validate all the schemas (allOf){'. None validated' if all(failures) else ''}")
    if schema.negated is not None and not failures_of([schema.negated])[0]:
        yield composite("not validate the schema (not)")


def _check_string(schema: Schema, value: str, path: str) -> Iterator[FieldError]:
    if schema.max_length is not None and len(value) > schema.max_length:
        yield FieldError("FieldValueTooLong", path, f"may not be more than {schema.max_length} bytes")
    elif schema.min_length is not None and len(value) < schema.min_length:
        text = f"{path} in body should be at least {schema.min_length} chars long"
        yield errors.invalid(path, value, text)
    elif schema.pattern is not None and not schema.pattern.search(value):
        yield errors.invalid(path, value, f"{path} in body should match '{schema.pattern_source}'")
    if schema.format and not fits(schema.format, value):
        text = f"{path} in body must be of type {schema.format}: {errors.go_quote(value)}"
        yield FieldError("FieldValueTypeInvalid", path, text, value)


def _check_number(schema: Schema, value: float, path: str) -> Iterator[FieldError]:
    bits = _INTEGER_BITS.get(schema.format)
    if bits and not -(1 << bits) <= value < 1 << bits:
        text = f"Checked value must be of type integer with format {schema.format} in {path}"
        yield errors.invalid("<nil>", "", text)
    if schema.multiple_of is not None and value % schema.multiple_of:
        text = f"{path} in body should be a multiple of {errors.go_value(schema.multiple_of)}"
        yield errors.invalid(path, value, text)
    for limit, exclusive, word, beyond in (
        (schema.maximum, schema.exclusive_maximum, "less than", operator.gt),
        (schema.minimum, schema.exclusive_minimum, "greater than", operator.lt),
    ):
        if limit is not None and (beyond(value, limit) or (exclusive and value == limit)):
            words = word if exclusive else f"{word} or equal to"
            yield errors.invalid(path, value, f"{path} in body should be {words} {errors.go_value(limit)}")


def _check_size(
    path: str, count: int, least: int | None, most: int | None, words: str
) -> Iterator[FieldError]:
    if least is not None and count < least:
        yield errors.invalid(path, count, f"{path} in body should have at least {least} {words}")
    if most is not None and count > most:
        text = f"must have at most {most} {'item' if most == 1 else 'items'}"
        yield FieldError("FieldValueTooMany", path, text, count)


def _check_list(schema: Schema, value: list[Any], old: Any, path: str) -> Iterator[FieldError]:
    yield from _check_size(path, len(value), schema.min_items, schema.max_items, "items")
    seen: list[Any] = []
    for index, (item, before) in enumerate(_items(schema, value, old)):
        if schema.items is not None:
            yield from _check(schema.items, item, before, f"{path}[{index}]")
        if schema.list_type in ("set", "map"):
            key = item
            if schema.list_type == "map" and isinstance(item, dict):
                key = {key: item[key] for key in schema.map_keys if key in item}
            if key in seen:
                yield errors.duplicate(f"{path}[{index}]", key)
            seen.append(key)


def _check_object(schema: Schema, value: dict[str, Any], old: Any, path: str) -> Iterator[FieldError]:
    yield from _check_size(path, len(value), schema.min_properties, schema.max_properties, "properties")
    for name in schema.required:
        if name not in value:
            yield errors.required(_join(path, name))
    before = _fields(schema, old)
    for name, item in value.items():
        child = schema.properties.get(name, schema.additional)
        if child is not None:
            yield from _check(child, item, before.get(name, ABSENT), _join(path, name))


def _check_rules(schema: Schema, value: Any, old: Any, path: str) -> Iterator[FieldError]:
    if value is None or not schema.has_rules:
        return
    if schema.rules:
        yield from _broken_rules(schema, value, old, path)
    for part in schema.all_of:
        yield from _check_rules(part, value, old, path)
    if isinstance(value, dict):
        fields = _fields(schema, old)
        for name, item in value.items():
            named = schema.properties.get(name)
            if (child := named or schema.additional) is not None:
                where = _join(path, name) if named else f"{path}[{name}]"
                yield from _check_rules(child, item, fields.get(name, ABSENT), where)
    elif isinstance(value, list) and schema.items is not None:
        for index, (item, before) in enumerate(_items(schema, value, old)):
            yield from _check_rules(schema.items, item, before, f"{path}[{index}]")


def _broken_rules(schema: Schema, value: Any, old: Any, path: str) -> Iterator[FieldError]:
    compared = old is not ABSENT and old is not None
    unchanged = compared and same(value, old)
    seen, seen_before = schema.cel_value(value), [schema.cel_value(old)] if compared else []
    for rule in schema.rules:
        if unchanged if not rule.is_transition else not (compared or rule.optional_old_self):
            continue
        where = path or "<nil>"
        try:
            if rule.holds(seen, seen_before):
                continue
        except CelError as error:
            yield errors.invalid(where, schema.type, rule.error_text(error))
            continue
        if rule.field_path:
            where = f"{path}{rule.field_path}".lstrip(".")
        detail = "" if rule.reason == "FieldValueDuplicate" else rule.failure(seen, seen_before)
        shows_value = rule.reason in ("FieldValueDuplicate", "FieldValueInvalid")
        shown = value if shows_value and schema.type not in ("object", "array") else OMIT
        yield FieldError(rule.reason, where, detail, shown)


def _items(schema: Schema, value: list[Any], old: Any) -> Iterator[tuple[Any, Any]]:
    """The items, each with what it was before: only those of a map list can be told from one another."""

    def key(item: Any) -> tuple[str, ...]:
        return tuple(repr(item.get(name)) for name in schema.map_keys) if isinstance(item, dict) else ()

    known = {key(item): item for item in old} if schema.list_type == "map" and isinstance(old, list) else {}
    return ((item, known.get(key(item), ABSENT) if known else ABSENT) for item in value)


def _fields(schema: Schema, old: Any) -> dict[str, Any]:
    """The fields before, if they can be compared one by one."""
    return old if isinstance(old, dict) and schema.map_type != "atomic" else {}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
