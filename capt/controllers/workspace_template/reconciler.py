"""Checks templates, publishes their revision, and keeps those that are in use."""

from __future__ import annotations

from capt.controllers import names
from capt.controllers.kinds import APPLY, TEMPLATE
from capt.controllers.pausing import is_paused
from capt.controllers.workspace_template.status import describe
from capt.controllers.workspace_template.users import TEMPLATE_INDEX
from capt.runtime import Key, finalizers
from capt.runtime.client import Client
from capt.runtime.clock import Clock
from capt.runtime.conditions import find_condition
from capt.runtime.recorder import Recorder
from capt.runtime.result import Done, Request, Result


class WorkspaceTemplateReconciler:
    """Reconciles WorkspaceTemplates."""

    def __init__(self, client: Client, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock

    async def reconcile(self, request: Request) -> Result:
        """Bring one template's status up to date, and let it go when it is deleted and unused."""
        template = await self._client.get(TEMPLATE, request.namespace, request.name)
        if template is None or is_paused(template):
            return Done()
        applies = await self._client.list(APPLY, index=(TEMPLATE_INDEX, str(request.key)))
        users = [Key(apply.metadata.namespace or "", apply.metadata.name) for apply in applies]
        if template.metadata.deletion_timestamp is None:
            template = await finalizers.add(self._client, TEMPLATE, template, names.TEMPLATE_FINALIZER)
        elif not users:
            await finalizers.remove(self._client, TEMPLATE, template, names.TEMPLATE_FINALIZER)
            return Done()
        status = describe(template, users=users, now=self._clock.now())
        before = find_condition(template.status.conditions, "Ready")
        await self._client.patch_status(TEMPLATE, template, status)
        ready = find_condition(status.conditions, "Ready")
        news = ready is not None and (before is None or before.message != ready.message)
        if ready is not None and news and ready.reason == "Invalid":
            self._recorder.warning(TEMPLATE, template, ready.reason, ready.message)
        return Done()
