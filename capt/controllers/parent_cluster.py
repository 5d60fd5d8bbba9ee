"""The Cluster that an object belongs to: found by owner reference, read in whichever version is served, told what it asks.

Seeds 003 and 004 want a cluster's endpoint and state carried to the Cluster; the contract says that Cluster API copies
them itself. Both hold when nothing is written but what Cluster API would write, and only where it differs: then who is
first does not matter. So a Cluster is never made unready again, its endpoint is never unset, and a failure is cleared by
whom it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from capt.api import (
    APIEndpoint,
    ApiObject,
    Cluster,
    ClusterV1Beta1,
    ContractReference,
    FailureDomain,
    FailureDomainSpec,
    VersionedReference,
)
from capt.controllers.kinds import CLUSTER, CLUSTER_V1BETA1
from capt.controllers.manifest import to_manifest
from capt.controllers.names import MANAGED_BY_ANNOTATION, PAUSED_ANNOTATION
from capt.runtime import Key, Kind, Object
from capt.runtime.client import Client
from capt.runtime.merge_patch import overlay

Role = Literal["infrastructure", "controlPlane"]
"""What an object is to its Cluster."""

_GROUP: Final = CLUSTER.resource.group

# status fields of each role: v1beta1's, then v1beta2's under `initialization`
_READY_FIELDS: Final[Mapping[Role, tuple[str, str]]] = {
    "infrastructure": ("infrastructureReady", "infrastructureProvisioned"),
    "controlPlane": ("controlPlaneReady", "controlPlaneInitialized"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A Cluster, and the version in which it was read and is written.

    Attributes:
        kind: The version, as a kind.
        cluster: The Cluster.
    """

    kind: Kind[Any]
    cluster: Cluster | ClusterV1Beta1

    @property
    def name(self) -> str:
        """Name of the Cluster."""
        return self.cluster.metadata.name

    @property
    def reference(self) -> dict[str, str]:
        """The Cluster as an owner, one that controls nothing (contract rule F11)."""
        return {
            "apiVersion": self.kind.resource.api_version,
            "kind": self.kind.resource.kind,
            "name": self.name,
            "uid": self.cluster.metadata.uid,
        }

    @property
    def paused(self) -> bool:
        """Whether everything that belongs to the Cluster is to be left alone (contract rule A9)."""
        return bool(self.cluster.spec.paused) or PAUSED_ANNOTATION in self.cluster.metadata.annotations

    @property
    def deleting(self) -> bool:
        """Whether the Cluster is being deleted."""
        return self.cluster.metadata.deletion_timestamp is not None

    @property
    def endpoint(self) -> APIEndpoint | None:
        """Where the API server is reached, as the Cluster says; None while it does not know."""
        endpoint = self.cluster.spec.control_plane_endpoint
        return endpoint if endpoint is not None and endpoint.is_set else None

    @property
    def infrastructure(self) -> ContractReference | VersionedReference | None:
        """What the Cluster takes for its infrastructure."""
        return self.cluster.spec.infrastructure_ref

    @property
    def control_plane(self) -> ContractReference | VersionedReference | None:
        """What the Cluster takes for its control plane."""
        return self.cluster.spec.control_plane_ref

    @property
    def serves_v1beta2(self) -> bool:
        """Whether the Cluster has the shapes of v1beta2."""
        return isinstance(self.cluster, Cluster)


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What an object has to tell its Cluster.

    Attributes:
        role: What the object is to the Cluster.
        ready: Whether it is ready.
        endpoint: Where the API server is reached; None when the object does not say.
        failure_domains: Where machines can be placed; empty when there is nothing to tell.
        failure_reason: A terminal failure, as one CamelCase word.
        failure_message: The same for people.
    """

    role: Role
    ready: bool
    endpoint: APIEndpoint | None = None
    failure_domains: tuple[FailureDomain, ...] = ()
    failure_reason: str | None = None
    failure_message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """What is to be written to a Cluster, as merge patches; empty ones are not sent.

    Attributes:
        spec: For the Cluster itself.
        status: For its subresource `status`.
    """

    spec: Mapping[str, Any]
    status: Mapping[str, Any]


def parent_key(obj: ApiObject) -> Key | None:
    """Return the Cluster that owns `obj`; None while Cluster API has not said so (contract rules B7, B8)."""
    for owner in obj.metadata.owner_references:
        if owner.kind == "Cluster" and owner.api_version.rpartition("/")[0] == _GROUP:
            return Key(obj.metadata.namespace or "", owner.name)
    return None


async def find_parent(client: Client, obj: ApiObject) -> Parent | None:
    """Return the Cluster that owns `obj`, from the cache.

    Returns:
        The Cluster; None while no owner reference is set, while the Cluster cannot be seen, and when a namesake has taken
        its place. None of these is a reason to delete anything.
    """
    key = parent_key(obj)
    if key is None:
        return None
    uids = {owner.uid for owner in obj.metadata.owner_references}
    kinds: tuple[Kind[Any], ...] = (CLUSTER, CLUSTER_V1BETA1)
    for kind in kinds:
        cluster = await client.get(kind, *key)
        if cluster is not None and cluster.metadata.uid in uids:
            return Parent(kind=kind, cluster=cluster)
    return None


def owned_by(cluster: Object, children: Iterable[Object]) -> tuple[Key, ...]:
    """Return those of `children` that `cluster` owns, to reconcile them when it changes."""
    return tuple(child.key for child in children if any(owner.uid == cluster.uid for owner in child.owners))


def is_externally_managed(obj: ApiObject) -> bool:
    """Tell whether somebody else manages `obj`: nothing of it may be touched, not even its status (contract rule B5).

    The book speaks of a label, Cluster API's code reads an annotation; either counts.
    """
    return MANAGED_BY_ANNOTATION in obj.metadata.annotations or MANAGED_BY_ANNOTATION in obj.metadata.labels


def tell(parent: Parent, child: ApiObject, news: News) -> Patches:
    """Return what is to be written to the Cluster of `child`.

    Nothing under pause, when the Cluster or the child is managed by somebody else, or when either is being deleted.
    """
    if (
        parent.paused
        or parent.deleting
        or child.metadata.deletion_timestamp is not None
        or is_externally_managed(child)
        or is_externally_managed(parent.cluster)
    ):
        return Patches(spec={}, status={})
    spec: dict[str, Any] = {}
    if news.endpoint is not None and news.endpoint.is_set:
        spec = {"spec": {"controlPlaneEndpoint": to_manifest(news.endpoint)}}
    status = _status(parent.cluster, child, news)
    return Patches(
        spec=overlay(to_manifest(parent.cluster), spec),
        status=overlay(to_manifest(parent.cluster), {"status": status} if status else {}),
    )


async def write(client: Client, parent: Parent, patches: Patches) -> bool:
    """Send the patches that are not empty; the endpoint first, for the rest is worth little without it.

    Returns:
        Whether anything was written.

    Raises:
        ApiError: The API server refused, or did not answer.
    """
    metadata = parent.cluster.metadata
    for patch, subresource in ((patches.spec, ""), (patches.status, "status")):
        if patch:
            await client.patch(
                parent.kind,
                metadata.namespace or "",
                metadata.name,
                patch,
                subresource=subresource,
                uid=metadata.uid,
            )
    return bool(patches.spec or patches.status)


def domains_by_name(domains: Iterable[FailureDomain]) -> dict[str, Any]:
    """Return failure domains in the shape of contract v1beta1."""
    return {
        domain.name: to_manifest(
            FailureDomainSpec(control_plane=domain.control_plane, attributes=domain.attributes)
        )
        for domain in domains
    }


def _status(cluster: Cluster | ClusterV1Beta1, child: ApiObject, news: News) -> dict[str, Any]:
    old_field, new_field = _READY_FIELDS[news.role]
    failure = _failure(cluster, child, news)
    if isinstance(cluster, ClusterV1Beta1):
        status: dict[str, Any] = {**failure}
        if news.ready:
            status[old_field] = True
        if news.failure_domains:
            status["failureDomains"] = _replacing(
                cluster.status.failure_domains, domains_by_name(news.failure_domains)
            )
        return status
    status = {"deprecated": {"v1beta1": failure}} if failure else {}
    if news.ready:
        status["initialization"] = {new_field: True}
    if news.failure_domains:
        status["failureDomains"] = [to_manifest(domain) for domain in news.failure_domains]
    return status


def _failure(cluster: Cluster | ClusterV1Beta1, child: ApiObject, news: News) -> dict[str, Any]:
    """Return the failure fields: ours set, or ours cleared.

    Another object's failure is left alone, and so are Cluster API's words for ours: who writes what others write in other
    words is answered by them, for ever.
    """
    reason, told = _told_failure(cluster)
    ours = _is_from(told, child)
    if news.failure_reason is not None:
        if told and not ours:
            return {}
        if told and reason == news.failure_reason and (news.failure_message or "") in told:
            return {}
        origin = f"{child.kind} with name {child.metadata.name!r}"
        message = f"Failure detected from referenced resource {origin}: {news.failure_message or ''}".strip()
        return {"failureReason": news.failure_reason, "failureMessage": message}
    if news.ready and ours:
        return {"failureReason": None, "failureMessage": None}
    return {}


def _is_from(message: str | None, child: ApiObject) -> bool:
    # Cluster API's own words have the kind with its group, and the name in double quotes
    name = child.metadata.name
    return (
        message is not None and child.kind in message and (f"'{name}'" in message or f'"{name}"' in message)
    )


def _told_failure(cluster: Cluster | ClusterV1Beta1) -> tuple[str | None, str | None]:
    if isinstance(cluster, ClusterV1Beta1):
        return cluster.status.failure_reason, cluster.status.failure_message
    deprecated = cluster.status.deprecated
    if deprecated is None or deprecated.v1beta1 is None:
        return None, None
    return deprecated.v1beta1.failure_reason, deprecated.v1beta1.failure_message


def _replacing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return a merge patch that leaves nothing of `old` but what `new` has."""
    return {**dict.fromkeys(old.keys() - new.keys()), **new}
