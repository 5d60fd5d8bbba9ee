"""Makes and changes the WorkspaceTemplateApplies of a control plane."""

from __future__ import annotations

from capt.api import CAPTControlPlane, WorkspaceTemplateApply
from capt.controllers.child_apply import Create, Update, change
from capt.controllers.control_plane.phases import Obstacle, Work
from capt.controllers.control_plane.plan import Plan, Wish, plan_apply, progress
from capt.controllers.kinds import APPLY
from capt.runtime import AlreadyExists
from capt.runtime.client import Client


class Applies:
    """Carries out plans."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def carry_out(
        self, wish: Wish, control_plane: CAPTControlPlane, found: WorkspaceTemplateApply | None, plan: Plan
    ) -> tuple[WorkspaceTemplateApply | None, Plan]:
        """Carry out a plan, and return the apply as it is then and the plan that was carried out.

        Raises:
            ApiError: A write failed.
        """
        try:
            return await self._write(found, plan), plan
        except AlreadyExists:
            # made earlier, by us with the answer lost, or by somebody else: the cache has yet to show it
            found = await self._client.get_live(APPLY, control_plane.metadata.namespace or "", wish.name)
            plan = plan_apply(wish, found, control_plane)
            return await self._write(found, plan), plan

    async def bring(self, wish: Wish, control_plane: CAPTControlPlane) -> str:
        """Make or change an apply as it is wanted, and return what it lacks, for people; empty when it is done.

        Raises:
            ApiError: A write failed.
        """
        found = await self._client.get(APPLY, control_plane.metadata.namespace or "", wish.name)
        plan = plan_apply(wish, found, control_plane)
        apply, plan = await self.carry_out(wish, control_plane, found, plan)
        if isinstance(plan, Obstacle):
            return plan.message
        if apply is None:
            return f"WorkspaceTemplateApply {wish.name} is gone"
        state = progress(apply, "")
        return "" if state.work is Work.DONE else state.message

    async def _write(self, found: WorkspaceTemplateApply | None, plan: Plan) -> WorkspaceTemplateApply | None:
        match plan:
            case Create(body=body):
                return await self._client.create(APPLY, body)
            case Update() if found is not None:
                return await change(self._client, found, plan)
            case _:
                return found
