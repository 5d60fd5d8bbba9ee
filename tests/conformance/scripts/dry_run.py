"""dryRun: the whole answer, and nothing stored."""

from __future__ import annotations

from tests.conformance.steps import (
    CONFIG_MAPS,
    SECRETS,
    WIDGETS,
    config_map,
    delete,
    get,
    json_patch,
    merge,
    post,
    put,
    script,
)
from tests.support.api_client import widget

SCRIPTS = (
    script(
        "a creation",
        post(WIDGETS, widget(), dryRun="All"),
        get(f"{WIDGETS}/w"),
        post(CONFIG_MAPS, config_map(), dryRun="All"),
        get(f"{CONFIG_MAPS}/c"),
        post(SECRETS, {"metadata": {"name": "s"}, "stringData": {"a": "b"}}, dryRun="All"),
        get(f"{SECRETS}/s"),
        post(WIDGETS, widget(color="green"), dryRun="All"),
    ),
    script(
        "a change",
        post(WIDGETS, widget(), save="w"),
        merge(f"{WIDGETS}/w", {"spec": {"color": "blue"}}, dryRun="All"),
        json_patch(f"{WIDGETS}/w", {"op": "replace", "path": "/spec/color", "value": "blue"}, dryRun="All"),
        merge(f"{WIDGETS}/w/status", {"status": {"a": 1}}, dryRun="All"),
        put(f"{WIDGETS}/w", widget(color="blue"), dryRun="All"),
        merge(f"{WIDGETS}/w/scale", {"spec": {"replicas": 4}}, dryRun="All"),
        get(f"{WIDGETS}/w"),
    ),
    script(
        "a deletion",
        post(WIDGETS, widget()),
        delete(f"{WIDGETS}/w", {"dryRun": ["All"]}),
        delete(f"{WIDGETS}/w", dryRun="All"),
        get(f"{WIDGETS}/w"),
        post(WIDGETS, widget("f", meta={"finalizers": ["example.com/f"]})),
        delete(f"{WIDGETS}/f", dryRun="All"),
        get(f"{WIDGETS}/f"),
        delete(WIDGETS, dryRun="All", view=lambda body: len(body["items"])),
        get(WIDGETS, view=lambda body: len(body["items"])),
        merge(f"{WIDGETS}/f", {"metadata": {"finalizers": None}}),
    ),
    script(
        "anything but All is refused",
        post(WIDGETS, widget("x"), dryRun="Some"),
        post(CONFIG_MAPS, config_map("x"), dryRun="Some"),
        put(f"{CONFIG_MAPS}/x", config_map("x"), dryRun="Some"),
        merge(f"{CONFIG_MAPS}/x", {}, dryRun="Some"),
        delete(f"{CONFIG_MAPS}/x", dryRun="Some"),
    ),
)
