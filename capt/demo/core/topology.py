"""From a ClusterClass to the objects of one Cluster: what core clones from templates, and how it patches the clones."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from capt.demo.core.unstructured import Unstructured, at
from capt.embedded.patches import json_patch
from capt.runtime import Kind, TerminalError

CLUSTER_NAME_LABEL: Final = "cluster.x-k8s.io/cluster-name"
TOPOLOGY_OWNED_LABEL: Final = "topology.cluster.x-k8s.io/owned"
CLONED_NAME_ANNOTATION: Final = "cluster.x-k8s.io/cloned-from-name"
CLONED_KIND_ANNOTATION: Final = "cluster.x-k8s.io/cloned-from-groupkind"

_PARTS: Final = {"infrastructure": "infrastructureCluster", "controlPlane": "controlPlane"}


def clone_name(cluster: Unstructured, template: Unstructured) -> str:
    """Return the name of a Cluster's clone: the Cluster's and five characters, the same at every try."""
    seed = f"{cluster.metadata.uid}/{template.kind}/{template.metadata.name}"
    return f"{cluster.metadata.name}-{hashlib.sha256(seed.encode()).hexdigest()[:5]}"


def clone(
    cluster: Unstructured, cluster_class: Unstructured, template: Unstructured, kind: Kind[Any], part: str
) -> dict[str, Any]:
    """Return the manifest of the object that a template becomes for a Cluster.

    Args:
        cluster: The Cluster.
        cluster_class: Its class.
        template: The template that the class names.
        kind: The kind of the clone.
        part: `infrastructure` or `controlPlane`.

    Raises:
        TerminalError: A patch cannot be applied, or a variable that it needs has no value.
    """
    patched = _patched(cluster, cluster_class, template, part)
    source = at(patched, "spec", "template") or {}
    spec = dict(source.get("spec") or {})
    if part == "controlPlane" and (version := at(cluster.spec, "topology", "version")):
        spec["version"] = version
    metadata = source.get("metadata") or {}
    return {
        "apiVersion": kind.resource.api_version,
        "kind": kind.resource.kind,
        "metadata": {
            "name": clone_name(cluster, template),
            "namespace": cluster.metadata.namespace,
            "labels": {
                **(metadata.get("labels") or {}),
                CLUSTER_NAME_LABEL: cluster.metadata.name,
                TOPOLOGY_OWNED_LABEL: "",
            },
            "annotations": {
                **(metadata.get("annotations") or {}),
                CLONED_NAME_ANNOTATION: template.metadata.name,
                CLONED_KIND_ANNOTATION: f"{template.kind}.{template.api_version.partition('/')[0]}",
            },
        },
        "spec": spec,
    }


def _patched(
    cluster: Unstructured, cluster_class: Unstructured, template: Unstructured, part: str
) -> Mapping[str, Any]:
    variables = _variables(cluster, cluster_class)
    manifest: Any = {"spec": copy.deepcopy(dict(template.spec))}
    for patch in at(cluster_class.spec, "patches") or ():
        for definition in patch.get("definitions") or ():
            if not _selects(definition.get("selector"), template, part):
                continue
            operations = list(_operations(definition, variables))
            try:
                manifest = json_patch(manifest, operations)
            except Exception as error:
                name = cluster_class.metadata.name
                raise TerminalError(f"ClusterClass {name}, patch {patch.get('name')}: {error}") from error
    return dict(manifest)


def _selects(selector: Any, template: Unstructured, part: str) -> bool:
    return (
        at(selector, "apiVersion") == template.api_version
        and at(selector, "kind") == template.kind
        and at(selector, "matchResources", _PARTS[part]) is True
    )


def _operations(definition: Mapping[str, Any], variables: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for operation in definition.get("jsonPatches") or ():
        written = {"op": operation["op"], "path": operation["path"]}
        if "value" in operation:
            written["value"] = operation["value"]
        elif name := at(operation, "valueFrom", "variable"):
            value = at(variables, *name.split("."))
            if value is None:
                raise TerminalError(f"variable {name} has no value")
            written["value"] = value
        yield written


def _variables(cluster: Unstructured, cluster_class: Unstructured) -> dict[str, Any]:
    defaults = {
        each["name"]: at(each, "schema", "openAPIV3Schema", "default")
        for each in at(cluster_class.spec, "variables") or ()
    }
    given = {each["name"]: each["value"] for each in at(cluster.spec, "topology", "variables") or ()}
    version = at(cluster.spec, "topology", "version")
    builtin = {
        "cluster": {
            "name": cluster.metadata.name,
            "namespace": cluster.metadata.namespace,
            "uid": cluster.metadata.uid,
            "topology": {"version": version, "class": cluster_class.metadata.name},
        },
        "controlPlane": {"version": version},
    }
    return {**defaults, **given, "builtin": builtin}
