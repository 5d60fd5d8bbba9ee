"""The status of a template, and what holds up its deletion."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from capt.api import Condition, WorkspaceTemplate, WorkspaceTemplateStatus
from capt.controllers.manifest import to_manifest
from capt.controllers.workspace import revision
from capt.controllers.workspace_template.validation import problems
from capt.runtime import Key
from capt.runtime.conditions import set_condition

_NAMED_USERS = 10


def describe(template: WorkspaceTemplate, *, users: Sequence[Key], now: datetime) -> WorkspaceTemplateStatus:
    """Return the status of `template`.

    Args:
        template: The template.
        users: Applies that refer to it; they hold up its deletion.
        now: The time.
    """
    wrong = problems(template)
    deleting = template.metadata.deletion_timestamp is not None
    if deleting and users:
        ready, reason, message = False, "InUse", f"deletion waits for {_names(users)}"
    elif deleting:
        ready, reason, message = False, "Deleting", "nothing uses it any more"
    elif wrong:
        ready, reason, message = False, "Invalid", "; ".join(wrong)
    else:
        ready, reason, message = True, "Valid", "the template can be used"
    condition = Condition(
        type="Ready",
        status="True" if ready else "False",
        reason=reason,
        message=message,
        last_transition_time=now,
        observed_generation=template.metadata.generation,
    )
    return template.status.model_copy(
        update={
            "observed_generation": template.metadata.generation,
            "revision": revision(to_manifest(template.spec)),
            "conditions": set_condition(template.status.conditions, condition),
        }
    )


def _names(users: Sequence[Key]) -> str:
    shown = ", ".join(map(str, users[:_NAMED_USERS]))
    more = len(users) - _NAMED_USERS
    return f"WorkspaceTemplateApplies {shown}{f' and {more} more' if more > 0 else ''}"
