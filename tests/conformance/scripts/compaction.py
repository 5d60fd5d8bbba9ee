"""History that is no longer kept: 410 for lists at old versions, for continue tokens and for watches."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Compact, Ref, delete, events, get, post, script, watch

_ACCOUNTS = "/api/v1/namespaces/{ns}/serviceaccounts"
_BEFORE = Ref("before", "metadata.resourceVersion")
_TOKEN = Ref("first", "metadata.continue")


def _names(body: Any) -> Any:
    if "items" not in body:
        return body
    return body["metadata"], [o["metadata"]["name"] for o in body["items"]]


_FIVE = (
    get(_ACCOUNTS, save="before", view=lambda _: None),
    *(post(_ACCOUNTS, {"metadata": {"name": name}}, view=lambda _: None) for name in "abcde"),
)

SCRIPTS = (
    script(
        "a continue token of a forgotten version is refused, and with it comes one that goes on regardless",
        _FIVE,
        get(_ACCOUNTS, limit="2", save="first", view=_names),
        delete(f"{_ACCOUNTS}/d", view=lambda _: None),
        get(_ACCOUNTS, limit="2", **{"continue": _TOKEN}, view=_names),
        Compact(),
        get(_ACCOUNTS, limit="2", **{"continue": _TOKEN}, save="refused"),
        get(
            _ACCOUNTS,
            limit="1",
            **{"continue": Ref("refused", "metadata.continue")},
            save="rest",
            view=_names,
        ),
        get(_ACCOUNTS, **{"continue": Ref("rest", "metadata.continue")}, view=_names),
    ),
    script(
        "a list at a forgotten version is refused",
        _FIVE,
        get(_ACCOUNTS, resourceVersion=_BEFORE, resourceVersionMatch="Exact", view=_names),
        Compact(),
        get(_ACCOUNTS, resourceVersion=_BEFORE, resourceVersionMatch="Exact"),
        get(_ACCOUNTS, resourceVersion=_BEFORE, resourceVersionMatch="NotOlderThan", view=_names),
        get(_ACCOUNTS, resourceVersion=_BEFORE, view=_names),
    ),
    script(
        "a watch from a forgotten version ends with 410 in the stream",
        _FIVE,
        watch("known", _ACCOUNTS, resourceVersion=_BEFORE, timeoutSeconds="1"),
        events("known", 5),
        Compact(),
        watch("forgotten", _ACCOUNTS, resourceVersion=_BEFORE, timeoutSeconds="1"),
        events("forgotten"),
    ),
)
