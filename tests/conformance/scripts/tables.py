"""Tables and metadata-only answers, as kubectl get and metadata informers ask for them."""

from __future__ import annotations

from tests.conformance.kinds import globe
from tests.conformance.steps import (
    CONFIG_MAPS,
    CRDS,
    EVENTS,
    LEASES,
    NAMESPACES,
    PARTIAL,
    PARTIAL_LIST,
    SECRETS,
    TABLE,
    WIDGETS,
    config_map,
    events,
    get,
    merge,
    post,
    script,
    watch,
)
from tests.support.api_client import widget

_EVENT = {
    "metadata": {"name": "e"},
    "involvedObject": {"kind": "Widget", "namespace": "{ns}", "name": "w"},
    "reason": "R",
    "message": "m",
    "type": "Normal",
    "count": 2,
    "source": {"component": "me"},
}
_READY = {
    "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}
}


def _cells(body: object) -> object:
    """A table without its descriptions."""
    assert isinstance(body, dict)
    for column in body["columnDefinitions"] or ():
        column.pop("description")
    return body


SCRIPTS = (
    script(
        "a custom kind's columns are the definition's",
        post(WIDGETS, widget("a"), view=lambda _: None),
        post(WIDGETS, widget("b", color="blue"), view=lambda _: None),
        merge(f"{WIDGETS}/b/status", _READY, view=lambda _: None),
        get(WIDGETS, headers=TABLE),
        get(f"{WIDGETS}/b", headers=TABLE),
        get(WIDGETS, headers=TABLE, includeObject="None"),
        get(WIDGETS, headers=TABLE, includeObject="Object"),
        get(WIDGETS, headers=TABLE, includeObject="Some"),
        get(WIDGETS, headers=TABLE, limit="1"),
    ),
    script(
        "built-in kinds have their columns",
        post(CONFIG_MAPS, config_map(), view=lambda _: None),
        get(f"{CONFIG_MAPS}/c", headers=TABLE, view=_cells),
        post(SECRETS, {"metadata": {"name": "s"}, "stringData": {"a": "b", "c": "d"}}, view=lambda _: None),
        get(f"{SECRETS}/s", headers=TABLE, view=_cells),
        post(LEASES, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}, view=lambda _: None),
        get(f"{LEASES}/l", headers=TABLE, view=_cells),
        post(EVENTS, _EVENT, view=lambda _: None),
        get(f"{EVENTS}/e", headers=TABLE, view=_cells),
        get(f"{NAMESPACES}/{{ns}}", headers=TABLE, view=_cells),
        get("/api/v1/namespaces/{ns}/serviceaccounts", headers=TABLE, view=_cells),
        get(f"{CRDS}/widgets.example.com", headers=TABLE, view=_cells),
    ),
    script(
        "metadata alone",
        post(WIDGETS, widget("a"), view=lambda _: None),
        get(f"{WIDGETS}/a", headers=PARTIAL),
        get(WIDGETS, headers=PARTIAL_LIST),
        get(CONFIG_MAPS, headers=PARTIAL_LIST),
    ),
    script(
        "an object that is written can be answered as a table or as metadata",
        post(WIDGETS, widget("a"), headers=PARTIAL),
        merge(f"{WIDGETS}/a", {"metadata": {"labels": {"a": "b"}}}),
    ),
    script(
        "watches send tables, the columns once",
        get(WIDGETS, save="list", view=lambda _: None),
        watch("tables", WIDGETS, headers=TABLE, timeoutSeconds="3"),
        post(WIDGETS, widget("a"), view=lambda _: None),
        post(WIDGETS, widget("b"), view=lambda _: None),
        events("tables", 2),
        watch("parts", WIDGETS, headers=PARTIAL),
        events("parts", 2),
    ),
    script(
        "a cluster-scoped kind",
        post("/apis/example.com/v1/globes", globe("tables"), view=lambda _: None),
        get("/apis/example.com/v1/globes/tables", headers=TABLE),
    ),
)
