from __future__ import annotations

from datetime import timedelta

import pytest

from capt.controllers.machine_deployment.observation import effective_selector, observe
from capt.controllers.machine_deployment.progress import remaining
from capt.controllers.machine_deployment.set_manifest import SCALED_AT_ANNOTATION
from capt.controllers.machine_deployment.status import Outcome, deleting_status, deployment_status
from capt.runtime.conditions import find_condition
from tests.support.machines import NODE, NOW, ago, condition, counts, deployment, machine, machine_set

OTHER = {**NODE, "instanceType": "t3.large"}
WENT_WELL = Outcome()


def observed(of, *sets, machines=None, now=NOW):
    return observe(
        deployment=of, selector=effective_selector(of), sets=sets, machines=machines or {}, now=now
    )


def told(of, *sets, outcome=WENT_WELL, now=NOW):
    return deployment_status(observed(of, *sets, now=now), outcome)


def reason(status, kind):
    found = find_condition(status.conditions, kind)
    return None if found is None else (found.status, found.reason)


def test_counts():
    """B-M11: Updated counts the current template's machines only; all else sums over the sets."""
    new = machine_set("new", replicas=2, status=counts(2, 1, 1))
    old = machine_set("old", spec=OTHER, replicas=2, status=counts(2))
    status = told(deployment(), new, old)
    assert (status.replicas, status.updated_replicas) == (4, 2)
    assert (status.ready_replicas, status.available_replicas, status.unavailable_replicas) == (3, 3, 1)
    assert status.selector == "cluster.x-k8s.io/deployment-name=d"


def test_a_complete_rollout():
    """All machines new and available, no other left: Available, Progressing and Ready are True."""
    status = told(deployment(), machine_set("new", status=counts(3)))
    assert reason(status, "Available") == ("True", "MinimumReplicasAvailable")
    assert reason(status, "Progressing") == ("True", "NewReplicaSetAvailable")
    assert reason(status, "Ready") == ("True", "Complete")


def test_a_rollout_under_way_keeps_availability():
    """During a rolling update the deployment stays Available and is not Ready."""
    new = machine_set("new", replicas=1, status=counts(1, 0), age=10)
    old = machine_set("old", spec=OTHER, status=counts(3))
    status = told(deployment(), new, old)
    assert reason(status, "Available") == ("True", "MinimumReplicasAvailable")
    assert reason(status, "Progressing") == ("True", "ReplicaSetUpdated")
    assert reason(status, "Ready") == ("False", "RollingOut")
    ready = find_condition(status.conditions, "Ready")
    assert ready.message == "1 of 3 machines are up to date, 3 are available, 3 old ones are left"


@pytest.mark.parametrize(("available", "expected"), [(2, "True"), (1, "False")])
def test_available_allows_for_max_unavailable(available, expected):
    """Available is True down to `replicas - maxUnavailable`."""
    limits = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    status = told(deployment(strategy=limits), machine_set("new", status=counts(3, available), age=1))
    assert find_condition(status.conditions, "Available").status == expected


@pytest.mark.parametrize(
    ("new", "outcome"),
    [
        (machine_set("new", status=counts(3), metadata={"generation": 2}), Outcome()),
        (machine_set("new", status=counts(3)), Outcome(changed=True)),
    ],
    ids=["the set has not seen its spec", "the set was just changed"],
)
def test_never_ready_before_the_current_spec_is_served(new, outcome):
    """B-M12: Counts of an earlier spec do not make a deployment Ready."""
    assert reason(told(deployment(), new, outcome=outcome), "Ready")[0] == "False"


def test_paused():
    """A paused rollout says so, and does not run out of time."""
    new = machine_set("new", replicas=1, status=counts(1, 0), age=9999)
    old = machine_set("old", spec=OTHER, status=counts(3), age=9999)
    status = told(deployment(paused=True), new, old)
    assert reason(status, "Progressing") == ("Unknown", "DeploymentPaused")
    assert reason(status, "Ready") == ("False", "Paused")


def test_progress_deadline():
    """B-M10: Without progress for progressDeadlineSeconds the rollout counts as stuck; any progress starts the time anew."""
    of = deployment(progressDeadlineSeconds=100)
    stuck = machine_set("new", status=counts(3, 0), age=101)
    assert reason(told(of, stuck), "Progressing") == ("False", "ProgressDeadlineExceeded")
    assert remaining(observed(of, machine_set("new", age=40))) == 60
    scaled = machine_set("new", age=500, metadata={"annotations": {SCALED_AT_ANNOTATION: ago(30)}})
    assert remaining(observed(of, scaled)) == 70
    old_set = machine_set("new", age=500)
    made = {"uid-new": [machine("m", age=20)]}
    assert remaining(observed(of, old_set, machines=made)) == 80
    ready = {"uid-new": [machine("m", age=400, ready=10)]}
    assert remaining(observed(of, old_set, machines=ready)) == 90
    resumed = deployment(
        progressDeadlineSeconds=100,
        status={"conditions": [condition("Progressing", "True", since=5)]},
    )
    assert remaining(observed(resumed, old_set)) == 95


