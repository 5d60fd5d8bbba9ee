"""What an apply's status says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from capt.api import Workspace, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.workspace_template_apply.plan import Blocked, Found
from capt.controllers.workspace_template_apply.status import (
    Outcome,
    Report,
    Waits,
    report,
    report_deletion,
    waiting,
)
from capt.runtime.conditions import find_condition
from tests.support.chain import NOW, TERRAFORM, apply_of, condition, conditions, workspace

LATER = NOW + timedelta(minutes=5)


def found(status: dict[str, Any] | None = None, *, revision: str = "r1", **metadata: Any) -> Found:
    marks = {"annotations": {names.WORKSPACE_REVISION_ANNOTATION: revision}}
    item: Workspace = workspace(metadata={**marks, **metadata}, status=status or {})
    return Found(flavour=TERRAFORM, workspace=item)


def done(outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    return {**conditions("True", "True"), "atProvider": {"outputs": outputs or {}}}


def failed(message: str, ready: str = "False") -> dict[str, Any]:
    return {
        "conditions": [
            condition("Ready", ready),
            condition("Synced", "False", reason="ReconcileError", message=message),
        ]
    }


def after(apply: WorkspaceTemplateApply, told: Report) -> WorkspaceTemplateApply:
    """Return the apply as it is after its status was written."""
    return apply.model_copy(update={"status": told.status})


def lines(told: Report) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status, each.reason) for each in told.status.conditions}


def message(told: Report, kind: str = "Ready") -> str:
    line = find_condition(told.status.conditions, kind)
    assert line is not None
    return line.message


def test_from_nothing_to_ready() -> None:
    """The status is written when the Workspace is made and when Terraform is done, and not in between (B-W16)."""
    apply = apply_of()
    first = report(apply, Outcome(found=found()), NOW)
    assert lines(first) == {"Ready": ("False", "Applying"), "Synced": ("Unknown", "Applying")}
    assert (first.status.workspace_name, first.status.applied, first.status.observed_generation) == (
        "w",
        False,
        1,
    )
    apply = after(apply, first)
    for step in ({}, conditions("False", None), conditions("False", "True"), conditions(None, "True")):
        between = report(apply, Outcome(found=found(step)), LATER)
        assert between.status == apply.status
    last = report(apply, Outcome(found=found(done({"id": "i-1"}))), LATER)
    assert lines(last) == {"Ready": ("True", "Available"), "Synced": ("True", "ReconcileSuccess")}
    assert last.status.applied
    assert last.status.outputs == {"id": "i-1"}
    assert (last.status.last_applied_revision, last.status.last_applied_time) == ("r1", LATER)
    assert first.warning is None
    assert last.warning is None


def test_silence() -> None:
    """While nothing changes the status does not either, whatever the time."""
    apply = apply_of()
    for _ in range(2):
        apply = after(apply, report(apply, Outcome(found=found(done())), NOW))
    assert report(apply, Outcome(found=found(done())), LATER).status == apply.status


def test_failure_and_healing() -> None:
    """A failure shows Terraform's words and is told once; success takes them away again."""
    apply = apply_of()
    broken = report(apply, Outcome(found=found(failed("create failed: no such region"))), NOW)
    assert lines(broken) == {"Ready": ("False", "WorkspaceError"), "Synced": ("False", "ReconcileError")}
    assert message(broken) == message(broken, "Synced") == "create failed: no such region"
    assert broken.warning == ("WorkspaceError", "create failed: no such region")
    assert (broken.status.last_failed_revision, broken.status.last_failure_message) == (
        "r1",
        "create failed: no such region",
    )
    assert broken.status.last_failed_time == NOW
    newer = found(failed("create failed: no such region"), revision="r2")
    assert report(after(apply, broken), Outcome(found=newer), LATER).status.last_failed_time == LATER
    again = report(after(apply, broken), Outcome(found=found(failed("create failed: no such region"))), LATER)
    assert again.warning is None
    assert again.status == broken.status
    other = report(after(apply, broken), Outcome(found=found(failed("create failed: no money"))), LATER)
    assert other.warning == ("WorkspaceError", "create failed: no money")
    healed = report(after(apply, broken), Outcome(found=found(done())), LATER)
    assert healed.status.applied
    assert healed.status.last_failed_revision is None
    assert healed.status.last_failed_time is None
    assert healed.status.last_failure_message is None


