"""Deletion: preconditions, finalizers, propagation policies, and the garbage collector."""

from __future__ import annotations

from typing import Any

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
    gone,
    merge,
    owned_by,
    post,
    put,
    script,
    until,
    watch,
)
from tests.support.api_client import widget

_C, _W = f"{CONFIG_MAPS}/c", f"{WIDGETS}/w"
_FINALIZED = {"finalizers": ["example.com/f"]}


def _family(**reference: Any) -> tuple[Step, ...]:
    """An owner, a dependent, and a dependent of that one."""
    return (
        post(CONFIG_MAPS, config_map("owner"), save="owner"),
        post(
            CONFIG_MAPS, config_map("child", ownerReferences=[owned_by("owner", **reference)]), save="child"
        ),
        post(CONFIG_MAPS, config_map("grandchild", ownerReferences=[owned_by("child", **reference)])),
    )


def _owners(body: Any) -> Any:
    return body["metadata"].get("ownerReferences"), body["metadata"].get("finalizers")


SCRIPTS = (
    script(
        "an object is gone at once, and the answer says which it was",
        post(WIDGETS, widget()),
        delete(_W),
        delete(_W),
        get(_W),
        post(CONFIG_MAPS, config_map()),
        delete(_C),
        delete(_C),
        post(SECRETS, {"metadata": {"name": "s"}}),
        delete(
            f"{SECRETS}/s", {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        ),
    ),
    script(
        "preconditions must hold",
        post(WIDGETS, widget(), save="w"),
        delete(_W, {"preconditions": {"uid": "x"}}),
        delete(_W, {"preconditions": {"resourceVersion": "1"}}),
        delete(
            _W,
            {
                "preconditions": {
                    "uid": Ref("w", "metadata.uid"),
                    "resourceVersion": Ref("w", "metadata.resourceVersion"),
                }
            },
        ),
        post(CONFIG_MAPS, config_map(), save="c"),
        delete(_C, {"preconditions": {"uid": "x"}}),
        delete(_C, {"preconditions": {"uid": Ref("c", "metadata.uid")}}),
    ),
    script(
        "a finalizer holds an object until it is taken off",
        post(WIDGETS, widget(meta=_FINALIZED)),
        delete(_W),
        delete(_W),
        get(_W),
        merge(_W, {"spec": {"color": "blue"}}),
        merge(f"{_W}/status", {"status": {"a": 1}}),
        merge(_W, {"metadata": {"finalizers": ["example.com/f", "example.com/g"]}}),
        merge(_W, {"metadata": {"deletionTimestamp": None}}),
        merge(_W, {"metadata": {"finalizers": None}}),
        get(_W),
    ),
    script(
        "a built-in object with a finalizer likewise",
        post(CONFIG_MAPS, config_map(**_FINALIZED)),
        delete(_C),
        post(CONFIG_MAPS, config_map()),
        merge(_C, {"metadata": {"finalizers": ["example.com/g"]}}),
        put(_C, config_map(data={})),
        get(_C),
    ),
    script(
        "a policy or option that does not exist is refused",
        post(WIDGETS, widget()),
        delete(_W, {"propagationPolicy": "Odd"}),
        delete(_W, propagationPolicy="Odd"),
        delete(_W, {"propagationPolicy": "Orphan", "orphanDependents": True}),
        delete(_W, None, raw=b"["),
        get(_W),
    ),
    script(
        "in the background dependents follow their owner",
        _family(),
        delete(f"{CONFIG_MAPS}/owner", propagationPolicy="Background"),
        gone(f"{CONFIG_MAPS}/child"),
        gone(f"{CONFIG_MAPS}/grandchild"),
    ),
    script(
        "without a policy dependents follow too",
        _family(),
        delete(f"{CONFIG_MAPS}/owner"),
        gone(f"{CONFIG_MAPS}/child"),
        gone(f"{CONFIG_MAPS}/grandchild"),
    ),
    script(
        "orphans stay, without their owner reference",
        _family(),
        delete(f"{CONFIG_MAPS}/owner", {"propagationPolicy": "Orphan"}),
        gone(f"{CONFIG_MAPS}/owner"),
        get(f"{CONFIG_MAPS}/child", view=_owners),
        get(f"{CONFIG_MAPS}/grandchild", view=_owners),
    ),
    script(
        "in the foreground an owner waits for the dependents that block it",
        _family(blockOwnerDeletion=True),
        merge(f"{CONFIG_MAPS}/grandchild", {"metadata": _FINALIZED}),
        delete(f"{CONFIG_MAPS}/owner", {"propagationPolicy": "Foreground"}),
        until(f"{CONFIG_MAPS}/grandchild", lambda o: "deletionTimestamp" in o["metadata"]),
        get(f"{CONFIG_MAPS}/owner", view=_owners),
        get(f"{CONFIG_MAPS}/child", view=_owners),
        get(f"{CONFIG_MAPS}/grandchild", view=_owners),
        merge(f"{CONFIG_MAPS}/grandchild", {"metadata": {"finalizers": None}}, view=lambda _: None),
        gone(f"{CONFIG_MAPS}/owner"),
        gone(f"{CONFIG_MAPS}/child"),
        gone(f"{CONFIG_MAPS}/grandchild"),
    ),
    script(
        "in the foreground an owner does not wait for dependents that do not block it",
        _family(),
        merge(f"{CONFIG_MAPS}/child", {"metadata": _FINALIZED}),
        delete(f"{CONFIG_MAPS}/owner", {"propagationPolicy": "Foreground"}),
        gone(f"{CONFIG_MAPS}/owner"),
        until(f"{CONFIG_MAPS}/child", lambda o: "deletionTimestamp" in o["metadata"]),
        merge(f"{CONFIG_MAPS}/child", {"metadata": {"finalizers": None}}, view=lambda _: None),
        gone(f"{CONFIG_MAPS}/child"),
        gone(f"{CONFIG_MAPS}/grandchild"),
    ),
    script(
        "a dependent with a second owner loses the reference only",
        post(CONFIG_MAPS, config_map("one"), save="one"),
        post(CONFIG_MAPS, config_map("two"), save="two"),
        post(CONFIG_MAPS, config_map("child", ownerReferences=[owned_by("one"), owned_by("two")])),
        delete(f"{CONFIG_MAPS}/one"),
        until(f"{CONFIG_MAPS}/child", lambda o: len(o["metadata"]["ownerReferences"]) == 1),
        get(f"{CONFIG_MAPS}/child", view=_owners),
        delete(f"{CONFIG_MAPS}/two"),
        gone(f"{CONFIG_MAPS}/child"),
    ),
    script(
        "a dependent of an owner that never was is collected",
        post(CONFIG_MAPS, config_map("owner"), save="owner"),
        post(
            CONFIG_MAPS,
            config_map(
                "child",
                ownerReferences=[{**owned_by("owner"), "uid": "11111111-2222-3333-4444-555555555555"}],
            ),
            view=lambda _: None,
        ),
        gone(f"{CONFIG_MAPS}/child"),
        get(f"{CONFIG_MAPS}/owner", view=_owners),
    ),
    script(
        "deletion takes an object through these events",
        get(CONFIG_MAPS, save="list", view=lambda _: None),
        watch("maps", CONFIG_MAPS, resourceVersion=Ref("list", "metadata.resourceVersion")),
        post(CONFIG_MAPS, config_map(**_FINALIZED)),
        delete(_C),
        merge(_C, {"metadata": {"finalizers": None}}),
        events("maps", 3),
    ),
    script(
        "custom objects have owners like any other",
        post(WIDGETS, widget("owner"), save="owner"),
        post(
            WIDGETS,
            widget(
                "child",
                meta={"ownerReferences": [owned_by("owner", "Widget", "example.com/v1", controller=True)]},
            ),
        ),
        post(CONFIG_MAPS, config_map("map", ownerReferences=[owned_by("owner", "Widget", "example.com/v1")])),
        delete(f"{WIDGETS}/owner"),
        gone(f"{WIDGETS}/child"),
        gone(f"{CONFIG_MAPS}/map"),
    ),
)
