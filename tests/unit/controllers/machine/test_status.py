from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from capt.api import WorkspaceTemplateApply
from capt.controllers.child_apply import Create, Keep, Update
from capt.controllers.machine.plan import Blocked, Observation
from capt.controllers.machine.status import report, report_deletion
from capt.runtime.conditions import find_condition
from tests.support.machines import GROUP, NOW, ago, condition, machine

SYNCED = condition("Synced", "True", "ReconcileSuccess")
AVAILABLE = condition("Ready", "True", "Available", message="Workspace w is ready")
FAILED = [
    condition("Ready", "False", "WorkspaceError", message="Error: no such instance type"),
    condition("Synced", "False", "ReconcileError", message="Error: no such instance type"),
]
APPLYING = [
    condition("Ready", "False", "Applying", message="Terraform is applying revision 1"),
    condition("Synced", "Unknown", "Applying"),
]
NEW = {"status": {}}


def apply_with(*conditions: Any, outputs: Any = None, generation: int = 1, seen: int = 1, **fields: Any):
    return WorkspaceTemplateApply.model_validate(
        {
            "metadata": {"name": "m-machine", "namespace": "default", "generation": generation, **fields},
            "spec": {"templateRef": {"name": "node"}},
            "status": {"observedGeneration": seen, "conditions": conditions, "outputs": outputs or {}},
        }
    )


def observed(of, apply=None, now=NOW) -> Observation:
    return Observation(machine=of, apply=apply, group=None, now=now)


def told(apply, plan=Keep(), of=None):  # noqa: B008 - Keep has no state
    return report(observed(of or machine(**NEW), apply), plan)


def ready_of(result):
    return find_condition(result.status.conditions, "Ready")


def test_the_first_words_are_known_before_anything_happens():
    """After making the apply, while it is new, and while Terraform runs, a machine says the very same."""
    first = told(None, Create(body={}))
    assert ready_of(first).reason == "WaitingForWorkspace"
    assert first.status.workspace_template_apply_name == "m-machine"
    assert first.status.workspace_name
    assert first.status.node_group_name == "group"
    of = machine(status=first.status.model_dump(by_alias=True, exclude_none=True, mode="json"))
    for apply in (apply_with(), apply_with(*APPLYING)):
        again = report(observed(of, apply, NOW + timedelta(minutes=1)), Keep())
        assert again.status == first.status
        assert again.event is None


def test_ready_with_what_terraform_put_out():
    """B-M25, B-M27: When the Workspace is ready, so is the machine, with instance id, address and outputs, and one event."""
    outputs = {"instance_id": "i-1", "private_ip": "10.0.0.1", "zone": "a"}
    result = told(apply_with(AVAILABLE, SYNCED, outputs=outputs))
    status = result.status
    assert (status.ready, status.instance_id, status.private_ip) == (True, "i-1", "10.0.0.1")
    assert status.outputs == outputs
    assert (ready_of(result).status, ready_of(result).reason) == ("True", "Provisioned")
    assert result.event == ("Normal", "Ready", "instance i-1 is ready")
    again = told(apply_with(AVAILABLE, SYNCED, outputs=outputs), of=machine(ready=5))
    assert again.event is None


def test_the_output_id_is_an_instance_id_of_a_node_only():
    """`id` stands in for `instance_id`; the id of a node group is not that of an instance."""
    apply = apply_with(AVAILABLE, SYNCED, outputs={"id": "i-1", "private_ip": 7})
    assert told(apply).status.instance_id == "i-1"
    assert told(apply).status.private_ip is None
    assert told(apply, of=machine(spec=GROUP, **NEW)).status.instance_id is None


@pytest.mark.parametrize(
    ("apply", "plan"),
    [
        (apply_with(AVAILABLE, SYNCED), Update(patch={"spec": {}})),
        (apply_with(AVAILABLE, SYNCED, generation=2), Keep()),
        (apply_with(AVAILABLE, *FAILED[1:]), Keep()),
        (apply_with(AVAILABLE), Keep()),
        (apply_with(*APPLYING), Keep()),
        (apply_with(), Keep()),
    ],
    ids=["just changed", "not seen yet", "not synced", "synced unknown yet", "applying", "no status"],
)
def test_never_ready_before_the_current_spec_is_applied(apply, plan):
    """B-M17: Nothing but a Workspace that is ready and synced for the spec wanted makes a machine ready."""
    changed = machine(ready=100, metadata={"generation": 2})
    result = told(apply, plan, of=changed)
    assert not result.status.ready
    assert ready_of(result).status == "False"


