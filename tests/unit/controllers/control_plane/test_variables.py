from __future__ import annotations

from typing import Any

import pytest

from capt.api import CAPTCluster, CAPTControlPlane
from capt.controllers.control_plane.variables import control_plane_variables, region_of


def control_plane(**spec: Any) -> CAPTControlPlane:
    body = {"version": "v1.31.2", "workspaceTemplateRef": {"name": "eks"}, **spec}
    return CAPTControlPlane.model_validate({"metadata": {"name": "cp", "namespace": "default"}, "spec": body})


def network(**outputs: Any) -> CAPTCluster:
    return CAPTCluster.model_validate(
        {
            "metadata": {"name": "c", "namespace": "default"},
            "spec": {"region": "eu-central-1", "vpcTemplateRef": {"name": "vpc"}},
            "status": {"vpcId": "vpc-1", "outputs": outputs},
        }
    )


def test_the_region_is_that_of_the_vpc_where_none_is_given() -> None:
    """B-P35: a control plane without a region of its own is where its VPC is, for Terraform and in the kubeconfig."""
    assert region_of(control_plane(), network()) == "eu-central-1"
    assert control_plane_variables(control_plane(), "c", network()).variables["region"] == "eu-central-1"
    own = control_plane(controlPlaneConfig={"region": "us-west-2"})
    assert control_plane_variables(own, "c", network()).variables["region"] == "us-west-2"
    assert "region" not in control_plane_variables(control_plane(), "c", None).variables


def test_the_name_of_the_cluster_is_not_the_vpcs_to_say() -> None:
    """Outputs of the VPC become values under their own names; a `cluster_name` among them does not."""
    given = control_plane_variables(control_plane(), "mine", network(cluster_name="other", subnets=["s"]))
    assert given.variables["cluster_name"] == "mine"
    assert given.values == {"vpc_id": "vpc-1", "subnets": ["s"], "tags": {}}


def test_tags_are_one_map() -> None:
    """B-P37: whatever characters a tag has, it is an entry of the map `tags`, and a module must take it."""
    given = control_plane_variables(control_plane(additionalTags={"a.b/c": "d e"}), "c", None)
    assert given.values["tags"] == {"a.b/c": "d e"}
    assert "tags" not in given.optional


@pytest.mark.parametrize("place", ["variables", "values"])
def test_what_the_user_sets_wins(place: str) -> None:
    """A variable given in the spec replaces the one that would be passed, whatever its type."""
    given = control_plane_variables(control_plane(**{place: {"vpc_id": "mine"}}), "c", network())
    assert {**given.values, **given.variables}["vpc_id"] == "mine"
    assert "vpc_id" not in given.optional
