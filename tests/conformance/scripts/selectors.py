"""Label and field selectors, set-based ones included."""

from __future__ import annotations

from typing import Any

from tests.conformance.kinds import globe
from tests.conformance.steps import (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    SECRETS,
    WIDGETS,
    config_map,
    get,
    post,
    script,
)
from tests.support.api_client import widget


def _names(body: Any) -> Any:
    return sorted(o["metadata"]["name"] for o in body["items"]) if "items" in body else body


_LABELS: dict[str, dict[str, str]] = {
    "a": {"tier": "front", "env": "prod"},
    "b": {"tier": "back"},
    "c": {"env": "test", "n": "7"},
    "d": {"n": "9" * 20},
    "e": {"tier": ""},
}
_SOME = tuple(
    post(CONFIG_MAPS, config_map(name, labels=labels), view=lambda _: None)
    for name, labels in _LABELS.items()
)
_GOOD = (
    "tier=front",
    "tier==front",
    "tier!=front",
    "tier",
    "!tier",
    "tier in (front,back)",
    "tier notin (front,back)",
    "tier=front,env=prod",
    " tier = front , env ",
    "tier in (front), !n",
    "n>5",
    "n<5",
    "n>7",
    "tier=",
    "tier in ()",
    "tier in (,front)",
    "",
    ",",
    "env in (prod,test),tier notin (back)",
    "kubernetes.io/x",
    "in",
    "notin=x",
    "tier != front, env",
)
_BAD = (
    "tier=a=b",
    "-tier=x",
    "tier in front",
    "tier in (",
    "tier in (a",
    "tier=a b",
    "a b",
    "!",
    "=x",
    "tier>x",
    "tier=front,",
    "(tier)",
    "tier in (a b)",
    "x/y/z=a",
    "tier=-x",
    "!tier=x",
    "tier=" + "x" * 64,
    "n>-4",
    "n>" + "9" * 20,
    'tier="x"',
    "a/",
)

SCRIPTS = (
    script("label selectors", _SOME, *(get(CONFIG_MAPS, labelSelector=text, view=_names) for text in _GOOD)),
    script("what is no label selector is refused", *(get(CONFIG_MAPS, labelSelector=text) for text in _BAD)),
    script(
        "field selectors of metadata",
        _SOME,
        *(
            get(CONFIG_MAPS, fieldSelector=text, view=_names)
            for text in (
                "metadata.name=a",
                "metadata.name==a",
                "metadata.name!=a",
                "metadata.namespace={ns}",
                "metadata.name=a,metadata.namespace=x",
                "metadata.name=nope",
                "metadata.name=a\\,b",
                ",metadata.name=a,",
                "",
            )
        ),
    ),
    script(
        "a field that a kind does not offer is refused",
        get(CONFIG_MAPS, fieldSelector="data.a=b"),
        get(WIDGETS, fieldSelector="spec.color=red"),
        get(CONFIG_MAPS, fieldSelector="metadata.name"),
        *(
            get(CONFIG_MAPS, fieldSelector=text)
            for text in (
                "metadata.name=a=b",
                "metadata.name=a\\",
                "metadata.name=\\a",
                "metadata.name = a",
                "=a",
            )
        ),
        get(SECRETS, fieldSelector="metadata.labels=x"),
    ),
    script(
        "fields that built-in kinds offer",
        post(SECRETS, {"metadata": {"name": "s"}}, view=lambda _: None),
        get(SECRETS, fieldSelector="type=Opaque", view=_names),
        get(SECRETS, fieldSelector="type!=Opaque", view=_names),
        get(NAMESPACES, fieldSelector="status.phase=Terminating", view=_names),
        post(
            EVENTS,
            {
                "metadata": {"name": "e"},
                "involvedObject": {"kind": "Widget", "name": "w", "namespace": "{ns}", "uid": "u"},
                "reason": "Why",
                "type": "Normal",
            },
            view=lambda _: None,
        ),
        *(
            get(EVENTS, fieldSelector=text, view=_names)
            for text in (
                "involvedObject.name=w",
                "involvedObject.kind=Widget,reason=Why",
                "involvedObject.uid=x",
                "type=Warning",
                "reason!=Why",
                "odd=x",
            )
        ),
    ),
    script(
        "fields that a definition makes selectable",
        post("/apis/example.com/v1/globes", globe("selected-red"), view=lambda _: None),
        post("/apis/example.com/v1/globes", globe("selected-blue", color="blue"), view=lambda _: None),
        get(
            "/apis/example.com/v1/globes",
            fieldSelector="spec.color=blue",
            labelSelector="!other",
            view=_names,
        ),
        get("/apis/example.com/v1/globes", fieldSelector="spec.size=1"),
    ),
    script(
        "a selector in every namespace",
        post(
            WIDGETS, widget("everywhere", meta={"labels": {"where": "everywhere-{ns}"}}), view=lambda _: None
        ),
        get("/apis/example.com/v1/widgets", labelSelector="where=everywhere-{ns}", view=_names),
    ),
)