def test_ready_workspace_that_fails_later() -> None:
    """Ready=True with Synced=False is not ready; the outputs that were seen stay (B-W05)."""
    apply = apply_of()
    apply = after(apply, report(apply, Outcome(found=found(done({"id": "i-1"}))), NOW))
    told = report(apply, Outcome(found=found(failed("update failed: x", ready="True"))), LATER)
    assert lines(told)["Ready"] == ("False", "WorkspaceError")
    assert not told.status.applied
    assert told.status.outputs == {"id": "i-1"}
    assert told.status.last_applied_revision == "r1"


def test_new_revision() -> None:
    """A new revision is not applied until Terraform says so; then the time of applying is new (B-W04)."""
    apply = apply_of()
    apply = after(apply, report(apply, Outcome(found=found(done())), NOW))
    stale = {**conditions("True", "True", generation=1)}
    told = report(apply, Outcome(found=found(stale, revision="r2", generation=2)), LATER)
    assert lines(told)["Ready"] == ("False", "Applying")
    assert "r2" in message(told)
    assert (told.status.applied, told.status.last_applied_revision) == (False, "r1")
    current = {**conditions("True", "True", generation=2)}
    told = report(apply, Outcome(found=found(current, revision="r2", generation=2)), LATER)
    assert (told.status.applied, told.status.last_applied_revision) == (True, "r2")
    assert told.status.last_applied_time == LATER


def test_waits() -> None:
    """Each wait is a condition that names what is missing, since it began; Ready says what is waited for (B-W13)."""
    apply = apply_of(waitForSecrets=[{"name": "s"}], waitForWorkspaces=[{"name": "vpc"}])
    waits = Waits(secrets=("default/s",), workspaces=("default/vpc (it is not ready: Applying)",))
    told = report(apply, Outcome(blocked=waiting(waits), waits=waits), NOW)
    assert lines(told)["Ready"] == ("False", "WaitingForSecrets")
    assert message(told) == "waiting for Secrets: default/s"
    assert lines(told)["SecretsReady"] == ("False", "WaitingForSecrets")
    assert message(told, "WorkspacesReady") == "missing: default/vpc (it is not ready: Applying)"
    assert told.recheck == 10
    assert told.warning is None
    apply = after(apply, told)
    fewer = Waits(workspaces=waits.workspaces)
    told = report(apply, Outcome(blocked=waiting(fewer), waits=fewer), LATER)
    assert lines(told)["Ready"] == ("False", "WaitingForWorkspaces")
    assert lines(told)["SecretsReady"] == ("True", "Found")
    since = find_condition(told.status.conditions, "WorkspacesReady")
    assert since is not None
    assert since.last_transition_time == NOW


def test_waits_that_are_no_longer_asked_for() -> None:
    """The condition of a wait goes with the wait."""
    apply = apply_of(waitForSecrets=[{"name": "s"}])
    waits = Waits(secrets=("default/s",))
    status = report(apply, Outcome(blocked=waiting(waits), waits=waits), NOW).status
    without = apply_of().model_copy(update={"status": status})
    assert "SecretsReady" not in lines(report(without, Outcome(waits=Waits(), found=found()), LATER))


def test_waits_that_hold_nothing_up() -> None:
    """When what waited to be written is taken back, so is the complaint about the wait."""
    apply = apply_of(waitForSecrets=[{"name": "s"}])
    waits = Waits(secrets=("default/s",))
    apply = after(apply, report(apply, Outcome(blocked=waiting(waits), waits=waits, found=found()), NOW))
    told = report(apply, Outcome(found=found(done())), LATER)
    assert lines(told).keys() == {"Ready", "Synced"}
    # while one that is fulfilled stays, however often nothing is looked at
    apply = after(apply, report(apply, Outcome(waits=Waits(), found=found()), LATER))
    told = report(apply, Outcome(found=found(done())), LATER)
    assert lines(told)["SecretsReady"] == ("True", "Found")


