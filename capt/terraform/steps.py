"""What to do next with a Workspace: pure decisions, in the order of Crossplane's managed reconciler.

The order is crossplane-runtime v2's, with provider-terraform's observation. We differ from it in three places, each
because our state is local and our names are deterministic:

* **No create-pending mark.** The provider notes "about to create" in an annotation, and after a crash stops until a
  person has looked, since it cannot know what was made. Here Terraform's state knows, and creating is repeatable: the
  engine never writes that mark and simply goes on after a crash. A mark that it *finds* was left by another provider,
  whose state may not be ours to read, so it stops with the provider's own words (:attr:`Step.HALT`).
* **Lost state is an error.** A finalizer says that something may stand. If this engine has never claimed the
  Workspace (another machine did, or the data directory is new), creating would make everything twice, and finishing a
  deletion would abandon it: :attr:`Step.LOST`.
* **Nothing to do is done.** A module without resources and outputs never "exists", and the provider creates it for
  ever. A plan without changes settles it here.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto
from typing import Final

from capt.api import Workspace
from capt.terraform.executor import Observation

FINALIZER: Final = "finalizer.managedresource.crossplane.io"
PAUSED: Final = "crossplane.io/paused"
EXTERNAL_NAME: Final = "crossplane.io/external-name"
CREATE_PENDING: Final = "crossplane.io/external-create-pending"
CREATE_SUCCEEDED: Final = "crossplane.io/external-create-succeeded"
CREATE_FAILED: Final = "crossplane.io/external-create-failed"

CREATION_GRACE: Final = 30.0
"""Seconds after a creation in which crossplane-runtime does not believe that nothing stands, not even to end a deletion."""


class Step(Enum):
    """One thing to do with a Workspace."""

    PAUSE = auto()
    """Say that it is paused."""
    RELEASE = auto()
    """It is being deleted and keeps its infrastructure: drop the finalizer, keep the state."""
    NAME = auto()
    """Give it its external name."""
    HALT = auto()
    """Another provider was interrupted while it created; a person has to look."""
    OBSERVE = auto()
    """Ask the executor what stands."""
    LOST = auto()
    """The state is not here: neither create nor finish."""
    WAIT = auto()
    """Others guard it still; destroy when they have let go."""
    DESTROY = auto()
    """Destroy what stands."""
    FINISH = auto()
    """Nothing stands any more: drop the finalizer."""
    MISSING = auto()
    """It may only be observed, and nothing is there."""
    CREATE = auto()
    """Apply for the first time."""
    UPDATE = auto()
    """Apply a change, or repair drift."""
    SETTLE = auto()
    """All is as it should be."""


def next_step(workspace: Workspace, observation: Observation | None) -> Step:
    """Return what to do next.

    Args:
        workspace: the Workspace as it is in the API.
        observation: what the executor found; ``None`` before it was asked.
    """
    if observation is None:
        return _before_observation(workspace)
    if workspace.metadata.deletion_timestamp is not None:
        return _deleting(workspace, observation)
    if not observation.exists:
        return _absent(workspace, observation)
    if observation.up_to_date or not may(workspace, "Update"):
        return Step.SETTLE
    return Step.UPDATE


def grace_left(workspace: Workspace, observation: Observation, now: datetime) -> float:
    """Return for how many seconds it is not believed that nothing stands; 0 where it is, or something does."""
    created = _time(workspace.metadata.annotations.get(CREATE_SUCCEEDED))
    if observation.exists or created is None:
        return 0.0
    return max(CREATION_GRACE - (now - created).total_seconds(), 0.0)


def may(workspace: Workspace, action: str) -> bool:
    """Tell whether ``spec.managementPolicies`` allows ``action`` ("Create", "Update", "Delete")."""
    return bool({"*", action} & set(workspace.spec.management_policies))


def _before_observation(workspace: Workspace) -> Step:
    annotations = workspace.metadata.annotations
    if annotations.get(PAUSED) == "true" or not workspace.spec.management_policies:
        return Step.PAUSE
    if workspace.metadata.deletion_timestamp is not None:
        if not may(workspace, "Delete") or workspace.spec.deletion_policy == "Orphan":
            return Step.RELEASE
        if FINALIZER not in workspace.metadata.finalizers:
            return Step.FINISH
    elif not annotations.get(EXTERNAL_NAME):
        return Step.NAME
    return Step.HALT if _create_is_incomplete(workspace) else Step.OBSERVE


def _deleting(workspace: Workspace, observation: Observation) -> Step:
    if not observation.exists:
        return Step.FINISH if observation.known else Step.LOST
    return Step.WAIT if set(workspace.metadata.finalizers) - {FINALIZER} else Step.DESTROY


def _absent(workspace: Workspace, observation: Observation) -> Step:
    if not observation.known and FINALIZER in workspace.metadata.finalizers:
        return Step.LOST
    if observation.up_to_date:
        return Step.SETTLE
    return Step.CREATE if may(workspace, "Create") else Step.MISSING


def _create_is_incomplete(workspace: Workspace) -> bool:
    """Tell whether a creation was begun whose end was never noted (crossplane-runtime's ``ExternalCreateIncomplete``)."""
    annotations = workspace.metadata.annotations
    pending = _time(annotations.get(CREATE_PENDING))
    ended = [
        time
        for mark in (CREATE_SUCCEEDED, CREATE_FAILED)
        if (time := _time(annotations.get(mark))) is not None
    ]
    return pending is not None and all(time < pending for time in ended)


def _time(text: str | None) -> datetime | None:
    """Read an RFC 3339 time; anything else counts as absent, as in crossplane-runtime."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else None
