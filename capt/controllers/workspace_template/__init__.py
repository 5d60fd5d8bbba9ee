"""WorkspaceTemplate: checked, given a revision, and kept while it is in use."""

from __future__ import annotations

from capt.controllers.kinds import APPLY, TEMPLATE
from capt.controllers.workspace_template import users
from capt.controllers.workspace_template.reconciler import WorkspaceTemplateReconciler
from capt.runtime.controller import Controller, watch_mapped, watch_self
from capt.runtime.event import Event
from capt.runtime.manager import Manager
from capt.runtime.rights import may

__all__ = ["WorkspaceTemplateReconciler", "controller"]


def controller(manager: Manager) -> Controller:
    """Return the controller of WorkspaceTemplates, to be added to `manager`."""
    users.declare(manager.informers)
    return Controller(
        name="workspacetemplate",
        reconciler=WorkspaceTemplateReconciler(
            manager.client, manager.recorder("workspacetemplate"), manager.clock
        ),
        watches=(
            watch_self(TEMPLATE),
            # an apply that comes, goes or turns to another template; its status is of no interest here
            watch_mapped(
                APPLY, users.template_of, reason="WorkspaceTemplateApply", predicate=_reference_may_change
            ),
        ),
        rights=(may(TEMPLATE, "get", "patch"), may(TEMPLATE, "patch", subresource="status")),
    )


def _reference_may_change(event: Event) -> bool:
    return event.old is None or event.new is None or event.old.generation != event.new.generation
