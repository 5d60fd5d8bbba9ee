"""What to say about a Workspace: its status, as the provider would write it. Pure functions.

``Ready`` says whether the infrastructure stands; when it is False it has no message. ``Synced`` says whether the last
run succeeded, and its message holds the error. An update that fails leaves ``Ready`` as it was, so a reader needs
both, for the generation in question: both carry ``observedGeneration``.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from capt.api import Workspace, WorkspaceCondition, WorkspaceObservation, WorkspaceStatus
from capt.runtime import set_condition
from capt.terraform.executor import Output, Stage, TerraformError

Operation = Literal["connect", "observe", "create", "update", "delete"]

HALTED: Final = (
    "cannot determine creation result - remove the crossplane.io/external-create-pending annotation if it is safe "
    "to proceed"
)
LOST: Final = (
    "the Terraform state of this Workspace is not in this engine's data directory, so what was created cannot be "
    "updated or destroyed: restore the data directory, or delete the Workspace with deletionPolicy Orphan (or "
    "managementPolicies without Delete) to give up what stands"
)
UNCONFIRMED: Final = "Waiting for external resource existence to be confirmed"
MISSING: Final = "observe failed: external resource does not exist"
_PAUSED: Final = (
    "Reconciliation is paused either through the `spec.managementPolicies` or the pause annotation"
)

# reason and message of an event; people and alerts know the provider's
CREATED: Final = ("CreatedExternalResource", "Successfully requested creation of external resource")
UPDATED: Final = ("UpdatedExternalResource", "Successfully requested update of external resource")
DELETED: Final = ("DeletedExternalResource", "Successfully requested deletion of external resource")
PAUSED: Final = ("ReconciliationPaused", _PAUSED)

# with the base64 text they must stay under the 32,768 characters that a condition's message may have
_STDERR_BYTES: Final = 16 * 1024
_SUMMARY_CHARACTERS: Final = 1024


def paused(workspace: Workspace, now: datetime) -> WorkspaceStatus:
    """It is paused."""
    return _with(workspace, now, synced=("False", "ReconcilePaused", _PAUSED))


def failed(workspace: Workspace, now: datetime, message: str) -> WorkspaceStatus:
    """The last run failed; whether the infrastructure stands is unchanged."""
    return _with(workspace, now, synced=("False", "ReconcileError", message))


def halted(workspace: Workspace, now: datetime) -> WorkspaceStatus:
    """Another provider was interrupted while it created."""
    return _with(workspace, now, ready=("False", "Creating", ""), synced=("False", "ReconcileError", HALTED))


def creating(workspace: Workspace, now: datetime) -> WorkspaceStatus:
    """It is being created; nothing is known of the outcome yet."""
    return _with(workspace, now, ready=("False", "Creating", ""))


def create_failed(workspace: Workspace, now: datetime, message: str) -> WorkspaceStatus:
    """The first apply failed."""
    return _with(workspace, now, ready=("False", "Creating", ""), synced=("False", "ReconcileError", message))


def created(workspace: Workspace, now: datetime) -> WorkspaceStatus:
    """The first apply succeeded; the next observation makes it Ready and brings the outputs."""
    return _with(workspace, now, ready=("False", "Creating", ""), synced=("True", "ReconcileSuccess", ""))


def available(
    workspace: Workspace, now: datetime, outputs: Mapping[str, Output], checksum: str
) -> WorkspaceStatus:
    """The infrastructure stands as the Workspace asks for. Sensitive outputs go into the connection secret only."""
    status = _with(workspace, now, ready=("True", "Available", ""), synced=("True", "ReconcileSuccess", ""))
    shown = {name: output.value for name, output in sorted(outputs.items()) if not output.sensitive}
    return status.model_copy(
        update={"at_provider": WorkspaceObservation(checksum=checksum or None, outputs=shown)}
    )


def unmanaged_change(
    workspace: Workspace, now: datetime, outputs: Mapping[str, Output], checksum: str
) -> WorkspaceStatus:
    """The infrastructure differs, and policies forbid to change it: Ready is left as it was."""
    status = available(workspace, now, outputs, checksum)
    kept = _with(workspace, now, synced=("True", "ReconcileSuccess", ""))
    return status.model_copy(update={"conditions": kept.conditions})


def deleting(workspace: Workspace, now: datetime) -> WorkspaceStatus:
    """Everything was destroyed; the finalizer goes when the next observation has confirmed it."""
    return _with(workspace, now, ready=("False", "Deleting", ""), synced=("True", "ReconcileSuccess", ""))


def delete_failed(workspace: Workspace, now: datetime, message: str) -> WorkspaceStatus:
    """Destroying failed."""
    return _with(workspace, now, ready=("False", "Deleting", ""), synced=("False", "ReconcileError", message))


def error_message(operation: Operation, error: Exception) -> str:
    """Return the message of an error in the provider's words, Terraform's whole output in its envelope."""
    if not isinstance(error, TerraformError):
        return f"{operation} failed: {error}"
    return f"{operation_of(operation, error)} failed: {error.stage}: {envelope(error)}"


def operation_of(operation: Operation, error: Exception) -> Operation:
    """Return what the provider calls an operation that failed: until the module is initialised it connects."""
    connects = isinstance(error, TerraformError) and error.stage in {Stage.FETCH, Stage.INIT}
    return "connect" if connects else operation


def envelope(error: TerraformError) -> str:
    """Return Terraform's error text as provider-terraform packs it into a condition.

    Equal errors give equal text, so that a retry that fails the same way writes nothing.
    """
    packed = gzip.compress(error.stderr.encode()[:_STDERR_BYTES], mtime=0)
    return (
        f"Terraform encountered an error. Summary: {error.summary[:_SUMMARY_CHARACTERS]}. "
        f'To see the full error run: echo "{base64.b64encode(packed).decode()}" | base64 -d | gunzip'
    )


def _with(
    workspace: Workspace,
    now: datetime,
    *,
    ready: tuple[Literal["True", "False"], str, str] | None = None,
    synced: tuple[Literal["True", "False"], str, str] | None = None,
) -> WorkspaceStatus:
    conditions = workspace.status.conditions
    for kind, said in (("Ready", ready), ("Synced", synced)):
        if said is not None:
            status, reason, message = said
            conditions = set_condition(
                conditions,
                WorkspaceCondition(
                    type=kind,
                    status=status,
                    reason=reason,
                    message=message,
                    last_transition_time=now,
                    observed_generation=workspace.metadata.generation,
                ),
            )
    return workspace.status.model_copy(update={"conditions": conditions})
