"""Brings a Cluster a step further, by its providers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from capt.demo.core.contract import Provided, read_control_plane, read_infrastructure
from capt.demo.core.edition import Edition, Reference
from capt.demo.core.providers import ProviderKind, find_kind
from capt.demo.core.status import Observation, cluster_status, endpoint_to_copy
from capt.demo.core.topology import CLUSTER_NAME_LABEL, clone
from capt.demo.core.unstructured import Unstructured, at
from capt.runtime import (
    After,
    Client,
    Clock,
    Done,
    Kind,
    Request,
    Result,
    TerminalError,
    controller_reference,
    finalizers,
)

CLUSTER_FINALIZER: Final = "cluster.cluster.x-k8s.io"
PAUSED_ANNOTATION: Final = "cluster.x-k8s.io/paused"

_INFRASTRUCTURE: Final = ("infrastructure", "infrastructureRef")
_CONTROL_PLANE: Final = ("controlPlane", "controlPlaneRef")


# an object that is not there yet has no owner, so its coming wakes nobody; core looks again after 30 s
_ABSENT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _External:
    kind: ProviderKind
    obj: Unstructured


class ClusterReconciler:
    """Reconciles Clusters of one edition.

    Args:
        client: Reads and writes.
        clock: The time.
        edition: The version of Cluster API.
    """

    def __init__(self, client: Client, clock: Clock, edition: Edition) -> None:
        self._client = client
        self._clock = clock
        self._edition = edition

    async def reconcile(self, request: Request) -> Result:
        """Become the owner of a Cluster's objects, copy what they report; delete them in order.

        Raises:
            TerminalError: A reference, a template or a patch makes no sense.
            ApiError: A write failed.
        """
        kind = self._edition.cluster
        cluster = await self._client.get(kind, request.namespace, request.name)
        if cluster is None or _paused(cluster):
            return Done()
        if cluster.metadata.deletion_timestamp is not None:
            return await self._delete(cluster)
        cluster = await finalizers.add(self._client, kind, cluster, CLUSTER_FINALIZER)
        cluster = await self._instantiate(cluster)
        infrastructure = await self._adopt(cluster, _INFRASTRUCTURE[1])
        control_plane = await self._adopt(cluster, _CONTROL_PLANE[1])
        await self._report(cluster, infrastructure=infrastructure, control_plane=control_plane)
        for found, field in ((infrastructure, _INFRASTRUCTURE[1]), (control_plane, _CONTROL_PLANE[1])):
            if found is None and self._edition.reference(cluster, field) is not None:
                return After(_ABSENT_SECONDS, field)
        return Done()

    async def _adopt(self, cluster: Unstructured, field: str) -> _External | None:
        """Become an owner of what a field names, in the old edition its controller, and label it with the Cluster's name."""
        found = await self._external(cluster, field)
        if found is None or found.obj.metadata.deletion_timestamp is not None:
            return found
        meta = found.obj.metadata
        owner = meta.controller if self._edition.name == "v1beta1" else None
        if owner is not None and owner.uid != cluster.metadata.uid:
            raise TerminalError(f"{found.obj.kind} {meta.name} is controlled by {owner.kind} {owner.name}")
        labelled = meta.labels.get(CLUSTER_NAME_LABEL) == cluster.metadata.name
        if labelled and any(each.uid == cluster.metadata.uid for each in meta.owner_references):
            return found
        reference = controller_reference(self._edition.cluster, cluster)
        if self._edition.name == "v1beta2":
            # core controls only what it made itself, for a topology, and leaves that place to others elsewhere
            del reference["controller"], reference["blockOwnerDeletion"]
        others = [
            each.model_dump(mode="json", by_alias=True, exclude_none=True)
            for each in meta.owner_references
            if each.uid != cluster.metadata.uid
        ]
        patch = {
            "metadata": {
                "labels": {CLUSTER_NAME_LABEL: cluster.metadata.name},
                "ownerReferences": [*others, reference],
            }
        }
        obj = await self._client.patch(
            found.kind.kind, meta.namespace or "", meta.name, patch, resource_version=meta.resource_version
        )
        return _External(found.kind, obj)

    async def _report(
        self, cluster: Unstructured, *, infrastructure: _External | None, control_plane: _External | None
    ) -> None:
        kind = self._edition.cluster
        provided = {
            "infrastructure": _provided(infrastructure, read_infrastructure),
            "control_plane": _provided(control_plane, read_control_plane),
        }

        def observe() -> Observation:
            return Observation(edition=self._edition, cluster=cluster, now=self._clock.now(), **provided)

        if endpoint := endpoint_to_copy(observe()):
            cluster = await self._client.apply_difference(
                kind, cluster, {"spec": {"controlPlaneEndpoint": endpoint}}
            )
        await self._client.patch_status(kind, cluster, cluster_status(observe()))

    async def _delete(self, cluster: Unstructured) -> Result:
        """Delete the control plane, and when it is gone the infrastructure, and when that is gone let the Cluster go."""
        if CLUSTER_FINALIZER not in cluster.metadata.finalizers:
            return Done()
        infrastructure = await self._external(cluster, _INFRASTRUCTURE[1])
        control_plane = await self._external(cluster, _CONTROL_PLANE[1])
        last = control_plane or infrastructure
        if last is None:
            await finalizers.remove(self._client, self._edition.cluster, cluster, CLUSTER_FINALIZER)
            return Done()
        meta = last.obj.metadata
        if meta.deletion_timestamp is None:
            await self._client.delete(last.kind.kind, meta.namespace or "", meta.name, uid=meta.uid)
        await self._report(cluster, infrastructure=infrastructure, control_plane=control_plane)
        return Done()

    async def _external(self, cluster: Unstructured, field: str) -> _External | None:
        reference = self._edition.reference(cluster, field)
        return None if reference is None else await self._read(cluster, reference)

    async def _read(self, cluster: Unstructured, reference: Reference) -> _External | None:
        kind = await find_kind(self._client, self._edition, reference)
        obj = await self._client.get_live(kind.kind, cluster.metadata.namespace or "", reference.name)
        return None if obj is None else _External(kind, obj)

    async def _instantiate(self, cluster: Unstructured) -> Unstructured:
        """Clone the templates of a Cluster's class, keep the clones up to date, and name them in the Cluster."""
        name = self._edition.class_name(cluster)
        if name is None:
            return cluster
        namespace = cluster.metadata.namespace or ""
        cluster_class = await self._client.get_live(self._edition.cluster_class, namespace, name)
        if cluster_class is None:
            raise TerminalError(f"there is no ClusterClass {name}")
        references: dict[str, Any] = {}
        for part, field in (_INFRASTRUCTURE, _CONTROL_PLANE):
            found = self._edition.template_reference(cluster_class, part)
            if found is None:
                continue
            template = await self._read(cluster, found)
            if template is None:
                raise TerminalError(f"there is no {found.kind} {found.name}")
            of = Reference(found.group, found.kind.removesuffix("Template"), "")
            kind = (await find_kind(self._client, self._edition, of)).kind
            body = clone(cluster, cluster_class, template.obj, kind, part)
            await self._keep(cluster, kind, body)
            references[field] = self._edition.reference_value(kind, namespace, body["metadata"]["name"])
        return await self._client.apply_difference(self._edition.cluster, cluster, {"spec": references})

    async def _keep(self, cluster: Unstructured, kind: Kind[Unstructured], body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        current = await self._client.get_live(kind, cluster.metadata.namespace or "", name)
        if current is None:
            owner = controller_reference(self._edition.cluster, cluster)
            metadata = {**body["metadata"], "ownerReferences": [owner]}
            await self._client.create(kind, {**body, "metadata": metadata})
        elif current.metadata.deletion_timestamp is None:
            await self._client.apply_difference(kind, current, {"spec": body["spec"]})


def _provided(found: _External | None, read: Any) -> Provided | None:
    return None if found is None else read(found.obj, found.kind.contract)


def _paused(cluster: Unstructured) -> bool:
    return at(cluster.spec, "paused") is True or PAUSED_ANNOTATION in cluster.metadata.annotations
