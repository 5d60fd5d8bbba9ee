"""The status of an apply, from what was observed and done.

In the ordinary course an apply's status is written twice: once when its Workspace has been made, and once when
Terraform is done. So nothing of what the Workspace goes through in between shows here, and no text has a time, a
count or a provider's passing mood in it. While nothing changes, the status computed is the status there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from capt.api import Condition, ObjectReference, WorkspaceTemplateApply, WorkspaceTemplateApplyStatus
from capt.controllers import names
from capt.controllers.workspace import Readiness, State, assess
from capt.controllers.workspace_template_apply.outputs import Outputs, bounded
from capt.controllers.workspace_template_apply.plan import FLAVOUR_RETRY, Blocked, Found
from capt.controllers.workspace_template_apply.render import VARIABLES_INVALID
from capt.controllers.workspace_template_apply.variable_check import Declarations
from capt.hcl import ModuleText
from capt.runtime.conditions import find_condition, is_true, set_condition

READY: Final = "Ready"
SYNCED: Final = "Synced"
SECRETS_READY: Final = "SecretsReady"
WORKSPACES_READY: Final = "WorkspacesReady"
VARIABLES_VALID: Final = "VariablesValid"

SECRET_RETRY: Final = 10.0
"""Seconds between looks for missing Secrets: they are not watched, so that their contents are in no cache."""

WORKSPACE_RETRY: Final = 15.0
"""Seconds between looks at Workspaces that others made; those of our own applies are watched."""

ConditionStatus = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What an apply waits for before it writes its Workspace.

    Attributes:
        secrets: Missing Secrets, for people.
        workspaces: Applies and Workspaces that are not ready, for people.
    """

    secrets: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.secrets or self.workspaces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a reconcile ended.

    Attributes:
        blocked: What stood in the way.
        waits: What is waited for; None when it was not looked at, because there was nothing to write.
        found: The Workspace as it is now.
        checked: What the variables were checked against; None when it did not come to that.
    """

    blocked: Blocked | None = None
    waits: Waits | None = None
    found: Found | None = None
    checked: Declarations | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is to be told.

    Attributes:
        status: The new status, whole.
        warning: Reason and message of a Warning event, if there is a new one.
        recheck: Seconds after which the same facts would be judged differently; None if time changes nothing.
    """

    status: WorkspaceTemplateApplyStatus
    warning: tuple[str, str] | None = None
    recheck: float | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """One condition, short of what is the same for all."""

    status: ConditionStatus
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What Ready and Synced say.

    Attributes:
        ready: The condition Ready.
        synced: The condition Synced: has Terraform applied the current revision?
        failure: Terraform's words when it failed.
        warn: Whether somebody has to do something about it.
    """

    ready: _Line
    synced: _Line
    failure: str = ""
    warn: bool = False

    @property
    def applied(self) -> bool:
        return self.ready.status == "True"


def waiting(waits: Waits) -> Blocked | None:
    """Return what is said while something is waited for; None when everything is there."""
    if waits.secrets:
        return Blocked(
            reason="WaitingForSecrets",
            message=f"waiting for Secrets: {', '.join(waits.secrets)}",
            retry=SECRET_RETRY,
        )
    if waits.workspaces:
        return Blocked(
            reason="WaitingForWorkspaces",
            message=f"waiting for Workspaces: {', '.join(waits.workspaces)}",
            retry=WORKSPACE_RETRY,
        )
    return None


def report(apply: WorkspaceTemplateApply, outcome: Outcome, now: datetime) -> Report:
    """Return the status of an apply that is not being deleted."""
    found, blocked = outcome.found, outcome.blocked
    readiness = assess(found.workspace, now=now) if found else None
    verdict = _verdict(apply, outcome, readiness)
    recheck = blocked.retry if blocked else readiness.recheck if readiness else None
    return Report(
        status=_status(apply, outcome, verdict, now),
        warning=_warning(apply.status, verdict),
        recheck=recheck,
    )


def report_deletion(
    apply: WorkspaceTemplateApply, *, reason: str, message: str, failure: str, now: datetime
) -> Report:
    """Return the status of an apply that is being deleted.

    Args:
        apply: The apply.
        reason: What it waits for, as one CamelCase word.
        message: The same for people.
        failure: The provider's words when it cannot destroy the infrastructure; empty when there are none.
        now: The time.
    """
    line = _Line("False", reason, message)
    verdict = _Verdict(ready=line, synced=line, warn=bool(failure))
    status = apply.status.model_copy(
        update={
            "observed_generation": apply.metadata.generation,
            "applied": False,
            "last_failure_message": failure or apply.status.last_failure_message,
            "conditions": _conditions(apply, verdict, {}, now),
        }
    )
    recheck = FLAVOUR_RETRY if reason == "WorkspaceKindMissing" else None
    return Report(status=status, warning=_warning(apply.status, verdict), recheck=recheck)


def _verdict(apply: WorkspaceTemplateApply, outcome: Outcome, readiness: Readiness | None) -> _Verdict:
    old, blocked = apply.status, outcome.blocked
    if blocked is None:
        return _workspace_verdict(outcome.found, readiness)
    line = _Line("False", blocked.reason, blocked.message)
    seen = old.observed_generation == apply.metadata.generation
    # what was looked at in vain since it was changed is seen, too, but it was not applied
    if blocked.spares_ready and outcome.found and seen and old.applied:
        # the spec of the apply is the one that was rendered last, and nothing says that it should be another
        verdict = _workspace_verdict(outcome.found, readiness)
        if verdict.applied and _revision(outcome.found) == old.last_applied_revision:
            return replace(verdict, synced=replace(line, status="Unknown"))
    return _Verdict(ready=line, synced=line, warn=blocked.warn)


def _workspace_verdict(found: Found | None, readiness: Readiness | None) -> _Verdict:
    state, words = (readiness.state, readiness.message) if readiness else (State.APPLYING, "")
    name = found.workspace.metadata.name if found else ""
    revision = _revision(found)
    match state:
        case State.AVAILABLE:
            left_out = _outputs(found).left_out
            note = f"; outputs too large for a status: {', '.join(left_out)}" if left_out else ""
            return _Verdict(
                ready=_Line("True", state, f"Workspace {name} is ready{note}"),
                synced=_Line("True", "ReconcileSuccess", f"Terraform has applied revision {revision}"),
            )
        case State.APPLYING:
            message = f"Terraform is applying revision {revision} in Workspace {name}"
            return _Verdict(ready=_Line("False", state, message), synced=_Line("Unknown", state, message))
        case State.FAILED:
            return _Verdict(
                ready=_Line("False", state, words),
                synced=_Line("False", "ReconcileError", words),
                failure=words,
                warn=True,
            )
        case State.CREATE_PENDING:
            line = _Line("False", state, f"Workspace {name}: {words}")
            return _Verdict(ready=line, synced=line, failure=words, warn=True)
        case State.PAUSED:
            line = _Line("False", state, f"Workspace {name}: {words}")
            return _Verdict(ready=line, synced=line)
        case State.DELETING:
            message = f"Workspace {name} is being deleted by somebody else; it is made again when it is gone"
            line = _Line("False", state, f"{message}: {words}" if words else message)
            return _Verdict(ready=line, synced=line)


def _status(
    apply: WorkspaceTemplateApply, outcome: Outcome, verdict: _Verdict, now: datetime
) -> WorkspaceTemplateApplyStatus:
    old, found = apply.status, outcome.found
    revision = _revision(found)
    update: dict[str, Any] = {
        "observed_generation": apply.metadata.generation,
        # kept while nothing can be said: it may be the only trace of a Workspace that the Go original made
        "workspace_name": found.workspace.metadata.name if found else old.workspace_name,
        "applied": verdict.applied,
        "conditions": _conditions(
            apply, verdict, {**_wait_lines(apply, outcome), **_check_line(outcome)}, now
        ),
    }
    if found is None:
        update["outputs"] = {}
    else:
        update |= {"workspace_group": found.flavour.group, "connection_secret_ref": _connection_secret(found)}
    if verdict.applied:
        update |= {
            "outputs": _outputs(found).values,
            "last_applied_revision": revision,
            "last_applied_time": old.last_applied_time if old.last_applied_revision == revision else now,
            "last_failed_revision": None,
            "last_failed_time": None,
            "last_failure_message": None,
        }
    elif verdict.failure:
        update |= {
            "last_failed_revision": revision,
            "last_failed_time": (old.last_failed_revision == revision and old.last_failed_time) or now,
            "last_failure_message": verdict.failure,
        }
    # validated anew, so that times are cut to what a status can hold
    return WorkspaceTemplateApplyStatus.model_validate({**dict(old), **update})


def _conditions(
    apply: WorkspaceTemplateApply, verdict: _Verdict, waits: Mapping[str, _Line | None], now: datetime
) -> tuple[Condition, ...]:
    """Return the conditions of the apply; a wait that maps to None has none any more."""
    lines = {READY: verdict.ready, SYNCED: verdict.synced, **waits}
    conditions = tuple(each for each in apply.status.conditions if lines.get(each.type, each) is not None)
    for kind, line in lines.items():
        if line is not None:
            new = Condition(
                type=kind,
                status=line.status,
                reason=line.reason,
                message=line.message,
                last_transition_time=now,
                observed_generation=apply.metadata.generation,
            )
            conditions = set_condition(conditions, new)
    return conditions


def _wait_lines(apply: WorkspaceTemplateApply, outcome: Outcome) -> dict[str, _Line | None]:
    """Return what is said about each wait; nothing about those that were not looked at."""
    spec, waits = apply.spec, outcome.waits
    lines: dict[str, _Line | None] = {}
    for kind, reason, references, missing in (
        (SECRETS_READY, "WaitingForSecrets", spec.wait_for_secrets, waits.secrets if waits else ()),
        (
            WORKSPACES_READY,
            "WaitingForWorkspaces",
            spec.wait_for_workspaces,
            waits.workspaces if waits else (),
        ),
    ):
        if not references:
            lines[kind] = None
        elif waits is not None:
            lines[kind] = _wait_line(reason, missing)
        elif outcome.blocked is None and not is_true(apply.status.conditions, kind):
            # nothing is to be written, so nothing is waited for: an older complaint no longer holds anything up
            lines[kind] = None
    return lines


def _check_line(outcome: Outcome) -> dict[str, _Line | None]:
    """Return what is said about the variables; nothing when it did not come to checking them."""
    if outcome.blocked is not None and outcome.blocked.reason == VARIABLES_INVALID:
        return {VARIABLES_VALID: _Line("False", VARIABLES_INVALID, outcome.blocked.message)}
    match outcome.checked:
        case None:
            return {}
        case ModuleText():
            return {VARIABLES_VALID: _Line("True", "Declared", "the module declares every variable")}
        case unread:
            return {VARIABLES_VALID: _Line("Unknown", unread.reason, unread.message)}


def _connection_secret(found: Found) -> ObjectReference | None:
    reference = found.workspace.spec.write_connection_secret_to_ref
    if reference is None:
        return None
    namespace = found.workspace.metadata.namespace or reference.namespace
    return ObjectReference(name=reference.name, namespace=namespace)


def _wait_line(reason: str, missing: tuple[str, ...]) -> _Line:
    if missing:
        return _Line("False", reason, f"missing: {', '.join(missing)}")
    return _Line("True", "Found", "everything that was waited for is there")


def _warning(old: WorkspaceTemplateApplyStatus, verdict: _Verdict) -> tuple[str, str] | None:
    if not verdict.warn:
        return None
    told = find_condition(old.conditions, READY)
    if told and (told.reason, told.message) == (verdict.ready.reason, verdict.ready.message):
        return None
    return verdict.ready.reason, verdict.ready.message


def _outputs(found: Found | None) -> Outputs:
    return bounded(found.workspace.status.at_provider.outputs if found else {})


def _revision(found: Found | None) -> str | None:
    if found is None:
        return None
    return found.workspace.metadata.annotations.get(names.WORKSPACE_REVISION_ANNOTATION)
