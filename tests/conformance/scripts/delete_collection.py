"""deletecollection: many at once, by selector, with finalizers and dry run."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import CONFIG_MAPS, WIDGETS, config_map, delete, get, merge, post, script
from tests.support.api_client import widget


def _names(body: Any) -> Any:
    return body["kind"], [
        (o["metadata"]["name"], "deletionTimestamp" in o["metadata"]) for o in body["items"]
    ]


_SOME = tuple(
    post(WIDGETS, widget(name, meta={"labels": {"l": name}}), view=lambda _: None) for name in "abcd"
)

SCRIPTS = (
    script(
        "everything in a namespace",
        _SOME,
        delete(WIDGETS, view=_names),
        get(WIDGETS, view=_names),
        delete(WIDGETS, view=_names),
    ),
    script(
        "what a label selector selects",
        _SOME,
        delete(WIDGETS, labelSelector="l in (a,b)", view=_names),
        get(WIDGETS, view=_names),
    ),
    script(
        "what a field selector selects",
        _SOME,
        delete(WIDGETS, fieldSelector="metadata.name=c", view=_names),
        get(WIDGETS, view=_names),
    ),
    script("the answer lists what was deleted", post(WIDGETS, widget("a")), delete(WIDGETS)),
    script(
        "finalizers hold objects here too",
        post(WIDGETS, widget("f", meta={"finalizers": ["example.com/f"]})),
        post(WIDGETS, widget("g")),
        delete(WIDGETS, view=lambda body: len(body["items"])),
        get(WIDGETS, view=_names),
        merge(f"{WIDGETS}/f", {"metadata": {"finalizers": None}}, view=lambda _: None),
        get(WIDGETS, view=_names),
    ),
    script(
        "built-in kinds",
        post(CONFIG_MAPS, config_map("a")),
        delete(CONFIG_MAPS, {"propagationPolicy": "Background"}, labelSelector="x=y", view=_names),
        delete(CONFIG_MAPS, {"propagationPolicy": "Background"}, view=_names),
        get(CONFIG_MAPS, view=_names),
        delete(CONFIG_MAPS, {"propagationPolicy": "Odd"}),
    ),
)
