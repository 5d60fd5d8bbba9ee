"""PUT, merge, JSON and strategic merge patch."""

from __future__ import annotations

from tests.conformance.steps import (
    CONFIG_MAPS,
    NAMESPACES,
    WIDGETS,
    Ref,
    config_map,
    get,
    json_patch,
    merge,
    post,
    put,
    script,
    send,
    strategic,
)
from tests.support.api_client import widget

_W, _C = f"{WIDGETS}/w", f"{CONFIG_MAPS}/c"


def _version(saved: str) -> dict[str, object]:
    return {"resourceVersion": Ref(saved, "metadata.resourceVersion")}


SCRIPTS = (
    script(
        "PUT replaces a custom object of the version it names",
        post(WIDGETS, widget(note="n"), save="w"),
        put(_W, widget(color="blue")),
        put(_W, widget(color="blue", meta=_version("w"))),
        put(_W, widget(color="red", meta=_version("w"))),
        put(_W, widget("v", meta=_version("w"))),
        put(f"{WIDGETS}/nope", widget("nope")),
        put(f"{WIDGETS}/nope", widget("nope", meta=_version("w"))),
        put(_W, widget(meta={"uid": "x"})),
        get(_W, save="now"),
        put(_W, widget(color="blue", meta=_version("now"))),
        put(_W, widget(color="green", meta=_version("now"))),
    ),
    script(
        "PUT replaces a built-in object unconditionally where its kind allows that",
        post(CONFIG_MAPS, config_map(), save="c"),
        put(_C, config_map(data={"x": "y"})),
        put(_C, config_map(data={"x": "z"}, **_version("c"))),
        put(_C, config_map()),
        put(f"{CONFIG_MAPS}/nope", config_map("nope")),
        put(_C, config_map("d")),
        put(_C, config_map(uid="x")),
        put(_C, {"data": {"kind": "left out"}}),
    ),
    script(
        "a merge patch changes what it names and null removes",
        post(WIDGETS, widget(note="n", anything={"a": {"b": 1, "c": 2}, "l": [1, 2]}), save="w"),
        merge(_W, {"spec": {"color": "blue", "anything": {"a": {"b": None, "d": 3}, "l": [3]}}}),
        merge(_W, {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}),
        merge(_W, {"metadata": {"labels": {"a": None}, "annotations": None}}),
        merge(_W, {"spec": {"note": None}}),
        merge(_W, {}),
        merge(_W, {"spec": {"color": "green"}}),
        merge(_W, {"spec": None}),
        merge(_W, []),
        merge(_W, {"kind": "X"}),
        merge(_W, {"apiVersion": "example.com/v2"}),
        merge(f"{WIDGETS}/nope", {}),
        merge(_C, {}),
    ),
    script(
        "a patch with a version is conditional",
        post(WIDGETS, widget(), save="w"),
        merge(_W, {"spec": {"color": "blue"}, "metadata": _version("w")}),
        merge(_W, {"spec": {"color": "red"}, "metadata": _version("w")}),
        merge(_W, {"metadata": {"resourceVersion": "1"}}),
    ),
    script(
        "JSON patch operations",
        post(WIDGETS, widget(anything={"l": [1, 2, 3], "a/b": {"~": 1}}), save="w"),
        json_patch(_W, {"op": "add", "path": "/spec/anything/l/1", "value": 9}),
        json_patch(_W, {"op": "add", "path": "/spec/anything/l/-", "value": 10}),
        json_patch(_W, {"op": "remove", "path": "/spec/anything/l/0"}),
        json_patch(_W, {"op": "replace", "path": "/spec/anything/a~1b/~0", "value": 2}),
        json_patch(_W, {"op": "copy", "from": "/spec/anything/l", "path": "/spec/anything/m"}),
        json_patch(_W, {"op": "move", "from": "/spec/anything/m", "path": "/spec/anything/n"}),
        json_patch(
            _W,
            {"op": "test", "path": "/spec/color", "value": "red"},
            {"op": "replace", "path": "/spec/color", "value": "blue"},
        ),
        json_patch(_W, {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}),
        get(_W),
    ),
    script(
        "a JSON patch that does not apply is refused as a whole",
        post(WIDGETS, widget(), save="w"),
        json_patch(_W, {"op": "test", "path": "/spec/color", "value": "x"}),
        json_patch(_W, {"op": "remove", "path": "/spec/x"}),
        json_patch(_W, {"op": "replace", "path": "/spec/x", "value": 1}),
        json_patch(_W, {"op": "add", "path": "/spec/x/y", "value": 1}),
        json_patch(
            _W, {"op": "replace", "path": "/spec/color", "value": "blue"}, {"op": "remove", "path": "/spec/x"}
        ),
        json_patch(_W, {"op": "odd", "path": "/spec/x"}),
        send("PATCH", _W, {}, headers={"Content-Type": "application/json-patch+json"}),
        json_patch(_W, {"op": "replace", "path": "/spec/color", "value": "green"}),
        get(_W),
    ),
    script(
        "a strategic merge patch of a built-in object merges lists by their key",
        post(CONFIG_MAPS, config_map("o"), save="o"),
        post(
            CONFIG_MAPS,
            config_map(
                ownerReferences=[
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": Ref("o", "metadata.uid")}
                ]
            ),
            save="c",
        ),
        strategic(
            _C, {"metadata": {"ownerReferences": [{"uid": Ref("o", "metadata.uid"), "controller": True}]}}
        ),
        strategic(_C, {"data": {"x": "y", "a": None}}),
        strategic(_C, {"data": {"$patch": "replace", "z": "1"}}),
        strategic(_C, {"metadata": {"finalizers": ["example.com/a"]}}),
        strategic(_C, {"metadata": {"finalizers": ["example.com/b"]}}),
        strategic(_C, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}}),
        strategic(_C, {"metadata": {"finalizers": None}}),
        strategic(
            _C, {"metadata": {"ownerReferences": [{"uid": Ref("o", "metadata.uid"), "$patch": "delete"}]}}
        ),
        strategic(_C, {"data": {"$retainKeys": ["n"], "n": "1"}}),
        strategic(_C, {"data": {"$patch": "odd"}}),
        strategic(_C, {"metadata": {"ownerReferences": [{"name": "no key"}]}}),
        strategic(_C, []),
    ),
    script(
        "a custom object takes no strategic merge patch, and nothing takes an unknown format",
        post(WIDGETS, widget()),
        strategic(_W, {}),
        send("PATCH", _W, {}, headers={"Content-Type": "application/json"}),
        send("PATCH", _C, {}, headers={"Content-Type": "application/json"}),
    ),
    script(
        "server-side apply is for a real server",
        send(
            "PATCH", _W, widget(), headers={"Content-Type": "application/apply-patch+yaml"}, fieldManager="me"
        ),
        send(
            "PATCH",
            f"{NAMESPACES}/{{ns}}",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "{ns}"}},
            headers={"Content-Type": "application/apply-patch+yaml"},
            fieldManager="me",
        ),
    ),
)
