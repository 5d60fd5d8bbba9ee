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


_SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}


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


def _served(catalogue: Catalogue, group: str, version: str) -> list[Resource]:
    found = [r for r in catalogue if (r.group, r.version) == (group, version)]
    return sorted(found, key=lambda r: r.plural)


def _short_names(resource: Resource) -> dict[str, Any]:
    named = {"shortNames": list(resource.short_names), "categories": list(resource.categories)}
    return {word: names for word, names in named.items() if names}


def _resources(catalogue: Catalogue, group: str, version: str) -> dict[str, Any] | None:
    listed: list[dict[str, Any]] = []
    for resource in _served(catalogue, group, version):
        shown = {"namespaced": resource.namespaced, "kind": resource.kind}
        names = {"name": resource.plural, "singularName": resource.singular}
        listed.append({**names, **shown, "verbs": resource.verbs, **_short_names(resource)})
        for name in resource.subresources:
            names = {"name": f"{resource.plural}/{name}", "singularName": ""}
            kind = _SCALE if name == "scale" else {}
            listed.append({**names, **shown, "verbs": _SUBRESOURCE_VERBS, **kind})
    head = {"kind": "APIResourceList", **({"apiVersion": "v1"} if group else {})}
    group_version = f"{group}/{version}" if group else version
    return {**head, "groupVersion": group_version, "resources": listed} if listed else None


def aggregated(catalogue: Catalogue, *, core: bool) -> dict[str, Any]:
    """``/api`` or ``/apis`` for clients that take all of discovery in one answer."""
    items = []
    for name, versions in sorted(catalogue.groups().items()):
        if (name == "") is core:
            shown = [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [_aggregated_resource(r) for r in _served(catalogue, name, version)],
                }
                for version in versions
            ]
            metadata = {"creationTimestamp": None, **({"name": name} if name else {})}
            items.append({"metadata": metadata, "versions": shown})
    head = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}}
    return {**head, "items": items}


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    group, version = (resource.group, resource.version) if resource.custom else ("", "")
    kind = {"group": group, "version": version, "kind": resource.kind}
    subresources = [
        {"subresource": s, "responseKind": _SCALE if s == "scale" else kind, "verbs": _SUBRESOURCE_VERBS}
        for s in resource.subresources
    ]
    return {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": resource.verbs,
        **_short_names(resource),
        **({"subresources": subresources} if subresources else {}),
    }
