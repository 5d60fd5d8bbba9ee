"""The two versions of Cluster API that matter: how each refers to objects, and which contracts it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from capt.api import Cluster, ClusterV1Beta1
from capt.api.crd import definition
from capt.api.external.cluster import CLUSTER_API_GROUP
from capt.demo.core.cluster_class import ClusterClass, ClusterClassV1Beta1
from capt.demo.core.unstructured import Unstructured, at
from capt.runtime import Kind, Resource

EditionName = Literal["v1beta1", "v1beta2"]


@dataclass(frozen=True, slots=True)
class Reference:
    """One object of a provider, in the Cluster's namespace.

    Attributes:
        group: API group.
        kind: Kind.
        name: Name.
    """

    group: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One version of Cluster API.

    Attributes:
        name: The version.
        contracts: Versions of the provider contract that it reads, the preferred first.
        definitions: The CustomResourceDefinitions of Cluster and ClusterClass.
    """

    name: EditionName
    contracts: tuple[EditionName, ...]
    definitions: tuple[Mapping[str, Any], ...]

    @property
    def cluster(self) -> Kind[Unstructured]:
        """The kind Cluster."""
        return Kind(self._resource("Cluster", "clusters"), Unstructured)

    @property
    def cluster_class(self) -> Kind[Unstructured]:
        """The kind ClusterClass."""
        return Kind(self._resource("ClusterClass", "clusterclasses"), Unstructured)

    def reference(self, cluster: Unstructured, field: str) -> Reference | None:
        """Return what the field `infrastructureRef` or `controlPlaneRef` of a Cluster names."""
        value = at(cluster.spec, field)
        name, kind = at(value, "name"), at(value, "kind")
        if not name or not kind:
            return None
        if self.name == "v1beta1":
            return Reference(str(at(value, "apiVersion") or "").rpartition("/")[0], kind, name)
        return Reference(at(value, "apiGroup") or "", kind, name)

    def reference_value(self, kind: Kind[Any], namespace: str, name: str) -> dict[str, str]:
        """Return such a field's value."""
        resource = kind.resource
        if self.name == "v1beta1":
            return {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "name": name,
                "namespace": namespace,
            }
        return {"apiGroup": resource.group, "kind": resource.kind, "name": name}

    def class_name(self, cluster: Unstructured) -> str | None:
        """Return the name of the ClusterClass that a Cluster is made from, None for one without topology."""
        path = ("class",) if self.name == "v1beta1" else ("classRef", "name")
        name: str | None = at(cluster.spec, "topology", *path)
        return name

    def template_reference(self, cluster_class: Unstructured, part: str) -> Reference | None:
        """Return the template that a ClusterClass has for `infrastructure` or `controlPlane`."""
        value = at(cluster_class.spec, part, "ref" if self.name == "v1beta1" else "templateRef")
        if not at(value, "name"):
            return None
        return Reference(value["apiVersion"].rpartition("/")[0], value["kind"], value["name"])

    def _resource(self, kind: str, plural: str) -> Resource:
        return Resource(group=CLUSTER_API_GROUP, version=self.name, kind=kind, plural=plural)


EDITIONS: Final[Mapping[EditionName, Edition]] = {
    "v1beta1": Edition(
        name="v1beta1",
        contracts=("v1beta1",),
        definitions=(definition(ClusterV1Beta1), definition(ClusterClassV1Beta1)),
    ),
    "v1beta2": Edition(
        name="v1beta2",
        contracts=("v1beta2", "v1beta1"),
        definitions=(definition(Cluster), definition(ClusterClass)),
    ),
}
"""The editions, by the version of Cluster that they serve."""
