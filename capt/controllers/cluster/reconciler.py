"""Gives a cluster its VPC: made from a template and followed, or one that exists; and tells the Cluster.

The reconciler only acts and reports; what is to be done is decided by its neighbours: `plan` for the
WorkspaceTemplateApply, `stages` for how far the VPC is, `status` for what is told.
"""

from __future__ import annotations

from dataclasses import replace

from capt.api import CAPTCluster, WorkspaceTemplateApply
from capt.controllers import names, ownership
from capt.controllers.child_apply import Create, Update, change
from capt.controllers.cluster.plan import Observation, Plan, plan_vpc, retention
from capt.controllers.cluster.stages import needs_secret
from capt.controllers.cluster.status import Report, deleting, failed, paused, report, waiting_for_cluster
from capt.controllers.kinds import APPLY, CAPT_CLUSTER, CAPT_CONTROL_PLANE, SECRET
from capt.controllers.parent_cluster import (
    Parent,
    find_parent,
    is_externally_managed,
    parent_key,
    tell,
    write,
)
from capt.controllers.pausing import is_leaving, is_paused
from capt.controllers.second_look import wait_for
from capt.controllers.workspace import readable
from capt.runtime import AlreadyExists, BadRequest, Forbidden, Invalid, finalizers
from capt.runtime.client import Client
from capt.runtime.clock import Clock
from capt.runtime.owners import is_controlled_by
from capt.runtime.recorder import Recorder
from capt.runtime.result import After, Done, Request, Result


