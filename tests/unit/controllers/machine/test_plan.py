from __future__ import annotations

from typing import Any

import pytest

from capt.api import WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.child_apply import Create, Keep, Update
from capt.controllers.machine.node_group import NodeGroup
from capt.controllers.machine.plan import Blocked, Observation, plan_apply
from tests.support.machines import GROUP, NODE, NOW, ago, condition, machine, owned_by


def observed(of, apply=None, group=None) -> Observation:
    return Observation(machine=of, apply=apply, group=group, now=NOW)


def stored(of, group=None, metadata: Any = None) -> WorkspaceTemplateApply:
    """Return the apply that a machine makes, as the server stores it."""
    plan = plan_apply(observed(of, None, group))
    assert isinstance(plan, Create)
    manifest = {
        **plan.body,
        "metadata": {**plan.body["metadata"], "generation": 1, "uid": "u", **(metadata or {})},
    }
    return WorkspaceTemplateApply.model_validate(manifest)


def group(*, ready: bool, outputs: Any = None, deleting: bool = False) -> NodeGroup:
    state = condition("Ready", "True" if ready else "False")
    status = {"outputs": outputs or {"subnet": "s1"}, "conditions": [state]}
    found = machine("group", spec=GROUP, status=status, deleting=deleting)
    return NodeGroup(machine=found, consents=True)


def test_a_new_machine_makes_its_apply():
    """The apply has owner, finalizer and cluster label from its first moment, and the template of the machine."""
    of = machine(metadata={"labels": {names.CLUSTER_NAME_LABEL: "c"}})
    plan = plan_apply(observed(of))
    assert isinstance(plan, Create)
    metadata, spec = plan.body["metadata"], plan.body["spec"]
    assert (metadata["name"], metadata["namespace"]) == ("m-machine", "default")
    assert metadata["finalizers"] == [names.APPLY_FINALIZER]
    assert metadata["ownerReferences"][0]["uid"] == "uid-m"
    assert metadata["labels"] == {names.CLUSTER_NAME_LABEL: "c"}
    assert spec == {
        "templateRef": {"name": "node"},
        "variables": {"cluster_name": "c", "instance_type": "t3.medium", "node_group": "group"},
        "values": {"labels": {}, "tags": {}},
        "optionalVariables": ["cluster_name", "instance_type", "labels", "node_group", "tags"],
    }


def test_an_apply_as_wanted_is_left_alone():
    """While nothing changes, nothing is written."""
    of = machine()
    assert plan_apply(observed(of, stored(of))) == Keep()


def test_what_others_put_into_the_apply_is_left_alone():
    """Fields and labels that are not the machine's stay."""
    of = machine()
    apply = stored(of, metadata={"labels": {"mine": "x"}})
    waiting = apply.spec.model_copy(update={"retain_workspace_on_delete": True})
    assert plan_apply(observed(of, apply.model_copy(update={"spec": waiting}))) == Keep()


def test_a_changed_machine_changes_its_apply():
    """B-M26: Only what differs is written; a tag that is gone is taken away."""
    apply = stored(machine(spec={**NODE, "tags": {"old": "1"}}))
    changed = machine(spec={**NODE, "tags": {"new": "2"}, "instanceType": "t3.large"})
    plan = plan_apply(observed(changed, apply))
    assert plan == Update(
        patch={
            "spec": {
                "variables": {"instance_type": "t3.large"},
                "values": {"tags": {"old": None, "new": "2"}},
            }
        }
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"size": 1}, {"size": None}),
        ({"size": None}, {"size": 1}),
        ({"size": None}, {}),
        ({"disk": {"type": "x"}}, {"disk": {"type": None}}),
        ({"disks": []}, {"disks": [{"type": None}]}),
    ],
)
def test_null_is_a_value(before: dict[str, Any], after: dict[str, Any]) -> None:
    """A null that a user gives or takes back changes the values as a whole, and the rest by its difference (row 93)."""
    apply = stored(machine(spec={**NODE, "values": before}))
    changed = machine(spec={**NODE, "values": after, "instanceType": "t3.large"})
    plan = plan_apply(observed(changed, apply))
    assert plan == Update(
        patch={"spec": {"variables": {"instance_type": "t3.large"}}},
        values={"labels": {}, "tags": {}, **after},
    )
    assert plan_apply(observed(changed, stored(changed))) == Keep()


def test_a_node_waits_for_its_group():
    """Nothing is made before the group is ready, or while it is being deleted."""
    waits = plan_apply(observed(machine(), group=group(ready=False)))
    assert waits == Blocked(
        reason="WaitingForNodeGroup", message="waits for node group default/group to be ready"
    )
    leaving = plan_apply(observed(machine(), group=group(ready=True, deleting=True)))
    assert leaving == Blocked(
        reason="WaitingForNodeGroup", message="node group default/group is being deleted"
    )
    made = plan_apply(observed(machine(), group=group(ready=True)))
    assert isinstance(made, Create)
    assert made.body["spec"]["values"]["subnet"] == "s1"


def test_a_standing_node_is_not_disturbed_by_its_group():
    """A group that is not ready for a while leaves its nodes as they are; a change waits for it."""
    of = machine()
    apply = stored(of, group(ready=True))
    assert plan_apply(observed(of, apply, group(ready=False))) == Keep()
    changed = machine(spec={**NODE, "tags": {"a": "b"}})
    assert isinstance(plan_apply(observed(changed, apply, group(ready=False))), Blocked)
    assert isinstance(plan_apply(observed(changed, apply, group(ready=True))), Update)


def test_an_apply_of_somebody_else_is_not_touched():
    """A name that is taken blocks the machine and says so."""
    foreign = stored(machine(), metadata=owned_by(machine("other")))
    plan = plan_apply(observed(machine(), foreign))
    assert isinstance(plan, Blocked)
    assert plan.reason == "ApplyConflict"


def test_an_apply_that_is_being_deleted_is_waited_for():
    """It is made again when it is gone."""
    of = machine()
    plan = plan_apply(observed(of, stored(of, metadata={"deletionTimestamp": ago(1)})))
    assert isinstance(plan, Blocked)
    assert plan.reason == "WorkspaceDeleting"
