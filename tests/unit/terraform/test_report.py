"""The status that the engine writes."""

from __future__ import annotations

import base64
import gzip
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from capt.api import Workspace, WorkspaceStatus
from capt.terraform import report
from capt.terraform.executor import InvalidInputError, Output, Stage, TerraformError

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
NOW = EARLIER + timedelta(hours=1)
STDERR = '\nError: No value for required variable\n\n  on main.tf line 1:\n   1: variable "n" {}\n'


def workspace(status: WorkspaceStatus | None = None, *, generation: int = 1) -> Workspace:
    return Workspace.model_validate(
        {
            "metadata": {"name": "node", "uid": "0a1b", "generation": generation},
            "spec": {"forProvider": {"source": "Inline", "module": "#"}},
            "status": (status or WorkspaceStatus()).model_dump(),
        }
    )


def conditions(status: WorkspaceStatus) -> list[tuple[str, str, str, str]]:
    return [
        (condition.type, condition.status, condition.reason, condition.message)
        for condition in status.conditions
    ]


def decode(message: str) -> str:
    found = re.search(r'echo "([^"]+)" \| base64 -d \| gunzip$', message)
    assert found
    return gzip.decompress(base64.b64decode(found[1])).decode()


def test_a_creation_is_ready_only_after_it_was_observed() -> None:
    """Creating, created, available: Synced turns True with Ready still False, the outputs come with Ready."""
    creating = report.creating(workspace(), EARLIER)
    assert conditions(creating) == [("Ready", "False", "Creating", "")]
    created = report.created(workspace(creating), EARLIER)
    assert conditions(created) == [
        ("Ready", "False", "Creating", ""),
        ("Synced", "True", "ReconcileSuccess", ""),
    ]
    assert created.at_provider.outputs == {}
    outputs = {"id": Output(value="i-1"), "key": Output(value="k", sensitive=True), "n": Output(value=[1.5])}
    available = report.available(workspace(created), NOW, outputs, "abc")
    assert conditions(available) == [
        ("Ready", "True", "Available", ""),
        ("Synced", "True", "ReconcileSuccess", ""),
    ]
    assert available.at_provider.outputs == {"id": "i-1", "n": [1.5]}
    assert available.at_provider.checksum == "abc"
    assert [condition.last_transition_time for condition in available.conditions] == [NOW, EARLIER]


def test_an_update_that_fails_leaves_ready_true_for_the_old_generation() -> None:
    """Ready keeps its status and generation; Synced is False with the error, for the new generation."""
    ready = report.available(workspace(), EARLIER, {}, "")
    after = report.failed(workspace(ready, generation=2), NOW, "update failed")
    assert conditions(after) == [
        ("Ready", "True", "Available", ""),
        ("Synced", "False", "ReconcileError", "update failed"),
    ]
    assert [condition.observed_generation for condition in after.conditions] == [1, 2]


def test_the_same_state_reported_again_is_the_same_status() -> None:
    """Time alone changes nothing, so that a poll without drift writes nothing."""
    status = report.available(workspace(), EARLIER, {"id": Output(value="i-1")}, "abc")
    assert report.available(workspace(status), NOW, {"id": Output(value="i-1")}, "abc") == status


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (report.paused, [("Synced", "False", "ReconcilePaused")]),
        (report.halted, [("Ready", "False", "Creating"), ("Synced", "False", "ReconcileError")]),
        (report.deleting, [("Ready", "False", "Deleting"), ("Synced", "True", "ReconcileSuccess")]),
    ],
)
def test_reasons_are_the_providers(status: Any, expected: list[tuple[str, str, str]]) -> None:
    """Each state has the reasons that the provider would write."""
    assert [said[:3] for said in conditions(status(workspace(), NOW))] == expected


def test_failures_of_creation_and_deletion_say_so_in_ready() -> None:
    """Ready is False with the operation as its reason, and the message stands in Synced alone."""
    failed = conditions(report.create_failed(workspace(), NOW, "create failed: x"))
    assert failed == [
        ("Ready", "False", "Creating", ""),
        ("Synced", "False", "ReconcileError", "create failed: x"),
    ]
    failed = conditions(report.delete_failed(workspace(), NOW, "delete failed: x"))
    assert failed[0] == ("Ready", "False", "Deleting", "")


def test_a_change_that_policies_forbid_leaves_ready_as_it_was() -> None:
    """Outputs are shown, Synced is True, Ready is not claimed."""
    status = report.unmanaged_change(workspace(), NOW, {"id": Output(value="i-1")}, "abc")
    assert conditions(status) == [("Synced", "True", "ReconcileSuccess", "")]
    assert status.at_provider.outputs == {"id": "i-1"}


def test_terraforms_words_travel_in_the_providers_envelope() -> None:
    """The summary is readable as it is, the whole text unpacks with the command that the message gives."""
    message = report.error_message("observe", TerraformError(Stage.PLAN, STDERR))
    assert message.startswith(
        "observe failed: cannot diff (i.e. plan) Terraform configuration: Terraform encountered an error. "
        "Summary: No value for required variable. To see the full error run: echo "
    )
    assert decode(message) == STDERR


def test_equal_errors_give_equal_messages() -> None:
    """The compressed text carries no time, so that a retry that fails the same way writes nothing."""
    assert report.envelope(TerraformError(Stage.PLAN, STDERR)) == report.envelope(
        TerraformError(Stage.PLAN, STDERR)
    )


@pytest.mark.parametrize(
    ("operation", "error", "message"),
    [
        ("observe", TerraformError(Stage.INIT, "Error: x\n"), "connect failed: cannot initialize Terraform"),
        ("delete", TerraformError(Stage.INIT, "Error: x\n"), "connect failed: cannot initialize Terraform"),
        ("create", TerraformError(Stage.APPLY, "Error: x\n"), "create failed: cannot apply Terraform"),
        ("update", TerraformError(Stage.APPLY, "Error: x\n"), "update failed: cannot apply Terraform"),
        ("delete", TerraformError(Stage.DESTROY, "Error: x\n"), "delete failed: cannot destroy Terraform"),
        ("observe", InvalidInputError("no Flux"), "observe failed: no Flux"),
    ],
)
def test_messages_name_the_step_that_failed(
    operation: report.Operation, error: Exception, message: str
) -> None:
    """The operation comes first; a failing init is a failure to connect, whatever was under way."""
    assert report.error_message(operation, error).startswith(message)


def test_a_huge_error_stays_a_valid_condition() -> None:
    """A message never exceeds the 32,768 characters that the API allows, however incompressible the text."""
    noise = "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(40_000))
    message = report.error_message("observe", TerraformError(Stage.PLAN, f"Error: {noise}\n{noise}"))
    assert len(message) < 32_768
    assert decode(message).startswith("Error: ")


def test_an_error_without_text_has_an_empty_summary() -> None:
    """What Terraform did not explain is passed on as it is."""
    error = TerraformError(Stage.APPLY, "killed\n")
    assert error.summary == ""
    assert decode(report.envelope(error)) == "killed\n"
