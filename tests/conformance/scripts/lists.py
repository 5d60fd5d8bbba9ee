"""Lists: limit and continue, resourceVersion and resourceVersionMatch."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import CONFIG_MAPS, WIDGETS, Ref, config_map, delete, get, post, script
from tests.support.api_client import widget

_RV = Ref("first", "metadata.resourceVersion")
_TOKEN = Ref("first", "metadata.continue")


def _names(body: Any) -> Any:
    if "items" not in body:
        return body
    return body["metadata"], [o["metadata"]["name"] for o in body["items"]]


_WIDGETS = tuple(
    post(WIDGETS, widget(name, meta={"labels": {"l": "x"}}), view=lambda _: None) for name in "abcde"
)
_MAPS = tuple(post(CONFIG_MAPS, config_map(name), view=lambda _: None) for name in "abcde")

SCRIPTS = (
    script(
        "a list has a version, its objects in order",
        _WIDGETS,
        get(WIDGETS),
        get(WIDGETS, labelSelector="nothing"),
        get(CONFIG_MAPS),
    ),
    script(
        "pages",
        _WIDGETS,
        get(WIDGETS, limit="2", save="first", view=_names),
        get(WIDGETS, limit="2", **{"continue": _TOKEN}, save="second", view=_names),
        get(WIDGETS, limit="2", **{"continue": Ref("second", "metadata.continue")}, view=_names),
        get(WIDGETS, limit="5", view=_names),
        get(WIDGETS, limit="2", labelSelector="l=x", view=_names),
        get(WIDGETS, limit="0", view=_names),
    ),
    script(
        "pages show the state of the first one",
        _MAPS,
        get(CONFIG_MAPS, limit="2", save="first", view=_names),
        delete(f"{CONFIG_MAPS}/d", view=lambda _: None),
        post(CONFIG_MAPS, config_map("bb"), view=lambda _: None),
        get(CONFIG_MAPS, **{"continue": _TOKEN}, view=_names),
        get(CONFIG_MAPS, view=_names),
    ),
    script(
        "parameters that mean nothing are refused",
        get(WIDGETS, **{"continue": "zzz"}),
        get(WIDGETS, limit="x"),
        get(WIDGETS, limit="-1", view=lambda body: body["kind"]),
        get(WIDGETS, resourceVersion="abc"),
        get(WIDGETS, resourceVersionMatch="Exact"),
        get(WIDGETS, resourceVersionMatch="NotOlderThan"),
        get(WIDGETS, resourceVersionMatch="Odd", resourceVersion="1"),
        get(WIDGETS, resourceVersion="0", resourceVersionMatch="Exact"),
        get(WIDGETS, sendInitialEvents="true"),
        get(WIDGETS, timeoutSeconds="x"),
        *(get(CONFIG_MAPS, limit=number) for number in ("x", "", "2.5", "1e3", "0x2", "٢", "--1", "9" * 20)),
        get(CONFIG_MAPS, limit="+2", view=lambda body: body["kind"]),
        *(get(CONFIG_MAPS, resourceVersion=version) for version in ("-1", "٢", "1.0", "9" * 20)),
        *(
            get(CONFIG_MAPS, view=lambda body: (body["code"], body["reason"]), **{"continue": token})
            for token in ("x", "AAAA", "ü", "é==")
        ),
        get(CONFIG_MAPS, resourceVersion="abc"),
        get(CONFIG_MAPS, resourceVersionMatch="Odd", resourceVersion="1"),
    ),
    script(
        "a version with a match",
        _MAPS,
        get(CONFIG_MAPS, save="first", view=_names),
        delete(f"{CONFIG_MAPS}/a", view=lambda _: None),
        get(CONFIG_MAPS, resourceVersion=_RV, resourceVersionMatch="Exact", view=_names),
        get(CONFIG_MAPS, resourceVersion=_RV, resourceVersionMatch="NotOlderThan", view=_names),
        get(CONFIG_MAPS, resourceVersion=_RV, view=_names),
        get(CONFIG_MAPS, resourceVersion="0", resourceVersionMatch="NotOlderThan", view=_names),
        get(
            CONFIG_MAPS,
            resourceVersion=_RV,
            resourceVersionMatch="Exact",
            limit="2",
            save="first",
            view=_names,
        ),
        get(CONFIG_MAPS, **{"continue": _TOKEN}, view=_names),
        get(CONFIG_MAPS, resourceVersion=_RV, resourceVersionMatch="Exact", **{"continue": _TOKEN}),
    ),
    script(
        "a version of the future is told",
        get(CONFIG_MAPS, resourceVersion="99999999", resourceVersionMatch="NotOlderThan"),
        get(WIDGETS, resourceVersion="99999999", resourceVersionMatch="NotOlderThan"),
    ),
)
