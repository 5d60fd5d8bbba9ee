"""Discovery: what is served, as clients ask for it before anything else."""

from __future__ import annotations

from typing import Any

from capt.embedded.resource import Catalogue, Resource

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0+capt-embedded",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "cpython",
    "platform": "linux/amd64",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SUBRESOURCE_VERBS = ["get", "patch", "update"]


def document(catalogue: Catalogue, parts: list[str]) -> dict[str, Any] | None:
    """The document at ``/version``, ``/api...`` or ``/apis...``, given as the parts of the path; None for other paths."""
    groups = catalogue.groups()
    match parts:
        case ["version"]:
            return VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            listed = [_group(name, versions) for name, versions in sorted(groups.items()) if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
        case ["apis", name] if name in groups:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, groups[name])}
        case ["api", version]:
            return _resources(catalogue, "", version)
        case ["apis", name, version]:
            return _resources(catalogue, name, version)
    return None


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    shown = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": shown, "preferredVersion": shown[0]}


def _resources(catalogue: Catalogue, group_name: str, version: str) -> dict[str, Any] | None:
    served = [r for r in catalogue if r.group == group_name and r.version == version]
    if not served:
        return None
    listed: list[dict[str, Any]] = []
    for resource in sorted(served, key=lambda r: r.plural):
        entry: dict[str, Any] = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": resource.verbs,
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        listed.append(entry)
        for name in resource.subresources:
            sub: dict[str, Any] = {"name": f"{resource.plural}/{name}", "singularName": ""}
            sub |= {"namespaced": resource.namespaced, "kind": resource.kind, "verbs": _SUBRESOURCE_VERBS}
            if name == "scale":
                sub |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
            listed.append(sub)
    return {
        "kind": "APIResourceList",
        **({"apiVersion": "v1"} if group_name else {}),
        "groupVersion": served[0].api_version,
        "resources": listed,
    }


def aggregated(catalogue: Catalogue, *, core: bool) -> dict[str, Any]:
    """``/api`` or ``/apis`` for clients that take all of discovery in one answer."""
    items = []
    for name, versions in sorted(catalogue.groups().items()):
        if (name == "") is core:
            shown = [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [
                        _aggregated_resource(r)
                        for r in sorted(catalogue, key=lambda r: r.plural)
                        if (r.group, r.version) == (name, version)
                    ],
                }
                for version in versions
            ]
            metadata: dict[str, Any] = {"creationTimestamp": None} | ({"name": name} if name else {})
            items.append({"metadata": metadata, "versions": shown})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    served = (resource.group, resource.version) if resource.custom else ("", "")
    kind = {"group": served[0], "version": served[1], "kind": resource.kind}
    scale = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    shown: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    }
    if resource.short_names:
        shown["shortNames"] = list(resource.short_names)
    if resource.categories:
        shown["categories"] = list(resource.categories)
    if resource.subresources:
        shown["subresources"] = [
            {
                "subresource": name,
                "responseKind": scale if name == "scale" else kind,
                "verbs": _SUBRESOURCE_VERBS,
            }
            for name in resource.subresources
        ]
    return shown
