"""Structural schemas: what a CustomResourceDefinition says about its objects, compiled once.

A schema prunes what it does not know, sets defaults, and (in ``validation``) checks values. The built-in kinds have
schemas of the same form, so they are served by the same code.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping
from typing import Any

from capt.embedded.assets import kinds
from capt.embedded.cel import Rule, escape_identifier
from capt.embedded.formats import decode_base64, fits

_TOKENS = itertools.count()
_MISSING = object()
_EMBEDDED = ("apiVersion", "kind", "metadata")


@functools.cache
def _identity() -> dict[str, Schema]:
    """The properties that every whole object has."""
    text = {"type": "string"}
    sources = {"apiVersion": text, "kind": text, "metadata": kinds()["objectMeta"]}
    return {name: Schema(source) for name, source in sources.items()}


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A Go regular expression as Python's: ``$`` means the very end, classes are ASCII."""
    translated = re.sub(r"(?<!\\)\$(?=[)|]|$)", r"\\Z", pattern).replace(r"\z", r"\Z")
    return re.compile(translated, re.ASCII)


def _plain_copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_copy(item) for key, item in value.items()}
    return [_plain_copy(item) for item in value] if isinstance(value, list) else value


class Schema:
    """One node of a schema. Attributes are the OpenAPI keywords, absent ones None.

    Args:
        source: The node as in ``openAPIV3Schema``.
        root: The node describes a whole object: ``apiVersion``, ``kind`` and ``metadata`` are known.
        spine: The node holds structure; False inside anyOf, oneOf, allOf and not, which only check values.
    """

    def __init__(self, source: Mapping[str, Any], *, root: bool = False, spine: bool = True) -> None:
        get = source.get
        self.token = next(_TOKENS)
        self.source = source
        self.root = root
        self.type: str = get("type", "")
        self.int_or_string = bool(get("x-kubernetes-int-or-string"))
        self.preserve = bool(get("x-kubernetes-preserve-unknown-fields"))
        self.embedded = bool(get("x-kubernetes-embedded-resource"))
        self.nullable = bool(get("nullable"))
        self.default_value = get("default", _MISSING)
        own = {name: Schema(node, spine=spine) for name, node in (get("properties") or {}).items()}
        self.properties = (
            {**_identity(), **{n: s for n, s in own.items() if n not in _EMBEDDED}} if root else own
        )
        additional = get("additionalProperties")
        self.additional = Schema(additional, spine=spine) if isinstance(additional, Mapping) else None
        self.open = self.preserve or additional is True or not spine
        items = get("items")
        self.items = Schema(items, spine=spine) if isinstance(items, Mapping) else None
        self.format: str = get("format", "")
        self.enum: list[Any] | None = get("enum")
        self.required: list[str] = get("required") or []
        self.pattern_source: str = get("pattern", "")
        self.pattern = compile_pattern(self.pattern_source) if self.pattern_source else None
        self.minimum, self.maximum = get("minimum"), get("maximum")
        self.exclusive_minimum, self.exclusive_maximum = get("exclusiveMinimum"), get("exclusiveMaximum")
        self.multiple_of = get("multipleOf")
        self.min_length, self.max_length = get("minLength"), get("maxLength")
        self.min_items, self.max_items = get("minItems"), get("maxItems")
        self.min_properties, self.max_properties = get("minProperties"), get("maxProperties")
        self.all_of, self.any_of, self.one_of = (
            [Schema(node, spine=False) for node in get(word) or []] for word in ("allOf", "anyOf", "oneOf")
        )
        negated = get("not")
        self.negated = Schema(negated, spine=False) if negated else None
        self.combines = bool(self.all_of or self.any_of or self.one_of or self.negated)
        self.list_type: str = get("x-kubernetes-list-type", "")
        self.map_keys: list[str] = get("x-kubernetes-list-map-keys") or []
        self.map_type: str = get("x-kubernetes-map-type", "")
        self.merge_key: str = get("x-kubernetes-patch-merge-key", "")
        self.merges: bool = get("x-kubernetes-patch-strategy", "") == "merge"
        nested = (*self.properties.values(), *filter(None, (self.additional, self.items)))
        self.flat: bool = self.type not in ("", "object", "array") or (  # holds nothing to prune or default
            self.type == "array" and all(child.flat for child in nested)
        )
        rules = get("x-kubernetes-validations") or []
        self.rules = [Rule(rule) for rule in rules]
        children = [*nested, *self.all_of]
        self.has_rules: bool = bool(self.rules) or any(child.has_rules for child in children)
        self.cel_plain: bool = not (
            root
            or self.embedded
            or (self.type == "string" and self.format == "byte")
            or self.type == "number"
            or any(escape_identifier(name) != name for name in self.properties)
            or any(not child.cel_plain for child in children)
        )

    def prune(self, value: Any, unknown: list[str], path: str = "") -> None:
        """Drop, in place, what the schema does not know; the paths of what went are added to ``unknown``."""
        if isinstance(value, list):
            if self.items is not None and not self.items.flat:
                for index, item in enumerate(value):
                    self.items.prune(item, unknown, f"{path}[{index}]")
            return
        if not isinstance(value, dict):
            return
        for name in tuple(value):
            child = self.properties.get(name, self.additional)
            if child is not None and child.flat:
                continue
            where = f"{path}.{name}" if path else name
            if child is not None:
                child.prune(value[name], unknown, where)
            elif not self.open and not (self.embedded and name in _EMBEDDED):
                unknown.append(where)
                del value[name]

    def default(self, value: Any) -> None:
        """Set defaults in place; nulls that the schema forbids go, so that the default takes their place."""
        if isinstance(value, list) and self.items is not None and not self.items.flat:
            for item in value:
                self.items.default(item)
        if not isinstance(value, dict):
            return
        if self.additional is not None:
            children = dict.fromkeys(value, self.additional) | self.properties
        else:
            children = self.properties
        for name, child in children.items():
            if name in value and value[name] is None and not child.nullable:
                del value[name]
            if name not in value and child.default_value is not _MISSING:
                value[name] = _plain_copy(child.default_value)
            if name in value and not child.flat:
                child.default(value[name])

    def cel_value(self, value: Any) -> Any:
        """``value`` as rules see it: names escaped, bytes and whole numbers typed, metadata cut to the names.

        Times and durations stay text, since the CEL library takes no such values inside of objects; rules that convert
        them (``timestamp(self.since)``) mean the same here and on the real server.
        """
        if self.cel_plain or value is None:
            return value
        if isinstance(value, dict):
            names = self.properties
            seen = {
                escape_identifier(name) if name in names else name: child.cel_value(item) if child else item
                for name, item in value.items()
                for child in (names.get(name, self.additional),)
            }
            if (self.root or self.embedded) and "metadata" in value:
                metadata = value["metadata"]
                seen["metadata"] = {n: metadata[n] for n in ("name", "generateName") if n in metadata}
            return seen
        if isinstance(value, list):
            return [self.items.cel_value(item) for item in value] if self.items else value
        if self.type == "number" and isinstance(value, int):
            return float(value)
        if self.format == "byte" and isinstance(value, str) and fits("byte", value):
            return decode_base64(value)
        return value


METADATA = Schema({"type": "object"}, root=True)  # what is known of any object
