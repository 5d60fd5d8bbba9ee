from __future__ import annotations

import pytest

from capt.api import CaptMachineSpec
from capt.controllers.in_place import instance_types, replacing_fields, with_in_place_fields
from tests.support.machines import GROUP, NODE


def spec(base, **changes) -> CaptMachineSpec:
    return CaptMachineSpec.model_validate({**base, **changes})


def group(**changes) -> CaptMachineSpec:
    return spec(GROUP, nodeGroupConfig={**GROUP["nodeGroupConfig"], **changes})


@pytest.mark.parametrize(
    "changed",
    [
        spec(NODE, labels={"a": "b"}),
        spec(NODE, tags={"a": "b"}),
        spec(NODE, workspaceTemplateRef={"name": "node", "namespace": "default"}),
        spec(NODE, nodeGroupRef={"name": "group", "namespace": "default"}),
    ],
)
def test_what_changes_a_node_in_place(changed):
    """Labels, tags and another spelling of the same reference need no new node."""
    assert replacing_fields(changed, "default") == replacing_fields(spec(NODE), "default")


@pytest.mark.parametrize(
    "changed",
    [
        spec(NODE, instanceType="t3.large"),
        spec(NODE, nodeGroupRef={"name": "other"}),
        spec(NODE, workspaceTemplateRef={"name": "other"}),
        spec(NODE, workspaceTemplateRef={"name": "node", "namespace": "elsewhere"}),
        spec(NODE, variables={"a": "b"}),
        spec(NODE, values={"a": [1]}),
        spec(GROUP),
    ],
)
def test_what_needs_a_new_node(changed):
    """Instance type, references and free variables need a new node."""
    assert replacing_fields(changed, "default") != replacing_fields(spec(NODE), "default")


@pytest.mark.parametrize(
    "changes",
    [
        {"scaling": {"minSize": 2, "maxSize": 9, "desiredSize": 3}},
        {"labels": {"a": "b"}},
        {"tags": {"a": "b"}},
        {"taints": [{"key": "k", "effect": "NoSchedule"}]},
        {"updateConfig": {"maxUnavailable": 2}},
        {"version": "1.33"},
        {"releaseVersion": "1.33.0-20260101"},
        {"instanceType": None, "instanceTypes": ["t3.large"]},
    ],
)
def test_what_changes_a_node_group_in_place(changes):
    """What EKS changes on a standing group needs no new group, nor does a longer spelling of the same type."""
    assert replacing_fields(group(**changes), "default") == replacing_fields(spec(GROUP), "default")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "fixed"},
        {"instanceType": "t3.nano"},
        {"instanceType": None, "instanceTypes": ["t3.large", "t3.xlarge"]},
        {"capacityType": "Spot"},
        {"amiType": "AL2023_ARM_64_STANDARD"},
        {"diskSize": 50},
        {"subnetIDs": ["subnet-1"]},
    ],
)
def test_what_needs_a_new_node_group(changes):
    """What EKS cannot change on a standing group needs a new one."""
    assert replacing_fields(group(**changes), "default") != replacing_fields(spec(GROUP), "default")


def test_in_place_fields_are_taken_over_and_taken_away():
    """The in-place fields become those of the wanted spec; all others stay."""
    current = group(labels={"old": "1"}, taints=[{"key": "k", "effect": "NoExecute"}], diskSize=20)
    wanted = group(labels={"new": "2"}, diskSize=99, instanceType="t3.nano")
    result = with_in_place_fields(current, wanted)["nodeGroupConfig"]
    assert result["labels"] == {"new": "2"}
    assert "taints" not in result
    assert (result["diskSize"], result["instanceType"]) == (20, "t3.large")


def test_instance_types_wherever_they_stand():
    """The three spellings of instance types come out as one list."""
    assert instance_types(spec(NODE)) == ("t3.medium",)
    assert instance_types(spec(GROUP)) == ("t3.large",)
    assert instance_types(spec(GROUP, nodeGroupConfig={}, instanceType="t3.nano")) == ("t3.nano",)
    assert instance_types(group(instanceType=None, instanceTypes=["a", "b"])) == ("a", "b")
    assert instance_types(spec(GROUP, nodeGroupConfig={})) == ()