def test_terraforms_words_reach_the_deployment():
    """What makes machines fail is told at the top."""
    failing = condition("Ready", "False", "MachinesFailing", message="0 of 3 ...; m: Error: quota")
    new = machine_set("new", status={**counts(3, 0), "conditions": [failing]}, age=1)
    ready = find_condition(told(deployment(), new).conditions, "Ready")
    assert ready.reason == "MachinesFailing"
    assert ready.message.endswith("CaptMachineSet new: 0 of 3 ...; m: Error: quota")


def test_refused_sets_show_and_heal():
    """A set that cannot be written shows as ReplicaFailure until it can."""
    failed = told(deployment(), outcome=Outcome(failure="forbidden: quota"))
    assert reason(failed, "ReplicaFailure") == ("True", "FailedCreate")
    assert reason(failed, "Progressing") == ("False", "ReplicaSetCreateError")
    of = deployment().model_copy(update={"status": failed})
    assert reason(told(of, machine_set("new", status=counts(3))), "ReplicaFailure") is None


def test_failing_creations_of_the_set_bubble_up():
    """A set that cannot make machines makes its deployment say so."""
    refused = condition("ReplicaFailure", "True", "FailedCreate", message="quota")
    new = machine_set("new", status={**counts(0), "conditions": [refused]}, age=1)
    status = told(deployment(), new)
    assert reason(status, "ReplicaFailure") == ("True", "FailedCreate")
    assert reason(status, "Ready") == ("False", "FailedCreate")


def test_a_collision_is_counted_and_remembered():
    """The next name depends on how often a name was taken."""
    assert told(deployment()).collision_count is None
    first = told(deployment(), outcome=Outcome(collided=True))
    assert first.collision_count == 1
    assert told(deployment().model_copy(update={"status": first})).collision_count == 1


def test_nothing_changes_while_nothing_changes():
    """The status computed from the same facts later is the same."""
    new = machine_set("new", status=counts(3))
    first = told(deployment(), new)
    again = deployment().model_copy(update={"status": first})
    assert told(again, new, now=NOW + timedelta(hours=1)) == first


def test_deleting_says_what_is_left():
    """A deployment that is being deleted counts what it waits for."""
    seen = observed(
        deployment(), machine_set("a", deleting=True), machines={"uid-a": [machine(), machine("n")]}
    )
    ready = find_condition(deleting_status(seen).conditions, "Ready")
    assert ready.reason == "Deleting"
    assert ready.message == "waits for 1 set with 2 machines to be gone"


def test_a_rollout_that_waits_for_its_user_has_no_deadline():
    """Under OnDelete old machines that work are no stuck rollout, however long nobody deletes one; broken ones are."""
    of = deployment(progressDeadlineSeconds=100, strategy={"type": "OnDelete"})
    old = machine_set("old", spec=OTHER, status=counts(3), age=5000)
    new = machine_set("new", replicas=0, status=counts(0), age=5000)
    status = told(of, new, old)
    assert reason(status, "Progressing") == ("True", "ReplicaSetUpdated")
    assert (
        "OnDelete replaces those that are deleted" in find_condition(status.conditions, "Progressing").message
    )
    assert reason(status, "Ready") == ("False", "RollingOut")
    broken = machine_set("new", replicas=1, status=counts(1, 0), age=5000)
    two = machine_set("old", spec=OTHER, replicas=2, status=counts(2), age=5000)
    assert reason(told(of, broken, two), "Progressing") == ("False", "ProgressDeadlineExceeded")


def test_a_complete_rollout_stays_complete_while_machines_fail():
    """As in apps/v1: what happens after a rollout does not run into its deadline."""
    done = {"conditions": [condition("Progressing", "True", "NewReplicaSetAvailable", since=5000)]}
    of = deployment(status=done)
    failing = machine_set("new", status=counts(3, 1), age=5000)
    assert reason(told(of, failing), "Progressing") == ("True", "NewReplicaSetAvailable")
    assert reason(told(of, failing), "Available")[0] == "False"
    rolling = machine_set("old", spec=OTHER, status=counts(1), age=5000)
    assert reason(told(of, failing, rolling), "Progressing") == ("False", "ProgressDeadlineExceeded")


def test_the_time_starts_with_what_is_done_now_and_with_the_end_of_a_pause():
    """Going back to a set made long ago, or going on after a long pause, is not stuck from the start."""
    ancient = machine_set("new", status=counts(3, 1), age=5000)
    changed = told(deployment(), ancient, outcome=Outcome(changed=True))
    assert reason(changed, "Progressing") == ("True", "ReplicaSetUpdated")
    paused = {"conditions": [condition("Progressing", "Unknown", "DeploymentPaused", since=5000)]}
    resumed = told(deployment(status=paused), ancient)
    assert reason(resumed, "Progressing") == ("True", "ReplicaSetUpdated")