@pytest.mark.parametrize("warn", [True, False])
def test_blocked(warn: bool) -> None:
    """What stands in the way is the reason of both conditions, and an event where somebody has to act."""
    blocked = Blocked(reason="UnsafeVariable", message="variable 'v' ...", warn=warn)
    told = report(apply_of(), Outcome(blocked=blocked), NOW)
    assert lines(told) == {"Ready": ("False", "UnsafeVariable"), "Synced": ("False", "UnsafeVariable")}
    assert (told.warning is not None) is warn


class TestMissingTemplate:
    """A template that is gone stops updates, not what runs."""

    missing = Blocked(reason="TemplateNotFound", message="gone", spares_ready=True)

    def applied(self) -> WorkspaceTemplateApply:
        apply = apply_of()
        return after(apply, report(apply, Outcome(found=found(done())), NOW))

    def test_what_is_ready_stays_ready(self) -> None:
        """An apply whose own spec has not changed stays ready; Synced says that its revision is not known."""
        told = report(self.applied(), Outcome(blocked=self.missing, found=found(done())), LATER)
        assert lines(told) == {"Ready": ("True", "Available"), "Synced": ("Unknown", "TemplateNotFound")}
        assert told.status.applied

    def test_what_fails_is_seen_to_fail(self) -> None:
        """An apply whose Workspace fails is not ready, template or not."""
        told = report(self.applied(), Outcome(blocked=self.missing, found=found(failed("x"))), LATER)
        assert lines(told)["Ready"] == ("False", "TemplateNotFound")

    def test_changed_apply(self) -> None:
        """An apply that was changed since is not ready: nobody knows what it should be."""
        changed = self.applied()
        metadata = changed.metadata.model_copy(update={"generation": 2})
        changed = changed.model_copy(update={"metadata": metadata})
        told = report(changed, Outcome(blocked=self.missing, found=found(done())), LATER)
        assert lines(told)["Ready"] == ("False", "TemplateNotFound")
        again = report(after(changed, told), Outcome(blocked=self.missing, found=found(done())), LATER)
        assert lines(again)["Ready"] == ("False", "TemplateNotFound")

    def test_nothing_made_yet(self) -> None:
        """Without a Workspace the missing template is the reason."""
        told = report(apply_of(), Outcome(blocked=self.missing), NOW)
        assert lines(told)["Ready"] == ("False", "TemplateNotFound")


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"conditions": [condition("Synced", "False", reason="ReconcilePaused")]}, "WorkspacePaused"),
        (failed("cannot determine creation result - remove the annotation"), "CreatePending"),
    ],
)
def test_states_of_the_provider(item: dict[str, Any], reason: str) -> None:
    """Paused and wedged Workspaces are shown as such."""
    assert lines(report(apply_of(), Outcome(found=found(item)), NOW))["Ready"] == ("False", reason)


def test_deleted_by_somebody_else() -> None:
    """A Workspace that somebody else deletes is not ready, and the message says what follows."""
    told = report(apply_of(), Outcome(found=found(done(), deletionTimestamp="2026-01-01T11:00:00Z")), NOW)
    assert lines(told)["Ready"] == ("False", "WorkspaceDeleting")


def test_large_outputs() -> None:
    """Outputs that are too large for a status are named; the others are there."""
    told = report(apply_of(), Outcome(found=found(done({"a": 1, "big": "x" * 20_000}))), NOW)
    assert told.status.outputs == {"a": 1}
    assert message(told) == "Workspace w is ready; outputs too large for a status: big"


def test_deletion() -> None:
    """While it is deleted an apply is not ready and says what it waits for; a failure is told once."""
    apply = apply_of()
    apply = after(apply, report(apply, Outcome(found=found(done())), NOW))
    told = report_deletion(apply, reason="Deleting", message="waiting", failure="", now=LATER)
    assert lines(told) == {"Ready": ("False", "Deleting"), "Synced": ("False", "Deleting")}
    assert (told.status.applied, told.warning, told.status.workspace_name) == (False, None, "w")
    broken = report_deletion(apply, reason="Deleting", message="cannot: x", failure="x", now=LATER)
    assert broken.warning == ("Deleting", "cannot: x")
    again = report_deletion(
        after(apply, broken), reason="Deleting", message="cannot: x", failure="x", now=LATER
    )
    assert again.warning is None