@pytest.mark.parametrize(
    ("apply", "plan"),
    [
        (apply_with(AVAILABLE, SYNCED), Update(patch={"spec": {"optionalVariables": ["new"]}})),
        (apply_with(AVAILABLE, SYNCED, generation=2), Keep()),
    ],
    ids=["changed", "not seen yet"],
)
def test_a_change_that_nobody_asked_for_waits_for_the_verdict(apply, plan):
    """A newer manager that fills a new field of the apply does not make a machine NotReady before the apply says so."""
    standing = machine(ready=100)
    result = told(apply, plan, of=standing)
    assert result.status.ready
    assert result.event is None
    assert ready_of(result) == find_condition(standing.status.conditions, "Ready")
    assert not told(apply_with(*APPLYING), of=standing).status.ready


def test_an_apply_that_is_made_again_starts_from_nothing():
    """Whoever deletes an apply takes the infrastructure away: its machine is not ready until it stands again."""
    assert not told(None, Create(body={}), of=machine(ready=100)).status.ready


def test_a_missing_template_does_not_make_a_standing_machine_unready():
    """An apply that cannot tell whether something else is wanted leaves its machine ready."""
    apply = apply_with(AVAILABLE, condition("Synced", "Unknown", "TemplateNotFound"))
    assert told(apply, of=machine(ready=100)).status.ready


def test_terraforms_error_is_told_once_and_heals():
    """B-M19: The error's words are the condition's; each distinct text makes one Warning event; success clears it."""
    failed = told(apply_with(*FAILED))
    assert ready_of(failed).reason == "WorkspaceError"
    assert ready_of(failed).message == "Error: no such instance type"
    assert failed.event == ("Warning", "WorkspaceError", "Error: no such instance type")
    failing = machine(failing="Error: no such instance type")
    assert told(apply_with(*FAILED), of=failing).event is None
    healed = told(apply_with(AVAILABLE, SYNCED), of=failing)
    assert healed.status.ready
    assert ready_of(healed).reason == "Provisioned"


def test_what_the_apply_waits_for_is_told():
    """A wait that needs somebody's attention shows in the machine."""
    waiting = condition("Ready", "False", "WaitingForSecrets", message="waiting for Secrets: a/b")
    result = told(apply_with(waiting, condition("Synced", "False", "WaitingForSecrets")))
    assert ready_of(result).reason == "WaitingForWorkspace"
    assert ready_of(result).message == "WaitingForSecrets: waiting for Secrets: a/b"


def test_blocked_machines_say_why():
    """The plan's sentence is the condition's."""
    result = told(None, Blocked(reason="WaitingForNodeGroup", message="waits for x"))
    assert (ready_of(result).reason, ready_of(result).message) == ("WaitingForNodeGroup", "waits for x")


def test_last_transition_time_moves_on_transitions_only():
    """B-M18: `lastTransitionTime` is when ready changed last."""
    first = told(None, Create(body={})).status
    of = machine(status=first.model_dump(by_alias=True, exclude_none=True, mode="json"))
    later = NOW + timedelta(hours=1)
    assert report(observed(of, apply_with(), later), Keep()).status.last_transition_time == NOW
    ready = report(observed(of, apply_with(AVAILABLE, SYNCED), later), Keep()).status
    assert ready.last_transition_time == later
    assert find_condition(ready.conditions, "Ready").last_transition_time == later


def test_deletion_waits_and_says_for_what():
    """First a group's nodes, then the infrastructure; a failing destruction is told with Terraform's words."""
    leaving = machine("m", ready=100, deleting=True)
    nodes = report_deletion(observed(leaving), tuple(f"n{index}" for index in range(7)))
    assert (
        ready_of(nodes).message
        == "waits for the nodes of this group to be gone: n0, n1, n2, n3, n4 and 2 more"
    )
    gone = report_deletion(observed(leaving, apply_with(AVAILABLE, SYNCED)), ())
    assert (gone.status.ready, ready_of(gone).reason) == (False, "Deleting")
    words = "Workspace w cannot be destroyed, the provider keeps trying: Error: locked"
    stuck = apply_with(condition("Ready", "False", "Deleting", message=words), deletionTimestamp=ago(1))
    stuck = stuck.model_copy(
        update={"status": stuck.status.model_copy(update={"last_failure_message": "Error: locked"})}
    )
    failing = report_deletion(observed(leaving, stuck), ())
    assert ready_of(failing).message == words
    assert failing.event == ("Warning", "WorkspaceError", words)
