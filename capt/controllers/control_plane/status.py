"""What a control plane says about itself: phase, conditions, versions, outputs.

The status is a pure function of what was seen and done, and nothing in it tells how often somebody looked; while
nothing changes, the status computed is the status there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from capt.api import (
    APIEndpoint,
    CAPTControlPlane,
    CAPTControlPlaneStatus,
    Condition,
    WorkspaceTemplateApply,
)
from capt.controllers import names
from capt.controllers.control_plane.outputs import as_texts
from capt.controllers.control_plane.phases import Phase, Verdict
from capt.controllers.manifest import to_manifest
from capt.runtime.conditions import find_condition, set_condition

READY: Final = "Ready"
INITIALIZED: Final = "Initialized"
CREATING: Final = "Creating"
FAILED: Final = "Failed"
AVAILABLE: Final = "Available"
ROLLING_OUT: Final = "RollingOut"
SECRETS_READY: Final = "SecretsReady"
PAUSED: Final = "Paused"
OPTIONAL_TEMPLATES_READY: Final = "OptionalTemplatesReady"

Word = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One condition, short of what is the same for all."""

    status: Word
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the status says beside the phase.

    Attributes:
        apply: The WorkspaceTemplateApply of the control plane, if it is there.
        done: Whether Terraform has applied what the spec asks for.
        endpoint: Where the API server is reached, once that is known.
        secrets: What is to be said about the Secrets; None to leave it as it was.
        optional: What is to be said about optional templates; None when there are none.
        now: The time.
    """

    apply: WorkspaceTemplateApply | None
    done: bool
    endpoint: APIEndpoint | None
    secrets: Line | None
    optional: Line | None
    now: datetime


def report(control_plane: CAPTControlPlane, verdict: Verdict, facts: Facts) -> CAPTControlPlaneStatus:
    """Return the status of a control plane that is not being deleted."""
    old = control_plane.status
    secrets_ready = _secrets_ready(old, facts)
    ready = verdict.phase is Phase.READY
    initialized = old.initialized or (ready and secrets_ready)
    version = control_plane.spec.version if facts.done and ready else old.version
    lines: dict[str, Line | None] = {
        READY: Line(
            status="True" if ready else "False",
            reason=verdict.reason,
            message=verdict.message,
        ),
        INITIALIZED: _initialized(verdict, facts, initialized=initialized),
        CREATING: _phase_line(verdict, Phase.CREATING),
        FAILED: _phase_line(verdict, Phase.FAILED),
        AVAILABLE: _available(verdict, facts, initialized=initialized),
        ROLLING_OUT: _rolling_out(control_plane, verdict, facts, initialized=initialized),
        OPTIONAL_TEMPLATES_READY: facts.optional,
    }
    if facts.secrets is not None:
        lines[SECRETS_READY] = facts.secrets
    return _status(
        control_plane,
        facts,
        lines,
        {
            "ready": ready,
            "initialized": initialized,
            "initialization": {"control_plane_initialized": True} if initialized else None,
            "secrets_ready": secrets_ready,
            "phase": verdict.phase.value,
            "version": version,
            "versions": ({"version": version},) if version else (),
            "endpoint": str(facts.endpoint) if facts.endpoint is not None else old.endpoint,
            "failure_reason": verdict.reason if verdict.terminal else None,
            "failure_message": verdict.message if verdict.terminal else None,
        },
    )


def report_waiting_for_cluster(control_plane: CAPTControlPlane, now: datetime) -> CAPTControlPlaneStatus:
    """Return the status of a control plane that no Cluster owns, or whose Cluster cannot be seen.

    What stood before stands, and what was said about it stays. `Unknown`, because the timeouts begin with False.
    """
    message = (
        "waits for Cluster API to set the owner reference to the Cluster, and for the Cluster to be there"
    )
    line = Line(status="Unknown", reason="WaitingForCluster", message=message)
    old = find_condition(control_plane.status.conditions, READY)
    lines = {READY: line} if old is None or old.status != "True" else {}
    facts = Facts(apply=None, done=False, endpoint=None, secrets=None, optional=None, now=now)
    return _status(control_plane, facts, lines, {})


def report_paused(control_plane: CAPTControlPlane, now: datetime) -> CAPTControlPlaneStatus:
    """Return the status of a control plane that is not to be touched (contract rule A10): nothing else changes."""
    line = Line(status="True", reason="Paused", message="the Cluster or the control plane is paused")
    condition = _condition(control_plane, PAUSED, line, now)
    conditions = set_condition(control_plane.status.conditions, condition)
    return control_plane.status.model_copy(update={"conditions": conditions})


def report_deletion(
    control_plane: CAPTControlPlane, reason: str, message: str, now: datetime
) -> CAPTControlPlaneStatus:
    """Return the status of a control plane that is being deleted.

    Args:
        control_plane: The control plane.
        reason: What it waits for, as one CamelCase word.
        message: The same for people.
        now: The time.
    """
    gone = Line(status="False", reason=reason, message=message)
    facts = Facts(apply=None, done=False, endpoint=None, secrets=None, optional=None, now=now)
    lines = {READY: gone, AVAILABLE: gone}
    lines |= {
        kind: Line(status="False", reason="Deleting", message="the control plane is being deleted")
        for kind in (CREATING, FAILED, ROLLING_OUT)
    }
    return _status(control_plane, facts, lines, {"ready": False, "phase": Phase.DELETING.value})


def _status(
    control_plane: CAPTControlPlane,
    facts: Facts,
    lines: Mapping[str, Line | None],
    update: dict[str, Any],
) -> CAPTControlPlaneStatus:
    old = control_plane.status
    values: dict[str, Any] = {
        **dict(old),
        "observed_generation": control_plane.metadata.generation,
        "external_managed_control_plane": True,
        "workspace_template_apply_name": names.control_plane_apply_name(control_plane.metadata.name),
        **_of_apply(facts.apply),
        **update,
    }
    lines = {PAUSED: None, **lines}
    conditions = tuple(each for each in old.conditions if lines.get(each.type, each) is not None)
    for kind, line in lines.items():
        if line is not None:
            conditions = set_condition(conditions, _condition(control_plane, kind, line, facts.now))
    return CAPTControlPlaneStatus.model_validate({**values, "conditions": conditions})


def _condition(control_plane: CAPTControlPlane, kind: str, line: Line, now: datetime) -> Condition:
    return Condition(
        type=kind,
        status=line.status,
        reason=line.reason,
        message=line.message,
        last_transition_time=now,
        observed_generation=control_plane.metadata.generation,
    )


def _of_apply(apply: WorkspaceTemplateApply | None) -> dict[str, Any]:
    if apply is None:
        return {}
    status = apply.status
    ready = find_condition(status.conditions, READY)
    seen = status.observed_generation == apply.metadata.generation
    state = ready.reason if ready is not None and seen else "Applying"
    is_ready = seen and ready is not None and ready.status == "True"
    outputs = to_manifest(status).get("outputs", {})
    return {
        "workspace_template_status": {
            "ready": is_ready,
            "state": state,
            "last_applied_revision": status.last_applied_revision,
            "last_failed_revision": status.last_failed_revision,
            "last_failure_message": status.last_failure_message,
            "outputs": as_texts(outputs),
        },
        "workspace_status": {"ready": is_ready, "state": state, "at_provider": {"outputs": outputs}},
    }


def _secrets_ready(old: CAPTControlPlaneStatus, facts: Facts) -> bool:
    return old.secrets_ready if facts.secrets is None else facts.secrets.status == "True"


def _phase_line(verdict: Verdict, phase: Phase) -> Line:
    if verdict.phase is phase:
        return Line(status="True", reason=verdict.reason, message=verdict.message)
    return Line(status="False", reason=verdict.phase.value, message=f"the phase is {verdict.phase}")


def _initialized(verdict: Verdict, facts: Facts, *, initialized: bool) -> Line:
    if initialized:
        return Line(status="True", reason="Initialized", message="the API server has been usable")
    if verdict.phase is Phase.READY and facts.secrets is not None:
        return Line(status="False", reason=facts.secrets.reason, message=facts.secrets.message)
    return Line(status="False", reason=verdict.reason, message=verdict.message)


def _available(verdict: Verdict, facts: Facts, *, initialized: bool) -> Line:
    if facts.apply is None or verdict.reason == "WorkspaceDeleting":
        return Line(status="False", reason=verdict.reason, message=verdict.message)
    # a change that failed, or takes long, takes nothing away from what stands
    if verdict.phase is Phase.READY or initialized:
        # Cluster API gathers the words of this and of RollingOut on the Cluster: where all is well there are none
        return Line(status="True", reason="Available", message="")
    return Line(status="False", reason=verdict.reason, message=verdict.message)


def _rolling_out(
    control_plane: CAPTControlPlane, verdict: Verdict, facts: Facts, *, initialized: bool
) -> Line:
    if not initialized or facts.done or facts.apply is None:
        return Line(status="False", reason="NotRollingOut", message="")
    old, new = control_plane.status.version, control_plane.spec.version
    what = f"version {old} becomes {new}: " if old and old != new else ""
    return Line(status="True", reason="RollingOut", message=what + (verdict.changing or verdict.message))
