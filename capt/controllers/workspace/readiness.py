"""What a Workspace's status says about the spec that we wrote.

A Workspace is ready when Ready=True and Synced=True *for the current spec*, and the last part is where
providers differ. After a change of the spec both conditions keep their old values until Terraform has run,
which takes minutes; a reader who believes them reports a machine that does not exist. So each condition must
prove its age:

1. `observedGeneration` on the conditions, or on the status, is believed where present (crossplane-runtime 2
   sets it on Synced, though not always on Ready).
2. Where it is absent, each of our writes of the spec leaves a digest of the status of that moment in an
   annotation, and is made under the resourceVersion of that status. A status that differs from the digest was
   written later. Older providers write their status under the resourceVersion that they began with, so a run
   that began before our write cannot report after it.
3. A provider that had nothing to do leaves no trace at all: a status that did not change for `SETTLE` seconds
   is believed.

A Workspace that we have just created has no status, so whatever appears in it is about the spec that we
wrote.

Errors are found in Synced only; Ready=True with Synced=False is an infrastructure that exists and could not
be brought to the current spec, which is not ready.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from capt.api import Workspace, WorkspaceCondition, WorkspaceStatus
from capt.controllers.manifest import to_manifest
from capt.controllers.workspace.envelope import readable
from capt.runtime.conditions import find_condition

STATUS_BEFORE_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/status-before"
"""Digest of the status that the Workspace had when its spec was last written; absent since creation."""

WRITTEN_AT_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/written-at"
"""When the spec was last written, RFC 3339; absent since creation."""

SETTLE: Final = 30.0
"""Seconds after which an unchanged status of a provider without observedGeneration is believed."""

# crossplane-runtime's words; it gives this state no reason of its own
_CREATE_PENDING: Final = "cannot determine creation result"
_PAUSED: Final = "ReconcilePaused"


class State(StrEnum):
    """What a Workspace is doing. The values are reasons of conditions."""

    AVAILABLE = "Available"
    APPLYING = "Applying"
    FAILED = "WorkspaceError"
    PAUSED = "WorkspacePaused"
    CREATE_PENDING = "CreatePending"
    DELETING = "WorkspaceDeleting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What a Workspace's status says.

    Attributes:
        state: What the Workspace is doing about the current spec.
        message: Why, for people; empty while Terraform is at work or done.
        recheck: Seconds after which the same status would be read differently; None if time changes nothing.
    """

    state: State
    message: str = ""
    recheck: float | None = None


def assess(workspace: Workspace, *, now: datetime, settle: float = SETTLE) -> Readiness:
    """Return what the status of `workspace` says about its current spec."""
    conditions = workspace.status.conditions
    ready, synced = find_condition(conditions, "Ready"), find_condition(conditions, "Synced")
    # first of all, for a provider that stopped while it created does not destroy either
    if synced is not None and synced.status != "True" and _CREATE_PENDING in synced.message:
        return Readiness(state=State.CREATE_PENDING, message=readable(synced.message))
    if workspace.metadata.deletion_timestamp is not None:
        return Readiness(state=State.DELETING, message=_last_words(workspace))
    if synced is None:
        return Readiness(state=State.APPLYING)
    # this does not end by itself, and is about no generation
    if synced.status != "True" and synced.reason == _PAUSED:
        return Readiness(state=State.PAUSED, message="the Workspace is paused: Terraform does not run")
    doubt = _doubt(workspace, (ready, synced), now=now, settle=settle)
    if doubt is not None:
        return Readiness(state=State.APPLYING, recheck=doubt if doubt > 0 else None)
    if synced.status == "False":
        return Readiness(state=State.FAILED, message=_last_words(workspace))
    if ready is None or ready.status != "True" or synced.status != "True":
        return Readiness(state=State.APPLYING)
    return Readiness(state=State.AVAILABLE)


def status_digest(status: WorkspaceStatus) -> str:
    """Return a digest that changes whenever the provider writes something else into the status."""
    return hashlib.sha256(json.dumps(to_manifest(status), sort_keys=True).encode()).hexdigest()[:16]


def spec_written(status: WorkspaceStatus, now: datetime) -> dict[str, str]:
    """Return the annotations that go along with a write of the spec of a Workspace that has this status."""
    return {
        STATUS_BEFORE_ANNOTATION: status_digest(status),
        WRITTEN_AT_ANNOTATION: now.astimezone(UTC).isoformat(timespec="milliseconds"),
    }


def _doubt(
    workspace: Workspace,
    conditions: tuple[WorkspaceCondition | None, WorkspaceCondition],
    *,
    now: datetime,
    settle: float,
) -> float | None:
    """Return None if the conditions are about the current spec, else the seconds until they are believed (0: never)."""
    ready, synced = conditions
    seen = (
        # every run ends with a new Synced; Ready keeps the generation of the run that changed it last
        synced.observed_generation
        or (ready.observed_generation if ready is not None else None)
        or workspace.status.observed_generation
    )
    if seen:
        return None if seen >= (workspace.metadata.generation or 0) else 0.0
    annotations = workspace.metadata.annotations
    before = annotations.get(STATUS_BEFORE_ANNOTATION)
    if before is None or before != status_digest(workspace.status):
        return None
    waited = (now - _written_at(annotations, now)).total_seconds()
    # a clock that was set back must not make us wait for longer than the rule says
    return None if waited >= settle else min(settle - waited, settle)


def _written_at(annotations: Mapping[str, str], now: datetime) -> datetime:
    try:
        written = datetime.fromisoformat(annotations.get(WRITTEN_AT_ANNOTATION, ""))
    except ValueError:
        return now
    return written if written.tzinfo else now


def _last_words(workspace: Workspace) -> str:
    synced = find_condition(workspace.status.conditions, "Synced")
    if synced is None or synced.status != "False" or synced.reason == _PAUSED:
        return ""
    return readable(synced.message) or "the provider gives no reason"
