from __future__ import annotations

from datetime import UTC, datetime

import pytest

from capt.api import ObjectReference
from capt.controllers.child_apply import Create, Keep, Update
from capt.controllers.cluster.plan import Blocked, plan_vpc, retention, vpc_name
from tests.support.capt_clusters import capt_cluster, observation, parent, vpc_apply


def created(**spec):
    plan = plan_vpc(observation(capt_cluster(**spec)))
    assert isinstance(plan, Create)
    return plan.body


def test_the_vpc_is_one_apply_of_the_template():
    """The apply is named and labelled as in the original, owned, and guarded from its first moment."""
    body = created(variables={"environment": "staging"}, values={"azs": ["a", "b"]})

    assert body["metadata"]["name"] == "blue-abc12-vpc"
    assert body["metadata"]["labels"] == {"cluster.x-k8s.io/cluster-name": "blue"}
    assert body["metadata"]["finalizers"] == ["infrastructure.cluster.x-k8s.io/finalizer"]
    assert body["metadata"]["ownerReferences"][0]["uid"] == "capt-uid"
    assert body["spec"] == {
        "templateRef": {"name": "vpc"},
        "variables": {
            "cluster_name": "blue",
            "vpc_name": "blue-abc12-vpc",
            "region": "us-west-2",
            "environment": "staging",
        },
        "values": {"azs": ["a", "b"]},
        "writeConnectionSecretToRef": {"name": "blue-abc12-vpc-connection"},
        "retainWorkspaceOnDelete": False,
        "optionalVariables": ["cluster_name", "region", "vpc_name"],
    }


def test_nothing_about_the_environment_is_made_up():
    """B-C14, B-C15: the region reaches Terraform, and no `environment = production` does."""
    assert created()["spec"]["variables"] == {
        "cluster_name": "blue",
        "vpc_name": "blue-abc12-vpc",
        "region": "us-west-2",
    }


def test_what_the_user_sets_wins():
    """A variable given in the spec replaces the one that would be passed, once, whatever its type."""
    body = created(variables={"region": "eu-west-1"}, values={"vpc_name": ["odd"]})

    assert body["spec"]["variables"] == {"cluster_name": "blue", "region": "eu-west-1"}
    assert body["spec"]["values"] == {"vpc_name": ["odd"]}
    assert body["spec"]["optionalVariables"] == ["cluster_name"]


def test_an_existing_vpc_is_looked_up_by_its_id():
    """B-C19: the template gets the id whatever else is set, must take it, and gets no name for a VPC to make."""
    body = created(
        existingVpcId="vpc-1",
        existingVpcTemplateRef={"name": "lookup"},
        variables={"vpc_id": "vpc-2"},
        values={"vpc_id": ["vpc-3"]},
    )

    assert body["spec"] == {
        "templateRef": {"name": "lookup"},
        "variables": {"cluster_name": "blue", "region": "us-west-2", "vpc_id": "vpc-1"},
        "writeConnectionSecretToRef": {"name": "blue-abc12-vpc-connection"},
        "retainWorkspaceOnDelete": False,
        "optionalVariables": ["cluster_name", "region"],
    }


def test_the_name_of_the_vpc():
    """The VPC has the name that the spec gives, else the CAPTCluster's."""
    assert vpc_name(capt_cluster(vpcConfig={"name": "shared"})) == "shared"
    assert vpc_name(capt_cluster(vpcConfig={})) == "blue-abc12-vpc"


def test_an_existing_vpc_needs_no_apply():
    """Nothing is made for a VPC that exists."""
    assert plan_vpc(observation(capt_cluster(existingVpcId="vpc-1"))) == Keep()


def test_an_apply_as_it_should_be_is_left_alone():
    """A pass over something finished writes nothing."""
    assert plan_vpc(observation(apply=vpc_apply())) == Keep()


def test_a_change_reaches_the_apply_and_what_others_set_stays():
    """B-C12: only owned fields are written; waits and labels that others added stay."""
    apply = vpc_apply(metadata={"labels": {"team": "x"}})
    apply = apply.model_copy(
        update={"spec": apply.spec.model_copy(update={"wait_for_secrets": (ObjectReference(name="s"),)})}
    )

    plan = plan_vpc(observation(capt_cluster(region="eu-west-1", retainVpcOnDelete=True), apply))

    assert plan == Update(
        patch={
            "metadata": {"labels": {"cluster.x-k8s.io/cluster-name": "blue"}},
            "spec": {"variables": {"region": "eu-west-1"}, "retainWorkspaceOnDelete": True},
        }
    )


def test_a_variable_that_is_taken_away_goes():
    """The apply has exactly the variables that the spec gives."""
    apply = vpc_apply(cluster=capt_cluster(variables={"a": "1"}, values={"b": 2}))

    assert plan_vpc(observation(apply=apply)) == Update(
        patch={"spec": {"variables": {"a": None}, "values": None}}
    )


def test_somebody_elses_apply_is_not_touched():
    """B-C12: an apply of that name with another owner is a conflict that a person must solve."""
    plan = plan_vpc(observation(apply=vpc_apply(metadata={"ownerReferences": []})))

    assert isinstance(plan, Blocked)
    assert (plan.reason, plan.terminal) == ("ApplyConflict", True)
    assert "delete it, or give the CAPTCluster another name" in plan.message


def test_an_apply_on_its_way_out_is_waited_for():
    """Nothing is written to an apply that is being deleted; it is made again later."""
    deleted = {"deletionTimestamp": datetime(2026, 1, 1, tzinfo=UTC).isoformat()}
    plan = plan_vpc(observation(apply=vpc_apply(metadata=deleted)))

    assert isinstance(plan, Blocked)
    assert (plan.reason, plan.terminal) == ("VPCDeleting", False)


@pytest.mark.parametrize(
    ("wanted", "has", "patch"),
    [
        (True, False, {"spec": {"retainWorkspaceOnDelete": True}}),
        (False, True, {"spec": {"retainWorkspaceOnDelete": False}}),
        (True, True, {}),
        (False, False, {}),
    ],
)
def test_retention_is_on_the_apply_before_it_goes(wanted, has, patch):
    """B-C01: what becomes of the VPC is written down where the garbage collector's deletion finds it."""
    apply = vpc_apply(cluster=capt_cluster(retainVpcOnDelete=has))

    assert retention(capt_cluster(retainVpcOnDelete=wanted), apply) == patch


def test_the_cluster_of_a_topology_is_the_one_that_owns():
    """B-T04: `cluster_name` is the Cluster's name, not that of the object that core made up."""
    assert parent().name == "blue"
    assert created()["spec"]["variables"]["cluster_name"] == "blue"
