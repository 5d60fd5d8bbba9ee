"""fieldValidation: Strict, Warn and Ignore, with the same warnings."""

from __future__ import annotations

from tests.conformance.steps import (
    CONFIG_MAPS,
    WIDGETS,
    config_map,
    get,
    json_patch,
    merge,
    post,
    put,
    script,
    strategic,
)
from tests.support.api_client import widget

_TWICE = b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"%s"},"spec":{"color":"red","color":"blue"}}'
_TWICE_MAP = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"a":"1","a":"2"}}'
_ODD = {"zoo": 1, "anything": {"free": 1}}

SCRIPTS = (
    script(
        "an unknown field of a custom kind warns by default and is dropped",
        post(WIDGETS, widget("a", **_ODD)),
        post(WIDGETS, widget("b", **_ODD), fieldValidation="Warn"),
        post(WIDGETS, widget("c", **_ODD), fieldValidation="Ignore"),
        post(WIDGETS, widget("d", **_ODD), fieldValidation="Strict"),
        post(WIDGETS, widget("e", meta={"zig": 1}), fieldValidation="Strict"),
        post(WIDGETS, widget("f", meta={"zig": 1})),
        post(WIDGETS, widget("g") | {"top": 1, "status": {"any": 1}}),
    ),
    script(
        "an unknown field of a built-in kind warns by default and is dropped",
        post(CONFIG_MAPS, config_map("a") | {"dat": {}}),
        post(CONFIG_MAPS, config_map("b") | {"dat": {}}, fieldValidation="Strict"),
        post(CONFIG_MAPS, config_map("c") | {"dat": {}}, fieldValidation="Ignore"),
        post(CONFIG_MAPS, config_map("d", zig=1)),
    ),
    script(
        "a field given twice warns, or is refused under Strict",
        post(WIDGETS, None, raw=_TWICE % b"a"),
        post(WIDGETS, None, raw=_TWICE % b"b", fieldValidation="Strict"),
        post(WIDGETS, None, raw=_TWICE % b"c", fieldValidation="Ignore"),
        post(CONFIG_MAPS, None, raw=_TWICE_MAP % b"a"),
        post(CONFIG_MAPS, None, raw=_TWICE_MAP % b"b", fieldValidation="Strict"),
    ),
    script(
        "updates and patches are checked too",
        post(WIDGETS, widget(), save="w"),
        merge(f"{WIDGETS}/w", {"spec": {"zoo": 1}}),
        merge(f"{WIDGETS}/w", {"spec": {"zoo": 1}}, fieldValidation="Strict"),
        json_patch(f"{WIDGETS}/w", {"op": "add", "path": "/spec/zoo", "value": 1}, fieldValidation="Strict"),
        json_patch(f"{WIDGETS}/w", {"op": "add", "path": "/spec/zoo", "value": 1}),
        put(f"{WIDGETS}/w", widget(meta={"resourceVersion": "1"}, zoo=1), fieldValidation="Strict"),
        get(f"{WIDGETS}/w"),
        post(CONFIG_MAPS, config_map()),
        merge(f"{CONFIG_MAPS}/c", {"dat": {"a": "b"}}),
        merge(f"{CONFIG_MAPS}/c", {"dat": {"a": "b"}}, fieldValidation="Strict"),
        strategic(f"{CONFIG_MAPS}/c", {"dat": {"a": "b"}}, fieldValidation="Strict"),
        put(f"{CONFIG_MAPS}/c", config_map() | {"dat": 1}, fieldValidation="Strict"),
    ),
    script(
        "a level that does not exist is refused",
        post(WIDGETS, widget(), fieldValidation="Maybe"),
        post(CONFIG_MAPS, config_map(), fieldValidation="Maybe"),
        merge(f"{WIDGETS}/w", {}, fieldValidation="Maybe"),
        put(f"{WIDGETS}/w", widget(), fieldValidation="Maybe"),
    ),
    script(
        "a body that is no object of the kind is refused",
        post(WIDGETS, None, raw=b"{"),
        post(WIDGETS, None, raw=b"[]"),
        post(WIDGETS, None, raw=b""),
        post(WIDGETS, None, raw=b"<a>", headers={"Content-Type": "text/xml"}),
        post(CONFIG_MAPS, None, raw=b"{"),
        post(CONFIG_MAPS, None, raw=b"[]"),
        post(CONFIG_MAPS, None, raw=b"<a>", headers={"Content-Type": "text/xml"}),
        post(CONFIG_MAPS, config_map() | {"data": {"a": 1}}),
        post(CONFIG_MAPS, config_map() | {"data": []}),
        post(CONFIG_MAPS, config_map() | {"kind": "Secret"}),
        post(CONFIG_MAPS, config_map() | {"apiVersion": "v2"}),
        post(WIDGETS, widget() | {"kind": ""}),
        post(WIDGETS, widget() | {"kind": "Gadget"}),
        post(WIDGETS, widget() | {"apiVersion": "example.com/v2"}),
        post(WIDGETS, widget() | {"apiVersion": ""}),
        post(WIDGETS, widget() | {"metadata": 7}),
        post(WIDGETS, widget(meta={"labels": 7})),
        post(WIDGETS, widget(meta={"labels": {"a": 7}})),
    ),
    script(
        "YAML is taken too",
        post(
            CONFIG_MAPS,
            None,
            raw=b"kind: ConfigMap\napiVersion: v1\nmetadata: {name: yaml}\ndata: {a: b}\n",
            headers={"Content-Type": "application/yaml"},
        ),
        post(
            WIDGETS,
            None,
            raw=b"kind: Widget\napiVersion: example.com/v1\nmetadata: {name: yaml}\nspec: {color: red}\n",
            headers={"Content-Type": "application/yaml"},
        ),
        post(CONFIG_MAPS, None, raw=b"a: [", headers={"Content-Type": "application/yaml"}),
    ),
)
