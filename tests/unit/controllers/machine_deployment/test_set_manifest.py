from __future__ import annotations

from capt.api import CaptMachineSet
from capt.controllers import names
from capt.controllers.machine_deployment.observation import effective_selector, observe
from capt.controllers.machine_deployment.set_manifest import SCALED_AT_ANNOTATION, new_set, set_patch
from tests.support.machines import NODE, NOW, deployment, machine_set

OTHER = {**NODE, "instanceType": "t3.large"}


def observed(of, *sets):
    return observe(deployment=of, selector=effective_selector(of), sets=sets, machines={}, now=NOW)


def made_for(of) -> CaptMachineSet:
    """Return the set that a deployment makes, as the server stores it."""
    manifest = new_set(observed(of), 3)
    manifest["metadata"] |= {"uid": "uid-new", "generation": 1, "creationTimestamp": "2026-01-01T11:00:00Z"}
    return CaptMachineSet.model_validate(manifest)


def test_a_new_set_is_owned_guarded_and_selects_its_own_machines():
    """B-M09: A set has owner and finalizer from its first moment, and a selector that no other set shares."""
    of = deployment(
        labels={"role": "worker"},
        selector={"matchLabels": {"role": "worker"}},
        minReadySeconds=7,
        metadata={"labels": {names.CLUSTER_NAME_LABEL: "c"}},
    )
    made = new_set(observed(of), 2)
    metadata, spec = made["metadata"], made["spec"]
    template_hash = metadata["labels"][names.DEPLOYMENT_HASH_LABEL]
    assert metadata["name"] == f"d-{template_hash}"
    assert metadata["finalizers"] == [names.MACHINE_SET_FINALIZER]
    assert metadata["ownerReferences"][0]["uid"] == "uid-d"
    assert metadata["annotations"][names.DEPLOYMENT_REVISION_ANNOTATION] == "1"
    assert spec["selector"]["matchLabels"] == {"role": "worker", names.DEPLOYMENT_HASH_LABEL: template_hash}
    assert spec["template"]["metadata"]["labels"] == {
        "role": "worker",
        names.DEPLOYMENT_NAME_LABEL: "d",
        names.CLUSTER_NAME_LABEL: "c",
        names.DEPLOYMENT_HASH_LABEL: template_hash,
    }
    assert (spec["replicas"], spec["minReadySeconds"]) == (2, 7)
    assert spec["template"]["spec"] == NODE


def test_an_up_to_date_set_is_not_written():
    """While nothing changes, nothing is written."""
    of = deployment()
    current = made_for(of)
    assert set_patch(observed(of, current), current, {}) == {}


def test_in_place_changes_reach_the_current_set_only():
    """Tags, labels and minReadySeconds reach the current set; an old one gets minReadySeconds alone."""
    current = made_for(deployment())
    old = machine_set("old", spec=OTHER)
    changed = deployment(spec={**NODE, "tags": {"a": "b"}}, labels={"new": "1"}, minReadySeconds=5)
    seen = observed(changed, old, current)
    patch = set_patch(seen, current, {})
    assert patch["spec"] == {
        "minReadySeconds": 5,
        "template": {"metadata": {"labels": {"new": "1"}}, "spec": {"tags": {"a": "b"}}},
    }
    assert set_patch(seen, old, {}) == {"spec": {"minReadySeconds": 5}}


def test_scaling_leaves_its_time_for_the_progress_deadline():
    """A new size and the time of it are one write."""
    of = deployment()
    current = made_for(of)
    current = current.model_copy(
        update={
            "metadata": current.metadata.model_copy(
                update={"annotations": {names.DEPLOYMENT_REVISION_ANNOTATION: "1"}}
            )
        }
    )
    assert set_patch(observed(of, current), current, {current.metadata.name: 5}) == {
        "metadata": {"annotations": {SCALED_AT_ANNOTATION: "2026-01-01T12:00:00Z"}},
        "spec": {"replicas": 5},
    }


def test_on_delete_keeps_old_sets_from_replacing_machines():
    """Under OnDelete old sets are marked, and unmarked when the strategy changes."""
    old = machine_set("old", spec=OTHER)
    seen = observed(deployment(strategy={"type": "OnDelete"}), old)
    patch = set_patch(seen, old, {})
    assert patch == {"metadata": {"annotations": {names.DISABLE_MACHINE_CREATE_ANNOTATION: "true"}}}
    marked = machine_set("old", spec=OTHER, metadata=patch["metadata"])
    assert set_patch(observed(deployment(), marked), marked, {}) == {
        "metadata": {"annotations": {names.DISABLE_MACHINE_CREATE_ANNOTATION: None}}
    }


def test_an_old_set_that_becomes_current_gets_the_next_revision():
    """Going back to an earlier template is a new revision."""
    back = made_for(deployment())
    newer = machine_set(
        "newer", spec=OTHER, metadata={"annotations": {names.DEPLOYMENT_REVISION_ANNOTATION: "4"}}
    )
    patch = set_patch(observed(deployment(), newer, back), back, {})
    assert patch["metadata"]["annotations"] == {names.DEPLOYMENT_REVISION_ANNOTATION: "5"}


def test_an_adopted_set_keeps_the_labels_that_it_selects_by():
    """What a set made by others selects by stays in its template, or the server would refuse the write."""
    adopted = machine_set("adopted", selector={"matchLabels": {"own": "x"}}, labels={"own": "x", "gone": "y"})
    patch = set_patch(observed(deployment(labels={"new": "z"}), adopted), adopted, {})
    assert patch["spec"]["template"]["metadata"]["labels"] == {
        "gone": None,
        "new": "z",
        names.DEPLOYMENT_NAME_LABEL: "d",
    }
