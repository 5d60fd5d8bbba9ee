"""The custom kinds that scripts share, and manifests of them."""

from __future__ import annotations

from typing import Any

from tests.support.api_client import definition, widget

_TEXT = {"type": "string"}
_INTEGER = {"type": "integer"}
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

CHECK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": _TEXT | {"minLength": 2, "maxLength": 3, "pattern": "^[a-z]+$"},
        "time": _TEXT | {"format": "date-time"},
        "address": _TEXT | {"format": "ipv4"},
        "duration": _TEXT | {"format": "duration"},
        "byte": _TEXT | {"format": "byte"},
        "even": _INTEGER | {"minimum": 1, "maximum": 5, "exclusiveMaximum": True, "multipleOf": 2},
        "ratio": {"type": "number", "maximum": 1.5},
        "choice": _INTEGER | {"enum": [1, 2]},
        "list": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 2},
        "set": {"type": "array", "items": _TEXT, "x-kubernetes-list-type": "set"},
        "map": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "required": ["k"], "properties": {"k": _TEXT, "v": _TEXT}},
        },
        "texts": {"type": "object", "additionalProperties": _TEXT, "maxProperties": 1},
        "open": _OPEN | {"minProperties": 1},
        "flag": {"type": "boolean"},
        "one": {
            "type": "object",
            "properties": {"x": _TEXT, "y": _TEXT},
            "oneOf": [{"required": ["x"]}, {"required": ["y"]}],
        },
        "any": _INTEGER | {"anyOf": [{"minimum": 5}, {"maximum": 1}]},
        "all": _INTEGER | {"allOf": [{"minimum": 5}, {"maximum": 10}]},
        "not": _TEXT | {"not": {"enum": ["x"]}},
        "small": _INTEGER | {"format": "int32"},
        "large": _INTEGER | {"format": "int64"},
        "nullable": _TEXT | {"nullable": True},
        "either": {"x-kubernetes-int-or-string": True},
        "defaulted": {
            "type": "object",
            "default": {"a": 1},
            "properties": {"a": _INTEGER, "c": _TEXT | {"default": "z"}},
        },
    },
}


def _rule(rule: str, **rest: Any) -> dict[str, Any]:
    return {"x-kubernetes-validations": [{"rule": rule, **rest}]}


RULE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "above": _INTEGER | {"maximum": 100} | _rule("self > 1"),
        "prefix": _TEXT
        | {"maxLength": 10}
        | _rule("self.startsWith('a')", message="must start with a", reason="FieldValueForbidden"),
        "said": {
            "type": "object",
            "properties": {"x": _TEXT | {"maxLength": 10}},
            "x-kubernetes-validations": [
                {"rule": "self.x == 'a'", "reason": "FieldValueDuplicate"},
                {"rule": "self.x == 'a'", "messageExpression": "'got ' + self.x", "fieldPath": ".x"},
            ],
        },
        "rising": _INTEGER | _rule("self >= oldSelf", message="only up"),
        "fixed": _INTEGER
        | _rule("!oldSelf.hasValue() || self == oldSelf.value()", optionalOldSelf=True, message="fixed"),
        "once": _TEXT | {"maxLength": 10} | _rule("self == oldSelf", message="is immutable"),
        "divisor": _INTEGER | _rule("10 / self > 1"),
        "values": {"type": "object", "additionalProperties": _INTEGER | _rule("self > 1")},
        "items": {"type": "array", "maxItems": 5, "items": _INTEGER | _rule("self > 1")},
        "hosts": {
            "type": "array",
            "maxItems": 5,
            "items": _TEXT | {"maxLength": 50},
            **_rule("self.all(h, h.matches('^[a-z.]+$') && size(h) < 10)", message="short names only"),
        },
        "required": _rule("has(self.a) != has(self.b)", message="exactly one of a and b")
        | {"type": "object", "properties": {"a": _TEXT, "b": _TEXT}},
        "url": _TEXT | {"maxLength": 100} | _rule("isURL(self)", message="must be a URL"),
    },
}


def _simple(plural: str, kind: str, spec: Any, **version: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": spec, "status": _OPEN}}
    return definition(
        plural, kind, schema={"openAPIV3Schema": schema}, subresources={"status": {}}, **version
    )


def versions(*names: str, **rest: Any) -> list[dict[str, Any]]:
    """Return versions of a definition, the first one stored; keywords change all of them."""
    base = definition()["spec"]["versions"][0]
    return [base | {"name": name, "storage": index == 0} | rest for index, name in enumerate(names)]


def gadget_definition() -> dict[str, Any]:
    """Return a definition with two versions, of which the older one is deprecated and knows less."""
    manifest = definition("gadgets", "Gadget")
    new, old = versions("v1", "v1beta1")
    old |= {
        "deprecated": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {
                    "spec": {
                        "type": "object",
                        "properties": {"color": _TEXT, "shape": _TEXT | {"default": "round"}},
                    },
                    "status": _OPEN,
                },
            }
        },
    }
    manifest["spec"]["versions"] = [new, old]
    return manifest


DEFINITIONS = (
    definition(),
    gadget_definition(),
    definition("globes", "Globe", scope="Cluster", selectableFields=[{"jsonPath": ".spec.color"}]),
    _simple("checks", "Check", CHECK_SCHEMA),
    _simple("rules", "Rule", RULE_SCHEMA),
)


def gadget(name: str = "g", version: str = "v1", **spec: Any) -> dict[str, Any]:
    """Return a Gadget manifest."""
    return widget(name, **spec) | {"apiVersion": f"example.com/{version}", "kind": "Gadget"}


def globe(name: str, **rest: Any) -> dict[str, Any]:
    """Return a Globe manifest."""
    return widget(name, **rest) | {"kind": "Globe"}


def plain(kind: str, name: str, spec: Any) -> dict[str, Any]:
    """Return a Check or Rule manifest."""
    return {"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
