from __future__ import annotations

import pytest

from capt.controllers import names
from capt.controllers.machine_set.machine_manifest import effective_selector, new_machine
from capt.controllers.machine_set.plan import Observation, free_names, plan_machines, summary
from tests.support.machines import NOW, machine, machine_set


def name_at(ordinal: int) -> str:
    return names.machine_name("s", "uid-s", ordinal)


def up_to_date(name: str, owner, **fields):
    manifest = new_machine(owner, name)
    metadata = {key: manifest["metadata"][key] for key in ("labels", "annotations")}
    return machine(name, metadata={**metadata, **fields.pop("metadata", {})}, **fields)


def plan(owner, *machines, taken: frozenset[str] = frozenset()):
    return plan_machines(
        Observation(
            machine_set=owner,
            selector=effective_selector(owner),
            machines=machines,
            taken_names=taken,
            now=NOW,
        )
    )


def test_missing_machines_get_the_lowest_free_names():
    """A set fills its gaps from the lowest ordinal on, and jumps over names that others have."""
    owner = machine_set(replicas=4)
    made = plan(owner, up_to_date(name_at(1), owner), taken=frozenset({name_at(2)}))
    assert made.create == (name_at(0), name_at(3), name_at(4))
    assert made.delete == ()


def test_the_same_question_has_the_same_answer():
    """B-M08: A set that forgot what it did asks for the same machines again: no twins."""
    owner = machine_set(replicas=50)
    assert plan(owner).create == plan(owner).create
    assert len(set(plan(owner).create)) == 50


def test_a_machine_on_its_way_out_counts_until_it_is_gone():
    """No replacement stands beside a machine whose infrastructure still exists."""
    owner = machine_set(replicas=2)
    machines = [up_to_date("a", owner), up_to_date("b", owner, deleting=True)]
    assert plan(owner, *machines).create == ()
    assert plan(owner, machines[0]).create == (name_at(0),)


def test_surplus_machines_go_and_those_already_going_count():
    """B-M14: Scaling from three to one with one on its way out deletes one more, not two."""
    owner = machine_set(replicas=1)
    machines = [
        up_to_date("keep", owner, ready=100, age=900),
        up_to_date("newer", owner, ready=100, age=10),
        up_to_date("going", owner, deleting=True),
    ]
    planned = plan(owner, *machines)
    assert [each.metadata.name for each in planned.delete] == ["newer"]
    assert planned.create == ()


def test_a_set_that_must_not_create_says_what_it_holds_back():
    """Under OnDelete an old set does not replace a machine that a user deleted."""
    annotations = {names.DISABLE_MACHINE_CREATE_ANNOTATION: "true"}
    owner = machine_set(replicas=3, metadata={"annotations": annotations})
    planned = plan(owner, up_to_date("a", owner))
    assert (planned.create, planned.held) == ((), 2)


def test_an_up_to_date_set_plans_nothing():
    """While nothing changes, nothing is written."""
    owner = machine_set(replicas=1, labels={"role": "worker"})
    planned = plan(owner, up_to_date("a", owner, ready=1))
    assert (planned.create, planned.delete, planned.patches) == ((), (), {})


def test_template_metadata_and_in_place_fields_reach_existing_machines():
    """Labels, annotations and tags follow the template; what came from it and left it goes; the rest stays."""
    before = machine_set(replicas=1, labels={"role": "worker", "old": "1"})
    existing = up_to_date("a", before, ready=1)
    foreign = {**existing.metadata.labels, "mine": "x"}
    existing = existing.model_copy(
        update={"metadata": existing.metadata.model_copy(update={"labels": foreign})}
    )
    template = {
        "metadata": {"labels": {"role": "worker", "new": "2"}, "annotations": {"note": "n"}},
        "spec": {
            **before.spec.template.spec.model_dump(by_alias=True, exclude_none=True),
            "tags": {"env": "prod"},
            "instanceType": "t3.nano",
        },
    }
    after = machine_set(replicas=1, template=template)
    patch = plan(after, existing).patches["a"]
    assert patch["metadata"]["labels"] == {"old": None, "new": "2"}
    assert patch["metadata"]["annotations"]["note"] == "n"
    assert patch["spec"] == {"tags": {"env": "prod"}}


def test_machines_to_be_deleted_are_not_patched():
    """Nothing is written to a machine that is given up."""
    owner = machine_set(replicas=0)
    planned = plan(owner, machine("a"))
    assert planned.patches == {}
    assert len(planned.delete) == 1


def test_free_names_of_none():
    """Asked for no names, there are none."""
    assert free_names(machine_set(), 0, lambda _: False) == ()


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, "Created 1 machine: m0"),
        (3, "Created 3 machines: m0, m1, m2"),
        (12, "Created 12 machines: m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 2 more"),
    ],
)
def test_summary(count, expected):
    """One sentence tells of many machines."""
    assert summary("Created", [f"m{index}" for index in range(count)]) == expected


def test_new_machines_are_owned_guarded_and_labelled():
    """B-M31: A machine has owner, finalizer and the labels that its set selects from its first moment."""
    owner = machine_set(labels={"role": "worker"}, metadata={"labels": {names.CLUSTER_NAME_LABEL: "c"}})
    metadata = new_machine(owner, "m")["metadata"]
    assert metadata["finalizers"] == [names.MACHINE_FINALIZER]
    assert metadata["ownerReferences"][0]["uid"] == "uid-s"
    assert metadata["ownerReferences"][0]["controller"] is True
    assert metadata["labels"] == {
        "role": "worker",
        names.SET_NAME_LABEL: "s",
        names.CLUSTER_NAME_LABEL: "c",
    }
    assert effective_selector(owner).matches(metadata["labels"])
