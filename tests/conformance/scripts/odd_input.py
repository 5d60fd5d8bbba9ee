"""Odd input: strange numbers, broken text, nulls, deep nesting, and values that Python takes for each other."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import (
    CONFIG_MAPS,
    CRDS,
    WIDGETS,
    Send,
    config_map,
    delete,
    get,
    json_patch,
    merge,
    post,
    put,
    script,
)
from tests.support.api_client import definition, widget

_WIDGET = '{"kind":"Widget","apiVersion":"example.com/v1","metadata":{"name":"%s"},"spec":{"color":"red",%s}}'
_MAP = '{"metadata":{"name":"%s"},%s}'
_DEEP, _TOO_DEEP = ('{"a":' * depth + "1" + "}" * depth for depth in (900, 20_000))


def _outcome(body: Any) -> Any:
    """An object whole; of a refusal what does not quote Go's decoder."""
    return (body["code"], body["reason"]) if body.get("kind") == "Status" else body


def _widget(name: str, inner: str) -> Send:
    return post(WIDGETS, None, raw=(_WIDGET % (name, inner)).encode(), view=_outcome)


def _map(name: str, inner: str) -> Send:
    return post(CONFIG_MAPS, None, raw=(_MAP % (name, inner)).encode(), view=_outcome)


def _odd_definition(node: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": node}}
    return definition("odds", "Odd", schema={"openAPIV3Schema": schema}, subresources={})


_A = f"{WIDGETS}/a"
_TEXT = {"type": "string"}
_NO_SCHEMAS: tuple[dict[str, Any], ...] = (
    {"type": "integer", "minimum": "x"},
    _TEXT | {"pattern": 5},
    _TEXT | {"enum": 5},
    _TEXT | {"maxLength": 1.5},
    _TEXT | {"anyOf": 5},
    {"type": ["string"]},
    {"type": "object", "properties": []},
    {"type": "object", "properties": {"a": 5}},
    {"type": "object", "required": "x"},
    {"type": "object", "x-kubernetes-validations": "x"},
    {"type": "object", "x-kubernetes-validations": [{"rule": "true", "reason": "Odd"}]},
    {"type": "array", "items": _TEXT, "x-kubernetes-list-type": "odd"},
)

SCRIPTS = (
    script(
        "numbers that 64 bits do not hold are doubles, and nothing is infinite",
        _widget("a", '"replicas":NaN'),
        _widget("b", '"replicas":1e400'),
        _widget("c", '"replicas":9223372036854775808'),
        _widget("d", '"replicas":-9223372036854775809'),
        _widget("e", '"replicas":01'),
        _widget("f", '"anything":{"a":12345678901234567890123,"b":1e308,"c":-0.0,"d":1E5,"e":0.1,"f":2.0}'),
        _widget("g", '"anything":{"a":9223372036854775807,"b":-9223372036854775808,"c":1e21,"d":1e-7}'),
        _widget("h", f'"anything":{{"a":{"9" * 5000}}}'),
        get(WIDGETS),
    ),
    script(
        "what is no UTF-8 is replaced",
        post(WIDGETS, None, raw=(_WIDGET % ("a", '"note":"?"')).encode().replace(b"?", b"\xff\xfe")),
        _widget("b", '"note":"\\ud800"'),
        _widget("c", '"note":"\\ud83d\\ude00 \\\\ud800"'),
        _widget("d", '"note":"\\u0000<>&\\u2028é"'),
        _widget("e", '"note":"a\tb"'),
        post(WIDGETS, None, raw=b"\xef\xbb\xbf" + (_WIDGET % ("f", '"note":"x"')).encode(), view=_outcome),
        _map("ü", '"data":{}'),
        _map("g", '"data":{"ü":""}'),
        get(WIDGETS),
        get(f"{CONFIG_MAPS}/%C3%BC"),
    ),
    script(
        "null is as good as nothing, and in a map of texts an empty text",
        post(CONFIG_MAPS, None, raw=b"null"),
        post(WIDGETS, None, raw=b"null", view=_outcome),
        post(CONFIG_MAPS, None, raw=b'{"kind":null,"apiVersion":null,"metadata":{"name":"a"},"data":null}'),
        _map("b", '"data":{"x":null}'),
        post(CONFIG_MAPS, {"metadata": {"name": "c", "labels": {"a": None}, "annotations": {"b": None}}}),
        merge(f"{CONFIG_MAPS}/c", {"metadata": {"labels": {"a": None}}}),
        post(WIDGETS, widget("d", meta={"labels": {"a": None}, "finalizers": None, "generation": None})),
        _widget("e", '"replicas":null,"note":null,"anything":null,"size":null'),
        _widget("f", '"color":null'),
    ),
    script(
        "what is nested too deep is refused",
        post(WIDGETS, None, raw=(_WIDGET % ("a", f'"anything":{_DEEP}')).encode(), view=lambda b: b["kind"]),
        _widget("b", f'"anything":{_TOO_DEEP}'),
        _widget("c", f'"anything":{{"a":{"[" * 20_000}{"]" * 20_000}}}'),
    ),
    script(
        "true is not 1",
        _widget("a", '"replicas":1,"anything":{"a":1,"b":0}'),
        merge(f"{WIDGETS}/a", {"spec": {"replicas": True}}),
        merge(f"{WIDGETS}/a", {"spec": {"replicas": True, "note": "x"}}),
        merge(f"{WIDGETS}/a", {"spec": {"anything": {"a": True, "b": False}}}),
        merge(f"{WIDGETS}/a", {"spec": {"anything": {"a": 1}}}),
        get(f"{WIDGETS}/a"),
    ),
    script(
        "a schema whose keywords hold something else is refused",
        *(post(CRDS, _odd_definition(node), view=lambda body: body["code"]) for node in _NO_SCHEMAS),
    ),
    script(
        "a patch can take nothing away that an object must have",
        post(WIDGETS, widget("a", meta={"finalizers": ["example.com/x"]}), save="a"),
        json_patch(_A, {"op": "add", "path": 5, "value": 1}, view=_outcome),
        json_patch(_A, {"op": "replace", "path": "", "value": 5}),
        json_patch(_A, {"op": "remove", "path": "/metadata"}),
        json_patch(_A, {"op": "remove", "path": "/kind"}, view=_outcome),
        json_patch(_A, {"op": "add", "path": "/metadata/labels", "value": []}, view=_outcome),
        json_patch(_A, {"op": "add", "path": "/spec/note"}),
        merge(_A, {"metadata": None}),
        merge(_A, {"metadata": {"name": None}}),
        merge(_A, {"metadata": {"resourceVersion": None}}),
        merge(_A, {"metadata": {"labels": {"a": 1}}}, view=_outcome),
        merge(_A, {"kind": None}, view=_outcome),
        put(f"{WIDGETS}/nope", widget("other")),
        put(f"{CONFIG_MAPS}/nope", config_map("other")),
        get(_A),
    ),
    script(
        "what is no DeleteOptions deletes nothing",
        post(WIDGETS, widget("a")),
        *(
            delete(_A, options, view=_outcome)
            for options in (
                5,
                [],
                {"preconditions": 5},
                {"preconditions": {"uid": 5}},
                {"gracePeriodSeconds": "x"},
                {"propagationPolicy": 5},
                {"dryRun": "All"},
                {"kind": "Widget"},
            )
        ),
        get(_A),
    ),
    script(
        "a kind is a text",
        post(WIDGETS, widget() | {"kind": 1}, view=_outcome),
        post(WIDGETS, widget() | {"apiVersion": ["x"]}, view=_outcome),
        post(WIDGETS, None, raw=b"5", view=_outcome),
        post(CONFIG_MAPS, None, raw=b'"text"', view=_outcome),
        post(CONFIG_MAPS, None, raw=b'{"metadata":{"name":"a"}} {}', view=_outcome),
    ),
)
