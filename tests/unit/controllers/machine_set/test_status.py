from __future__ import annotations

from capt.controllers.machine_set.machine_manifest import effective_selector
from capt.controllers.machine_set.plan import MachinePlan, Observation, plan_machines
from capt.controllers.machine_set.status import Refusal, next_maturity, set_status
from capt.runtime.conditions import find_condition
from tests.support.machines import NOW, condition, machine, machine_set

LABELS = {"role": "worker"}


def status(owner, *machines, refusal: Refusal | None = None, plan: MachinePlan | None = None):
    observation = Observation(
        machine_set=owner,
        selector=effective_selector(owner),
        machines=machines,
        taken_names=frozenset(),
        now=NOW,
    )
    return set_status(observation, plan or MachinePlan(patches={}), refusal)


def labelled(name: str, **fields):
    return machine(name, metadata={"labels": LABELS}, **fields)


def ready_of(result):
    return find_condition(result.conditions, "Ready")


def test_counts():
    """B-M15: Replicas count all machines; ready and available leave out those on their way out."""
    owner = machine_set(replicas=4, labels=LABELS, minReadySeconds=30)
    result = status(
        owner,
        labelled("a", ready=100),
        labelled("b", ready=5),
        labelled("c"),
        machine("unlabelled", ready=100, deleting=True),
    )
    assert result.replicas == 4
    assert result.fully_labeled_replicas == 3
    assert (result.ready_replicas, result.available_replicas) == (2, 1)
    assert result.selector == "cluster.x-k8s.io/set-name=s"
    assert result.observed_generation == 1


def test_ready_when_all_are_available():
    """Ready is True when exactly the machines asked for are available."""
    owner = machine_set(replicas=1)
    assert ready_of(status(owner, labelled("a", ready=1))).status == "True"
    assert ready_of(status(owner)).reason == "WaitingForMachines"
    assert ready_of(status(owner, labelled("a", ready=1), labelled("b", ready=1))).reason == "ScalingDown"


def test_a_machine_just_changed_is_not_ready():
    """What was observed of a machine no longer holds once its spec has been changed."""
    owner = machine_set(replicas=1)
    plan = MachinePlan(patches={"a": {"spec": {"tags": {"x": "y"}}}})
    assert status(owner, labelled("a", ready=1), plan=plan).ready_replicas == 0


def test_terraforms_words_are_told_once_for_many():
    """Machines that fail alike are named together with what Terraform said."""
    owner = machine_set(replicas=3)
    result = status(
        owner,
        labelled("a", failing="Error: quota"),
        labelled("b", failing="Error: quota"),
        labelled("c", ready=1),
    )
    ready = ready_of(result)
    assert ready.reason == "MachinesFailing"
    assert ready.message == "1 of 3 machines are available; a, b: Error: quota"


def test_refused_creations_show_and_heal():
    """ReplicaFailure carries why machines cannot be made, and goes when they can."""
    owner = machine_set(replicas=1)
    failed = status(owner, refusal=Refusal("FailedCreate", "captmachines is forbidden: quota"))
    assert find_condition(failed.conditions, "ReplicaFailure").message == "captmachines is forbidden: quota"
    assert ready_of(failed).reason == "FailedCreate"
    healed = status(owner.model_copy(update={"status": failed}))
    assert find_condition(healed.conditions, "ReplicaFailure") is None


def test_nothing_changes_while_nothing_changes():
    """The status computed from the same facts later is the same, transition times included."""
    owner = machine_set(replicas=1, status={"conditions": [condition("Ready", "False", since=500)]})
    first = status(owner)
    assert ready_of(first).last_transition_time < NOW
    assert status(owner.model_copy(update={"status": first})) == first


def test_next_maturity_is_the_nearest():
    """The set is woken when the next machine becomes available, and not when none is on its way."""
    machines = [machine("a", ready=5), machine("b", ready=20), machine("c")]
    assert next_maturity(machines, 30, NOW) == 11
    assert next_maturity(machines, 0, NOW) is None
    assert next_maturity([machine("c")], 30, NOW) is None


def test_deleting_says_what_is_left():
    """A set that is being deleted counts the machines that it waits for."""
    result = status(machine_set(deleting=True), labelled("a", deleting=True))
    assert ready_of(result).reason == "Deleting"
    assert ready_of(result).message == "waits for 1 machine to be gone"


def test_held_machines_are_explained():
    """A set that must not replace machines says so."""
    owner = machine_set(
        replicas=2, metadata={"annotations": {"cluster.x-k8s.io/disable-machine-create": "true"}}
    )
    observation = Observation(
        machine_set=owner,
        selector=effective_selector(owner),
        machines=(),
        taken_names=frozenset(),
        now=NOW,
    )
    assert ready_of(set_status(observation, plan_machines(observation), None)).reason == "NotReplacing"
