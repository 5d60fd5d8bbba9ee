"""A provider that was interrupted while it created: when CAPT lets it go on.

Before its first apply Crossplane's provider notes in an annotation that it is about to create. If it is killed before it
has noted the end, it stops for good: what it made may have a name that nobody recorded, so that creating again would
make it twice. Its rule is to go on only where the outcome can be found again, and it leaves it to others to know where
that is.

For Terraform that is where the state outlives the provider's pod: the external name finds the state again, and a plan
goes on from what is in it. So does a destroy, for a provider that has stopped does not delete either. CAPT believes it
when the module itself has a remote backend, or when the template says so with an annotation, since the backend is most
often in the provider's own configuration. Anything else is shown and left to a person.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from capt.api import Workspace, WorkspaceTemplate
from capt.controllers.workspace import EXTERNAL_NAME_ANNOTATION, State, assess
from capt.controllers.workspace_template_apply.variable_check import Declarations
from capt.hcl import ModuleText

DURABLE_STATE_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/durable-state"
"""On a WorkspaceTemplate, `"true"`: the provider's configuration keeps Terraform's state in a remote backend."""

CREATE_PENDING_ANNOTATION: Final = "crossplane.io/external-create-pending"
"""Crossplane's: since when it creates."""

RESUMED_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/creation-resumed"
"""On a Workspace: when CAPT last took the mark away. Providers do not look again for the mark's sake alone."""

_LOST_WITH_THE_POD: Final = frozenset({"", "local"})


def resumption(
    workspace: Workspace, template: WorkspaceTemplate | None, declarations: Declarations | None, now: datetime
) -> dict[str, str | None]:
    """Return the annotations that let an interrupted provider go on; empty when it is not, or must not."""
    annotations = workspace.metadata.annotations
    if CREATE_PENDING_ANNOTATION not in annotations or EXTERNAL_NAME_ANNOTATION not in annotations:
        return {}
    if assess(workspace, now=now).state is not State.CREATE_PENDING or template is None:
        return {}
    backend = declarations.backend if isinstance(declarations, ModuleText) else ""
    durable = template.metadata.annotations.get(DURABLE_STATE_ANNOTATION) == "true"
    if backend in _LOST_WITH_THE_POD and not durable:
        return {}
    return {
        CREATE_PENDING_ANNOTATION: None,
        RESUMED_ANNOTATION: now.astimezone(UTC).isoformat(timespec="seconds"),
    }