class CaptClusterReconciler:
    """Reconciles CAPTClusters.

    Args:
        client: Reads and writes.
        recorder: Tells events.
        clock: The time.
    """

    def __init__(self, client: Client, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock

    async def reconcile(self, request: Request) -> Result:
        """Bring one CAPTCluster a step further, and say how far it is.

        Raises:
            ApiError: A write was refused or failed; what could be reported has been.
        """
        cluster = await self._client.get(CAPT_CLUSTER, request.namespace, request.name)
        if cluster is None or is_externally_managed(cluster) or is_leaving(cluster):
            return Done()
        parent = await find_parent(self._client, cluster)
        if is_paused(cluster, parent):
            await self._client.patch_status(CAPT_CLUSTER, cluster, paused(cluster, self._clock.now()))
            return Done()
        if cluster.metadata.deletion_timestamp is not None:
            return await self.reconcile_delete(cluster)
        if parent is None:
            return await self._tell(cluster, None, self._wait(cluster))
        cluster = await finalizers.add(self._client, CAPT_CLUSTER, cluster, names.CLUSTER_FINALIZER)
        return await self.reconcile_vpc(cluster, parent)

    async def reconcile_vpc(self, cluster: CAPTCluster, parent: Parent) -> Result:
        """Make, follow or use the VPC, and report (seed 003).

        Raises:
            ApiError: A write was refused or failed; what could be reported has been.
        """
        seen = await self._observe(cluster, parent)
        try:
            seen, plan = await self._carry_out(seen)
        except (Invalid, BadRequest, Forbidden) as error:
            words = f"the API server refuses the WorkspaceTemplateApply: {readable(error.message)}"
            await self.set_failed_status(seen, "VPCReconciliationFailed", words)
            raise
        return await self._tell(cluster, parent, report(seen, plan))

    async def set_failed_status(self, seen: Observation, reason: str, message: str) -> None:
        """Report a failure that needs a person, here and to the Cluster (seed 003)."""
        await self._tell(seen.cluster, seen.parent, failed(seen, reason, message))

    async def reconcile_delete(self, cluster: CAPTCluster) -> Result:
        """Take the next step of a deletion: the control plane goes first, then the VPC, then the finalizer."""
        if names.CLUSTER_FINALIZER not in cluster.metadata.finalizers:
            return Done()
        now = self._clock.now()
        if not ownership.is_orphaning(cluster):
            if users := await self._control_planes(cluster):
                return await self._tell(cluster, None, deleting(cluster, None, users, now))
            namespace, name = cluster.metadata.namespace or "", names.vpc_apply_name(cluster.metadata.name)
            cached = await self._client.get(APPLY, namespace, name) is not None
            apply = await self._live_apply(cluster)
            if apply is not None and is_controlled_by(apply, cluster):
                await self._delete_apply(cluster, apply)
                await self._tell(cluster, None, deleting(cluster, apply, (), now))
                return wait_for(APPLY.resource.kind, cached=cached)
        await finalizers.remove(self._client, CAPT_CLUSTER, cluster, names.CLUSTER_FINALIZER)
        return Done()

    async def _observe(self, cluster: CAPTCluster, parent: Parent) -> Observation:
        namespace, name = cluster.metadata.namespace or "", cluster.metadata.name
        seen = Observation(
            cluster=cluster,
            parent=parent,
            apply=await self._client.get(APPLY, namespace, names.vpc_apply_name(name)),
            secret={},
            now=self._clock.now(),
        )
        if not needs_secret(seen):
            return seen
        secret = await self._client.get_live(SECRET, namespace, names.vpc_secret_name(name))
        data = secret.data if secret is not None else {}
        return replace(seen, secret={key: value.decode(errors="replace") for key, value in data.items()})

    async def _carry_out(self, seen: Observation) -> tuple[Observation, Plan]:
        plan = plan_vpc(seen)
        try:
            await self._act(seen, plan)
        except AlreadyExists:
            # made earlier, by us with the answer lost, or by somebody else: the cache has yet to show it
            seen = replace(seen, apply=await self._live_apply(seen.cluster))
            plan = plan_vpc(seen)
            await self._act(seen, plan)
        return seen, plan

    async def _act(self, seen: Observation, plan: Plan) -> None:
        match plan:
            case Create(body=body):
                await self._client.create(APPLY, body)
            case Update() if seen.apply is not None:
                await change(self._client, seen.apply, plan)
            case _:
                return

    async def _delete_apply(self, cluster: CAPTCluster, apply: WorkspaceTemplateApply) -> None:
        metadata = apply.metadata
        namespace = metadata.namespace or ""
        # first what is to become of the VPC: once the apply is on its way out it may be too late to say
        if patch := retention(cluster, apply):
            await self._client.patch(APPLY, namespace, metadata.name, patch, uid=metadata.uid)
        if metadata.deletion_timestamp is None:
            await self._client.delete(APPLY, namespace, metadata.name, uid=metadata.uid)

    async def _control_planes(self, cluster: CAPTCluster) -> tuple[str, ...]:
        """Return the control planes of the same Cluster: they stand in the VPC."""
        uids = {owner.uid for owner in cluster.metadata.owner_references if owner.kind == "Cluster"}
        found = [
            control_plane
            for uid in sorted(uids)
            for control_plane in await self._client.list(CAPT_CONTROL_PLANE, index=("owner", uid))
        ]
        return tuple(f"CAPTControlPlane {each.metadata.name}" for each in found)

    async def _live_apply(self, cluster: CAPTCluster) -> WorkspaceTemplateApply | None:
        namespace, name = cluster.metadata.namespace or "", names.vpc_apply_name(cluster.metadata.name)
        return await self._client.get_live(APPLY, namespace, name)

    def _wait(self, cluster: CAPTCluster) -> Report:
        key = parent_key(cluster)
        if key is None:
            reason, message = "OwnerReferenceNotSet", "waits for Cluster API to set the Cluster as owner"
        else:
            reason, message = "ClusterNotFound", f"waits for Cluster {key}, which cannot be seen"
        return waiting_for_cluster(cluster, reason, message, self._clock.now())

    async def _tell(self, cluster: CAPTCluster, parent: Parent | None, told: Report) -> Result:
        await self._client.patch_status(CAPT_CLUSTER, cluster, told.status)
        match told.event:
            case ("Normal", reason, message):
                self._recorder.normal(CAPT_CLUSTER, cluster, reason, message)
            case ("Warning", reason, message):
                self._recorder.warning(CAPT_CLUSTER, cluster, reason, message)
        if parent is not None and told.news is not None:
            await write(self._client, parent, tell(parent, cluster, told.news))
        return Done() if told.recheck is None else After(told.recheck, "VPC")
