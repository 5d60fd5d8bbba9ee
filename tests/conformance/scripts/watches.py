"""Watches: from a version, bookmarks, sendInitialEvents, timeoutSeconds, selectors, 410 in the stream."""

from __future__ import annotations

from typing import Any

from tests.conformance.kinds import gadget
from tests.conformance.steps import (
    CONFIG_MAPS,
    SECRETS,
    WIDGETS,
    Ref,
    Step,
    config_map,
    delete,
    events,
    get,
    json_patch,
    merge,
    post,
    script,
    watch,
)
from tests.support.api_client import widget

_C, _W = f"{CONFIG_MAPS}/c", f"{WIDGETS}/w"
_RV = Ref("list", "metadata.resourceVersion")
_GADGETS = "/apis/example.com/{}/namespaces/{{ns}}/gadgets"


def _quietly(step: Any) -> Step:
    return post(step.path, step.body, view=lambda _: None)


_LIST = get(CONFIG_MAPS, save="list", view=lambda _: None)

SCRIPTS = (
    script(
        "without a version the present state comes first",
        post(CONFIG_MAPS, config_map("a")),
        watch("maps", CONFIG_MAPS),
        events("maps", 1),
        post(CONFIG_MAPS, config_map("b")),
        merge(f"{CONFIG_MAPS}/b", {"data": {"x": "y"}}),
        delete(f"{CONFIG_MAPS}/a"),
        events("maps", 3),
    ),
    script(
        "from a version all later changes come",
        _LIST,
        post(CONFIG_MAPS, config_map("a")),
        merge(f"{CONFIG_MAPS}/a", {"data": {"x": "y"}}),
        merge(f"{CONFIG_MAPS}/a", {"data": {"x": "y"}}),
        delete(f"{CONFIG_MAPS}/a"),
        watch("maps", CONFIG_MAPS, resourceVersion=_RV, timeoutSeconds="1"),
        events("maps"),
    ),
    script(
        "from version 0 the present state comes first",
        post(CONFIG_MAPS, config_map("a")),
        get(CONFIG_MAPS, view=lambda _: None),
        watch("maps", CONFIG_MAPS, resourceVersion="0", timeoutSeconds="1"),
        events("maps"),
    ),
    script(
        "custom objects, status and scale included",
        get(WIDGETS, save="list", view=lambda _: None),
        watch("widgets", WIDGETS, resourceVersion=_RV),
        post(WIDGETS, widget()),
        merge(f"{_W}/status", {"status": {"a": 1}}),
        merge(f"{_W}/scale", {"spec": {"replicas": 3}}),
        merge(_W, {"spec": {"replicas": 3}}),
        delete(_W),
        events("widgets", 4),
    ),
    script(
        "an initial list in the stream ends with a marked bookmark",
        post(CONFIG_MAPS, config_map("a")),
        post(CONFIG_MAPS, config_map("b")),
        watch(
            "maps",
            CONFIG_MAPS,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
        ),
        events("maps", 3),
        post(CONFIG_MAPS, config_map("c")),
        events("maps", 1),
    ),
    script(
        "without initial events only what is new",
        post(CONFIG_MAPS, config_map("a")),
        watch(
            "maps",
            CONFIG_MAPS,
            sendInitialEvents="false",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
        ),
        post(CONFIG_MAPS, config_map("b")),
        events("maps", 1),
    ),
    script(
        "a stream ends when its time is over",
        _LIST,
        watch("plain", CONFIG_MAPS, resourceVersion=_RV, timeoutSeconds="1"),
        events("plain"),
    ),
    script(
        "a bookmark says how far a quiet stream has come before its time is over",
        _LIST,
        watch("marked", CONFIG_MAPS, resourceVersion=_RV, timeoutSeconds="4", allowWatchBookmarks="true"),
        post(SECRETS, {"metadata": {"name": "s"}}, view=lambda _: None),
        get(CONFIG_MAPS, view=lambda _: None),
        events("marked", 1),
    ),
    script(
        "a label selector moves objects in and out",
        _LIST,
        watch("maps", CONFIG_MAPS, labelSelector="tier in (front,back),!hidden", resourceVersion=_RV),
        post(CONFIG_MAPS, config_map()),
        merge(_C, {"metadata": {"labels": {"tier": "front"}}}),
        merge(_C, {"metadata": {"labels": {"tier": "back"}}}),
        merge(_C, {"metadata": {"labels": {"tier": "side"}}}),
        merge(_C, {"metadata": {"labels": {"tier": "front"}}}),
        delete(_C),
        post(CONFIG_MAPS, config_map("last", labels={"tier": "front"})),
        events("maps", 6),
    ),
    script(
        "one object by its name",
        watch("one", CONFIG_MAPS, fieldSelector="metadata.name=b"),
        post(CONFIG_MAPS, config_map("a")),
        post(CONFIG_MAPS, config_map("b")),
        delete(f"{CONFIG_MAPS}/b"),
        events("one", 2),
    ),
    script(
        "the older way: watch in the path's query of one object",
        post(CONFIG_MAPS, config_map("a")),
        watch("one", f"{CONFIG_MAPS}/a", timeoutSeconds="1"),
    ),
    script(
        "every namespace",
        get("/api/v1/configmaps", limit="1", save="list", view=lambda _: None),
        watch("all", "/api/v1/configmaps", labelSelector="all={ns}", resourceVersion=_RV),
        post(CONFIG_MAPS, config_map(labels={"all": "{ns}"})),
        delete(_C),
        events("all", 2),
    ),
    script(
        "each version of a kind sees all objects in its own form",
        watch("new", _GADGETS.format("v1")),
        watch("old", _GADGETS.format("v1beta1")),
        post(_GADGETS.format("v1"), gadget(replicas=3)),
        merge(_GADGETS.format("v1beta1") + "/g", {"spec": {"color": "blue"}}),
        events("new", 2),
        events("old", 2),
    ),
    script(
        "parameters that mean nothing are refused",
        watch("a", WIDGETS, sendInitialEvents="true"),
        watch("b", WIDGETS, resourceVersionMatch="Exact", resourceVersion="1"),
        watch("c", WIDGETS, resourceVersion="abc"),
        watch("d", WIDGETS, labelSelector="a=b=c"),
        watch("e", WIDGETS, fieldSelector="spec.x=y"),
        watch("f", WIDGETS, timeoutSeconds="x"),
        watch("g", CONFIG_MAPS, resourceVersion="abc"),
        watch("h", CONFIG_MAPS, sendInitialEvents="true", resourceVersionMatch="Exact"),
    ),
    script(
        "a JSON patch and a refused write make one event and none",
        _LIST,
        post(CONFIG_MAPS, config_map()),
        json_patch(_C, {"op": "add", "path": "/data/x", "value": "y"}),
        json_patch(_C, {"op": "add", "path": "/data/x", "value": 1}, view=lambda _: None),
        _quietly(post(CONFIG_MAPS, config_map("last"))),
        watch("maps", CONFIG_MAPS, resourceVersion=_RV, timeoutSeconds="1"),
        events("maps"),
    ),
)
