"""Keeps the Workspace of each WorkspaceTemplateApply as its spec and its template say, and tells how it fares.

The reconciler only acts and reports; what is to be done is decided by its neighbours: `plan` while the apply lives,
`deletion` when it goes, `status` for what is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from capt.api import WorkspaceTemplate, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.exact_patch import patch_exactly
from capt.controllers.kinds import APPLY, TEMPLATE
from capt.controllers.pausing import is_paused
from capt.controllers.second_look import wait_for
from capt.controllers.workspace import assess, readable, shorten, spec_difference
from capt.controllers.workspace_template_apply.deletion import (
    Abandon,
    DeletionObservation,
    Destroy,
    Release,
    Resume,
    Retain,
    Wait,
    decide_deletion,
    is_halted,
)
from capt.controllers.workspace_template_apply.dependencies import reference_key
from capt.controllers.workspace_template_apply.plan import (
    CONFLICT_RETRY,
    Action,
    Blocked,
    Create,
    Found,
    Keep,
    Observation,
    Target,
    Update,
    aim,
    decide,
)
from capt.controllers.workspace_template_apply.render import WORKSPACE_NAME
from capt.controllers.workspace_template_apply.status import (
    Outcome,
    Report,
    report,
    report_deletion,
    waiting,
)
from capt.controllers.workspace_template_apply.surroundings import Surroundings
from capt.controllers.workspace_template_apply.variable_check import Declarations, declarations
from capt.hcl import ModuleReader
from capt.runtime import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Forbidden,
    Invalid,
    finalizers,
)
from capt.runtime.client import Client
from capt.runtime.clock import Clock
from capt.runtime.recorder import Recorder
from capt.runtime.result import After, Done, Request, Result

_EVENT_LIMIT = 900


class WorkspaceTemplateApplyReconciler:
    """Reconciles WorkspaceTemplateApplies.

    Args:
        client: Reads and writes.
        recorder: Tells events.
        clock: The time.
        cross_namespace: True lets an apply use templates of other namespaces without their consent.
    """

    def __init__(self, client: Client, recorder: Recorder, clock: Clock, *, cross_namespace: bool) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._cross_namespace = cross_namespace
        self._surroundings = Surroundings(client, cross_namespace=cross_namespace)
        self._modules = ModuleReader()
        # by uid of the apply; a new process finds it out again with one write
        self._unaccepted: dict[str, Mapping[str, Any]] = {}

    async def reconcile(self, request: Request) -> Result:
        """Bring one apply a step further, and say how far it is.

        Raises:
            ApiError: A write was refused or failed; what could be reported has been.
        """
        apply = await self._client.get(APPLY, request.namespace, request.name)
        if apply is None or is_paused(apply):
            return Done()
        if apply.metadata.deletion_timestamp is not None:
            return await self.reconcile_delete(apply)
        apply = await finalizers.add(self._client, APPLY, apply, names.APPLY_FINALIZER)
        seen = await self._observe(apply)
        refusal: ApiError | None = None
        try:
            outcome = await self.reconcile_workspace(seen)
        except (Invalid, BadRequest, Forbidden) as error:
            words = f"the API server refuses the Workspace: {readable(error.message)}"
            outcome = Outcome(
                blocked=Blocked(reason="WorkspaceRefused", message=words, warn=True), found=seen.found
            )
            refusal = error
        result = await self._tell(apply, report(apply, outcome, self._clock.now()))
        if refusal is not None:
            raise refusal
        return result

    async def reconcile_workspace(self, seen: Observation) -> Outcome:
        """Make, repair or leave the Workspace, and return how that ended."""
        outcome = await self._towards(seen)
        if isinstance(outcome, Target):
            # a Workspace of that name is there, and not in the cache: ours from before, or somebody else's
            found = await self._surroundings.workspace_of_name(
                outcome.flavour, seen.apply.metadata.namespace or "", outcome.name
            )
            outcome = await self._towards(replace(seen, found=found))
        if isinstance(outcome, Target):
            message = f"the name of Workspace {outcome.name} is taken, and free again when looked at"
            return Outcome(blocked=Blocked(reason="WorkspaceConflict", message=message, retry=CONFLICT_RETRY))
        return outcome

    async def reconcile_delete(self, apply: WorkspaceTemplateApply) -> Result:
        """Take the next step of a deletion; the finalizer goes when nothing is left to guard."""
        if names.APPLY_FINALIZER not in apply.metadata.finalizers:
            return Done()
        now = self._clock.now()
        seen = await self._observe_deletion(apply, now)
        match decide_deletion(seen):
            case Release():
                pass
            case Retain() as plan:
                await self._patch_all(plan.patches)
                self._recorder.normal(APPLY, apply, "WorkspaceRetained", plan.message)
            case Abandon() as plan:
                await self._patch_all(plan.patches)
                await self._delete_all(tuple(found for found, _ in plan.patches))
                self._recorder.warning(APPLY, apply, "InfrastructureAbandoned", plan.message)
            case Destroy() as plan:
                await self._delete_all(plan.found)
                told = report_deletion(apply, reason="Deleting", message=plan.message, failure="", now=now)
                return await self._tell_waiting(apply, told, seen)
            case Resume() as plan:
                await self._patch_all(plan.patches)
                for found, _ in plan.patches:
                    self._tell_resumed(apply, found.workspace.metadata.name)
                told = report_deletion(apply, reason="Deleting", message=plan.message, failure="", now=now)
                return await self._tell_waiting(apply, told, seen)
            case Wait() as plan:
                told = report_deletion(
                    apply, reason=plan.reason, message=plan.message, failure=plan.failure, now=now
                )
                return await self._tell_waiting(apply, told, seen)
        await finalizers.remove(self._client, APPLY, apply, names.APPLY_FINALIZER)
        self._unaccepted.pop(apply.metadata.uid, None)
        return Done()

    async def _observe_deletion(self, apply: WorkspaceTemplateApply, now: datetime) -> DeletionObservation:
        look = self._surroundings
        # only a look past the cache proves that nothing is there: the status may be lost, the cache behind
        cached = await look.own_workspaces(apply)
        found = cached or await look.taken(apply)
        dependents = {*await look.blocking_dependents(apply), *await look.secret_readers(apply, found)}
        stuck = [each for each in found if assess(each.workspace, now=now).message]
        template, declared = None, None
        if any(is_halted(each, now) for each in found):
            template, declared = await self._template(apply)
        return DeletionObservation(
            apply=apply,
            found=found,
            cached=bool(cached) or not found,
            dependents=sorted(dependents),
            unserved="" if found else await look.unserved_group(apply),
            missing=await look.missing_secrets(stuck),
            template=template,
            declarations=declared,
            now=now,
        )

    async def _template(self, apply: WorkspaceTemplateApply) -> tuple[WorkspaceTemplate | None, Declarations]:
        key = reference_key(apply.spec.template_ref, apply.metadata.namespace or "")
        template = await self._client.get(TEMPLATE, key.namespace, key.name)
        return template, await declarations(self._modules, template, apply, WORKSPACE_NAME)

    async def _observe(self, apply: WorkspaceTemplateApply) -> Observation:
        own = await self._surroundings.own_workspaces(apply)
        template, declared = await self._template(apply)
        return Observation(
            apply=apply,
            template=template,
            declarations=declared,
            cross_namespace=self._cross_namespace,
            served=await self._surroundings.served(),
            found=own[0] if own else await self._surroundings.named_workspace(apply),
            unaccepted=self._unaccepted.get(apply.metadata.uid, {}),
            now=self._clock.now(),
        )

    async def _towards(self, seen: Observation) -> Outcome | Target:
        """Return how it ended, or the target if it could not be made because its name is taken."""
        target = aim(seen)
        if isinstance(target, Blocked):
            return Outcome(blocked=target, found=seen.found)
        action = decide(seen, target)
        if isinstance(action, Blocked):
            return Outcome(blocked=action)
        waits = None
        if isinstance(action, Create) or (isinstance(action, Update) and action.spec_changes):
            waits = await self._surroundings.waits(seen.apply, now=seen.now)
            if blocked := waiting(waits):
                return Outcome(blocked=blocked, waits=waits, found=seen.found, checked=seen.declarations)
        try:
            found = await self._act(seen, target, action)
        except AlreadyExists:
            return target
        return Outcome(waits=waits, found=found, checked=seen.declarations)

    async def _act(self, seen: Observation, target: Target, action: Action) -> Found | None:
        if isinstance(action, Keep):
            return seen.found
        if isinstance(action, Create):
            workspace = await self._client.create(target.flavour.kind, action.body)
            written = Found(flavour=target.flavour, workspace=workspace)
        else:
            if action.varmap is not None:
                workspace = await patch_exactly(
                    self._client,
                    action.found.flavour.kind,
                    action.found.workspace,
                    patch=action.patch,
                    path=("spec", "forProvider", "varmap"),
                    value=action.varmap,
                )
                written = replace(action.found, workspace=workspace)
            else:
                written = await self._patch(action.found, action.patch, under_version=True)
            if action.resumes:
                self._tell_resumed(seen.apply, target.name)
            if action.adopts:
                message = f"took over Workspace {target.name}"
                self._recorder.normal(APPLY, seen.apply, "WorkspaceAdopted", message)
        self._check_accepted(seen.apply, target, written)
        return written

    def _tell_resumed(self, apply: WorkspaceTemplateApply, workspace: str) -> None:
        message = f"the creation of Workspace {workspace} was interrupted and goes on from its state"
        self._recorder.normal(APPLY, apply, "CreationResumed", message)

    def _check_accepted(self, apply: WorkspaceTemplateApply, target: Target, found: Found) -> None:
        uid = apply.metadata.uid
        left = spec_difference(found.workspace.spec, target.rendered.spec, found.flavour)
        if not left:
            self._unaccepted.pop(uid, None)
        elif self._unaccepted.get(uid) != left:
            self._unaccepted[uid] = left
            # names only: a value may be a secret
            fields = ", ".join(
                f"{part}.{name}" if isinstance(inner, Mapping) else part
                for part, inner in left.items()
                for name in (inner if isinstance(inner, Mapping) else [""])
            )
            message = f"the API server does not keep these fields of Workspace {target.name}: {fields}"
            self._recorder.warning(APPLY, apply, "FieldsNotAccepted", shorten(message, _EVENT_LIMIT))

    async def _patch(self, found: Found, patch: Mapping[str, Any], *, under_version: bool) -> Found:
        metadata = found.workspace.metadata
        workspace = await self._client.patch(
            found.flavour.kind,
            metadata.namespace or "",
            metadata.name,
            patch,
            resource_version=metadata.resource_version if under_version else "",
            uid=metadata.uid,
        )
        return replace(found, workspace=workspace)

    async def _patch_all(self, patches: tuple[tuple[Found, Mapping[str, Any]], ...]) -> None:
        for found, patch in patches:
            await self._patch(found, patch, under_version=False)

    async def _delete_all(self, workspaces: tuple[Found, ...]) -> None:
        for found in workspaces:
            metadata = found.workspace.metadata
            await self._client.delete(
                found.flavour.kind, metadata.namespace or "", metadata.name, uid=metadata.uid
            )

    async def _tell_waiting(
        self, apply: WorkspaceTemplateApply, told: Report, seen: DeletionObservation
    ) -> Result:
        result = await self._tell(apply, told)
        return wait_for("Workspace", cached=seen.cached) if isinstance(result, Done) else result

    async def _tell(self, apply: WorkspaceTemplateApply, told: Report) -> Result:
        await self._client.patch_status(APPLY, apply, told.status)
        if told.warning:
            self._recorder.warning(APPLY, apply, *told.warning)
        return Done() if told.recheck is None else After(told.recheck, "Workspace")
