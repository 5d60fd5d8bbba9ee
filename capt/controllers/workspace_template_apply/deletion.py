"""What to do about an apply that is being deleted.

The finalizer guards the infrastructure: it goes when the Workspace is gone, or when somebody has said that the
infrastructure is to stay. Nothing here depends on the template, on variables or on a plan that succeeds: an apply
that could never be rendered can still be deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from capt.api import WorkspaceTemplate, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.workspace import (
    RETAINED_ANNOTATION,
    Ownership,
    State,
    assess,
    key_text,
    ownership,
    readable,
    shorten,
)
from capt.controllers.workspace_template_apply.creation import resumption
from capt.controllers.workspace_template_apply.plan import Found
from capt.controllers.workspace_template_apply.render import orphaned
from capt.controllers.workspace_template_apply.variable_check import Declarations
from capt.runtime import Key
from capt.runtime.conditions import find_condition

ABANDON_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/abandon-infrastructure"
"""On an apply, `"true"`: delete it and its Workspace now and leave what Terraform made to whoever set this."""

_EVENT_TEXT_LIMIT: Final = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionObservation:
    """What the decision needs.

    Attributes:
        apply: The apply; being deleted.
        found: Every Workspace that may be its own.
        cached: They were found in the caches, whose events tell of their end.
        dependents: Applies whose infrastructure stands on this one's, or whose Terraform reads its Secret.
        unserved: API group of the Workspace that the apply has or had, where the cluster does not serve it now.
        missing: Secrets that the Workspaces read, and that are not there.
        template: The template, where a creation was interrupted and it is asked whether the state outlives that.
        declarations: What its module declares, likewise.
        now: The time.
    """

    apply: WorkspaceTemplateApply
    found: Sequence[Found]
    dependents: Sequence[Key]
    cached: bool = True
    unserved: str = ""
    missing: Sequence[Key] = ()
    template: WorkspaceTemplate | None = None
    declarations: Declarations | None = None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Leave everything as it is.

    Attributes:
        reason: What is waited for, as one CamelCase word.
        message: The same for people.
        failure: The provider's words when it cannot destroy the infrastructure.
    """

    reason: str
    message: str
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy:
    """Delete these Workspaces; the provider destroys what Terraform made."""

    found: tuple[Found, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Put these patches on the Workspaces, so that a provider that stopped while it created goes on, and destroys."""

    patches: tuple[tuple[Found, Mapping[str, Any]], ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retain:
    """Put these patches on the Workspaces, then let the apply go."""

    patches: tuple[tuple[Found, Mapping[str, Any]], ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """Put these patches on the Workspaces, delete them, and let the apply go without waiting."""

    patches: tuple[tuple[Found, Mapping[str, Any]], ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Nothing is left to guard: let the apply go."""


DeletionPlan = Wait | Destroy | Resume | Retain | Abandon | Release


def decide_deletion(seen: DeletionObservation) -> DeletionPlan:
    """Return what to do next."""
    apply = seen.apply
    own = tuple(
        found
        for found in seen.found
        if ownership(found.workspace, apply) in (Ownership.OURS, Ownership.NAMED)
    )
    given_up = apply.spec.retain_workspace_on_delete or _is_abandoned(apply)
    if not own and seen.unserved and not given_up:
        return Wait(
            reason="WorkspaceKindMissing",
            message=f"the Workspace is one of {seen.unserved}, which the cluster does not serve any more: whether its "
            f"infrastructure stands cannot be known; install its definition, or set annotation {ABANDON_ANNOTATION}",
        )
    if not own:
        return Release()
    workspaces = ", ".join(found.workspace.metadata.name for found in own)
    if apply.spec.retain_workspace_on_delete:
        patches = tuple((found, _retention(found, apply, seen.now)) for found in own)
        return Retain(patches=patches, message=f"Workspace {workspaces} and its infrastructure are kept")
    if _is_abandoned(apply):
        patches = tuple((found, {"spec": _orphaning(found)}) for found in own)
        return Abandon(
            patches=patches,
            message=f"annotation {ABANDON_ANNOTATION}: the infrastructure of Workspace {workspaces} is left behind",
        )
    if seen.dependents:
        dependents = ", ".join(map(str, seen.dependents))
        return Wait(
            reason="WaitingForDependents",
            message=f"waiting until what depends on it is deleted: {dependents}",
        )
    standing = tuple(found for found in own if found.workspace.metadata.deletion_timestamp is None)
    message = f"waiting until Workspace {workspaces} and its infrastructure are destroyed"
    if standing:
        return Destroy(found=standing, message=message)
    resumed = tuple(
        (found, {"metadata": {"annotations": marks}})
        for found in own
        if (marks := resumption(found.workspace, seen.template, seen.declarations, seen.now))
    )
    if resumed:
        return Resume(patches=resumed, message=message)
    failure = "; ".join(filter(None, (_failure(found, seen.now) for found in own)))
    if failure:
        halted = any(is_halted(found, seen.now) for found in own)
        stance = "the provider waits for a person" if halted else "the provider keeps trying"
        message = f"Workspace {workspaces} cannot be destroyed, {stance}: {failure}"
    if failure and seen.missing:
        lost = ", ".join(map(str, seen.missing))
        message += f" (Terraform reads Secrets that are gone: {lost}; make them again)"
    return Wait(reason="Deleting", message=message, failure=failure)


def is_halted(found: Found, now: datetime) -> bool:
    """Return whether the provider stopped while it created this Workspace: it does not destroy it either."""
    return assess(found.workspace, now=now).state is State.CREATE_PENDING


def _is_abandoned(apply: WorkspaceTemplateApply) -> bool:
    return apply.metadata.annotations.get(ABANDON_ANNOTATION) == "true"


def _failure(found: Found, now: datetime) -> str:
    """Return why destroying fails; what failed before the deletion is no news now, unless it is what holds it up."""
    conditions = found.workspace.status.conditions
    synced, ready = find_condition(conditions, "Synced"), find_condition(conditions, "Ready")
    if synced is None or synced.status != "False":
        return ""
    began = found.workspace.metadata.deletion_timestamp
    about_deletion = (
        is_halted(found, now)
        or (ready is not None and ready.reason == "Deleting")
        or synced.message.startswith("delete failed")
        or (began is not None and synced.last_transition_time > began)
    )
    return shorten(readable(synced.message), _EVENT_TEXT_LIMIT) if about_deletion else ""


def _retention(found: Found, apply: WorkspaceTemplateApply, now: datetime) -> dict[str, Any]:
    since = found.workspace.metadata.annotations.get(RETAINED_ANNOTATION)
    annotations = {
        RETAINED_ANNOTATION: since or now.astimezone(UTC).isoformat(timespec="seconds"),
        # how an apply that comes back under this name finds it again
        names.WORKSPACE_APPLY_ANNOTATION: key_text(apply.metadata),
    }
    return {"metadata": {"annotations": annotations}, "spec": _orphaning(found)}


def _orphaning(found: Found) -> dict[str, Any]:
    spec = found.workspace.spec
    return orphaned(spec.deletion_policy, spec.management_policies, found.flavour)
