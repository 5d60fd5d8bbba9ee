from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from capt.api import WorkspaceTemplateApply
from capt.controllers.control_plane.phases import Work
from capt.controllers.control_plane.plan import progress

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC).isoformat()


def condition(kind: str, status: str, reason: str, message: str = "words") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": NOW,
    }


def apply(*conditions: dict[str, Any], seen: int | None = 1) -> WorkspaceTemplateApply:
    metadata = {"name": "a", "namespace": "default", "generation": 1, "creationTimestamp": NOW}
    status = {"observedGeneration": seen, "conditions": list(conditions)}
    return WorkspaceTemplateApply.model_validate(
        {"metadata": metadata, "spec": {"templateRef": {"name": "t"}}, "status": status}
    )


READY, SYNCED = condition("Ready", "True", "Available"), condition("Synced", "True", "ReconcileSuccess")
FAILED = condition("Ready", "False", "WorkspaceError", "no quota")


@pytest.mark.parametrize(
    ("found", "work"),
    [
        (apply(seen=None), Work.APPLYING),
        (apply(), Work.APPLYING),
        (apply(SYNCED), Work.APPLYING),
        (apply(READY), Work.APPLYING),
        (apply(READY, SYNCED, seen=0), Work.APPLYING),
        (apply(READY, SYNCED), Work.DONE),
        (apply(SYNCED, READY), Work.DONE),
        (apply(FAILED), Work.FAILED),
        (apply(condition("Ready", "False", "WaitingForSecrets")), Work.WAITING),
    ],
)
def test_a_status_that_is_not_complete_yet_is_no_failure(found: WorkspaceTemplateApply, work: Work) -> None:
    """B-P27: what is missing counts as not there yet, and what is there counts in whatever order it stands."""
    assert progress(found, "").work is work


def test_terraforms_words_come_first_in_whatever_order() -> None:
    """B-C11: the words of the failure are shown, wherever the other condition stands."""
    broken = condition("Synced", "False", "ReconcileError", "")
    assert {progress(apply(*pair), "").message for pair in ((FAILED, broken), (broken, FAILED))} == {
        "no quota"
    }


def test_what_cannot_be_changed_now_is_not_done() -> None:
    """A change that waits for the VPC is under way, whatever Terraform said of the former spec."""
    held = progress(apply(READY, SYNCED), "waits for the VPC")
    assert (held.work, held.message) == (Work.APPLYING, "waits for the VPC")
