"""WorkspaceTemplateApply: renders a template with variables into a Workspace and follows it."""

from __future__ import annotations

from functools import partial

from capt.controllers.kinds import APPLY, SECRET, TEMPLATE
from capt.controllers.names import WORKSPACE_APPLY_UID_LABEL
from capt.controllers.workspace import FLAVOURS
from capt.controllers.workspace_template import users
from capt.controllers.workspace_template_apply import indexes
from capt.controllers.workspace_template_apply.reconciler import WorkspaceTemplateApplyReconciler
from capt.runtime.controller import Controller, watch_mapped, watch_self
from capt.runtime.manager import Manager
from capt.runtime.rights import may

__all__ = ["WorkspaceTemplateApplyReconciler", "controller"]


def controller(manager: Manager, *, cross_namespace: bool = False) -> Controller:
    """Return the controller of WorkspaceTemplateApplies, to be added to `manager`.

    Args:
        manager: Where it will run.
        cross_namespace: True lets an apply use templates of other namespaces without their consent.
    """
    informers = manager.informers
    indexes.declare(informers)
    return Controller(
        name="workspacetemplateapply",
        reconciler=WorkspaceTemplateApplyReconciler(
            manager.client,
            manager.recorder("workspacetemplateapply"),
            manager.clock,
            cross_namespace=cross_namespace,
        ),
        watches=(
            watch_self(APPLY),
            watch_mapped(
                APPLY,
                partial(indexes.dependents_and_dependencies, informers),
                reason="WorkspaceTemplateApply waited for",
            ),
            watch_mapped(TEMPLATE, partial(users.users_of, informers), reason="WorkspaceTemplate"),
            *(
                watch_mapped(
                    flavour.kind,
                    partial(indexes.concerned_by_workspace, informers),
                    reason=f"Workspace of {flavour.group}",
                    labels=WORKSPACE_APPLY_UID_LABEL,
                    optional=True,
                )
                for flavour in FLAVOURS
            ),
        ),
        rights=(
            may(APPLY, "get", "patch"),
            may(APPLY, "patch", subresource="status"),
            *(may(flavour.kind, "get", "create", "patch", "delete") for flavour in FLAVOURS),
            # one at a time, by name: those that spec.waitForSecrets names
            may(SECRET, "get"),
        ),
    )
