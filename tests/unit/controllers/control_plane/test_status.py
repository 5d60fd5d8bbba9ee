from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from capt.api import APIEndpoint, CAPTControlPlane, CAPTControlPlaneStatus, WorkspaceTemplateApply
from capt.controllers.control_plane.events import events
from capt.controllers.control_plane.phases import Phase, Verdict
from capt.controllers.control_plane.status import (
    Facts,
    Line,
    report,
    report_deletion,
    report_paused,
    report_waiting_for_cluster,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
WRITTEN = Line(status="True", reason="SecretsWritten", message="m")
MISSING = Line(status="False", reason="KubeconfigGenerationFailed", message="token is missing")
CREATING = Verdict(phase=Phase.CREATING, reason="WaitingForWorkspace", message="Terraform is at it")
READY = Verdict(phase=Phase.READY, reason="Ready", message="the control plane is ready")
FAILED = Verdict(phase=Phase.FAILED, reason="WorkspaceError", message="no quota", terminal=True)
LATE = Verdict(phase=Phase.FAILED, reason="ControlPlaneTimeout", message="it takes long")
CHANGING = replace(READY, changing="Terraform is at it")


def control_plane(
    status: CAPTControlPlaneStatus | None = None, *, version: str = "v1.31.2", generation: int = 3
) -> CAPTControlPlane:
    found = CAPTControlPlane.model_validate(
        {
            "metadata": {"name": "blue", "namespace": "ns", "generation": generation},
            "spec": {"version": version, "workspaceTemplateRef": {"name": "eks"}},
        }
    )
    return found if status is None else found.model_copy(update={"status": status})


def apply(reason: str = "Available", *, observed: int = 1, **status: Any) -> WorkspaceTemplateApply:
    ready = {
        "type": "Ready",
        "status": "True" if reason == "Available" else "False",
        "reason": reason,
        "message": "",
        "lastTransitionTime": NOW.isoformat(),
    }
    return WorkspaceTemplateApply.model_validate(
        {
            "metadata": {"name": "a", "namespace": "ns", "generation": 1},
            "spec": {"templateRef": {"name": "eks"}},
            "status": {"observedGeneration": observed, "conditions": [ready], **status},
        }
    )


def facts(**fields: Any) -> Facts:
    done = Facts(
        apply=apply(),
        done=True,
        endpoint=APIEndpoint(host="a.example.com", port=443),
        secrets=WRITTEN,
        optional=None,
        now=NOW,
    )
    return replace(done, **fields)


UNDER_WAY: dict[str, Any] = {"apply": apply("Applying"), "done": False, "endpoint": None, "secrets": None}


def up() -> CAPTControlPlaneStatus:
    """Return the status of a control plane that is up."""
    return report(control_plane(), READY, facts())


def conditions(status: CAPTControlPlaneStatus) -> dict[str, str]:
    return {each.type: each.status for each in status.conditions}


def reason(status: CAPTControlPlaneStatus, kind: str) -> str:
    (found,) = (each.reason for each in status.conditions if each.type == kind)
    return found


@pytest.mark.parametrize(
    ("verdict", "seen", "before", "wanted"),
    [
        (CREATING, UNDER_WAY, False, "Ready- Initialized- Creating+ Failed- Available- RollingOut-"),
        (FAILED, UNDER_WAY, False, "Ready- Initialized- Creating- Failed+ Available- RollingOut-"),
        (READY, {}, False, "Ready+ Initialized+ Creating- Failed- Available+ RollingOut- SecretsReady+"),
        (
            READY,
            {"secrets": MISSING},
            False,
            "Ready+ Initialized- Creating- Failed- Available+ RollingOut- SecretsReady-",
        ),
        (
            CHANGING,
            UNDER_WAY,
            True,
            "Ready+ Initialized+ Creating- Failed- Available+ RollingOut+ SecretsReady+",
        ),
        (
            FAILED,
            UNDER_WAY,
            True,
            "Ready- Initialized+ Creating- Failed+ Available+ RollingOut+ SecretsReady+",
        ),
        (
            CREATING,
            UNDER_WAY | {"apply": None},
            True,
            "Ready- Initialized+ Creating+ Failed- Available- RollingOut- SecretsReady+",
        ),
    ],
    ids=["new", "broken", "up", "no-kubeconfig", "upgrade", "failed-upgrade", "gone"],
)
def test_conditions_of_every_phase(verdict: Verdict, seen: dict[str, Any], before: bool, wanted: str) -> None:
    """Seed 003, C9, C10, A15: exactly one of Ready, Creating and Failed holds, and what was initialized stays so."""
    status = report(control_plane(up() if before else None), verdict, facts(**seen))

    told = {
        kind: "True" if sign == "+" else "False" for *name, sign in wanted.split() for kind in ["".join(name)]
    }
    assert conditions(status) == told
    assert status.phase == verdict.phase
    assert status.ready is (verdict.phase is Phase.READY)
    assert status.initialized is (told["Initialized"] == "True")
    assert {each.observed_generation for each in status.conditions if each.type != "SecretsReady"} == {3}


def test_both_spellings_of_the_contract() -> None:
    """C3, C6, C8: v1beta1 and v1beta2 find their own fields."""
    status = up()
    shown = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert (shown["ready"], shown["initialized"]) == (True, True)
    assert shown["initialization"] == {"controlPlaneInitialized": True}
    assert (shown["version"], shown["versions"]) == ("v1.31.2", [{"version": "v1.31.2"}])
    assert shown["externalManagedControlPlane"] is True
    assert shown["endpoint"] == "a.example.com:443"


def test_the_version_is_the_one_that_runs() -> None:
    """C3: while an upgrade is under way, and when it fails, the old version is what runs."""
    newer = control_plane(up(), version="v1.32.0")
    assert report(newer, CHANGING, facts(**UNDER_WAY)).version == "v1.31.2"
    assert report(newer, FAILED, facts(**UNDER_WAY)).version == "v1.31.2"
    assert report(newer, READY, facts()).version == "v1.32.0"


@pytest.mark.parametrize("verdict", [CREATING, READY, LATE])
def test_a_failure_is_cleared(verdict: Verdict) -> None:
    """Seed 004: the failure fields are for what needs a person, and go with it; a timeout does not set them."""
    broken = report(control_plane(), FAILED, facts(**UNDER_WAY))
    assert (broken.failure_reason, broken.failure_message) == ("WorkspaceError", "no quota")

    status = report(control_plane(broken), verdict, facts())

    assert (status.failure_reason, status.failure_message) == (None, None)


def test_the_workspace_shows() -> None:
    """B-P26, B-P27: state, revisions, failure and outputs are there, whatever the Workspace lacks."""
    outputs = {"cluster_endpoint": "https://a", "subnets": ["b"]}
    failing = apply(
        "WorkspaceError",
        outputs=outputs,
        lastAppliedRevision="1",
        lastFailedRevision="2",
        lastFailureMessage="no quota",
    )
    status = report(control_plane(), FAILED, facts(apply=failing, done=False))
    assert status.workspace_template_status is not None
    assert status.workspace_template_status.model_dump() == {
        "ready": False,
        "state": "WorkspaceError",
        "last_applied_revision": "1",
        "last_failed_revision": "2",
        "last_failure_message": "no quota",
        "outputs": {"cluster_endpoint": "https://a", "subnets": '["b"]'},
    }
    assert status.workspace_status is not None
    assert status.workspace_status.at_provider == {"outputs": outputs}
    stale = report(control_plane(), CREATING, facts(apply=apply(observed=0), done=False))
    assert stale.workspace_template_status is not None
    assert stale.workspace_template_status.state == "Applying"


def test_looking_again_changes_nothing() -> None:
    """The same facts an hour later give the same status, times of transitions included."""
    status = up()
    assert report(control_plane(status), READY, facts(now=NOW + timedelta(hours=1))) == status


def test_without_a_cluster() -> None:
    """B7: the wait is Unknown, which starts no timeout; a Cluster that is gone for a moment takes nothing away."""
    new = report_waiting_for_cluster(control_plane(), NOW)
    assert conditions(new) == {"Ready": "Unknown"}
    assert reason(new, "Ready") == "WaitingForCluster"
    moved = report_waiting_for_cluster(control_plane(up()), NOW)
    assert conditions(moved) == conditions(up())
    assert (moved.ready, moved.initialized, moved.version) == (True, True, "v1.31.2")


def test_under_pause_only_the_condition_changes() -> None:
    """A10: everything else stays as it was, and the condition goes with the pause."""
    status = report_paused(control_plane(up()), NOW)
    assert conditions(status) == {**conditions(up()), "Paused": "True"}
    assert status.model_copy(update={"conditions": ()}) == up().model_copy(update={"conditions": ()})
    assert "Paused" not in conditions(report(control_plane(status), READY, facts()))


def test_on_its_way_out() -> None:
    """B-P31: the phase is Deleting and says what it waits for; it is neither ready nor available any more."""
    status = report_deletion(control_plane(up()), "WaitingForMachines", "waits for m", NOW)
    assert (status.phase, status.ready, status.initialized) == ("Deleting", False, True)
    told = conditions(status)
    assert [kind for kind, value in told.items() if value == "True"] == ["Initialized", "SecretsReady"]
    assert reason(status, "Ready") == "WaitingForMachines"


def told(
    old: CAPTControlPlaneStatus, verdict: Verdict, problem: str = "", **seen: Any
) -> list[tuple[str, str]]:
    """Return type and reason of the events of a reconcile that comes to a verdict."""
    new = report(control_plane(old), verdict, facts(**seen))
    return [(kind, reason) for kind, reason, _ in events(old, new, verdict, problem)]


def test_every_phase_change_is_an_event() -> None:
    """B-P33: Normal for Creating and Ready, Warning with the reason for Failed; what goes on is told once."""
    none = CAPTControlPlaneStatus()
    creating = report(control_plane(), CREATING, facts(**UNDER_WAY))
    broken = report(control_plane(), FAILED, facts(**UNDER_WAY))
    assert told(none, CREATING, **UNDER_WAY) == [("Normal", "Creating")]
    assert told(creating, CREATING, **UNDER_WAY) == []
    assert told(creating, READY) == [("Normal", "Ready")]
    assert told(creating, FAILED, **UNDER_WAY) == [("Warning", "WorkspaceError")]
    assert told(broken, FAILED, **UNDER_WAY) == []
    assert told(broken, replace(FAILED, message="no rights"), **UNDER_WAY) == [("Warning", "WorkspaceError")]
    assert told(broken, LATE, **UNDER_WAY) == [("Warning", "ControlPlaneTimeout")]
    assert told(broken, READY) == [("Normal", "Ready")]
    assert told(up(), READY) == []


def test_an_upgrade_begins_and_ends_with_an_event() -> None:
    """C10: RollingOut when Terraform begins, RolledOut when the new version runs."""
    rolling = report(control_plane(up()), CHANGING, facts(**UNDER_WAY))
    assert told(up(), CHANGING, **UNDER_WAY) == [("Normal", "RollingOut")]
    assert told(rolling, CHANGING, **UNDER_WAY) == []
    assert told(rolling, READY) == [("Normal", "RolledOut")]


def test_an_endpoint_that_could_not_be_written_is_an_event() -> None:
    """Seed 004: while it is Ready the phase does not change, and the lost update is told nevertheless."""
    assert told(up(), READY, "no answer") == [("Warning", "EndpointUpdateFailed")]
