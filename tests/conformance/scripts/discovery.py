"""Discovery, legacy and aggregated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.conformance.steps import get, script

_KINDS = ("configmaps", "events", "namespaces", "secrets", "serviceaccounts")
_GROUPS = ("example.com", "apiextensions.k8s.io", "coordination.k8s.io")
_OURS = ("namespace", "finalize")  # subresources that matter to clients of these kinds


def _without_hash(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "storageVersionHash"}


def _resources(*kinds: str) -> Callable[[Any], Any]:
    def view(body: Any) -> Any:
        found = [_without_hash(r) for r in body["resources"] if r["name"].split("/")[0] in kinds]
        main = [r for r in found if "/" not in r["name"] or r["name"].endswith(("/status", "/scale"))]
        return body | {"resources": sorted(main, key=lambda r: str(r["name"]))}

    return view


def _groups(body: Any) -> Any:
    found = [group for group in body["groups"] if group["name"] in _GROUPS]
    return body | {"groups": sorted(found, key=lambda g: str(g["name"]))}


def _aggregated(*kinds: str) -> Callable[[Any], Any]:
    def view(body: Any) -> Any:
        items = [item for item in body["items"] if item["metadata"].get("name", "") in (*_GROUPS, "")]
        for item in items:
            item["metadata"].pop("creationTimestamp", None)
            for version in item["versions"]:
                version["resources"] = sorted(
                    (r for r in version["resources"] if not kinds or r["resource"] in kinds),
                    key=lambda r: str(r["resource"]),
                )
                for resource in version["resources"]:
                    wanted = ("status", "scale")
                    subresources = [s for s in resource.get("subresources", ()) if s["subresource"] in wanted]
                    resource.pop("subresources", None)
                    if subresources:
                        resource["subresources"] = sorted(subresources, key=lambda s: str(s["subresource"]))
        return body | {"items": sorted(items, key=lambda i: str(i["metadata"].get("name")))}

    return view


def _served_versions(body: Any) -> Any:
    """The versions without those that are served for nobody's sake here."""
    kept = [version for version in body["versions"] if version["version"] == "v1"]
    return body | {"versions": kept}


_AGGREGATED = {
    "Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
}

SCRIPTS = (
    script(
        "the core versions are listed",
        get("/api", view=lambda b: {"kind": b["kind"], "versions": b["versions"]}),
    ),
    script("the groups are listed", get("/apis", view=_groups)),
    script(
        "one group",
        get("/apis/example.com"),
        get("/apis/apiextensions.k8s.io"),
        get("/apis/coordination.k8s.io", view=_served_versions),
    ),
    script("the core resources", get("/api/v1", view=_resources(*_KINDS))),
    script(
        "the resources of a group with definitions only",
        get("/apis/example.com/v1", view=_resources("widgets", "gadgets", "globes", "checks", "rules")),
    ),
    script(
        "an older version lists what it serves", get("/apis/example.com/v1beta1", view=_resources("gadgets"))
    ),
    script(
        "definitions and leases are resources",
        get("/apis/apiextensions.k8s.io/v1", view=_resources("customresourcedefinitions")),
        get("/apis/coordination.k8s.io/v1", view=_resources("leases")),
    ),
    script("all of the core in one answer", get("/api", headers=_AGGREGATED, view=_aggregated(*_KINDS))),
    script(
        "all groups in one answer",
        get(
            "/apis",
            headers=_AGGREGATED,
            view=_aggregated(
                "widgets", "gadgets", "globes", "checks", "rules", "leases", "customresourcedefinitions"
            ),
        ),
    ),
)
